"""Restore a study from its replication archive, with its lists and without an extraction run."""

import json
import math
import re
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import IO, Any, TypeVar

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Model
from django.utils import timezone

from annotation_site.accounts import audit
from annotation_site.accounts.models import User
from annotation_site.annotation.models import (
    MOST_RANKS,
    Assignment,
    ConsentText,
    Guidelines,
    Item,
    Membership,
    Revision,
    Study,
)
from annotation_site.annotation.studies import made_up
from annotation_site.annotation.studies.plans import STORED, StudyPlan, plan_check
from annotation_site.annotation.studies.services import slug_free
from annotation_site.bounds import SKIP_REASON
from annotation_site.corpus.loading import shown
from annotation_site.corpus.log import log_add
from annotation_site.corpus.models import Extraction, Kind, LanguageModel, Token, Vector
from annotation_site.errors import Invalid
from annotation_site.exports import Table, csv_format, labels_jsonl
from annotation_site.exports.annotation_records import AnnotationRecord, LabelsFileError, moment_of
from annotation_site.exports.archive import ArchiveError, ArchiveReader
from annotation_site.exports.table import marked
from annotation_site.results.files import archive_study
from annotation_site.results.files.archive_annotations import (
    LIST_COLUMNS,
    RESTORE_MEMBERS,
    TableSettings,
)
from annotation_site.results.files.archive_texts import ARCHIVE_FORMAT
from annotation_site.results.files.labels_import import labels_import
from annotation_site.results.files.labels_import_checks import MOST, People
from annotation_site.results.snapshots.services import snapshot_request
from annotation_site.results.snapshots.versions import data_version
from ffn_extract.bundle.rows import LONGEST_TEXTS, MOST_SENSES, PARTS_OF_SPEECH

EXAMPLE_ARCHIVE = Path(__file__).resolve().parent.parent / "example_study.zip"
"""The archive of the finished example study, whose annotations are made up."""

CHUNK = 1000  # rows of one statement
LONGEST_LINE = 2**20  # bytes
MOST_JSON = 2**24  # bytes of a member that is read as a whole
MOST_LISTS_BYTES = 2**28
MOST_LISTS = 200_000
MOST_TOKENS = 2_000_000
MOST_PEOPLE = 10_000
MOST_VERSIONS = 1_000  # of a text
_SENSE = ("gloss", "lemma", "part", "count")
_GUIDELINES = re.compile(r"guidelines/version-([1-9][0-9]{0,8})\.md")
State = Assignment.State
Values = dict[str, Any]
Row = TypeVar("Row", bound=Model)


def study_restore(*, file: IO[bytes], restored_by: User) -> Study:
    """Make a study from its archive, as a closed study of `restored_by`; all of it or nothing.

    Its lists are those of the archive, in an extraction of their own. Its people are made up: they
    have the archive's codes as names and cannot log in. Restoring an archive twice makes two
    studies. A worker computes the results. If the archive says that its annotations are made up, so
    does the study, for good.

    Raises Invalid for a file that is not such an archive, is damaged or was changed, for one of
    version 0.1, which stored too little, and for content that the site's own rules forbid.
    """
    try:
        with ArchiveReader(file) as reader:
            reader.check()
            with transaction.atomic():
                return _Restoring(_Archive(reader), restored_by).run()
    except (ArchiveError, LabelsFileError) as error:
        raise Invalid(f"{error} Nothing was restored.") from error
    except (KeyError, TypeError, AttributeError) as error:
        raise Invalid(
            "The archive does not hold what an archive of this product holds. Nothing was restored."
        ) from error


@dataclass
class _Archive:
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
        missing = set(RESTORE_MEMBERS) - set(self.reader.names)
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

    @cached_property
    def lists(self) -> list[Sequence[Any]]:
        """Rows of LIST_COLUMNS."""
        like = marked(Table("lists", LIST_COLUMNS, ()), self.is_made_up)
        content = self.reader.read("labels/lists.csv", most=MOST_LISTS_BYTES)
        try:
            rows = list(csv_format.read(content, name="lists", columns=like.columns).rows)
        except ValueError as error:
            raise Invalid(f"labels/lists.csv is no table: {error}") from error
        if not 0 < len(rows) <= MOST_LISTS:
            raise Invalid(f"An archive has 1 to {MOST_LISTS:,} lists, and this one {len(rows):,}.")
        found: list[Sequence[Any]] = [row[: len(LIST_COLUMNS)] for row in rows]
        for number, row in enumerate(found, start=1):
            _check_list(number, row)
        return found

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
        found = {
            int(m[1]): m[0] for name in self.reader.names if (m := _GUIDELINES.fullmatch(name))
        }
        if not 0 < len(found) <= MOST_VERSIONS:
            raise Invalid(f"An archive has 1 to {MOST_VERSIONS:,} versions of the guidelines.")
        return {
            version: _text(self.reader.read(name, most=LONGEST_LINE), name)
            for version, name in sorted(found.items())
        }

    def _json(self, name: str) -> Values:
        return _parsed(self.reader.read(name, most=MOST_JSON), name)


@dataclass
class _Restoring:
    """One run: the rows in the order in which they depend on each other."""

    archive: _Archive
    by: User
    extractions: dict[str, Extraction] = field(default_factory=dict)
    members: dict[tuple[str, str], Membership] = field(default_factory=dict)

    def run(self) -> Study:
        self._extractions()
        self._tokens()
        vectors = self._vectors()
        self.study = self._study()
        Item.objects.bulk_create(
            [
                Item(study=self.study, vector=vector, use=row[7])
                for row, vector in zip(self.archive.lists, vectors, strict=True)
            ],
            batch_size=CHUNK,
        )
        self.items = list(self.study.items.order_by("pk"))
        self._texts()
        self.people = People(self.study, {})
        self._people()
        imported = labels_import(study=self.study, records=self.archive.records(), people={})
        if not imported.annotations:
            raise Invalid("The archive has no annotations.")
        self._assignments()
        self._finish()
        return self.study

    def _extractions(self) -> None:
        told = self.archive.told["extractions"]
        made = {one["bundle_digest"]: one for one in self.archive.parameters["extractions"]}
        used = {row[1] for row in self.archive.lists}
        sizes = self._sizes()
        for one in told:
            digest = one["bundle_digest"]
            if digest in self.extractions or digest not in made or digest not in used:
                raise Invalid(f"restore/study.json: {digest!r:.90} is no extraction of the lists.")
            extraction = Extraction(
                state=Extraction.State.READY,
                imported=True,
                model=_model(one["model"]),
                bundle_digest=digest,
                parameters=made[digest]["parameters"],
                environment=made[digest]["environment"],
                restored={"value_vectors": sizes.get(digest, {})},
                requested_by=self.by,
                finished_at=timezone.now(),
                **{name: one[name] for name in archive_study.EXTRACTION_FIELDS},
            )
            self.extractions[digest] = _saved(extraction, "restore/study.json: extractions")
            log_add(
                extraction.pk, "Restored with a study's archive: its lists alone.", person=self.by
            )
        if missing := used - set(self.extractions):
            raise Invalid(f"restore/study.json lacks the extraction {min(missing)}.")

    def _sizes(self) -> dict[str, dict[str, int]]:
        """The number of value vectors per layer of each whole extraction."""
        try:
            settings = TableSettings.of_json(self.archive.parameters["tables"])
        except ValueError as error:
            raise Invalid("parameters.json does not say what the tables depend on.") from error
        digests = {row[2]: row[1] for row in self.archive.lists}
        found: dict[str, dict[str, int]] = {}
        for (model, kind, layer), size in settings.populations.sizes.items():
            if model not in digests or kind != Kind.VALUE or not 0 < size <= MOST:
                raise Invalid("parameters.json: tables.populations does not suit the lists.")
            found.setdefault(digests[model], {})[str(layer)] = size
        return found

    def _tokens(self) -> None:
        lines = self.archive.lines("restore/tokens.jsonl", most=MOST_TOKENS)
        self.tokens: dict[str, set[int]] = {digest: set() for digest in self.extractions}
        while chunk := list(islice(lines, CHUNK)):
            Token.objects.bulk_create([self._token(where, told) for where, told in chunk])

    def _token(self, where: str, told: Values) -> Token:
        digest = told.pop("bundle_digest", None)
        if digest not in self.extractions:
            raise Invalid(f"{where}: the token is of no extraction of the archive.")
        _check_keys(told, archive_study.TOKEN_FIELDS, where)
        _check_texts(told, where)
        own = {
            name: shown(value) if isinstance(value, str) and name != "text" else value
            for name, value in told.items()
        }
        token = _cleaned(Token(extraction=self.extractions[digest], **own), where)
        if token.token_id in self.tokens[digest]:
            raise Invalid(f"{where}: the token {token.token_id} is there twice.")
        self.tokens[digest].add(token.token_id)
        return token

    def _vectors(self) -> list[Vector]:
        lines = self.archive.lines("restore/vectors.jsonl", most=MOST_LISTS)
        made, seen = [], set()
        for row, (where, told) in zip(self.archive.lists, lines, strict=False):
            number, digest, _, kind, layer, index, _, _, ids = row
            if told.pop("list", None) != number or (digest, kind, layer, index) in seen:
                raise Invalid(f"{where}: the list is another one, or there twice.")
            seen.add((digest, kind, layer, index))
            _check_keys(told, archive_study.VECTOR_FIELDS, where)
            vector = Vector(
                extraction=self.extractions[digest], kind=kind, layer=layer, index=index,
                token_ids=_ids(ids), **told,
            )  # fmt: skip
            vector.context, vector.context_token = map(
                shown, (told["context"], told["context_token"])
            )
            _check_sides(vector, self.tokens[digest], where)
            made.append(_cleaned(vector, where, "scores", "bottom_scores"))
        if len(made) != len(self.archive.lists):
            raise Invalid("restore/vectors.jsonl has other lists than labels/lists.csv.")
        if next(lines, None) is not None:
            raise Invalid("restore/vectors.jsonl has more lists than labels/lists.csv.")
        return Vector.objects.bulk_create(made, batch_size=CHUNK)

    def _study(self) -> Study:
        rules, told = self.archive.parameters["study"], self.archive.told["study"]
        uses = Counter(row[7] for row in self.archive.lists)
        chosen = {**rules, **told}
        plan = StudyPlan(
            title=chosen["title"],
            extractions=list(self.extractions.values()),
            kinds=tuple(chosen["kinds"]),
            categories=tuple(chosen["categories"]),
            training_lists=uses[Item.Use.TRAINING],
            reference_lists=uses[Item.Use.REFERENCE],
            pilot_lists=uses[Item.Use.PILOT],
            **{name: chosen[name] for name in STORED},
        )
        plan_check(plan)
        if chosen["list_source"] != Study._meta.get_field("list_source").default:
            raise Invalid(f"The lists are {chosen['list_source']!r:.40}, which is not known here.")
        suffix = made_up.SUFFIX if self.archive.is_made_up else ""
        study = Study(
            slug=slug_free(str(rules["slug"]).removesuffix(suffix), suffix),
            title=plan.title.strip(),
            kinds=list(plan.kinds),
            categories=list(plan.categories),
            made_up=self.archive.is_made_up,
            consent_version=told["consent_version"],
            created_by=self.by,
            **{name: getattr(plan, name) for name in STORED},
        )
        _saved(study, "parameters.json: study")
        study.extractions.set(plan.extractions)
        return study

    def _texts(self) -> None:
        guidelines = self.archive.guidelines()
        told = {one["version"]: one["created_at"] for one in self.archive.told["guidelines"]}
        consent = self.archive.told["consent"]
        if set(told) != set(guidelines) or len(consent) > MOST_VERSIONS:
            raise Invalid("restore/study.json has other versions of texts than the archive.")
        for version, text in guidelines.items():
            self._text(Guidelines, version, text, told[version])
        for one in consent:
            self._text(ConsentText, one["version"], one["text"], one["created_at"])
        if self.study.consent_version not in {0, *(one["version"] for one in consent)}:
            raise Invalid("restore/study.json: the version of the consent text is not there.")

    def _text(self, kind: type[Any], version: int, text: str, at: str) -> None:
        row = _saved(kind(study=self.study, version=version, text=text), "restore/study.json")
        kind.objects.filter(pk=row.pk).update(created_at=_moment(at))

    def _people(self) -> None:
        Membership.objects.create(study=self.study, user=self.by, role=Membership.Role.RESEARCHER)
        told = self.archive.told["people"]
        if len(told) > MOST_PEOPLE:
            raise Invalid(f"An archive has at most {MOST_PEOPLE:,} people.")
        for one in told:
            key = (one["annotator"], one["role"])
            if key in self.members:
                raise Invalid(f"restore/study.json: {key[0]!r:.40} is there twice.")
            member = Membership(
                study=self.study,
                user=self.people.user_of(one["annotator"]),
                role=one["role"],
                consent_version=one["consent_version"],
                **{name: _moment(one[name]) for name in archive_study.PERSON_TIMES},
            )
            self.members[key] = _saved(member, "restore/study.json: people")

    def _assignments(self) -> None:
        """Lists that people hold or held without an annotation, and those of nobody by name."""
        most = MOST_LISTS * 10
        self.left = Counter[tuple[int, str]]()
        self.nameless: list[Membership] = []
        lines = self.archive.lines("restore/assignments.jsonl", most=most)
        taken = set(
            Assignment.objects.filter(item__study=self.study).values_list(
                "membership_id", "item_id", "purpose"
            )
        )
        positions = set(
            Assignment.objects.filter(item__study=self.study).values_list(
                "membership_id", "position"
            )
        )
        while chunk := list(islice(lines, CHUNK)):
            rows, skipped = [], {}
            for where, told in chunk:
                row, at = self._assignment(where, told)
                key = (row.membership_id, row.item_id, row.purpose)
                place = (row.membership_id, row.position)
                if key in taken or place in positions:
                    raise Invalid(f"{where}: the person has this list or this position already.")
                taken.add(key)
                positions.add(place)
                rows.append(row)
                if row.state == State.SKIPPED:
                    skipped[row.public_id] = (row, at)
            Assignment.objects.bulk_create(rows)
            _skips(skipped.values())

    def _assignment(self, where: str, told: Values) -> tuple[Assignment, datetime | None]:
        number = told.get("list")
        if not isinstance(number, int) or not 0 < number <= len(self.items):
            raise Invalid(f"{where}: there is no such list.")
        item = self.items[number - 1]
        if told.get("state") == State.WITHDRAWN:
            _check_keys(told, ("list", "purpose", "state"), where)
            return self._withdrawn(where, item, told["purpose"]), None
        names = (*archive_study.ASSIGNMENT_FIELDS, "annotator", "role", "list", "opened_at")
        _check_keys(told, (*names, "skipped_at", "skip_reason"), where)
        member = self.members.get((told["annotator"], told["role"]))
        if member is None:
            raise Invalid(f"{where}: {told['annotator']!r:.40} is not among the people.")
        if told["state"] == State.SUBMITTED or len(told["skip_reason"]) > SKIP_REASON:
            raise Invalid(f"{where}: the list is submitted, or its reason is too long.")
        row = Assignment(
            item=item,
            membership=member,
            skip_reason=told["skip_reason"],
            opened_at=_moment(told["opened_at"]),
            version=int(told["state"] == State.SKIPPED),
            **{name: told[name] for name in archive_study.ASSIGNMENT_FIELDS},
        )
        return _cleaned(row, where, "draft"), _moment(told["skipped_at"])

    def _withdrawn(self, where: str, item: Item, purpose: str) -> Assignment:
        """A list of somebody whose annotations were removed: a person without code or name."""
        nth = self.left[item.pk, purpose]
        self.left[item.pk, purpose] += 1
        if nth >= MOST_PEOPLE:
            raise Invalid(f"{where}: more people have left than an archive has.")
        if nth == len(self.nameless):
            self.nameless.append(
                Membership.objects.create(
                    study=self.study,
                    user=self.people.nameless(),
                    role=Membership.Role.ANNOTATOR,
                    withdrawn_at=timezone.now(),
                )
            )
        row = Assignment(
            item=item,
            membership=self.nameless[nth],
            purpose=purpose,
            position=sum(self.left.values()),
            state=State.WITHDRAWN,
            opened_at=timezone.now(),
        )
        return _cleaned(row, where, "draft")

    def _finish(self) -> None:
        study, parameters = self.study, self.archive.parameters
        version = parameters["data_version"]
        if not isinstance(version, int) or not 0 <= version <= MOST:
            raise Invalid("parameters.json: data_version is not a number of this size.")
        # The figures of the archive name the version of their data.
        study.other_changes = max(0, version - data_version(study.pk))
        study.created_at = _moment(self.archive.told["created_at"]) or timezone.now()
        study.state = Study.State.CLOSED
        study.save(update_fields=["other_changes", "created_at", "state"])
        audit.record("study_restored", target=study, actor=self.by, made_up=study.made_up)
        snapshot_request(study=study)


def _skips(skipped: Iterable[tuple[Assignment, datetime | None]]) -> None:
    rows = list(skipped)
    made = Revision.objects.bulk_create(
        Revision(
            assignment=row,
            version=row.version,
            key=row.public_id,
            snapshot={"skip_reason": row.skip_reason, "state": row.state, "imported": True},
        )
        for row, _ in rows
    )
    for revision, (_, at) in zip(made, rows, strict=True):
        if at is not None:
            revision.created_at = at
    Revision.objects.bulk_update(made, ["created_at"], batch_size=CHUNK)


def _check_texts(token: Values, where: str) -> None:
    """The bounds of a bundle hold for its tokens here too."""
    senses = token["senses"]
    if not isinstance(senses, list) or len(senses) > MOST_SENSES:
        raise Invalid(f"{where}: a token has a list of at most {MOST_SENSES} senses.")
    for sense in senses:
        _check_keys(sense, _SENSE, f"{where}: senses")
        if type(sense["count"]) is not int or sense["part"] not in PARTS_OF_SPEECH:
            raise Invalid(f"{where}: senses: a count or a part of speech is none.")
        sense |= {name: shown(sense[name]) for name in ("gloss", "lemma")}
    texts = [*token.items(), *((f"senses.{n}", one[n]) for one in senses for n in one)]
    for name, value in texts:
        if isinstance(value, str) and len(value.encode()) > LONGEST_TEXTS.get(name, 0):
            raise Invalid(f"{where}: {name} is longer than a bundle's can be.")


def _check_list(number: int, row: Sequence[Any]) -> None:
    counted, digest, _, kind, layer, index, length, use, ids = row
    where = f"labels/lists.csv: row {number}"
    if counted != number:
        raise Invalid(f"{where}: lists are numbered 1, 2, 3 and so on.")
    if not digest or kind not in Kind.values or use not in Item.Use.values:
        raise Invalid(f"{where}: the bundle, kind or use of the list is unknown.")
    if any(not isinstance(one, int) or not 0 <= one <= MOST for one in (layer, index)):
        raise Invalid(f"{where}: layer and index are numbers from 0.")
    found = _ids(ids)
    if not 0 < len(found) <= MOST_RANKS or len(found) != length:
        raise Invalid(f"{where}: a list has 1 to {MOST_RANKS} tokens, as many as it says.")


def _ids(text: object) -> list[int]:
    words = str(text).split()
    if not all(word.isascii() and word.isdecimal() and len(word) < 11 for word in words):
        raise Invalid("labels/lists.csv: token_ids are numbers.")
    return [int(word) for word in words]


def _check_sides(vector: Vector, tokens: set[int], where: str) -> None:
    """Each side has a score per token, and its tokens are in the archive, each once."""
    sides = [(vector.token_ids, vector.scores)]
    if (vector.bottom_token_ids is None) != (vector.bottom_scores is None):
        raise Invalid(f"{where}: the lowest tokens lack their scores, or the scores their tokens.")
    if vector.bottom_token_ids is not None and vector.bottom_scores is not None:
        sides.append((vector.bottom_token_ids, vector.bottom_scores))
    for ids, scores in sides:
        if not isinstance(ids, list) or not isinstance(scores, list) or len(ids) != len(scores):
            raise Invalid(f"{where}: there are other numbers of tokens and scores.")
        if len(set(ids)) != len(ids) or not set(ids) <= tokens:
            raise Invalid(f"{where}: a token is not in restore/tokens.jsonl, or there twice.")
        if not all(isinstance(one, int | float) and abs(one) < 3e38 for one in scores):
            raise Invalid(f"{where}: scores are numbers.")
    if not isinstance(vector.norm, int | float) or not math.isfinite(vector.norm):
        raise Invalid(f"{where}: the norm is a number.")


def _model(told: Values) -> LanguageModel:
    """The row of a model, which may be there; its facts are then the same."""
    _check_keys(told, archive_study.MODEL_FIELDS, "restore/study.json: model")
    key = {name: told[name] for name in ("name", "revision", "weights_digest")}
    found = LanguageModel.objects.filter(**key).first()
    if found is None:
        return _saved(LanguageModel(**told), "restore/study.json: model")
    for name, value in told.items():
        if getattr(found, name) != value:
            raise Invalid(
                f"The archive says that {name} of the model {found} is {value!r:.40}, and this "
                f"site {getattr(found, name)!r:.40}, for the same weights."
            )
    return found


def _check_keys(told: Mapping[str, Any], names: Iterable[str], where: str) -> None:
    if set(told) != set(names):
        other = min(set(told) ^ set(names))
        raise Invalid(f"{where}: {other!r:.60} is missing, or is not known here.")


def _cleaned(row: Row, where: str, *without: str) -> Row:
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


def _saved(row: Row, where: str) -> Row:
    _cleaned(row, where).save()
    return row


def _moment(text: object) -> datetime | None:
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
