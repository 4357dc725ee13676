"""The finished example study that ships with the package."""

import json
import zipfile
from collections import Counter
from itertools import combinations

import pytest

from annotation_site.accounts.models import Role
from annotation_site.exports import csv_format
from annotation_site.exports.table import Table, marked
from annotation_site.results.files.archive_annotations import LIST_COLUMNS
from annotation_site.results.files.archive_restore import EXAMPLE_ARCHIVE, study_restore
from annotation_site.results.snapshots.services import snapshot_refresh_now
from ffn_extract.sampling import generator, sample_rows
from tests.annotation_site.factories import UserFactory, client_of

pytestmark = pytest.mark.django_db
D_FF, DEFAULT_SEED, DEFAULT_PER_LAYER = 1536, 0, 10


def lists() -> list[tuple]:
    with zipfile.ZipFile(EXAMPLE_ARCHIVE) as archive:
        content = archive.read("labels/lists.csv")
    columns = marked(Table("lists", LIST_COLUMNS, ()), True).columns
    return [row[3:6] for row in csv_format.read(content, name="lists", columns=columns).rows]


def annotations() -> list[dict]:
    with zipfile.ZipFile(EXAMPLE_ARCHIVE) as archive:
        return [json.loads(line) for line in archive.read("labels/labels.jsonl").splitlines()]


def test_the_example_is_small():
    assert EXAMPLE_ARCHIVE.stat().st_size < 600_000


def test_no_value_vector_is_in_the_sample_that_the_defaults_draw():
    values = [(layer, index) for kind, layer, index in lists() if kind == "value"]
    assert len(values) == 60
    for layer, index in values:
        drawn = sample_rows(D_FF, DEFAULT_PER_LAYER, generator(DEFAULT_SEED, "value", layer))
        assert index not in drawn


def test_random_vectors_are_not_those_of_the_default_seed():
    with zipfile.ZipFile(EXAMPLE_ARCHIVE) as archive:
        parameters = json.loads(archive.read("parameters.json"))
    assert [one["parameters"]["seed"] for one in parameters["extractions"]] != [DEFAULT_SEED]
    assert sum(kind == "random" for kind, _, _ in lists()) >= 30


def test_every_list_has_four_people_and_every_two_people_share_thirty():
    people: dict[tuple, set[str]] = {}
    for one in annotations():
        if one["purpose"] == "annotation" and not one["surplus"]:
            key = (one["kind"], one["layer"], one["index"])
            people.setdefault(key, set()).add(one["annotator"])
    assert len(people) == len(lists())
    assert min(map(len, people.values())) >= 4
    shared = Counter(two for found in people.values() for two in combinations(sorted(found), 2))
    assert len(shared) == 15
    assert min(shared.values()) >= 30


def test_the_annotations_say_that_they_are_made_up():
    assert all(one["made_up"] for one in annotations())


def test_a_site_restores_it_with_something_on_every_page():
    rosa = UserFactory(role=Role.RESEARCHER)
    with EXAMPLE_ARCHIVE.open("rb") as file:
        study = study_restore(file=file, restored_by=rosa)
    assert study.made_up
    assert study.state == "closed"
    snapshot = snapshot_refresh_now(study=study)
    assert snapshot.state == "ready"
    assert set(snapshot.figures) >= {"coverage-by-kind", "agreement-matrix", "time-per-list"}
    states = Counter(study.items.values_list("assignments__purpose", "assignments__state"))
    assert states["annotation", "skipped"] >= 3
    assert states["adjudication", "submitted"] >= 10
    assert states["repeat", "submitted"] >= 10
    client = client_of(rosa)
    for page in ("run/", "results/", "run/lists/", "adjudication/", "exports/", "people/"):
        response = client.get(f"/studies/{study.slug}/{page}")
        assert response.status_code == 200
        assert "made-up annotations" in response.content.decode()
