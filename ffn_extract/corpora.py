"""Corpora: the texts at which FFN updates are read."""

import codecs
import csv
import hashlib
import io
import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TextIO, overload

from ffn_extract.errors import CorpusError, WordNetError
from ffn_extract.glosses.packaged import packaged_examples
from ffn_extract.options import WORDNET_CORPUS
from ffn_extract.sentences import in_sentences
from ffn_extract.unnamed_file import UnnamedFile

_ENCODINGS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # begins as UTF-16's does
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
PACKAGED = "wordnet-packaged"
_EXAMPLE = re.compile(r'"([^"]*)"')
_WAYS_OUT = (
    "Give texts as .txt (one per line), .json, .jsonl, .csv, .tsv or .parquet (--corpus FILE), or "
    "leave the kind update out (--kinds value,random)."
)


@dataclass(frozen=True)
class Corpus:
    """Texts in a fixed order. `name` is "wordnet", "wordnet-packaged" or "file", never a path."""

    name: str
    texts: Sequence[str]

    @cached_property
    def digest(self) -> str:
        """sha256 over the texts, each as a JSON string on a line."""
        content = hashlib.sha256()
        for text in self.texts:
            content.update(json.dumps(text).encode() + b"\n")
        return content.hexdigest()

    def split(self) -> "Corpus":
        """The corpus with each sentence as a text, on disk where this one's texts are."""
        collect = StoredTexts if isinstance(self.texts, StoredTexts) else list
        return Corpus(self.name, collect(in_sentences(self.texts)))


class StoredTexts(Sequence[str]):
    """Texts on disk, in a file that goes with this object."""

    def __init__(self, texts: Iterable[str]) -> None:
        self._file = UnnamedFile()
        for text in texts:
            self._file.append(text.encode())
        self._file.flush()

    def __len__(self) -> int:
        return len(self._file)

    @overload
    def __getitem__(self, number: int) -> str: ...
    @overload
    def __getitem__(self, number: slice) -> list[str]: ...
    def __getitem__(self, number: int | slice) -> str | list[str]:
        if isinstance(number, slice):
            return [self[one] for one in range(*number.indices(len(self)))]
        if not -len(self) <= number < len(self):
            raise IndexError(number)
        return self._file.read(number % len(self)).decode()


def stored_corpus(corpus: str, field: str = "text") -> Corpus:
    """As `open_corpus`, with the texts of a file on disk, so that it may be larger than memory.

    A .json file is the exception: it is one value, and is read whole.
    """
    return _opened(corpus, field, StoredTexts)


def open_corpus(corpus: str, field: str = "text") -> Corpus:
    """The corpus at the path `corpus`, or WordNet's example sentences for the word "wordnet".

    A file whose name ends in .jsonl has a JSON object per line, one in .json an array of texts or
    of objects (or what .jsonl has), one in .csv, .tsv or .parquet a row per text; `field` names the
    field or column that holds it. Any other file has a text per line. Text files are UTF-8, or
    UTF-16 with a byte-order mark. White space around a text, and a byte-order mark, is taken off;
    empty and null ones are left out.

    Raises CorpusError, with what to do about it, when there is no such corpus.
    """
    return _opened(corpus, field, list)


def _opened(corpus: str, field: str, collect: Callable[[Iterator[str]], Sequence[str]]) -> Corpus:
    if corpus == WORDNET_CORPUS:
        return _wordnet_corpus()
    path = Path(corpus)
    read = _READERS.get(path.suffix.lower(), _lines)
    try:
        texts = collect(_texts_of(read(path, field)))
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


def texts_of(found: Iterable[str | None]) -> list[str]:
    """The texts without white space around them; empty and null ones are left out."""
    return list(_texts_of(found))


def _texts_of(found: Iterable[str | None]) -> Iterator[str]:
    return (text for each in found if each is not None and (text := _stripped(each)))


class _BadCorpus(Exception):
    """The fault of a corpus, as the rest of a sentence that begins with its name."""


def _stripped(text: str) -> str:
    """The text without white space around it, nor the byte-order mark of a file joined on."""
    return text.strip().strip("\ufeff").strip()


def _content(path: Path) -> str:
    """A text file's content, by its byte-order mark, else as UTF-8."""
    with _opened_text(path, newline="") as file:
        return file.read()


@contextmanager
def _opened_text(path: Path, newline: str | None) -> Iterator[TextIO]:
    """A text file behind its byte-order mark; else it is UTF-8."""
    with path.open("rb") as file:
        head = file.read(1000)
    mark, encoding = next((one for one in _ENCODINGS if head.startswith(one[0])), (b"", ""))
    if not encoding and head.count(0) * 4 > len(head):
        raise _BadCorpus("is not UTF-8 text: it looks like UTF-16 without a byte-order mark.")
    with path.open("rb") as file:
        file.seek(len(mark))
        with io.TextIOWrapper(file, encoding or "utf-8", newline=newline) as text:
            yield text


def _lines(path: Path, _field: str) -> Iterator[str]:
    with _opened_text(path, newline=None) as file:
        for line in file:
            yield from line.splitlines()  # which knows more ends than a file has


def _json_lines(path: Path, field: str) -> Iterator[str | None]:
    with _opened_text(path, newline="\n") as file:  # JSON may hold other ends
        yield from _json_texts(file, field)


def _json_texts(lines: Iterable[str], field: str) -> Iterator[str | None]:
    for number, line in enumerate(lines, start=1):
        if _stripped(line):
            yield _json_text(_stripped(line), number, field)


def _json_file(path: Path, field: str) -> Iterator[str | None]:
    """The texts of one JSON value, an array; or of a file of lines that is called .json."""
    content = _content(path)
    try:
        value = json.loads(content)
    except (ValueError, RecursionError) as error:
        if not _is_object(content.lstrip().partition("\n")[0]):
            raise _BadCorpus(f"is no whole JSON file: {error}.") from error
        yield from _json_lines(path, field)
        return
    if not isinstance(value, list):
        raise _BadCorpus(f"holds no array of texts or objects, but {_short(value)}.")
    for number, entry in enumerate(value, start=1):
        yield entry if isinstance(entry, str | None) else _text_of(entry, f"entry {number}", field)


def _is_object(line: str) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


def _table_rows(path: Path, field: str) -> Iterator[str | None]:
    """The column `field` of a file of comma- or tab-separated values with a header."""
    with _opened_text(path, newline="") as file:
        yield from _cells(file, "\t" if path.suffix.lower() == ".tsv" else ",", field)


def _cells(file: TextIO, delimiter: str, field: str) -> Iterator[str | None]:
    csv.field_size_limit(2**31 - 1)  # a cell may hold a book
    rows = csv.reader(file, delimiter=delimiter, strict=True)
    try:
        header = next(rows, None)
        if header is None:
            return
        if header.count(field) != 1:
            twice = field in header
            raise _BadCorpus(
                f"has more than one column {field!r}. Name one with --corpus-field."
                if twice
                else _no_field(field, header, "Its first line")
            )
        place = header.index(field)
        for row in rows:
            if not row:
                continue
            if len(row) != len(header):
                raise _BadCorpus(
                    f"has {len(row)} cells in the row that ends in line {rows.line_num}, and "
                    f"{len(header)} in its header. Quote cells that hold the separator."
                )
            yield row[place]
    except csv.Error as error:
        raise _BadCorpus(f"is no whole table at line {rows.line_num}: {error}.") from error


def _json_text(line: str, number: int, field: str) -> str | None:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise _BadCorpus(f"has no JSON object in line {number}: {error}.") from error
    return _text_of(row, f"line {number}", field)


def _text_of(row: object, where: str, field: str) -> str | None:
    """The text in a field of a JSON object."""
    if not isinstance(row, dict):
        raise _BadCorpus(f"has no JSON object in {where}, but {_short(row)}.")
    if field not in row:
        raise _BadCorpus(_no_field(field, list(row), where.capitalize()))
    text = row[field]
    if text is None:
        return None
    if not isinstance(text, str):
        raise _BadCorpus(f"has no text in {field!r} of {where}, but {_short(text)}.")
    text.encode()  # JSON can spell characters that UTF-8 cannot hold
    return text


def _parquet_rows(path: Path, field: str) -> Iterator[str | None]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    with path.open("rb") as opened:
        try:
            file = pq.ParquetFile(opened)
            names = file.schema_arrow.names
            if names.count(field) > 1:
                raise _BadCorpus(f"has more than one column {field!r}.")
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
    return bool(
        pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    )


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
    ".json": _json_file,
    ".jsonl": _json_lines,
    ".csv": _table_rows,
    ".tsv": _table_rows,
    ".parquet": _parquet_rows,
}
"""By the end of a file's name; the others have a text per line."""


def _wordnet_corpus() -> Corpus:
    """WordNet's example sentences, or the packaged ones where it is not installed."""
    from ffn_extract.wordnet import wordnet_is_at_hand

    if not wordnet_is_at_hand():
        return Corpus(PACKAGED, packaged_examples())
    try:
        return Corpus(WORDNET_CORPUS, wordnet_examples())
    except WordNetError as error:
        raise CorpusError(
            f"The default corpus is WordNet's example sentences. {error} {_WAYS_OUT}"
        ) from error


def wordnet_examples() -> list[str]:
    """WordNet's example sentences, each once, in the order of its files.

    The order is nouns, verbs, adjectives, adverbs; in each, synsets by their offset in the data
    file, and a synset's examples as they stand. The files are read directly, because building
    every synset with NLTK takes ten seconds for the same strings. Raises WordNetError.
    """
    from ffn_extract.wordnet import open_wordnet

    reader = open_wordnet()
    examples: dict[str, None] = {}
    for part in ("noun", "verb", "adj", "adv"):
        with reader.open(f"data.{part}") as file:
            for line in file.read().splitlines():
                _, _, gloss = line.partition("|")
                examples.update((text.strip(), None) for text in _EXAMPLE.findall(gloss))
    examples.pop("", None)
    return list(examples)
