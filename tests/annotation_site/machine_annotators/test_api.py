"""The API of language models as machine annotators: prompt, forecast, runs, exchanges."""

from decimal import Decimal
from typing import Any

import pytest

from annotation_site.annotation.models import Study
from annotation_site.machine_annotators.messages import DEFAULT_PROMPT, PROMPT_MOST
from annotation_site.machine_annotators.models import MachineExchange, MachineRun
from tests.annotation_site.factories import client_of, make_study, researcher_of
from tests.annotation_site.machine_annotators.rows import (
    MESSAGES,
    annotation_row,
    exchange_row,
    priced_run,
)

pytestmark = pytest.mark.django_db
JSON = {"content_type": "application/json"}


@pytest.fixture
def study() -> Study:
    return make_study(guidelines="Look closely.")


@pytest.fixture
def model(settings: Any) -> None:
    settings.LLM_MODEL, settings.LLM_ENDPOINT = "acme/tiny", "https://models.example.org/v1"
    settings.LLM_PRICE_INPUT, settings.LLM_PRICE_OUTPUT = Decimal("0.15"), Decimal("0.6")


def url(study: Study, path: str = "machine-annotators") -> str:
    return f"/api/studies/{study.slug}/{path}"


def test_the_prompt_is_read_and_changed_with_its_base(study):
    client, where = client_of(researcher_of(study)), url(study, "machine-annotators/prompt")
    assert client.get(where).json() == {"version": 0, "text": DEFAULT_PROMPT}
    changed = client.put(where, {"text": "Find animals.", "base": 0}, **JSON)
    assert changed.json() == {"version": 1, "text": "Find animals."}
    stale = client.put(where, {"text": "Find birds.", "base": 0}, **JSON)
    assert stale.status_code == 422
    assert (
        client.put(where, {"text": "x" * (PROMPT_MOST + 1), "base": 1}, **JSON).status_code == 400
    )
    assert client.get(where).json() == {"version": 1, "text": "Find animals."}
    assert client.get(where, {"version": 0}).json()["text"] == DEFAULT_PROMPT
    assert client.get(where, {"version": 2}).status_code == 404


@pytest.mark.usefixtures("model")
def test_a_run_is_forecast_requested_cancelled_continued_and_deleted(study, messages):
    client = client_of(researcher_of(study))
    forecast = client.get(
        url(study, "machine-annotators/forecast"), {"most_reply_tokens": 200}
    ).json()
    assert (forecast["lists"], forecast["requests"], forecast["once"]["requests"]) == (12, 24, 12)
    assert [one["role"] for one in forecast["messages_of_first"]] == [
        "system", *["user", "assistant"] * 2, "user",
    ]  # fmt: skip
    assert "Look closely." in forecast["messages_of_first"][0]["content"]
    assert not MachineRun.objects.exists()
    limits = {"most_requests": 24, "most_tokens": 10**6, "most_cost": forecast["cost"]}
    asked = client.post(url(study), {"seed": 3, **limits}, **JSON)
    assert asked.status_code == 202
    run = asked.json()
    assert {**run, "id": "", "requested_at": "", "cost": "0"} == {
        "id": "", "name": "machine-tiny", "model": "acme/tiny", "endpoint": "models.example.org",
        "model_version": "", "versions_differ": False, "covers": "lists", "prompt_version": 0,
        "guidelines_version": 1, "temperature": 0.0, "seed": 3, "most_reply_tokens": 1000,
        "state": "queued", "error": "", "done": 0, "failed": 0, "total": 12, "requests": 0,
        "input_tokens": 0, "output_tokens": 0, "cost": "0", "currency": "USD", **limits,
        "restored": False, "requested_by": str(researcher_of(study).public_id),
        "requested_at": "", "finished_at": None,
    }  # fmt: skip
    one = f"{url(study)}/{run['id']}"
    assert client.get(one).json() == {**run, "cost": "0.000000"}
    assert client.get(url(study)).json()["results"] == [client.get(one).json()]
    assert client.post(f"{one}/delete").status_code == 422  # it waits
    assert client.delete(one).status_code == 204
    assert client.get(one).json()["state"] == "cancelled"
    again = client.post(f"{one}/continue", {"most_requests": 99}, **JSON)
    assert (again.status_code, again.json()["state"]) == (202, "queued")
    assert (again.json()["most_requests"], again.json()["most_tokens"]) == (99, 10**6)
    client.delete(one)
    assert client.post(f"{one}/delete").status_code == 204
    assert client.get(one).status_code == 404


@pytest.mark.usefixtures("model")
def test_a_number_out_of_bounds_is_refused(study):
    client = client_of(researcher_of(study))
    good = {"most_requests": 24, "most_tokens": 10**6, "most_cost": "1"}
    for wrong in (
        {"most_requests": 0},
        {"most_tokens": 10**12},
        {"most_cost": "0"},
        {"most_cost": "NaN"},
        {"temperature": 2.1},
        {"temperature": "nan"},
        {"temperature": "inf"},
        {"seed": -1},
        {"covers": "everything"},
        {"most_reply_tokens": 1},
        {"model": "another"},
    ):
        asked = client.post(url(study), {**good, **wrong}, **JSON)
        assert asked.status_code in (400, 422), wrong
    without = client.post(url(study), {**good, "most_cost": None}, **JSON)
    assert (without.status_code, "has a price" in without.content.decode()) == (422, True)
    assert not MachineRun.objects.exists()


def test_exchanges_are_whole_paged_and_deleted(study):
    run = priced_run(study)
    first, second = study.items.order_by("pk")[:2]
    exchange_row(run, first.vector, state="malformed", reply="x" * 90_000, failure="No JSON.")
    exchange_row(run, second.vector)
    annotation_row(run, second.vector)
    client, where = client_of(researcher_of(study)), f"{url(study)}/{run.public_id}/exchanges"
    found = client.get(where).json()
    assert found["count"] == 2
    one = found["results"][0]
    assert (one["list"], one["layer"], one["index"]) == (first.pk, None, None)
    assert (one["reply"], one["failure"], one["messages"]) == ("x" * 90_000, "No JSON.", MESSAGES)
    assert one["kept_until"] > one["sent_at"]
    assert client.get(where, {"list": second.pk}).json()["count"] == 1
    assert client.get(where, {"state": "malformed"}).json()["count"] == 1
    assert client.get(where, {"limit": 21}).status_code == 400
    assert client.get(where, {"state": "x"}).status_code == 400
    assert client.delete(where).status_code == 204
    assert not MachineExchange.objects.exists()
    assert run.annotations.count() == 1


def test_another_study_s_run_is_not_found(study):
    run = priced_run(study)
    other = make_study()
    client = client_of(researcher_of(other))
    for study_asked in (study, other):
        one = f"{url(study_asked)}/{run.public_id}"
        for response in (
            client.get(one),
            client.delete(one),
            client.post(f"{one}/continue", {}, **JSON),
            client.post(f"{one}/delete"),
            client.get(f"{one}/exchanges"),
            client.delete(f"{one}/exchanges"),
        ):
            assert response.status_code == 404
    assert MachineRun.objects.get().is_ready
