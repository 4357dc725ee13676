"""A study of trigger prefixes in files, results and pages: nothing of it speaks of tokens."""

import io
import json
from dataclasses import replace

import pytest

from annotation_site.analysis.coverage import list_coverage
from annotation_site.annotation.lists.entries import stored_prefixes
from annotation_site.annotation.models import Assignment, Pattern, Study
from annotation_site.corpus.models import TriggerPrefixes, Vector
from annotation_site.errors import Invalid
from annotation_site.exports import labels_jsonl, labels_parquet
from annotation_site.results.files import archive_texts
from annotation_site.results.files.archive_restore import study_restore
from annotation_site.results.files.labels_export import annotation_records
from annotation_site.results.files.labels_import import labels_import
from annotation_site.results.snapshots import selectors, services
from annotation_site.results.tables.dataframes import annotations_of
from annotation_site.results.tables.filters import Filters
from annotation_site.results.tables.keys import key_frame
from annotation_site.verify import verify
from tests.annotation_site.archives import members, packed, repacked, stored
from tests.annotation_site.factories import (
    answer,
    assignment_of,
    client_of,
    make_prefix_study,
    pattern,
    submit,
    text_of,
)

pytestmark = pytest.mark.django_db
BOTH = (
    pattern(1, [1, 2, 3, 4], category="shallow"),
    pattern(2, [4, 5, 25], category="semantic"),
    pattern(3, [9, 10], category="semantic"),
)


@pytest.fixture
def study() -> Study:
    """One list with two annotations."""
    study = make_prefix_study(lists_per_layer=1)
    item = assignment_of(study).item
    for row in Assignment.objects.filter(item=item, purpose="annotation"):
        submit(row, answer(*BOTH))
    return study


def test_a_record_has_prefixes_and_no_tokens(study):
    record = next(annotation_records(study))
    item = study.items.get(vector__layer=record.layer, vector__kind=record.kind)
    stored_here = stored_prefixes([item.vector_id])[item.vector_id]
    assert record.prefixes == tuple(one["prefix"] for one in stored_here)
    assert (record.token_ids, record.tokens, record.glosses) == ((), (), ())
    assert record.length == 25


@pytest.mark.parametrize(
    ("writer", "read"),
    [
        (labels_jsonl.JsonlWriter, labels_jsonl.read),
        (labels_parquet.ParquetWriter, labels_parquet.read),
    ],
)
def test_labels_come_back_from_a_file(study, writer, read):
    file = io.BytesIO()
    records = list(annotation_records(study))
    written = writer(file)
    for record in records:
        written.write(record)
    written.close()
    file.seek(0)
    assert list(read(file)) == records


def test_labels_can_be_imported_into_the_same_lists(study):
    records = list(annotation_records(study))
    Assignment.objects.filter(item__study=study, state="submitted").delete()
    Study.objects.update(state="paused")
    found = labels_import(study=study, records=iter(records), people={})
    assert (found.annotations, found.proposals_changed) == (2, 0)
    patterns = Pattern.objects.values_list("category", flat=True)
    assert sorted(patterns) == ["semantic"] * 4 + ["shallow"] * 2
    with pytest.raises(Invalid, match="the list's prefixes differ"):
        labels_import(study=study, records=iter([_other(records[0])]), people={})


def _other(record):
    return replace(record, prefixes=("another text", *record.prefixes[1:]))


def test_an_archive_verifies_and_restores_the_same_lists(study, tmp_path):
    data = packed(study)
    found = members(data)
    assert b"Nobody had expected" in found["labels/prefixes.csv"]
    assert found["labels/tokens.csv"].count(b"\n") == 1  # the heading alone
    assert b"prefixes of sentences" in found["methods.md"]
    assert b"token judgement" not in found["methods.md"]
    programs = {line.split(b",")[0] for line in found["labels/machines.csv"].splitlines()[1:]}
    assert programs == {b"machine-shallow"}
    assert verify(stored(tmp_path, data)).differences == []
    restored = study_restore(file=io.BytesIO(data), restored_by=study.created_by)
    assert (restored.list_source, restored.min_tokens) == ("trigger_prefixes", 3)
    assert _lists(restored) == _lists(study)
    assert key_frame(restored).equals(key_frame(study))
    assert list(annotation_records(restored)) == list(annotation_records(study))


def _lists(study):
    vectors = study.items.order_by("pk").values_list("vector", flat=True)
    found = stored_prefixes(vectors)
    return [found[vector] for vector in vectors]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda one: one | {"coefficient": -1}, "holds what no bundle's does"),
        (lambda one: one | {"prefix": "x" * 5000}, "holds what no bundle's does"),
        (lambda one: {**one, "of": "more"}, "'of' is missing, or is not known here"),
    ],
)
def test_an_archive_with_other_prefixes_than_a_bundle_has_is_refused(study, change, sentence):
    data = packed(study)
    first, *rest = members(data)["restore/prefixes.jsonl"].splitlines(keepends=True)
    told = json.loads(first)
    told["prefixes"][0] = change(told["prefixes"][0])
    changed = b"".join([json.dumps(told).encode() + b"\n", *rest])
    data = repacked(data, **{"restore/prefixes.jsonl": changed})
    with pytest.raises(Invalid, match=sentence):
        study_restore(file=io.BytesIO(data), restored_by=study.created_by)


def test_a_changed_prefix_is_found_by_verifying(study, tmp_path):
    data = packed(study)
    changed = members(data)["labels/prefixes.csv"].replace(b"Nobody", b"Everybody")
    found = verify(stored(tmp_path, repacked(data, **{"labels/prefixes.csv": changed})))
    assert any("prefixes differ from labels/prefixes.csv" in one for one in found.differences)


@pytest.mark.parametrize(
    ("keys", "sentence"),
    [
        (lambda rows: [[*rows[0][:3], 0, 0, 0], *rows[1:]], "more lists than keys that are active"),
        (lambda rows: [[*rows[0][:5], 9], *rows[1:]], "the short lists of a layer are not those"),
        (lambda rows: rows[1:], "lacks a layer of the lists"),
        (lambda rows: [["other", *rows[0][1:]], *rows[1:]], "a model that the study has no lists"),
    ],
)
def test_counts_of_keys_that_do_not_fit_the_lists_are_found(study, tmp_path, keys, sentence):
    data = packed(study)
    parameters = json.loads(members(data)["parameters.json"])
    parameters["tables"]["keys"] = keys(parameters["tables"]["keys"])
    changed = archive_texts.json_text(parameters).encode()
    found = verify(stored(tmp_path, repacked(data, **{"parameters.json": changed})))
    assert any(sentence in one for one in found.differences)


def test_results_are_figure_2_of_the_paper_with_the_keys_that_have_no_list(study, monkeypatch):
    monkeypatch.setattr(services, "figures_draw", lambda **_: None)
    spare = Vector.objects.exclude(pk__in=study.items.values("vector"))
    never, short = (spare.get(kind="random-key", layer=layer) for layer in (1, 0))
    TriggerPrefixes.objects.filter(kind="random-key", layer=1, index=never.index).delete()
    row = TriggerPrefixes.objects.get(kind="random-key", layer=0, index=short.index)
    row.prefixes = row.prefixes[:7]
    row.save()
    record = next(annotation_records(study))
    snapshot = services.snapshot_refresh_now(study=study)
    stored_rows = selectors.rows_of(snapshot, "prefix_shares")
    found = {
        one["measure"]: one["value"]
        for one in stored_rows
        if (one["kind"], one["layer"]) == (record.kind, record.layer)
    }
    assert found == pytest.approx(
        {
            "only_shallow": 3 / 25, "both": 1 / 25, "only_semantic": 2 / 25, "none": 19 / 25,
            "patterns_per_key": 2, "with_pattern": 1,
        }
    )  # fmt: skip
    counts = {
        (one["kind"], one["layer"]): (one["keys"], one["never_active"], one["short"])
        for one in selectors.rows_of(snapshot, "keys")
    }
    assert (counts["random-key", 0], counts["random-key", 1]) == ((2, 0, 1), (2, 1, 0))
    chosen = services.snapshot_refresh_now(study=study, filters=Filters(3, kinds=("key",)))
    assert {one["kind"] for one in selectors.rows_of(chosen, "keys")} == {"key"}

    page = text_of(client_of(study.created_by).get(f"/studies/{study.slug}/results/"))
    for words in (
        "Prefixes by category",
        "Shallow only",
        "Keys with a pattern",
        "160 keys of another model",
        "3.6 patterns per key",
        "65% to 80%",
        "Keys that are never active",
        "patterns from 3 prefixes",
        "Do they mark the same prefixes?",
        "undefined, because a prefix can be in several patterns.",
        "The share of pairs of labels for one prefix that agree on whether the prefix is",
        "Prefixes by the categories of their patterns, model",
        "prefix_shares.csv",
        "keys.csv",
    ):
        assert words in page, words
    for words in (
        "same tokens",
        "one token",
        "their tokens",
        "top token",
        "As in table 2",
        "With stopwords",
        "per vector",
        "kind of vector",
    ):
        assert words not in page, words


def test_coverage_is_the_share_of_prefixes_in_patterns_that_count(study):
    frames = annotations_of(study)
    labels = frames.labels(frames.counted(Filters.of(study)), Filters.of(study))
    table = list_coverage(labels, min_tokens=3, categories=["shallow", "semantic"])
    (row,) = table[table["coverage"].notna()].to_dict("records")
    assert row["coverage"] == pytest.approx(6 / 25)  # ranks 1 to 5 and 25
    # The prefix at rank 4 is in patterns of both categories: half of it belongs to each.
    assert row["shallow"] == pytest.approx(3.5 / 25)
    assert row["semantic"] == pytest.approx(2.5 / 25)


def test_keys_are_compared_with_random_keys():
    study = make_prefix_study(lists_per_layer=2)
    for item in study.items.all():
        is_key = item.vector.kind == "key"
        content = answer(pattern(1, [1, 2, 3, 4, 5], category="shallow")) if is_key else answer()
        for row in Assignment.objects.filter(item=item, purpose="annotation"):
            submit(row, content)
    snapshot = services.snapshot_refresh_now(study=study, filters=Filters.of(study))
    rows = selectors.rows_of(snapshot, "real_against_random")
    assert {row["measure"] for row in rows} == {"coverage"}
    (whole,) = [row for row in rows if row["layer"] is None]
    assert (whole["mean_first"], whole["mean_second"]) == (5 / 25, 0)
    assert whole["difference"] == pytest.approx(0.2)
    page = text_of(client_of(study.created_by).get(f"/studies/{study.slug}/results/"))
    assert "Keys minus random keys" in page
    assert "Value minus random" not in page
    assert "of the key vectors of" in page  # the methods paragraph


def test_the_lists_of_the_api_are_prefixes(study):
    client = client_of(study.created_by)
    (first, *_) = client.get(f"/api/studies/{study.slug}/items").json()["results"]
    assert first["tokens"] == []
    assert first["prefixes"][0].startswith("Nobody had expected to read of word")


def test_pages_of_the_study_show_prefixes(study):
    client = client_of(study.created_by)
    for address in ("run/lists/", "rules/", "run/", "adjudication/", "results/"):
        response = client.get(f"/studies/{study.slug}/{address}")
        assert response.status_code == 200, address
    page = text_of(client.get(f"/studies/{study.slug}/run/lists/"))
    assert "read of word" in page
    found = text_of(client.get(f"/studies/{study.slug}/run/lists/?entries=EXPECTED"))
    assert "read of word" in found
