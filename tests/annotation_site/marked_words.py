"""A study with marker words wherever people or models wrote something."""

import json
from typing import Any

import pytest
from django.test import Client

from annotation_site.accounts.models import Role, User
from annotation_site.annotation.models import Assignment, Item, Membership, Study
from annotation_site.corpus.models import Corpus, LanguageModel, Token
from annotation_site.results.files.jobs import export_request, export_run
from annotation_site.results.snapshots import services
from tests.annotation_site.annotation.crowd.people import make_link
from tests.annotation_site.factories import (
    TRACE,
    LanguageModelFactory,
    UserFactory,
    answer,
    assignment_of,
    client_of,
    make_machine_run,
    make_measurement,
    make_study,
    make_trace,
    make_vector_set,
    pattern,
    submit,
)
from tests.annotation_site.machine_annotators.rows import annotation_row, exchange_row


def _marked(value: Any) -> Any:
    """The answer of a trace with marker words for tokens."""
    if isinstance(value, list):
        return [f"zqtoken{one}" if isinstance(one, str) else _marked(one) for one in value]
    if isinstance(value, dict):
        return {
            name: f"zqtoken{one}" if name == "token" and isinstance(one, str) else _marked(one)
            for name, one in value.items()
        }
    return value


def plant(study: Study) -> None:
    """Marker words into everything of a study that people or models wrote, but glosses."""
    for token in Token.objects.all():
        token.text = token.display = f"zqtoken{token.token_id}"
        token.save()
    for user in User.objects.all():
        user.username = f"zquser{user.pk}"
        user.save()
    for model in LanguageModel.objects.all():
        model.name, model.revision = f"zqmodel{model.pk}", "zqrevision"
        model.weights_digest, model.model_type = f"zqdigest{model.pk}", "zqfamily"
        model.save()
    Corpus.objects.create(
        name="zqcorpus", licence="zqlicence", sentences=2, size=40, digest="zqdigest",
        beginning="zqbeginning", uploaded_by=study.created_by,
    )  # fmt: skip
    for item in Item.objects.filter(study=study):
        extraction = item.vector.extraction
        extraction.model_source, extraction.bundle_digest = "zqsource", f"zqbundle{extraction.pk}"
        extraction.parameters = {**extraction.parameters, "token_source": "zqparameter"}
        extraction.requested_by = User.objects.order_by("pk")[0]
        extraction.save()


@pytest.fixture
def world() -> tuple[Study, Assignment, dict[str, Client]]:
    """A study with training, answers, a final answer and everything made from them."""
    study = make_study(title="zqtitle", training_lists=1, reference_lists=1)
    people = [
        m.user for m in study.memberships.filter(role=Membership.Role.ANNOTATOR).order_by("pk")
    ]
    content = answer(
        pattern(1, [1, 2, 3, 4], description="zqdescription"),
        pattern(2, [6, 7, 8, 9, 10], description="zqother", category="syntactic"),
        comment="zqcomment",
    )
    for person in people:
        for own in Assignment.objects.filter(membership__user=person).order_by("position")[:6]:
            submit(own, content)
    plant(study)
    researcher = study.memberships.get(role=Membership.Role.RESEARCHER).user
    measured = assignment_of(study).item.vector.extraction.model
    make_measurement(measured, title="zqmeasurement", requested_by=researcher)
    make_vector_set(measured, title="zqset", note="zqnote", created_by=researcher)
    traced = LanguageModelFactory(name="zqtraced", n_layers=2, d_ff=1_000)
    make_trace(traced, answer=_marked(json.loads(TRACE.read_text())), prompt="zqprompt",
               requested_by=researcher, is_shared=True)  # fmt: skip
    run = make_machine_run(study, model="zqlanguagemodel", name="machine-zqname",
                           endpoint="zqendpoint", model_version="zqversion",
                           requested_by=researcher)  # fmt: skip
    vector = assignment_of(study).item.vector
    exchange_row(run, vector, state="malformed", reply="zqreply", failure="zqfailure",
                 messages=[{"role": "user", "content": "zqmessage"}])  # fmt: skip
    annotation_row(run, vector)
    study.machineprompt.create(version=1, text="zqprompt")
    services.snapshot_refresh_now(study=study)
    make_link(study, name="zqlink", preset="other", parameter="zqparameter",
              questions="zqquestion\n* zqright\n- zqwrong")  # fmt: skip
    job = export_request(study=study, content="jsonl", with_names=False, by=researcher)
    export_run(job_id=job.pk)
    clients = {
        "stranger": Client(),
        "annotator": client_of(people[0]),
        "researcher": client_of(researcher),
        "admin": client_of(UserFactory(role=Role.ADMIN, username="zqadmin")),
    }
    return study, assignment_of(study), clients
