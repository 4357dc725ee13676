"""A study that is restored from its archive: the same in every table, and marked if made up."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from annotation_site.accounts.models import AuditEntry, Role, User
from annotation_site.annotation.models import Assignment, Item, Study
from annotation_site.annotation.studies.rules import study_duplicate
from annotation_site.corpus.models import Extraction, Token
from annotation_site.errors import Invalid
from annotation_site.results.files import archive
from annotation_site.results.files.archive_annotations import RESTORE_MEMBERS, TableSettings
from annotation_site.results.files.archive_restore import study_restore
from annotation_site.results.files.labels_import import labels_import
from annotation_site.results.models import Snapshot
from annotation_site.results.snapshots.services import snapshot_refresh_now
from annotation_site.verify import verify
from fixtures.upgrade import campaign
from tests.annotation_site.archives import members, packed, repacked, stored
from tests.annotation_site.factories import LanguageModelFactory, UserFactory, make_extraction
from tests.annotation_site.results.by_hand import labelled_study

pytestmark = pytest.mark.django_db
OLD = Path(__file__).resolve().parents[3] / "fixtures/upgrade/0.1-archive.zip"


def with_few_draws(study: Study) -> bytes:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            archive, "TableSettings", lambda *chosen: TableSettings(*chosen, resamples=50)
        )
        return packed(study)


def every_purpose() -> bytes:
    """Annotations of every purpose, lists in every state, people who left."""
    with campaign.one_seed() as clock, pytest.MonkeyPatch.context() as patch:
        patch.setattr(campaign, "_snapshot", lambda *_, **__: None)
        patch.setattr(campaign, "_results", lambda *_: None)
        patch.setattr(campaign, "_exports", lambda *_: None)
        words = LanguageModelFactory(name="words", vocabulary="word")
        lists = make_extraction(per_layer=4, model=words)
        campaign._open_study(clock, [lists, make_extraction(per_layer=4)])
    Token.objects.filter(extraction=lists, token_id=3).update(
        senses=[{"gloss": "three", "lemma": "3", "part": "noun", "count": 7}], gloss_part="noun"
    )
    lists_with_both_sides(lists)
    final = Assignment.objects.filter(purpose="adjudication", item__use="study").first()
    Assignment.objects.filter(pk=final.pk).update(looked_before=True)
    return with_few_draws(Study.objects.get(title=campaign.TITLE))


def lists_with_both_sides(extraction: Extraction) -> None:
    for vector in extraction.vectors.all():
        vector.bottom_token_ids = [99, 98]
        vector.bottom_scores = [-0.1, -1 / 3]
        vector.save()


def made_up() -> bytes:
    study = labelled_study()
    study.made_up = True  # of the archive alone: the row stays what it is
    return with_few_draws(study)


@pytest.fixture(scope="module")
def whole(store) -> bytes:
    return store(every_purpose)


@pytest.fixture(scope="module")
def small(store) -> bytes:
    return store(made_up)


def restored(data: bytes, by: User | None = None) -> Study:
    by = by or UserFactory(role=Role.RESEARCHER)
    return study_restore(file=io.BytesIO(data), restored_by=by)


def as_json(data: bytes, name: str) -> dict[str, Any]:
    return json.loads(members(data)[name])


def lines(data: bytes, name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in members(data)[name].splitlines()]


def test_a_restored_study_gives_the_same_archive(whole):
    again = with_few_draws(restored(whole))
    one, other = members(whole), members(again)
    told = {"parameters.json", "restore/study.json"}
    assert {name for name in one if one[name] != other.get(name)} == {"checksums.sha256", *told}
    assert set(one) == set(other)
    # The short name is taken here, and a restored study is closed.
    one, other = (as_json(data, "parameters.json") for data in (whole, again))
    assert one["study"].pop("slug") != other["study"].pop("slug")
    assert one == other
    one, other = (as_json(data, "restore/study.json") for data in (whole, again))
    assert (one["study"].pop("state"), other["study"].pop("state")) == ("open", "closed")
    assert one == other


def test_the_archive_has_what_it_is_asked_to_restore(whole):
    """Else the test above would compare little."""
    looked = [line for line in lines(whole, "labels/labels.jsonl") if line["looked_before"]]
    assert [line["purpose"] for line in looked] == ["adjudication"]
    assert as_json(whole, "parameters.json")["counts"]["adjudicated_not_blind"] == 1
    assert b"Of the adjudicated annotations, 1 was given not blind" in members(whole)["methods.md"]
    purposes = {line["purpose"] for line in lines(whole, "labels/labels.jsonl")}
    assert purposes == set(Assignment.Purpose.values) - {"pilot"}
    states = {line["state"] for line in lines(whole, "restore/assignments.jsonl")}
    assert states >= {"waiting", "in progress", "skipped", "expired"}
    assert b'"bottom_scores":[-0.1,-0.33333334]' in members(whole)["restore/vectors.jsonl"]
    assert b'"senses":[{"count":7' in members(whole)["restore/tokens.jsonl"]


def test_people_of_an_archive_cannot_log_in(whole):
    study = restored(whole)
    people = User.objects.filter(memberships__study=study).exclude(pk=study.created_by_id)
    assert people.exists()
    for person in people:
        assert not person.is_active
        assert not person.has_usable_password()
        assert person.username.startswith("imported-")
    assert AuditEntry.objects.filter(action="study_restored", target=f"study:{study.slug}").exists()


def test_results_of_a_restored_study_wait_for_a_worker(small):
    study = restored(small)
    assert Snapshot.waiting().get(study=study).state == Snapshot.State.DUE


def test_two_restored_studies_have_lists_of_their_own(small):
    one, other = restored(small), restored(small)
    assert one.slug != other.slug
    assert one.slug.endswith("-made-up")
    assert other.slug.endswith("-made-up")
    assert one.extractions.get() != other.extractions.get()
    assert one.extractions.get().bundle_digest == other.extractions.get().bundle_digest


def test_the_made_up_mark_comes_from_the_archive_and_goes_into_the_next(small, whole, tmp_path):
    study = restored(small)
    assert study.made_up
    assert not restored(whole).made_up
    again = with_few_draws(study)
    assert restored(again).made_up
    assert verify(stored(tmp_path, again)).differences == []
    found = members(again)
    for name in ("README.md", "methods.md", "references.bib"):
        assert b"ade-up annotations" in found[name]
    for name, content in found.items():
        if name.endswith(".csv"):
            assert b"made_up" in content.split(b"\r\n")[0], name
        if name.startswith("tables/") and name.endswith(".json"):
            assert json.loads(content)["columns"][-1]["name"] == "made_up"


def test_a_copy_of_the_settings_is_an_ordinary_study(small):
    study = restored(small)
    copy = study_duplicate(study=study, title="Of people", by=study.created_by)
    assert not copy.made_up
    assert not copy.slug.endswith("-made-up")
    assert not copy.memberships.filter(role="annotator").exists()


def test_a_mark_that_was_taken_out_is_noticed(small, tmp_path):
    parameters = as_json(small, "parameters.json")
    parameters["study"]["made_up"] = False
    changed = repacked(small, **{"parameters.json": json.dumps(parameters).encode()})
    with pytest.raises(Invalid):
        restored(changed)
    lists = members(changed)["labels/lists.csv"].replace(b",made_up\r\n", b"\r\n")
    lists = lists.replace(b",1\r\n", b"\r\n")
    with pytest.raises(Invalid, match="differ in whether the annotations are made up"):
        restored(repacked(changed, **{"labels/lists.csv": lists}))
    assert not Study.objects.filter(title="By hand", created_by__isnull=True).exists()


def test_made_up_labels_do_not_get_into_a_study_of_people(small):
    study = Study.objects.get(title="By hand")
    Study.objects.filter(pk=study.pk).update(state="paused")
    from annotation_site.exports import labels_jsonl

    records = labels_jsonl.read(io.BytesIO(members(small)["labels/labels.jsonl"]))
    with pytest.raises(Invalid, match="this annotation is made up"):
        labels_import(study=study, records=records, people={})


def changed_line(data: bytes, name: str, **changes: Any) -> bytes:
    first, rest = members(data)[name].split(b"\n", 1)
    line = json.dumps({**json.loads(first), **changes}).encode()
    return repacked(data, **{name: line + b"\n" + rest})


@pytest.mark.parametrize(
    ("name", "changes", "sentence"),
    [
        ("tokens.jsonl", {"more": 1}, "'more' is missing, or is not known here"),
        ("tokens.jsonl", {"token_id": -1}, "token_id"),
        ("tokens.jsonl", {"token_id": 1}, "is there twice"),
        ("tokens.jsonl", {"display": "x" * 100_000}, "display is longer"),
        ("tokens.jsonl", {"text": "\0"}, "holds NUL"),
        ("tokens.jsonl", {"gloss": "\ud800"}, "is not JSON in UTF-8"),
        ("tokens.jsonl", {"senses": [1] * 9}, "at most 4 senses"),
        ("tokens.jsonl", {"bundle_digest": "other"}, "of no extraction"),
        ("vectors.jsonl", {"list": 2}, "the list is another one"),
        ("vectors.jsonl", {"scores": [1]}, "other numbers of tokens and scores"),
        ("vectors.jsonl", {"scores": ["a"] * 30}, "scores are numbers"),
        ("vectors.jsonl", {"norm": "long"}, "the norm is a number"),
        ("vectors.jsonl", {"norm": float("nan")}, "is not JSON"),
        ("vectors.jsonl", {"bottom_token_ids": [12345], "bottom_scores": [1.0]}, "not in restore/"),
        ("assignments.jsonl", {"list": 99}, "no such list"),
        ("assignments.jsonl", {"annotator": "nobody"}, "not among the people"),
        ("assignments.jsonl", {"state": "submitted"}, "the list is submitted"),
        ("assignments.jsonl", {"state": "asleep"}, "state"),
        ("assignments.jsonl", {"opened_at": "yesterday"}, "no time"),
    ],
)
def test_what_no_archive_holds_is_refused(small, name, changes, sentence):
    before = Study.objects.count(), Extraction.objects.count(), User.objects.count()
    by = UserFactory(role=Role.RESEARCHER)
    with pytest.raises(Invalid, match=sentence):
        restored(changed_line(small, f"restore/{name}", **changes), by)
    after = Study.objects.count(), Extraction.objects.count(), User.objects.count() - 1
    assert after == before


def test_a_position_that_an_annotation_has_is_refused(small):
    name = "restore/assignments.jsonl"
    person = lines(small, name)[0]["annotator"]
    records = lines(small, "labels/labels.jsonl")
    taken = next(one["position"] for one in records if one["annotator"] == person)
    with pytest.raises(Invalid, match="this position already"):
        restored(changed_line(small, name, position=taken))


@pytest.mark.parametrize("name", [*RESTORE_MEMBERS, "labels/labels.jsonl", "labels/lists.csv"])
@pytest.mark.parametrize("content", [None, b"", b"{}\n", b"[1]\n", b"\xff\xfe\n", b"{" * 50_000])
def test_a_member_that_is_something_else_is_refused(small, name, content):
    if (name, content) == ("restore/assignments.jsonl", b""):
        return  # nobody holds a list without an annotation
    with pytest.raises(Invalid):
        restored(repacked(small, **{name: content}))


@pytest.mark.parametrize("key", ["title", "slug", "categories", "kinds", "min_tokens", "seed"])
@pytest.mark.parametrize("value", [None, 10**30, [], {}, "x" * 5000, [[]]])
def test_rules_that_no_study_has_are_refused(small, key, value):
    parameters = as_json(small, "parameters.json")
    parameters["study"][key] = value
    try:
        study = restored(repacked(small, **{"parameters.json": json.dumps(parameters).encode()}))
    except Invalid:
        return
    assert key == "slug"  # a name is made of any text
    assert study.slug.isascii()


def test_texts_and_facts_about_extractions_are_bounded(small):
    with pytest.raises(Invalid, match="30,000 characters"):
        restored(repacked(small, **{"guidelines/version-1.md": b"x" * 30_000}))
    for name in ("parameters", "environment"):
        parameters = as_json(small, "parameters.json")
        parameters["extractions"][0][name] = ["something else"]
        changed = repacked(small, **{"parameters.json": json.dumps(parameters).encode()})
        with pytest.raises(Invalid, match="extractions do not hold"):
            restored(changed)


def test_an_archive_of_the_first_version_is_refused_in_a_sentence():
    with pytest.raises(Invalid, match=r"Version 0\.1 wrote this archive"):
        restored(OLD.read_bytes())


def test_a_file_that_is_no_archive_or_was_changed_is_refused(small):
    with pytest.raises(Invalid, match="no zip file"):
        restored(b"something else")
    with pytest.raises(Invalid, match=r"damaged|no zip file|whole"):
        restored(small[: len(small) // 2])


def test_the_command_restores_for_a_researcher(small, tmp_path, capsys):
    path = stored(tmp_path, small)
    UserFactory(username="rosa-2", role=Role.RESEARCHER)
    call_command("restore_study", str(path), researcher="rosa-2")
    assert "Its annotations are made up." in capsys.readouterr().out
    study = Study.objects.get(created_by__username="rosa-2")
    assert Item.objects.filter(study=study).count() == 4
    snapshot_refresh_now(study=study)
    with pytest.raises(CommandError, match="There is no researcher"):
        call_command("restore_study", str(path), researcher="nobody")
    with pytest.raises(CommandError, match="cannot be read"):
        call_command("restore_study", str(tmp_path / "none.zip"), researcher="rosa-2")
