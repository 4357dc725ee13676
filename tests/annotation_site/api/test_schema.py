"""The API's description: as committed, and kept by what the code answers to made-up requests."""

import io
import uuid
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from django.core.management import call_command
from django.core.signals import request_finished, request_started
from django.core.wsgi import get_wsgi_application
from django.db import close_old_connections, transaction
from django.test import Client
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from annotation_site.accounts.models import Role
from annotation_site.accounts.tokens import scopes_for, token_create
from annotation_site.annotation.models import Membership
from annotation_site.annotation.work import submissions
from annotation_site.api.schema import openapi
from annotation_site.api.serializers.lists import Submission
from annotation_site.corpus.models import Corpus
from annotation_site.results.files.jobs import export_request, export_run
from annotation_site.results.snapshots.services import snapshot_refresh_now
from tests.annotation_site.annotation.crowd.people import make_link
from tests.annotation_site.factories import (
    UserFactory,
    answer,
    assignment_of,
    make_invitation,
    make_machine_run,
    make_measurement,
    make_proxy_run,
    make_study,
    make_trace,
    make_vector_set,
    pattern,
    submission,
)

pytestmark = pytest.mark.django_db
COMMITTED = Path(__file__).resolve().parents[3] / "docs/openapi.yaml"
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
QUICK, THOROUGH = 3, 6  # examples of each operation and role


def test_the_committed_description_is_that_of_the_code():
    made = io.StringIO()
    call_command("spectacular", "--validate", "--fail-on-warn", stdout=made)
    assert COMMITTED.read_text() == made.getvalue(), (
        "Run `python manage.py spectacular --file docs/openapi.yaml` and look at the difference."
    )


def test_the_site_serves_its_description():
    response = Client().get("/api/schema/")
    assert response.json() == openapi()
    assert response["Content-Type"] == "application/json"


def world(role: str) -> tuple[str, dict[str, list[Any]]]:
    """A token of the role, and what exists, by the name of the field or parameter it goes into."""
    researcher = UserFactory(role=Role.RESEARCHER)
    study = make_study(researcher=researcher, consent="Do you agree?")
    done, following = assignment_of(study, 1), assignment_of(study, 2)
    content = submission(done, answer(pattern(1, [1, 2, 3, 4])))
    submissions.assignment_submit(user=done.membership.user, public_id=done.public_id, **content)
    snapshot = snapshot_refresh_now(study=study)
    job = export_request(study=study, content="jsonl", with_names=False, by=researcher)
    export_run(job_id=job.pk)
    user = {
        Role.ANNOTATOR: done.membership.user,
        Role.RESEARCHER: researcher,
        Role.ADMIN: UserFactory(role=Role.ADMIN),
    }[Role(role)]
    token, secret = token_create(user=user, name="a test", scopes=scopes_for(user))
    link = make_link(study)
    corpus = Corpus.objects.create(name="two", sentences=2, size=8, digest="0" * 64)
    measurement = make_measurement(requested_by=user)
    vector_set = make_vector_set(created_by=user)
    trace = make_trace(requested_by=user)
    invitation, _ = make_invitation(by=user) if user.is_admin else (None, "")
    other = study.memberships.filter(role=Membership.Role.ANNOTATOR).last().user
    known = {
        "slug": [study.slug],
        "study": [study.slug],
        "table": ["coverage"],
        "snapshot": [snapshot.pk],
        "name": ["coverage-across-layers-0"],
        "corpora": [str(corpus.public_id)],
        "links": [str(link.public_id)],
        "exports": [str(job.public_id)],
        "extension": ["csv"],
        "measurements": [str(measurement.public_id)],
        "sets": [str(vector_set.public_id)],
        "other": [str(measurement.public_id)],
        "token_id": [1],
        "traces": [str(trace.public_id)],
        "proxies": [str(make_proxy_run(study).public_id)],
        "machine-annotators": [str(make_machine_run(study).public_id)],
        "layer": [0],
        "index": [0],
        "item": [done.item_id],
        "number": [done.item_id],
        "lists": [str(following.public_id), str(done.public_id)],
        "extractions": [str(study.extractions.get().public_id)],
        "people": [str(other.public_id), str(done.membership.user.public_id)],
        "annotation": [answer()],
        "base_version": [0],
        "version": [1],
        "guidelines_base": [1],
        "consent_base": [1],
        "lists_per_layer": [1, 2],
        "tokens": [str(token.public_id)],
        "invitations": [str(invitation.public_id if invitation else uuid.uuid4())],
    }
    return secret, known


def with_what_exists(case: Any, known: dict[str, list[Any]], choose: Any) -> None:
    """Put existing things where the case names things, mostly."""
    area = case.operation.path.split("/")[2]
    for name in case.path_parameters or {}:
        kind = name if name != "public_id" else area
        if kind == "studies":
            within = case.operation.path.split("/")[4]
            own = ("exports", "links", "machine-annotators", "proxies")
            kind = within if within in own else "people"
        if choose(st.integers(0, 3)):
            case.path_parameters[name] = choose(st.sampled_from(known[kind]))
    if not isinstance(case.body, dict):
        return
    kinds = {"annotators": "people", "person": "people"}
    for name in case.body:
        kind = kinds.get(name, name)
        if kind in known and choose(st.integers(0, 3)):
            value = choose(st.sampled_from(known[kind]))
            case.body[name] = [value] if name in ("annotators", "extractions") else value


@pytest.fixture
def _many_requests_in_one_transaction(settings):
    """No limit, and no server that closes the test's own connection after a request."""
    settings.API_REQUESTS_PER_MINUTE = 1_000_000
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    yield
    for signal in (request_started, request_finished):
        signal.connect(close_old_connections)


@pytest.mark.usefixtures("_many_requests_in_one_transaction")
@pytest.mark.parametrize("examples", [QUICK, pytest.param(THOROUGH, marks=pytest.mark.long)])
@pytest.mark.parametrize("role", Role.values)
def test_made_up_requests_get_only_answers_that_are_described(role, examples):
    secret, known = world(role)
    schema = schemathesis.openapi.from_dict(openapi())
    site = get_wsgi_application()

    def read_to_the_end(environ: Any, start_response: Any) -> list[bytes]:
        answer = site(environ, start_response)
        try:
            return [b"".join(answer)]
        finally:
            answer.close()  # as a server does: a file is closed

    schema.app = read_to_the_end
    failures: list[str] = []
    answered: set[tuple[str, int]] = set()
    for result in schema.get_all_operations():
        operation = result.ok()

        @settings(
            max_examples=examples,
            derandomize=True,
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(
            case=st.one_of([operation.as_strategy(generation_mode=m) for m in GenerationMode]),
            data=st.data(),
        )
        def answers_as_described(case: Any, data: Any) -> None:
            with_what_exists(case, known, data.draw)
            with transaction.atomic():
                response = case.call(headers={"Authorization": f"Bearer {secret}"})
                transaction.set_rollback(True)
            answered.add((f"{case.method} {case.operation.path}", response.status_code))
            case.validate_response(response, checks=CHECKS)

        try:
            answers_as_described()
        except Exception as error:
            # All of them at once; a group names its failures one by one.
            causes = getattr(error, "exceptions", [error])
            failures.append(f"{operation.label}: {[str(cause) for cause in causes]}")
    assert not failures, "\n\n".join(failures)
    good = {name for name, status in answered if status < 300}
    # Few enough to hold with other releases of what makes the requests up.
    assert len(good) >= {"annotator": 10, "researcher": 20, "admin": 30}[role], sorted(good)


def test_the_text_names_the_fields_of_a_submission():
    text = (Path(__file__).resolve().parents[3] / "docs" / "api.md").read_text()
    fields = ", ".join(f'"{name}"' for name in Submission().fields)
    assert f"`{{{fields}}}`" in text
