"""What becomes public of a study, and what never does."""

import csv
import io
import json
import re

import pyarrow.parquet as pq
import pytest
from django.utils import timezone

from annotation_site.annotation.models import Assignment, Item, Study
from annotation_site.annotation.review.adjudicated_annotations import (
    adjudicated_annotation_open,
)
from annotation_site.annotation.studies.services import study_state_change
from annotation_site.public.writing import publication_write
from annotation_site.results.models import Pseudonym
from annotation_site.results.pseudonyms import pseudonyms_ensure
from tests.annotation_site.annotation.answering import submit
from tests.annotation_site.factories import (
    UserFactory,
    answer,
    assignment_of,
    client_of,
    make_extraction,
    make_prefix_study,
    make_study,
    pattern,
    researcher_of,
)
from tests.annotation_site.public.published import files_of, lists_of, make_closed, publish

pytestmark = pytest.mark.django_db
PEOPLE = ("wilhelmina", "bartholomew", "konstantin")
COMMENT = "a comment that only the team reads"
SKIP = "a reason that only the team reads"
GUIDELINES = "# Look\n\n- at *all* tokens\n\n<script>alert(1)</script>"


def make_secret_study() -> Study:
    """A closed study of three people with telling names, comments, skips and an adjudication."""
    people = [UserFactory(username=name, email=f"{name}@example.org") for name in PEOPLE]
    study = make_study(
        title="Birds in layers",
        people=people,
        annotators_per_list=3,
        may_publish=True,
        lists_per_layer=1,
        extraction=make_extraction(layers=1, per_layer=1, kinds=("value", "random")),
        guidelines=GUIDELINES,
        researcher=UserFactory(role="researcher", username="theodora"),
    )
    rows = Assignment.objects.filter(item__study=study, purpose="annotation").order_by("pk")
    for row in rows.select_related("membership__user", "item"):
        ranks = [1, 2, 3, 4, 5 + people.index(row.membership.user)]
        submit(row, answer(pattern(1, ranks, description="runs of words"), comment=COMMENT))
    final = adjudicated_annotation_open(
        item=study.items.get(vector__kind="value"), by=researcher_of(study)
    )
    submit(final, answer(pattern(1, [1, 2, 3, 4, 9], description="adjudicated"), comment=COMMENT))
    pseudonyms_ensure(study=study)
    study_state_change(study=study, state="closed")
    study.refresh_from_db()
    return study


def test_no_file_tells_of_a_person(client):
    study = make_secret_study()
    publish(study)
    found = files_of(study)
    assert {"index.html", "lists-1.html", "lists.json", "patterns.csv", "table_2.parquet"} <= set(
        found
    )
    secrets = {*PEOPLE, "theodora", "example.org", COMMENT, SKIP}
    secrets |= set(Pseudonym.objects.values_list("name", flat=True))
    for row in Assignment.objects.filter(item__study=study).select_related("membership__user"):
        user = row.membership.user
        secrets |= {str(user.public_id), user.public_id.hex, str(row.public_id)}
        for moment in (row.submitted_at, row.opened_at):
            if moment:
                secrets |= {moment.isoformat(), f"{moment:%H:%M:%S}", str(moment)}
    secrets |= {f"{timezone.now():%Y-%m-%d}", f"{timezone.now():%d %b %Y}"}
    assert len(Pseudonym.objects.all()) >= 3
    for name, content in found.items():
        if name.endswith(".parquet"):  # its columns are compressed
            content = str(pq.read_table(io.BytesIO(content)).to_pylist()).encode()
        for secret in secrets:
            assert secret.encode() not in content, (name, secret)
    text = found["methods.txt"].decode()
    assert "active time" not in text
    assert "annotators submitted 6 annotations" in text


def test_a_page_says_numbers_lists_rule_and_guidelines(client):
    study = make_secret_study()
    publish(study)
    page = client.get(f"/public/{study.slug}/").content.decode()
    said = re.sub(r"\s+", " ", re.sub("<[^>]+>", " ", page))
    assert "3 people looked at 2 lists of tokens and marked the patterns: 6 annotations." in said
    assert "more than half of the list’s annotators found" in said
    assert "1 list is adjudicated; 1 has a majority annotation; 0 have none" in said
    assert "Krippendorff" in said
    assert "<li>at <em>all</em> tokens</li>" in page
    assert "<script>alert" not in page
    assert "/static/" not in page  # it stands on its own
    lists = client.get(f"/public/{study.slug}/lists-1.html").content.decode()
    assert 'id="list-2"' in lists
    assert "majority of 3 people" in lists
    assert "runs of words" in lists


def test_the_adjudicated_annotation_stands_before_the_majority():
    study = make_secret_study()
    publish(study)
    first, second = lists_of(study)
    assert (first["rule"], second["rule"]) == ("adjudicated", "majority")
    assert first["patterns"][0]["ranks"] == [1, 2, 3, 4, 9]
    assert second["patterns"] == [
        {
            "description": "runs of words",
            "category": "semantic",
            "stopwords": False,
            "counts": True,
            "ranks": [1, 2, 3, 4],
            "entries": second["entries"][:4],
        }
    ]
    rows = list(csv.DictReader(io.StringIO(files_of(study)["patterns.csv"].decode("utf-8-sig"))))
    assert [row["rule"] for row in rows] == ["adjudicated", "majority"]
    assert rows[1]["ranks"] == "1 2 3 4"


def test_surplus_and_unblinded_annotations_are_nobodys_majority():
    study = make_closed(annotators=2, annotators_per_list=2)
    Assignment.objects.filter(item__study=study).update(unblinded=True)
    keep = assignment_of(study)
    Assignment.objects.filter(pk=keep.pk).update(unblinded=False)
    publish(study)
    people = [one["people"] for one in lists_of(study)]
    assert sorted(people) == [0] * (len(people) - 1) + [1]


def test_one_person_and_no_random_vectors_say_what_is_missing(client):
    study = make_closed(
        annotators=1, annotators_per_list=1, extraction=make_extraction(kinds=("value",))
    )
    publish(study)
    page = client.get(f"/public/{study.slug}/").content.decode()
    assert "nothing can be said about agreement" in page
    assert "no control beside value vectors" in page


def test_prefixes_of_keys_are_published_as_such(client):
    study = make_prefix_study(may_publish=True, title="Keys", annotators=1)
    submit(assignment_of(study), answer(pattern(1, [1, 2, 3], category="shallow")))
    study_state_change(study=study, state="closed")
    study.refresh_from_db()
    publish(study)
    found = files_of(study)
    assert "prefix_shares.csv" in found
    assert "prefix-shares-0.svg" in found
    page = found["index.html"].decode()
    assert "lists of prefixes" in page
    assert len(lists_of(study)[0]["entries"][0].split()) > 1


def test_the_annotations_of_an_open_study_of_other_vectors_change_no_byte():
    study = make_secret_study()
    row = publish(study)
    before = files_of(study)
    other = make_study(title="Open", may_publish=True)
    submit(assignment_of(other), answer(pattern(1, [1, 2, 3, 4])))
    row.state = "due"
    row.save()
    publication_write(publication_id=row.pk)
    assert files_of(study) == before


def test_made_up_annotations_are_marked_in_every_file_of_data(client):
    field = Study._meta.get_field("made_up")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(field, "default", True)
        patch.setattr(field, "_get_default", lambda: True)
        study = make_closed(annotators=1, annotators_per_list=1)
    publish(study)
    mark = "made-up annotations"
    for name, content in files_of(study).items():
        extension = name.rpartition(".")[2]
        if extension == "html" or (extension == "svg" and name != "favicon.svg"):
            assert mark in content.decode(), name
        elif extension == "csv":
            assert b"made_up" in content.splitlines()[0], name
        elif name == "lists.json":
            assert json.loads(content)["made_up"] is True
        elif extension == "txt":
            assert b"made up" in content.lower() or b"made-up" in content.lower()
    assert client.get(f"/public/{study.slug}/")["X-Made-Up-Annotations"] == "true"


def test_a_page_of_lists_has_a_hundred_of_them(monkeypatch):
    monkeypatch.setattr("annotation_site.public.content.PER_PAGE", 3)
    monkeypatch.setattr("annotation_site.public.writing.PER_PAGE", 3)
    study = make_closed(annotators=1, annotators_per_list=1)
    publish(study)
    n = Item.objects.filter(study=study, use="study").count()
    pages = [name for name in files_of(study) if re.fullmatch(r"lists-\d+\.html", name)]
    assert len(pages) == -(-n // 3)
    for one in lists_of(study):
        page = files_of(study)[f"lists-{one['page']}.html"].decode()
        assert f'id="list-{one["number"]}"' in page


def test_the_api_switches_a_page_on_and_off(client):
    study = make_closed(annotators=1, annotators_per_list=1)
    runs, address = client_of(researcher_of(study)), f"/api/studies/{study.slug}/publication"
    state = runs.get(address).json()
    assert (state["state"], state["is_public"], state["url"]) == ("none", False, None)
    state = runs.put(address, {"is_indexed": True}, content_type="application/json").json()
    assert (state["state"], state["is_public"], state["is_indexed"]) == ("due", True, True)
    publication_write(publication_id=study.publication.pk)
    state = runs.get(address).json()
    assert (state["state"], state["is_current"], state["problem"]) == ("ready", True, "")
    assert client.get(state["url"]).status_code == 200
    assert "X-Robots-Tag" not in client.get(state["url"])
    assert runs.delete(address).status_code == 204
    assert client.get(state["url"]).status_code == 404
    Study.objects.filter(pk=study.pk).update(may_publish=False)
    refused = runs.put(address, {}, content_type="application/json")
    assert refused.status_code == 422
    assert "did not agree" in json.dumps(refused.json())
