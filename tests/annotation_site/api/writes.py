"""Every method of the API that writes, with what it answers to whom."""

import json
import uuid
from datetime import timedelta

from django.urls import get_resolver, reverse
from django.utils import timezone

from tests.annotation_site.api import addresses
from tests.annotation_site.factories import answer

KEY = str(uuid.UUID(int=7))
DRAFT = {"base_version": 0, "content": {}, "active_seconds": 0}
SUBMISSION = {"base_version": 0, "key": KEY, "annotation": answer(), "active_seconds": 0}
TEXTS = {"guidelines": "g", "guidelines_base": 1, "consent": "", "consent_base": 0}
OWN = (401, 404, 200, 404, 404, 404)
OWN_DONE = (401, 404, 204, 404, 404, 404)
RUNS = (401, 403, 403, 404, 200, 200)
MAKES = (401, 403, 403, 404, 201, 201)
ADMINS = (401, 403, 403, 403, 403, 200)
LINK = {
    "name": "A link",
    "ends_at": (timezone.now() + timedelta(days=7)).isoformat(),
    "most_people": 5,
    "most_lists": 5,
}
VECTOR_SET = {"title": "A set", "model": 2**31 - 1, "members": ["0:0"]}
MEASUREMENT = {"name": "saturation", "model": 2**31 - 1}
MACHINE_RUN = {"most_requests": 24, "most_tokens": 100_000}
# What every method that changes something answers to the people of addresses.GET.
WRITES = {
    ("api:draft", "PUT"): (DRAFT, OWN),
    ("api:submit", "POST"): (SUBMISSION, OWN),
    ("api:skip", "POST"): ({"base_version": 0, "key": KEY, "reason": "x"}, OWN),
    ("api:work_detail", "DELETE"): (None, OWN_DONE),
    ("api:consent", "POST"): ({"version": 0}, OWN_DONE),
    ("api:next", "POST"): (None, OWN),
    # The world's study is open, and its rules do not allow publication.
    ("api:publication", "PUT"): ({}, (401, 403, 403, 404, 422, 422)),
    ("api:publication", "DELETE"): (None, (401, 403, 403, 404, 204, 204)),
    ("api:token", "DELETE"): (None, (401, 404, 404, 404, 404, 404)),  # nobody's
    ("api:role", "POST"): ({"role": "researcher"}, ADMINS),
    ("api:access", "POST"): ({"active": False}, ADMINS),
    ("api:erase", "POST"): ({"name": "somebody else"}, (401, 403, 403, 403, 403, 422)),
    # Without a study only admins invite.
    ("api:invitations", "POST"): ({"role": "annotator"}, (401, 403, 403, 403, 403, 201)),
    ("api:invitation", "DELETE"): (None, (401, 403, 403, 404, 404, 404)),  # nobody's
    ("api:extractions", "POST"): ({"model": "gpt2"}, (401, 403, 403, 403, 403, 201)),
    ("api:estimates", "POST"): ({"model": "../etc"}, (401, 403, 403, 403, 403, 422)),
    # The world sends JSON, and nothing but files is taken.
    ("api:upload", "POST"): ({}, (401, 403, 403, 403, 403, 415)),
    ("api:corpora", "POST"): ({}, (401, 403, 403, 415, 415, 415)),
    ("api:corpus", "DELETE"): (None, (401, 403, 403, 404, 404, 404)),  # nobody's
    # The world's extraction is ready, and a study uses it.
    ("api:extraction", "PATCH"): ({"title": "Twelve lists"}, (401, 403, 403, 403, 403, 200)),
    ("api:extraction", "DELETE"): (None, (401, 403, 403, 403, 403, 422)),
    ("api:cancel", "POST"): (None, (401, 403, 403, 403, 403, 422)),
    ("api:retry", "POST"): (None, (401, 403, 403, 403, 403, 422)),
    ("api:sets", "POST"): (VECTOR_SET, (401, 403, 403, 422, 422, 422)),  # of no model that is here
    # Nobody made the world's set: admins alone change it.
    ("api:set", "PATCH"): ({"title": "Twelve"}, (401, 403, 403, 403, 403, 200)),
    ("api:set", "DELETE"): (None, (401, 403, 403, 403, 403, 204)),
    # Of no model that is here.
    ("api:measurements", "POST"): (MEASUREMENT, (401, 403, 403, 422, 422, 422)),
    ("api:measurement_estimates", "POST"): (MEASUREMENT, (401, 403, 403, 422, 422, 422)),
    # Nobody asked for the world's measurement: admins alone change it.
    ("api:measurement", "PATCH"): ({"title": "Twelve"}, (401, 403, 403, 403, 403, 200)),
    ("api:measurement", "DELETE"): (None, (401, 403, 403, 403, 403, 204)),
    ("api:measurement_cancel", "POST"): (None, (401, 403, 403, 403, 403, 422)),  # it is ready
    ("api:measurement_retry", "POST"): (None, (401, 403, 403, 403, 403, 422)),
    ("api:traces", "POST"): (
        {"model": 1, "prompt": "a word"},
        (401, 403, 403, 422, 422, 422),
    ),  # there is no such model
    ("api:trace", "PATCH"): ({"is_shared": False}, (401, 403, 403, 404, 200, 200)),
    ("api:trace", "DELETE"): (None, (401, 403, 403, 404, 204, 204)),
    ("api:previews", "POST"): ("plan", (401, 403, 403, 200, 200, 200)),
    ("api:studies", "POST"): ("plan", (401, 403, 403, 201, 201, 201)),
    ("api:study", "PATCH"): ({"title": "Another title"}, RUNS),
    # People work at the world's study.
    ("api:study", "DELETE"): (None, (401, 403, 403, 404, 422, 422)),
    ("api:state", "POST"): ({"state": "paused"}, RUNS),
    ("api:open_links", "POST"): (LINK, MAKES),
    ("api:open_link", "PATCH"): ({"name": "Another name"}, RUNS),
    ("api:open_link", "DELETE"): (None, (401, 403, 403, 404, 422, 422)),  # it is not closed
    ("api:open_link_state", "POST"): ({"open": True}, RUNS),
    # The study has every list already.
    ("api:extend", "POST"): ({"lists_per_layer": 99}, (401, 403, 403, 404, 422, 422)),
    ("api:duplicate", "POST"): ({"title": "A copy"}, MAKES),
    ("api:texts", "PUT"): (TEXTS, RUNS),
    ("api:study_people", "POST"): ("newcomer", MAKES),
    ("api:study_person", "DELETE"): (None, RUNS),
    ("api:release", "POST"): (None, RUNS),
    ("api:let_in", "POST"): (None, (401, 403, 403, 404, 204, 204)),
    # Final answers are for the study's own researchers.
    ("api:adjudicate", "POST"): (None, (401, 403, 403, 404, 200, 403)),
    ("api:look", "POST"): (None, (401, 403, 403, 404, 204, 204)),
    ("api:results", "POST"): (None, (401, 403, 403, 404, 422, 422)),  # no answer yet
    # What has not failed cannot be tried again.
    ("api:retry_results", "POST"): (None, (401, 403, 403, 404, 422, 422)),
    # Its model is not here with every value vector.
    ("api:proxies", "POST"): ({"proxy": "machine-affixes"}, (401, 403, 403, 404, 422, 422)),
    ("api:proxy", "DELETE"): (None, (401, 403, 403, 404, 204, 204)),
    ("api:machine_prompt", "PUT"): ({"text": "Find patterns.", "base": 0}, RUNS),
    # No language model is set up, and the world's run is ready.
    ("api:machine_runs", "POST"): (MACHINE_RUN, (401, 403, 403, 404, 422, 422)),
    ("api:machine_run", "DELETE"): (None, (401, 403, 403, 404, 204, 204)),
    ("api:machine_run_continue", "POST"): ({}, (401, 403, 403, 404, 422, 422)),
    ("api:machine_run_delete", "POST"): (None, (401, 403, 403, 404, 204, 204)),
    ("api:machine_exchanges", "DELETE"): (None, (401, 403, 403, 404, 204, 204)),
    ("api:exports", "POST"): ({"content": "jsonl"}, (401, 403, 403, 404, 202, 202)),
}


def methods() -> dict[str, dict[str, object]]:
    """By address: the declared calls, by method."""
    (api,) = (r for r in get_resolver().url_patterns if getattr(r, "namespace", "") == "api")
    found = {}
    for pattern in api.url_patterns:
        view = pattern.callback.view_class()
        if view.schema is not None:
            names = ("GET", "POST", "PUT", "PATCH", "DELETE")
            calls = {method: view.call_of(method) for method in names}
            found[f"api:{pattern.name}"] = {m: c for m, c in calls.items() if c is not None}
    return found


def body_of(body, assignment, person):
    if body == "plan":
        extraction = assignment.item.vector.extraction
        return {"title": "New", "extractions": [str(extraction.public_id)]}
    return {"person": str(person.public_id)} if body == "newcomer" else body


def send(client, name, method, study, assignment, body):
    url = reverse(name, kwargs=addresses.kwargs(name, study, assignment))
    response = client.generic(method, url, *encoded(body))
    if response.streaming:
        list(response.streaming_content)  # a file is closed at its end
    return response


def encoded(body):
    return (json.dumps(body), "application/json") if body is not None else ()
