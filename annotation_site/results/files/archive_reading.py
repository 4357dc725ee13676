"""Read a study's replication archive with bounds, and check what its rows hold."""

import json
import math
import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any, TypeVar

from django.core.exceptions import ValidationError
from django.db.models import Model

from annotation_site.annotation.models import MOST_RANKS, Item
from annotation_site.corpus.loading import PREFIX_FIELDS, shown
from annotation_site.corpus.models import Kind, Vector
from annotation_site.errors import Invalid
from annotation_site.exports import Table, csv_format, labels_jsonl
from annotation_site.exports.annotation_records import AnnotationRecord, moment_of
from annotation_site.exports.archive import ArchiveReader
from annotation_site.exports.table import Column, marked
from annotation_site.results.files.archive_annotations import (
    LIST_COLUMNS,
    MACHINE_COLUMNS,
    PREFIXES_MEMBER,
    RESTORE_MEMBERS,
    SHOWS_PREFIXES,
)
from annotation_site.results.files.archive_machines import (
    FAILURE_COLUMNS,
    PROMPT,
    RUN_COLUMNS,
    RUN_MEMBERS,
    ArchivedRun,
    MachineRules,
    runs_from,
)
from annotation_site.results.files.archive_proxies import (
    CENSUS,
    PROXY_COLUMNS,
    PROXY_MEMBERS,
    proxies_from,
    stored_proxies,
)
from annotation_site.results.files.archive_texts import ARCHIVE_FORMAT
from annotation_site.results.files.labels_import_checks import MOST
from ffn_extract.bundle.rows import LONGEST_TEXTS, MOST_SENSES, PARTS_OF_SPEECH

LONGEST_LINE = 2**20  # bytes
MOST_JSON = 2**24  # bytes of a member that is read as a whole
MOST_LISTS_BYTES = 2**28
MOST_LISTS = 200_000
MOST_TOKENS = 2_000_000
MOST_PEOPLE = 10_000
MOST_VERSIONS = 1_000  # of a text
_SENSE = ("gloss", "lemma", "part", "count")
_GUIDELINES = re.compile(r"guidelines/version-([1-9][0-9]{0,8})\.md")
Values = dict[str, Any]
Row = TypeVar("Row", bound=Model)


@dataclass
class Archive:
    """An archive whose checksums agree, read with bounds."""

    reader: ArchiveReader

    def __post_init__(self) -> None:
        product = self.parameters.get("product")
        if product is None:
            raise Invalid(
                "Version 0.1 wrote this archive. It lacks the tokens and vectors that a study is "
                "restored from. Load its bundle, make a study with the same lists, and import its "
                "labels: manage.py import_annotations."
            )
        if product["archive_format"] != ARCHIVE_FORMAT:
            raise Invalid(
                f"The archive has format {product['archive_format']!r:.20}, and this version reads "
                f"format {ARCHIVE_FORMAT}. Restore it with {product['name']!s:.40} "
                f"{product['version']!s:.20}."
            )
        members = {*RESTORE_MEMBERS, *([PREFIXES_MEMBER] if self.shows_prefixes else ())}
        missing = members - set(self.reader.names)
        if missing:
            raise Invalid(f"The archive lacks {min(missing)}, so no study can be restored from it.")

    @cached_property
    def parameters(self) -> Values:
        return self._json("parameters.json")

    @cached_property
    def told(self) -> Values:
        """The content of restore/study.json."""
        return self._json("restore/study.json")

    @property
    def is_made_up(self) -> bool:
        found = self.parameters["study"]["made_up"]
        if not isinstance(found, bool):
            raise Invalid("parameters.json does not say whether the annotations are made up.")
        return found

    @property
    def shows_prefixes(self) -> bool:
        """Whether lists are trigger prefixes of keys."""
        return bool(self.parameters["study"].get("list_source") == SHOWS_PREFIXES)

    @cached_property
    def lists(self) -> list[Sequence[Any]]:
        """Rows of LIST_COLUMNS."""
        try:
            found = self._table("labels/lists.csv", LIST_COLUMNS)
        except ValueError as error:
            raise Invalid(f"labels/lists.csv is no table: {error}") from error
        if not 0 < len(found) <= MOST_LISTS:
            raise Invalid(f"An archive has 1 to {MOST_LISTS:,} lists, and this one {len(found):,}.")
        for number, row in enumerate(found, start=1):
            _check_list(number, row, shows_prefixes=self.shows_prefixes)
        return found

    @cached_property
    def proxies(self) -> dict[str, Any]:
        """The proxies that each extraction keeps, by digest; earlier archives and
        studies without proxies have none."""
        if not set(PROXY_MEMBERS) & set(self.reader.names):
            return {}
        try:
            values, census = (
                self._table(name, columns)
                for name, columns in zip(PROXY_MEMBERS, (PROXY_COLUMNS, CENSUS), strict=True)
            )
            return stored_proxies(proxies_from(values, census, self.lists), self.lists)
        except ValueError as error:
            raise Invalid(f"{error} Somebody changed the archive.") from error

    @cached_property
    def machine_runs(self) -> list[ArchivedRun]:
        """The runs of language models; earlier archives and studies without runs have none."""
        if not set(RUN_MEMBERS) & set(self.reader.names):
            return []
        rules = MachineRules.of(self.parameters["study"], set(self.guidelines()))
        try:
            runs, failures, machines = (
                self._table(name, columns)
                for name, columns in (
                    (RUN_MEMBERS[0], RUN_COLUMNS),
                    (RUN_MEMBERS[1], FAILURE_COLUMNS),
                    ("labels/machines.csv", MACHINE_COLUMNS),
                )
            )
            return runs_from(runs, failures, machines, self.lists, rules)
        except ValueError as error:
            raise Invalid(f"{error} Somebody changed the archive.") from error

    def prompts(self) -> dict[int, str]:
        """The versions of the prompt that the language models read."""
        return self._texts(PROMPT)

    def _table(self, name: str, columns: tuple[Column, ...]) -> list[Sequence[Any]]:
        like = marked(Table(name, columns, ()), self.is_made_up)
        content = self.reader.read(name, most=MOST_LISTS_BYTES)
        rows = csv_format.read(content, name=name, columns=like.columns).rows
        return [row[: len(columns)] for row in rows]

    def lines(self, name: str, *, most: int) -> Iterator[tuple[str, Values]]:
        """Each line of a member with the words that name it in a sentence."""
        number, rest = 0, b""
        for piece in self.reader.pieces(name):
            *lines, rest = (rest + piece).split(b"\n")
            for line in lines:
                number += 1
                if number > most:
                    raise Invalid(f"{name} has more than {most:,} lines.")
                yield f"{name}: line {number}", _parsed(line, f"{name}: line {number}")
            if len(rest) > LONGEST_LINE:
                raise Invalid(f"{name}: line {number + 1} is longer than any that is written.")
        if rest:
            raise Invalid(f"{name} breaks off.")

    def records(self) -> Iterator[AnnotationRecord]:
        """The annotations. Refuses one that differs from the archive in whether it is made up."""
        with tempfile.TemporaryFile() as file:
            for piece in self.reader.pieces("labels/labels.jsonl"):
                file.write(piece)
            file.seek(0)
            for number, record in enumerate(labels_jsonl.read(file), start=1):
                if record.made_up != self.is_made_up:
                    raise Invalid(
                        f"Record {number} and parameters.json differ in whether the annotations "
                        "are made up. Somebody changed the archive."
                    )
                yield record

    def guidelines(self) -> dict[int, str]:
        """The texts by version."""
        found = self._texts(_GUIDELINES)
        if not found:
            raise Invalid(f"An archive has 1 to {MOST_VERSIONS:,} versions of the guidelines.")
        return found

    def _texts(self, pattern: re.Pattern[str]) -> dict[int, str]:
        """The texts whose members have such names, by version."""
        found = {int(m[1]): m[0] for name in self.reader.names if (m := pattern.fullmatch(name))}
        if len(found) > MOST_VERSIONS:
            raise Invalid(f"An archive has at most {MOST_VERSIONS:,} versions of a text.")
        return {
            version: _text(self.reader.read(name, most=LONGEST_LINE), name)
            for version, name in sorted(found.items())
        }

    def _json(self, name: str) -> Values:
        return _parsed(self.reader.read(name, most=MOST_JSON), name)


def check_texts(token: Values, where: str) -> None:
    """The bounds of a bundle hold for its tokens here too."""
    senses = token["senses"]
    if not isinstance(senses, list) or len(senses) > MOST_SENSES:
        raise Invalid(f"{where}: a token has a list of at most {MOST_SENSES} senses.")
    for sense in senses:
        check_keys(sense, _SENSE, f"{where}: senses")
        if type(sense["count"]) is not int or sense["part"] not in PARTS_OF_SPEECH:
            raise Invalid(f"{where}: senses: a count or a part of speech is none.")
        sense |= {name: shown(sense[name]) for name in ("gloss", "lemma")}
    texts = [*token.items(), *((f"senses.{n}", one[n]) for one in senses for n in one)]
    for name, value in texts:
        if isinstance(value, str) and len(value.encode()) > LONGEST_TEXTS.get(name, 0):
            raise Invalid(f"{where}: {name} is longer than a bundle's can be.")


def _check_list(number: int, row: Sequence[Any], *, shows_prefixes: bool) -> None:
    counted, digest, _, kind, layer, index, length, use, ids = row
    where = f"labels/lists.csv: row {number}"
    if counted != number:
        raise Invalid(f"{where}: lists are numbered 1, 2, 3 and so on.")
    if not digest or kind not in Kind.values or use not in Item.Use.values:
        raise Invalid(f"{where}: the bundle, kind or use of the list is unknown.")
    if any(not isinstance(one, int) or not 0 <= one <= MOST for one in (layer, index)):
        raise Invalid(f"{where}: layer and index are numbers from 0.")
    found = ids_of(ids)
    shown = length if shows_prefixes and not found else len(found)
    if not 0 < shown <= MOST_RANKS or shown != length:
        raise Invalid(f"{where}: a list has 1 to {MOST_RANKS} entries, as many as it says.")


def ids_of(text: object) -> list[int]:
    words = str(text).split()
    if not all(word.isascii() and word.isdecimal() and len(word) < 11 for word in words):
        raise Invalid("labels/lists.csv: token_ids are numbers.")
    return [int(word) for word in words]


def check_sides(vector: Vector, tokens: set[int], where: str) -> None:
    """Each side has a score per token, and its tokens are in the archive, each once.

    Shuffled tokens have no vector, so neither scores nor a norm nor another side.
    """
    if vector.kind == Kind.SHUFFLED:
        numbers = (vector.scores, vector.norm, vector.bottom_token_ids, vector.bottom_scores)
        if any(one is not None for one in numbers):
            raise Invalid(f"{where}: shuffled tokens have scores or a norm, but no vector.")
        _check_tokens(vector.token_ids, tokens, where)
        return
    sides = [(vector.token_ids, vector.scores)]
    if (vector.bottom_token_ids is None) != (vector.bottom_scores is None):
        raise Invalid(f"{where}: the lowest tokens lack their scores, or the scores their tokens.")
    if vector.bottom_token_ids is not None and vector.bottom_scores is not None:
        sides.append((vector.bottom_token_ids, vector.bottom_scores))
    for ids, scores in sides:
        if not isinstance(ids, list) or not isinstance(scores, list) or len(ids) != len(scores):
            raise Invalid(f"{where}: there are other numbers of tokens and scores.")
        _check_tokens(ids, tokens, where)
        if not all(isinstance(one, int | float) and abs(one) < 3e38 for one in scores):
            raise Invalid(f"{where}: scores are numbers.")
    if not isinstance(vector.norm, int | float) or not math.isfinite(vector.norm):
        raise Invalid(f"{where}: the norm is a number.")


def _check_tokens(ids: object, tokens: set[int], where: str) -> None:
    if not isinstance(ids, list) or len(set(ids)) != len(ids) or not set(ids) <= tokens:
        raise Invalid(f"{where}: a token is not in restore/tokens.jsonl, or there twice.")


def check_prefixes(stored: object, length: int, where: str) -> list[Values]:
    """The trigger prefixes of a list, as a bundle could hold them. Raises Invalid."""
    if not isinstance(stored, list) or len(stored) != length:
        raise Invalid(f"{where}: the list has {length} prefixes.")
    found = []
    for one in stored:
        check_keys(one, PREFIX_FIELDS, where)
        numbers = [one[name] for name in ("sentence", "position", "token_id", "copies")]
        signs = [one[name] for name in ("gate_sign", "up_sign")]
        coefficient = one["coefficient"]
        fits = (
            isinstance(one["prefix"], str)
            and len(one["prefix"].encode()) <= LONGEST_TEXTS["prefix"]
            and all(type(n) is int and 0 <= n <= MOST for n in numbers)
            and all(sign in (None, -1, 1) and not isinstance(sign, bool) for sign in signs)
            and isinstance(coefficient, int | float)
            and 0 < coefficient < 3e38
        )
        if not fits:
            raise Invalid(f"{where}: a prefix holds what no bundle's does.")
        found.append({**one, "prefix": shown(one["prefix"])})
    return found


def check_keys(told: Mapping[str, Any], names: Iterable[str], where: str) -> None:
    if set(told) != set(names):
        other = min(set(told) ^ set(names))
        raise Invalid(f"{where}: {other!r:.60} is missing, or is not known here.")


def cleaned(row: Row, where: str, *without: str) -> Row:
    """The row, with values that its columns can hold."""
    relations = [field.name for field in row._meta.concrete_fields if field.is_relation]
    # What pages do not ask for, such as an empty draft, is no mistake of the archive.
    optional = [
        field.name
        for field in row._meta.concrete_fields
        if field.null and getattr(row, field.attname) is None
    ]
    empty = [
        field.name
        for field in row._meta.concrete_fields
        if getattr(row, field.attname) in ({}, [], "") and not field.choices
    ]
    try:
        row.clean_fields(exclude={*relations, *optional, *empty, *without})
    except ValidationError as error:
        name, sentences = next(iter(error.message_dict.items()))
        raise Invalid(f"{where}: {name}: {sentences[0]}") from error
    return row


def saved(row: Row, where: str) -> Row:
    cleaned(row, where).save()
    return row


def moment(text: object) -> datetime | None:
    if text is None:
        return None
    found = moment_of(text)
    if found is None or not 1970 <= found.year <= 9000:
        raise Invalid(f"{text!r:.60} is no time. A time looks like 2026-03-02T09:00:00.000000Z.")
    return found


def _text(content: bytes, name: str) -> str:
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        raise Invalid(f"{name} is no text in UTF-8.") from error
    if "\0" in text:
        raise Invalid(f"{name} holds NUL.")
    return text


def _parsed(content: bytes, where: str) -> Values:
    """A JSON object whose texts a database can hold."""

    def refuse(name: str) -> None:
        raise ValueError(name)

    try:
        found = json.loads(content, parse_constant=refuse)
        # NUL and half characters stand in JSON only as escapes.
        if b"\\u" in content and "\\u0000" in json.dumps(found):
            raise Invalid(f"{where} holds NUL.")
        if b"\\u" in content:
            json.dumps(found, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise Invalid(f"{where} is not JSON in UTF-8.") from error
    if not isinstance(found, dict):
        raise Invalid(f"{where} is no object.")
    return found
