"""Whatever is altered in an archive is found, or is on the printed list of what is not checked.

Every field of a record, every cell of a file and every value of the parameters is altered, in turn
and in both label files, with checksums that are right.
"""

import csv
import io
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from annotation_site import verify
from annotation_site.analysis.estimates.proxies import Proxies, proxies_of
from annotation_site.annotation.models import Assignment, Membership, Study
from annotation_site.annotation.review.adjudicated_annotations import adjudicated_annotation_open
from annotation_site.annotation.studies.services import study_state_change
from annotation_site.corpus.models import Token
from annotation_site.exports import json_format, labels_jsonl, labels_parquet
from annotation_site.exports.annotation_records import (
    PATTERN_FIELDS,
    RECORD_FIELDS,
    AnnotationRecord,
)
from annotation_site.exports.archive import CHECKSUMS
from annotation_site.machine_annotators.models import MachineAnnotation, MachineRun
from annotation_site.results.files import archive
from annotation_site.results.files.archive_annotations import PREFIX_COLUMNS, TableSettings
from annotation_site.results.files.archive_checks import NOT_CHECKED
from annotation_site.results.snapshots.computation import populations_of
from annotation_site.results.tables import registry as tables
from annotation_site.verify import main
from tests.annotation_site.annotation.answering import skip
from tests.annotation_site.archives import members, packed, repacked, stored
from tests.annotation_site.factories import (
    answer,
    give_references,
    make_draft,
    make_extraction,
    pattern,
    submit,
)

pytestmark = pytest.mark.django_db
Purpose = Assignment.Purpose


_MADE: list[bytes] = []


@pytest.fixture
def data(db, monkeypatch) -> bytes:
    """The archive of a study with records for every purpose, a surplus and an unblinded one, skips
    with reasons, a lease that ended, patterns too small to count, a proxy, and a run of a language
    model. Made once: what is done with it here needs no database."""
    if not _MADE:
        monkeypatch.setattr(archive, "study_proxies", proxy)
        monkeypatch.setattr(
            archive, "TableSettings", lambda *chosen: TableSettings(*chosen, resamples=20)
        )
        _MADE.append(packed(every_record(), with_names=True))
    return _MADE[0]


def proxy(study: Study) -> Proxies:
    """A proxy of all value vectors, whose numbers are made up."""
    lists = study.items.filter(use="study", vector__kind="value").order_by("pk")
    values = [
        (pk, "letters", number**2 / 10)
        for number, pk in enumerate(lists.values_list("pk", flat=True))
    ]
    sizes = populations_of(study).sizes
    census = [("letters", model, layer, n, 0.5) for (model, _, layer), n in sizes.items()]
    return proxies_of({"letters": "Letters"}, values, census)


def every_record() -> Study:
    extraction = make_extraction(layers=1, per_layer=8, kinds=("value", "random"))
    Token.objects.filter(extraction=extraction, token_id__lte=3).update(is_stopword=True)
    study = make_draft(
        extraction=extraction, annotators=3, lists_per_layer=4, training_lists=1,
        reference_lists=1, pilot_lists=1, repeat_percent=25,
    )  # fmt: skip
    give_references(study)
    study_state_change(study=study, state=Study.State.PILOT)
    Membership.objects.update(consent_version=0, consented_at=timezone.now())
    submit(Assignment.objects.filter(purpose=Purpose.PILOT).first(), answer(pattern(1, [1, 2])))
    study_state_change(study=study, state=Study.State.OPEN)
    left = (
        Assignment.objects.filter(item__study=study, state__in=Assignment.UNFINISHED)
        .exclude(purpose=Purpose.PILOT)
        .order_by("item", "purpose", "membership")
    )
    # Asked anew each time: lists move between people as some of them finish.
    for number, row in enumerate(iter(left.first, None)):
        more = pattern(2, [12, 14 + number % 7], category="syntactic", stopwords=None)
        submit(row, answer(pattern(1, list(range(1, 5 + number % 4)), stopwords=None), more))
    own = Assignment.objects.filter(purpose=Purpose.ANNOTATION).order_by("pk")
    skipped, expired, surplus, unblinded = (own[n] for n in (0, 3, 5, 7))
    for row in (skipped, expired):
        row.patterns.all().delete()
    lost = Assignment.objects.filter(pk__in=(skipped.pk, expired.pk))
    lost.update(state=Assignment.State.EXPIRED)
    skip(skipped, "too hard")
    Assignment.objects.filter(pk=surplus.pk).update(surplus=True)
    Assignment.objects.filter(pk=unblinded.pk).update(unblinded=True)
    final = adjudicated_annotation_open(
        item=study.items.filter(use="study").first(), by=study.created_by
    )
    submit(final, answer(pattern(1, [1, 2, 3, 4, 5])))
    language_model(study)
    return study


def language_model(study: Study) -> None:
    """A run that annotated every list of the study but the first, at which it failed."""
    vectors = study.items.filter(use="study").order_by("pk").values_list("vector", flat=True)
    run = MachineRun.objects.create(
        study=study, name="machine-model-x", model="model-x", endpoint="example.org",
        model_version="1", prompt_version=0, guidelines_version=1, state=MachineRun.State.READY,
        price_input=1, currency="EUR", cost=1, most_reply_tokens=9, most_requests=9, most_tokens=9,
        done=len(vectors), total=len(vectors), failed=1,
    )  # fmt: skip
    for number, vector in enumerate(vectors):
        said = answer(pattern(1, [1, 2, 3, 4 + number], stopwords=None)) if number else None
        MachineAnnotation.objects.create(
            run=run, vector_id=vector, annotation=said, failure="" if said else "It is empty."
        )


def records_of(data: bytes) -> list[AnnotationRecord]:
    return list(labels_jsonl.read(io.BytesIO(members(data)["labels/labels.jsonl"])))


def with_records(data: bytes, records: list[AnnotationRecord]) -> bytes:
    """The archive with these records in both files."""
    parquet = io.BytesIO()
    writer = labels_parquet.ParquetWriter(parquet)
    for record in records:
        writer.write(record)
    writer.close()
    jsonl = b"".join(map(labels_jsonl.line_of, records))
    both = {"labels/labels.jsonl": jsonl, "labels/labels.parquet": parquet.getvalue()}
    return repacked(data, **both)


def other(value: Any, name: str = "") -> Any:
    """Another value of the same type that could stand in the same place."""
    if name == "use":
        return "pilot" if value != "pilot" else "training"
    if value is None:
        return 0.5 if name == "reference_score" else 1
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 1
    if isinstance(value, float):
        return value / 2 + 0.1
    if isinstance(value, str):
        return {"annotator": "researcher", "semantic": "syntactic"}.get(value, f"{value}x")
    if isinstance(value, tuple):
        return (*value[:-1], other(value[-1])) if value else (1,)
    return value + timedelta(seconds=1)


def kind_of(record: AnnotationRecord) -> str:
    """What the tables make of a record."""
    if record.purpose == "annotation" and (record.surplus or record.unblinded):
        return "surplus" if record.surplus else "unblinded"
    return record.purpose


def is_admitted(where: str, name: str) -> bool:
    """Whether the printed list names a field of a file."""
    for entry in NOT_CHECKED:
        place, _, names = entry.partition(": ")
        named = [one.rpartition(" ")[2] for one in names.split(", ")]
        if place == where and (not names or name in named):
            return True
    return False


@pytest.fixture
def is_found(data, tmp_path, capsys, monkeypatch) -> Callable[[bytes], bool]:
    """Whether verifying an altered archive says so."""
    true = {name: json_format.read(members(data)[f"tables/{name}.json"]) for name in tables.TABLES}

    def check(changed: bytes) -> bool:
        path = str(stored(tmp_path, changed))
        # What is found without computing tables is found with them as well, and sooner.
        with monkeypatch.context() as quick:
            quick.setattr(verify, "tables_of", lambda request: true)
            found = main([path]) != 0
        found = found or main([path]) != 0
        capsys.readouterr()
        return found

    return check


FIELDS = [field.name for field in RECORD_FIELDS if field.name not in ("schema_version", "patterns")]
PATTERN = [f"patterns.{field.name}" for field in PATTERN_FIELDS]


def altered(record: AnnotationRecord, name: str) -> AnnotationRecord:
    if not name.startswith("patterns."):
        return replace(record, **{name: other(getattr(record, name), name)})
    first, *rest = record.patterns
    inner = name.removeprefix("patterns.")
    return replace(
        record, patterns=(replace(first, **{inner: other(getattr(first, inner))}), *rest)
    )


def test_the_archive_verifies_as_it_is_and_holds_a_record_of_every_kind(data, tmp_path, capsys):
    assert {kind_of(record) for record in records_of(data)} == {
        "annotation", "surplus", "unblinded", "training", "repeat", "reference", "pilot",
        "adjudication",
    }  # fmt: skip
    assert main([str(stored(tmp_path, data))]) == 0, capsys.readouterr().out


@pytest.mark.parametrize("name", [*FIELDS, *PATTERN])
def test_an_altered_field_of_any_record_is_found_or_on_the_list(data, is_found, name):
    if is_admitted("labels", name):
        return  # the list is printed; test_verify.py compares
    records = records_of(data)
    places = {kind_of(record): n for n, record in enumerate(records) if record.patterns}
    for kind, place in places.items():
        changed = list(records)
        changed[place] = altered(records[place], name)
        assert is_found(with_records(data, changed)), (name, kind)


@pytest.mark.parametrize("kind", ["annotation", "training", "repeat", "pilot", "adjudication"])
def test_a_record_that_is_gone_or_there_twice_is_found(data, is_found, kind):
    records = records_of(data)
    place = next(n for n, record in enumerate(records) if kind_of(record) == kind)
    gone, twice = records[:place] + records[place + 1 :], [*records, records[place]]
    assert is_found(with_records(data, gone))
    assert is_found(with_records(data, twice))


@pytest.mark.parametrize(
    "file",
    [
        "lists", "skips", "tokens", "machines", "machine_runs", "machine_failures", "proxies",
        "census",
    ],
)  # fmt: skip
def test_an_altered_cell_of_a_file_is_found_or_on_the_list(data, is_found, file):
    name = f"labels/{file}.csv"
    if is_admitted(name, ""):
        return
    text = members(data)[name].decode()
    header, *rows = list(csv.reader(io.StringIO(text)))
    for column, title in enumerate(header):
        if is_admitted(name, title):
            continue
        row = list(rows[0])
        value = row[column]
        row[column] = str(int(value) + 1) if value.isdigit() else other(value, title)
        written = io.StringIO()
        csv.writer(written).writerows([header, row, *rows[1:]])
        changed = repacked(data, **{name: written.getvalue().encode()})
        assert is_found(changed), (name, title)


def leaves(content: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The paths of all values that hold no others."""
    inner = content.items() if isinstance(content, dict) else enumerate(content)
    for key, value in inner:
        if isinstance(value, dict | list) and value:
            yield from leaves(value, (*path, key))
        else:
            yield (*path, key)


def test_an_altered_parameter_is_found_or_on_the_list(data, is_found):
    text = members(data)["parameters.json"]
    for path in leaves(json.loads(text)):
        names = [str(one) for one in path if isinstance(one, str)]
        if any(is_admitted("parameters.json", ".".join(names[:n])) for n in (1, 2)):
            continue
        changed = json.loads(text)
        place = changed
        for key in path[:-1]:
            place = place[key]
        value = place[path[-1]]
        place[path[-1]] = [1] if isinstance(value, dict | list) else other(value)
        content = json.dumps(changed, indent=1, ensure_ascii=False).encode() + b"\n"
        assert is_found(repacked(data, **{"parameters.json": content})), path


@pytest.mark.parametrize("column", ["annotator", "list", "rank", "category", "stopwords"])
def test_an_altered_annotation_of_a_language_model_is_found(data, is_found, column):
    """Its rows are on the list, as programs' are; still, those of a run are compared."""
    text = members(data)["labels/machines.csv"].decode()
    header, *rows = list(csv.reader(io.StringIO(text)))
    row = next(row for row in rows if row[0] == "machine-model-x")
    value = row[header.index(column)]
    row[header.index(column)] = str(int(value) + 1) if value.isdigit() else other(value)
    written = io.StringIO()
    csv.writer(written).writerows([header, *rows])
    assert is_found(repacked(data, **{"labels/machines.csv": written.getvalue().encode()}))


@pytest.mark.parametrize(("place", "value"), [(0, "x"), (1, "random"), (2, 99), (3, 0)])
def test_populations_that_the_lists_belie_are_found(data, is_found, place, value):
    changed = json.loads(members(data)["parameters.json"])
    changed["tables"]["populations"][0][place] = value
    content = json.dumps(changed, indent=1, ensure_ascii=False).encode() + b"\n"
    assert is_found(repacked(data, **{"parameters.json": content}))


def test_an_altered_member_is_found_or_on_the_list(data, is_found):
    for name, content in members(data).items():
        folder = name.partition("/")[0]
        admitted = any(is_admitted(one, "") for one in (folder, name)) or name == CHECKSUMS
        if admitted or name == "labels/machines.csv":
            continue
        for changed in (content + b"\nAdded.\n", None):
            assert is_found(repacked(data, **{name: changed})), name


def test_each_entry_of_the_list_names_what_an_archive_has(data):
    names = set(members(data))
    for entry in NOT_CHECKED:
        place, _, fields = entry.partition(": ")
        named = fields.split(", ") if fields else []
        if place == "labels":
            assert set(named) <= {*FIELDS, *PATTERN}
        elif place == "parameters.json":
            parameters = json.loads(members(data)[place])
            for one in named:
                assert one == "data_version" or one.partition(".")[0] in parameters
        elif place == "labels/prefixes.csv":  # only studies of prefixes have it
            assert set(named) <= {column.name for column in PREFIX_COLUMNS}
        elif place.endswith(".csv"):
            header = members(data)[place].decode().splitlines()[0].split(",")
            assert set(named) <= set(header)
        elif place != "figures":  # none were drawn for this one
            assert any(name == place or name.startswith(f"{place}/") for name in names)
