"""Glosses from WordNet: the definition of a word's first synset."""

from nltk.corpus.reader.wordnet import Synset, WordNetCorpusReader

from ffn_extract.glosses import Gloss
from ffn_extract.wordnet import open_wordnet


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
        synsets = self._reader.synsets(word) if word else []
        if not synsets:
            return None
        first = synsets[0]
        return Gloss(first.definition(), "wordnet", self._lemma(first, word))

    def _lemma(self, synset: Synset, word: str) -> str:
        """The synset's lemma that `word` is a form of, in WordNet's own spelling."""
        base = self._reader.morphy(word.lower(), synset.pos()) or word.lower()
        names: list[str] = synset.lemma_names()
        for form in (word.lower(), base):
            for name in names:
                if name.lower() == form:
                    return name.replace("_", " ")
        return names[0].replace("_", " ")
