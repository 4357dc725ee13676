"""Measurements by the API: enqueue, look, read tables and files, change, compare."""

import pytest

from annotation_site.accounts.models import Role, Scope
from annotation_site.measurements.models import Measurement
from annotation_site.measurements.options import OFFERED
from tests.annotation_site.api.scripts import bearer, code
from tests.annotation_site.factories import UserFactory, make_extraction, make_measurement

pytestmark = pytest.mark.django_db
URL = "/api/measurements"


@pytest.fixture
def researcher():
    return UserFactory(role=Role.RESEARCHER)


@pytest.fixture
def script(researcher):
    return bearer(researcher, Scope.READ, Scope.MANAGE)


@pytest.fixture
def known():
    return make_extraction(layers=1, per_layer=1, kinds=("value",)).model


def test_a_script_enqueues_a_measurement_once_under_its_key(script, known, researcher):
    (row,) = script.get(f"{URL}/models").json()["results"]
    body = {"name": "contribution", "model": row["id"], "options": {"examples": 5, "seed": None}}
    estimate = script.post(f"{URL}/estimates", body, format="json").json()
    assert estimate["estimate"]["seconds"] > 0
    assert not Measurement.objects.exists()
    replies = [script.post(URL, body, format="json", HTTP_IDEMPOTENCY_KEY="one") for _ in range(2)]
    assert [reply.status_code for reply in replies] == [201, 201]
    told = replies[0].json()
    assert told == replies[1].json()
    queued = Measurement.objects.get()
    assert (told["id"], told["state"]) == (str(queued.public_id), "queued")
    assert (told["model"]["id"], told["requested_by"]) == (known.pk, str(researcher.public_id))
    assert told["parameters"].keys() == OFFERED.keys()
    assert (told["parameters"]["examples"], told["parameters"]["seed"]) == (5, 0)
    assert (told["tables"], told["files"]) == ([], [])
    # What was answered can be sent again.
    again = {**body, "options": told["parameters"]}
    assert script.post(URL, again, format="json").status_code == 201


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"name": "nothing"}, "name"),
        ({"options": {"scorer": "os:system"}}, "options"),
        ({"options": {"workers": 3}}, "options"),
        ({"options": {"examples": 10**9}}, "options"),
        ({"title": "x" * 201}, "title"),
        ({"path": "/etc"}, "path"),
    ],
)
def test_what_is_not_declared_is_refused(script, known, changes, field):
    body = {"name": "saturation", "model": known.pk, **changes}
    reply = script.post(URL, body, format="json")
    assert code(reply) == (400, "invalid_request")
    assert field in reply.json()["error"]["details"]
    assert not Measurement.objects.exists()


def test_a_script_reads_tables_and_files_and_compares(script):
    one, other = make_measurement(), make_measurement()
    told = script.get(f"{URL}/{one.public_id}").json()
    assert told["tables"] == ["saturation"]
    assert [file["name"] for file in told["files"]] == ["README.md", "saturation.csv"]
    table = script.get(f"{URL}/{one.public_id}/tables/saturation?offset=1&limit=1").json()
    assert table == {
        "name": "saturation", "columns": ["layer", "share"],
        "about": {"layer": "layer, counted from 0", "share": "share of all examples"},
        "count": 2, "rows": [[1, None]],
    }  # fmt: skip
    file = script.get(f"{URL}/{one.public_id}/files/saturation.csv")
    assert (file["Content-Type"], file.content) == (
        "text/csv; charset=utf-8", b"layer,share\n0,0.25\n1,\n",
    )  # fmt: skip
    assert file["Content-Disposition"] == 'attachment; filename="saturation.csv"'
    joined = script.get(f"{URL}/{one.public_id}/beside/{other.public_id}").json()
    assert joined == {
        "tables": [
            {
                "name": "saturation", "keys": ["layer"], "values": ["share"],
                "rows": [
                    {"keys": [0], "values": [[0.25, 0.25, 0.0]]},
                    {"keys": [1], "values": [[None, None, None]]},
                ],
            }
        ]
    }  # fmt: skip
    for wrong in ("tables/other", "files/none.csv", "files/manifest.json"):
        assert script.get(f"{URL}/{one.public_id}/{wrong}").status_code == 404


def test_a_script_changes_its_own_measurements(script, researcher, known):
    mine = make_measurement(known, requested_by=researcher, state=Measurement.State.RUNNING)
    at = f"{URL}/{mine.public_id}"
    assert script.post(f"{at}/cancel").json()["state"] == "cancelled"
    assert script.post(f"{at}/retry").json()["state"] == "queued"
    assert script.delete(at).status_code == 422
    assert script.patch(at, {"title": "Mine"}, format="json").json()["title"] == "Mine"
    script.post(f"{at}/cancel")
    lines = [line["text"] for line in script.get(f"{at}/log").json()["results"]]
    assert lines == ["Cancelled.", "Renamed to “Mine”.", "Queued again.", "Cancelled."]
    assert script.delete(at).status_code == 204
    assert script.get(at).status_code == 404


def test_the_list_can_be_narrowed_and_takes_few_queries(
    script, known, django_assert_max_num_queries
):
    for _ in range(5):
        make_measurement(known)
    make_measurement()
    # Token, person, rate, count, rows, and what the request's session costs.
    with django_assert_max_num_queries(12):
        found = script.get(f"{URL}?model={known.pk}&name=saturation&state=ready").json()
    assert found["count"] == 5
    assert script.get(f"{URL}?name=norm").json()["count"] == 0
    assert script.get(f"{URL}?model={10**6}").json()["count"] == 0  # of no model that is here
