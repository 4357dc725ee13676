"""The texts at which FFN updates are read."""

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ffn_extract.errors import CorpusError, WordNetError
from ffn_extract.options import WORDNET_CORPUS

_EXAMPLE = re.compile(r'"([^"]*)"')
_WAYS_OUT = (
    "Give a text file with one text per line (--corpus FILE), or leave the kind update out "
    "(--kinds value,random)."
)


@dataclass(frozen=True)
class Corpus:
    """Texts in a fixed order. `name` is "wordnet" or "file": a path means nothing elsewhere."""

    name: str
    texts: Sequence[str]

    @property
    def digest(self) -> str:
        """sha256 over the texts, each as a JSON string on a line."""
        content = hashlib.sha256()
        for text in self.texts:
            content.update(json.dumps(text).encode() + b"\n")
        return content.hexdigest()


def open_corpus(corpus: str) -> Corpus:
    """The corpus at the path `corpus`, or WordNet's example sentences for the word "wordnet".

    Raises CorpusError, with what to do about it, when there is no such corpus.
    """
    if corpus == WORDNET_CORPUS:
        return Corpus(corpus, _wordnet_examples())
    path = Path(corpus)
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise CorpusError(
            f"The corpus {corpus} cannot be read: {error.strerror}. {_WAYS_OUT}"
        ) from error
    except UnicodeDecodeError as error:
        raise CorpusError(f"The corpus {corpus} is not UTF-8 text. {_WAYS_OUT}") from error
    texts = [line.strip() for line in lines if line.strip()]
    if not texts:
        raise CorpusError(f"The corpus {corpus} has no text. {_WAYS_OUT}")
    return Corpus("file", texts)


def _wordnet_examples() -> list[str]:
    """WordNet's example sentences, each once, in the order of its files.

    The order is nouns, verbs, adjectives, adverbs; in each, synsets by their offset in the data
    file, and a synset's examples as they stand. The files are read directly, because building
    every synset with NLTK takes ten seconds for the same strings.
    """
    from ffn_extract.wordnet import open_wordnet

    try:
        reader = open_wordnet()
    except WordNetError as error:
        raise CorpusError(
            f"The default corpus is WordNet's example sentences. {error} {_WAYS_OUT}"
        ) from error
    examples: dict[str, None] = {}
    for part in ("noun", "verb", "adj", "adv"):
        with reader.open(f"data.{part}") as file:
            for line in file.read().splitlines():
                _, _, gloss = line.partition("|")
                examples.update((text.strip(), None) for text in _EXAMPLE.findall(gloss))
    examples.pop("", None)
    return list(examples)
