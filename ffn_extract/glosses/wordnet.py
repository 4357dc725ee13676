"""Glosses from WordNet: the definition of a word's first synset."""

from collections.abc import Iterator

from nltk.corpus.reader.wordnet import Synset, WordNetCorpusReader

from ffn_extract.glosses.gloss import Gloss
from ffn_extract.wordnet import open_wordnet

_PARTS_OF_SPEECH = ("n", "v", "a", "r")  # nouns first, as NLTK goes through them


class WordNetGlosses:
    """Looks words up as NLTK does: any case, also by their base form, nouns first."""

    def __init__(self, reader: WordNetCorpusReader | None = None) -> None:
        self._reader = reader if reader is not None else open_wordnet()

    @property
    def version(self) -> str:
        """The release of WordNet, such as "3.0"."""
        return str(self._reader.get_version())

    def look_up(self, surface: str) -> Gloss | None:
        """The first synset's definition, with the lemma that matched."""
        word = surface.strip().replace(" ", "_")
        first = self._first_synset(word) if word else None
        if first is None:
            return None
        return Gloss(first.definition(), "wordnet", self._lemma(first, word))

    def _first_synset(self, word: str) -> Synset | None:
        """The first synset, without making the others: a verb can have fifty."""
        for part in _PARTS_OF_SPEECH:
            synsets = self._reader.synsets(word, part)
            if synsets:
                return synsets[0]
        return None

    def _lemma(self, synset: Synset, word: str) -> str:
        """The synset's lemma that `word` is a form of, in WordNet's own spelling."""
        names: list[str] = synset.lemma_names()
        for form in self._forms(word.lower(), synset.pos()):
            for name in names:
                if name.lower() == form:
                    return name.replace("_", " ")
        return names[0].replace("_", " ")

    def _forms(self, word: str, part: str) -> Iterator[str]:
        """The word, then its base form, which takes longer to find."""
        yield word
        yield self._reader.morphy(word, part) or word
