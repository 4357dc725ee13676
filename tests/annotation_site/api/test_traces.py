"""Traces through the API."""

import json

import pytest

from annotation_site.accounts.models import RequestKey, Role
from annotation_site.traces import selectors, services
from annotation_site.traces.models import Trace
from tests.annotation_site.factories import (
    TRACE,
    LanguageModelFactory,
    UserFactory,
    client_of,
    make_extraction,
    make_trace,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def researcher():
    return UserFactory(role=Role.RESEARCHER)


@pytest.fixture
def model(monkeypatch, messages):
    for module in (services, selectors):
        monkeypatch.setattr(module, "trace_refusal", lambda model: "")
    model = LanguageModelFactory(n_layers=2, d_ff=16)
    make_extraction(model=model, kinds=("value",))
    return model


def test_a_trace_is_requested_watched_shared_and_deleted(researcher, model):
    client = client_of(researcher)
    body = {
        "model": model.pk, "prompt": " the cat ", "new_tokens": 3,
        "interventions": [{"layer": 1, "index": 2, "action": "zero"}],
    }  # fmt: skip
    made = client.post("/api/traces", body, content_type="application/json")
    assert made.status_code == 201, made.content
    found = made.json()
    assert (found["state"], found["before"], found["result"]) == ("queued", 0, None)
    assert found["prompt"] == " the cat "
    assert found["request"]["interventions"] == [
        {"layer": 1, "index": 2, "action": "zero", "value": 0.0, "from_position": 0}
    ]
    address = f"/api/traces/{found['id']}"
    shared = client.patch(address, {"is_shared": True}, content_type="application/json")
    assert shared.json()["is_shared"] is True
    other = client_of(UserFactory(role=Role.RESEARCHER))
    assert [one["id"] for one in other.get("/api/traces").json()["results"]] == [found["id"]]
    assert other.delete(address).status_code == 403
    assert client.delete(address).status_code == 204
    assert client.get(address).status_code == 404
    assert not Trace.objects.exists()


def test_a_key_keeps_no_prompt(researcher, model):
    client = client_of(researcher)
    body = {"model": model.pk, "prompt": "zqsecret"}

    def request():
        return client.post(
            "/api/traces", body, content_type="application/json", headers={"Idempotency-Key": "1"}
        ).json()

    first, again = request(), request()
    assert (first["prompt"], again["prompt"]) == ("zqsecret", None)
    assert first["id"] == again["id"]
    assert "zqsecret" not in str(RequestKey.objects.get().response)


def test_a_ready_trace_has_the_answer_of_the_command_line_with_labels(researcher):
    trace = make_trace(requested_by=researcher)
    answer = client_of(researcher).get(f"/api/traces/{trace.public_id}").json()["result"]
    example = json.loads(TRACE.read_text())
    assert answer["token"] == example["token"]
    for found, wanted in zip(answer["layers"], example["layers"], strict=True):
        assert {name: found[name] for name in wanted if name != "dominant"} == {
            name: wanted[name] for name in wanted if name != "dominant"
        }
        for one, other in zip(found["dominant"], wanted["dominant"], strict=True):
            assert {name: one[name] for name in other} == other  # nobody called it anything
    file = client_of(researcher).get(f"/traces/{trace.public_id}.json")
    assert file["Content-Type"] == "application/json"
    assert json.loads(file.getvalue())["result"] == answer


def test_what_cannot_be_traced_is_refused_with_a_sentence(researcher, model):
    client = client_of(researcher)

    def refused(**changes):
        body = {"model": model.pk, "prompt": "the cat", **changes}
        response = client.post("/api/traces", body, content_type="application/json")
        assert response.status_code in (400, 422), response.content
        return response.json()["error"]

    assert "no vector 5.0" in str(refused(interventions=[
        {"layer": 5, "index": 0, "action": "zero"}
    ]))  # fmt: skip
    assert "no such model" in str(refused(model=model.pk + 1))
    for changes in (
        {"prompt": ""}, {"prompt": "a" * 2_001}, {"new_tokens": 51}, {"position": 256},
        {"interventions": [{"layer": 0, "index": n, "action": "zero"} for n in range(21)]},
        {"interventions": [{"layer": 0, "index": 0, "action": "double"}]},
    ):  # fmt: skip
        refused(**changes)
    assert not Trace.objects.exists()
