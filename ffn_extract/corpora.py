"""The texts at which FFN updates are read."""

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ffn_extract.errors import CorpusError, WordNetError
from ffn_extract.options import WORDNET_CORPUS

_EXAMPLE = re.compile(r'"([^"]*)"')
_WAYS_OUT = (
    "Give texts as .txt (one per line), .jsonl or .parquet (--corpus FILE), or leave the kind "
    "update out (--kinds value,random)."
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


def open_corpus(corpus: str, field: str = "text") -> Corpus:
    """The corpus at the path `corpus`, or WordNet's example sentences for the word "wordnet".

    A file whose name ends in .jsonl has a JSON object per line, one in .parquet a row per text;
    `field` names the field or column that holds it. Any other file has a text per line. White
    space around a text is taken off; empty and null ones are left out.

    Raises CorpusError, with what to do about it, when there is no such corpus.
    """
    if corpus == WORDNET_CORPUS:
        return Corpus(corpus, _wordnet_examples())
    path = Path(corpus)
    read = _READERS.get(path.suffix.lower(), _lines)
    try:
        texts = [text.strip() for text in read(path, field) if text is not None and text.strip()]
    except OSError as error:
        reason = error.strerror or "it is damaged"
        raise CorpusError(f"The corpus {corpus} cannot be read: {reason}. {_WAYS_OUT}") from error
    except UnicodeError as error:
        raise CorpusError(f"The corpus {corpus} is not UTF-8 text. {_WAYS_OUT}") from error
    except _BadCorpus as error:
        raise CorpusError(f"The corpus {corpus} {error} {_WAYS_OUT}") from error
    if not texts:
        raise CorpusError(f"The corpus {corpus} has no text. {_WAYS_OUT}")
    return Corpus("file", texts)


class _BadCorpus(Exception):
    """What is wrong with a corpus, as the rest of a sentence that begins with its name."""


def _lines(path: Path, _field: str) -> Iterator[str]:
    yield from path.read_text(encoding="utf-8").splitlines()


def _json_lines(path: Path, field: str) -> Iterator[str | None]:
    with path.open(encoding="utf-8", newline="\n") as file:  # JSON may hold other line ends
        for number, line in enumerate(file, start=1):
            if line.strip():
                yield _json_text(line, number, field)


def _json_text(line: str, number: int, field: str) -> str | None:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise _BadCorpus(f"has no JSON object in line {number}: {error}.") from error
    if not isinstance(row, dict):
        raise _BadCorpus(f"has no JSON object in line {number}, but {_short(row)}.")
    if field not in row:
        raise _BadCorpus(_no_field(field, list(row), f"Line {number}"))
    text = row[field]
    if text is None:
        return None
    if not isinstance(text, str):
        raise _BadCorpus(f"has no text in {field!r} of line {number}, but {_short(text)}.")
    text.encode()  # JSON can spell characters that UTF-8 cannot hold
    return text


def _parquet_rows(path: Path, field: str) -> Iterator[str | None]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    with path.open("rb") as opened:
        try:
            file = pq.ParquetFile(opened)
            names = file.schema_arrow.names
            if field not in names:
                raise _BadCorpus(_no_field(field, names, "It"))
            if not _is_text(file.schema_arrow.field(field).type):
                found = file.schema_arrow.field(field).type
                raise _BadCorpus(f"has no text in the column {field!r}, but {found}.")
            for batch in file.iter_batches(columns=[field]):
                yield from batch.column(0).to_pylist()
        except pa.ArrowException as error:
            reason = str(error).strip().splitlines()[0].rstrip(".")
            raise _BadCorpus(f"cannot be read as Parquet: {reason}.") from error


def _is_text(kind: Any) -> bool:
    import pyarrow as pa

    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _no_field(field: str, names: list[str], where: str) -> str:
    shown = ", ".join(names[:20]) + (", …" if len(names) > 20 else "")
    return (
        f"has no {field!r}. {where} has: {shown or 'nothing'}. Name one that holds text with "
        "--corpus-field."
    )


def _short(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:60]}…"


_READERS: dict[str, Callable[[Path, str], Iterator[str | None]]] = {
    ".jsonl": _json_lines,
    ".parquet": _parquet_rows,
}
"""By the end of a file's name; the others have a text per line."""


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
