"""Glosses from WordNet: the definition of a word's first synset, and its ranked senses."""

from collections.abc import Iterator

from nltk.corpus.reader.wordnet import Synset, WordNetCorpusReader

from ffn_extract.errors import WordNetError
from ffn_extract.glosses.gloss import Gloss
from ffn_extract.glosses.ranking import PARTS, RULES, StoredSense, ranked
from ffn_extract.wordnet import open_wordnet

_PARTS_OF_SPEECH = {"n": "noun", "v": "verb", "a": "adj", "r": "adv"}
"""Nouns first, as NLTK goes through them; with the ends of their files' names."""


class WordNetGlosses:
    """Looks words up as NLTK does: any case, also by their base form, nouns first."""

    def __init__(self, reader: WordNetCorpusReader | None = None) -> None:
        self._reader = reader if reader is not None else open_wordnet()
        self._counts = dict(self._read_counts())
        self._files: dict[str, str] = {}

    @property
    def version(self) -> str:
        """The release of WordNet and the number of the rules for senses: "3.0, senses 1"."""
        return f"{self._reader.get_version()}, senses {RULES}"

    def look_up(self, surface: str) -> Gloss | None:
        """The first synset's definition, with the lemma that matched, and the ranked senses."""
        word = surface.strip().replace(" ", "_")
        first = self._first_synset(word) if word else None
        if first is None:
            return None
        return Gloss(
            first.definition(),
            "wordnet",
            self._lemma(first, word),
            PARTS[first.pos()],
            ranked(surface, self._stored_senses(word)),
        )

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

    def _stored_senses(self, word: str) -> Iterator[StoredSense]:
        """Every sense of a word and of its base forms."""
        for part in _PARTS_OF_SPEECH:
            forms = set(self._reader._morphy(word.lower(), part))
            for number, synset in enumerate(self._reader.synsets(word, part), start=1):
                for lemma in synset.lemmas():
                    if lemma.name().lower() in forms:
                        yield StoredSense(
                            synset=f"{synset.offset():08d}-{part}",
                            stored_gloss=self._stored_gloss(part, synset.offset()),
                            lemma=lemma.name(),
                            part=part,
                            number=number,
                            count=self._counts.get(lemma.key(), 0),
                        )

    def _read_counts(self) -> Iterator[tuple[str, int]]:
        """How often each sense was found in tagged texts, by its key."""
        with self._reader.open("cntlist.rev") as file:
            for line in file.read().splitlines():
                key, _, count = line.split()
                yield key, int(count)

    def _stored_gloss(self, part: str, offset: int) -> str:
        """A synset's gloss with its examples, which NLTK cuts apart."""
        if part not in self._files:
            with self._reader.open(f"data.{_PARTS_OF_SPEECH[part]}") as file:
                self._files[part] = file.read()
        content = self._files[part]
        line = content[offset : content.find("\n", offset)]
        if not line.startswith(f"{offset:08d} "):
            raise WordNetError(f"WordNet's data.{_PARTS_OF_SPEECH[part]} is damaged.")
        return line.partition("|")[2].strip()
