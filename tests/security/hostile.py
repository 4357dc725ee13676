"""A world in which every text that people, models and files bring tries to break out of a page."""

import json
import uuid
from datetime import timedelta
from typing import Any

from django.utils import timezone

from annotation_site.accounts.models import Role, User
from annotation_site.accounts.tokens import token_create
from annotation_site.annotation.models import ConsentText, Guidelines, Study
from annotation_site.annotation.people.joining import person_invite
from annotation_site.corpus.log import log_add
from annotation_site.corpus.models import Extraction, ExtractionLayer, Token, Vector
from annotation_site.results.files.jobs import export_request, export_run
from annotation_site.results.models import ExportJob, Snapshot
from annotation_site.results.snapshots import services
from annotation_site.workers.models import Worker
from tests.annotation_site.factories import (
    LanguageModelFactory,
    UserFactory,
    answer,
    assignment_of,
    make_extraction,
    make_study,
    pattern,
    submit,
)


def nasty(place: str) -> str:
    """Breaks out of text, attributes, scripts, comments and titles where it is not escaped.

    The name of the place survives escaping, so that a test sees where it was shown.
    """
    return (
        f"<x-{place}>\"'--></script></title></textarea></svg></style>"
        f"<script>alert('{place}')</script><img src=x onerror=alert(1)>"
        f'" onfocus="alert(1)" autofocus x="{{{{7*7}}}}'
    )


def short(place: str) -> str:
    """The same for fields that hold little."""
    return f"<x-{place}><img src=x onerror=alert(1)>\"'"


MARKDOWN = """# {nasty}

<script>alert('{place}')</script> [a link](javascript:alert(1)) ![x](x" onerror="alert(1))
<a href="javascript:alert(1)" onclick="alert(1)">b</a> <iframe src="https://evil.example"></iframe>
<style>@import "https://evil.example"</style> ![far](https://evil.example/pixel.png) x-{place}
"""


def markdown(place: str) -> str:
    return MARKDOWN.format(nasty=nasty(place), place=place)


def make_world() -> tuple[Study, Any, dict[str, User]]:
    """A study with answers, results and exports; its list; its people by role."""
    model = LanguageModelFactory(name=short("model"), revision=short("revision"))
    extraction = make_extraction(layers=1, per_layer=2, model=model)
    _spoil_lists(extraction)
    researcher = UserFactory(role=Role.RESEARCHER, username=short("researcher"))
    people = [UserFactory(username=short("annotator")), UserFactory(username=short("second"))]
    study = make_study(
        title=short("title"), extraction=extraction, researcher=researcher, people=people
    )
    Guidelines.objects.filter(study=study).update(text=markdown("guidelines"))
    for membership in study.memberships.filter(role="annotator"):
        _answer(study, membership)
    ConsentText.objects.create(study=study, version=1, text=markdown("consent"))
    services.snapshot_refresh_now(study=study)
    _export(study)
    admin = UserFactory(role=Role.ADMIN, username=short("admin"))
    _failures(admin, study)
    for person in (admin, researcher, *people):
        token_create(user=person, name=short("token"), scopes=["read"])
        User.objects.filter(pk=person.pk).update(email=f'"<x-email>"@{person.pk}.example')
    person_invite(by=admin, role=Role.ANNOTATOR, days=1, uses=1, study=study)
    return study, assignment_of(study, 2), {
        "annotator": people[0], "researcher": researcher, "admin": admin,
    }  # fmt: skip


def _spoil_lists(extraction: Extraction) -> None:
    extraction.model_source = short("source")
    extraction.parameters = {
        "kinds": ["value", "random", "update"], "seed": 0, "name": short("name"),
        "corpus_field": short("field"), "projection": short("projection"),
    }  # fmt: skip
    extraction.environment = {"torch": short("environment"), short("package"): "1"}
    read = {"tensors": ["<x-manifest><script>alert(1)</script>"], "chosen": "head"}
    extraction.manifest = json.dumps({"model": {"unembedding": read}})
    extraction.worker = short("worker")
    extraction.save()
    for token in Token.objects.filter(extraction=extraction):
        token.text, token.display = nasty("token"), nasty("display")
        token.gloss = nasty("gloss")
        token.save()
    Vector.objects.filter(extraction=extraction, kind="update").update(context=nasty("context"))
    log_add(extraction.pk, nasty("log"))


def _answer(study: Study, membership: Any) -> None:
    first = assignment_of(study)
    for assignment in membership.assignments.filter(position=first.position):
        said = pattern(1, [1, 2, 3, 4], description=nasty("description"))
        submit(assignment, answer(said, comment=nasty("comment")))
    for assignment in membership.assignments.filter(position=first.position + 2):
        assignment.draft = {"annotation": answer(pattern(1, [1], description=nasty("draft")))}
        assignment.save()


def _export(study: Study) -> None:
    job = export_request(study=study, content="jsonl", with_names=True, by=study.created_by)
    export_run(job_id=job.pk)
    failed = export_request(study=study, content="jsonl", with_names=False, by=study.created_by)
    ExportJob.objects.filter(pk=failed.pk).update(state="failed", error=nasty("export"))
    Snapshot.objects.create(
        study=study, data_version=99, filters={}, filter_key="x", state="failed",
        error=nasty("snapshot"),
    )  # fmt: skip


def _failures(admin: User, study: Study) -> None:
    failed = Extraction.objects.create(
        model_source=short("failed"), state="failed", error=nasty("error"), requested_by=admin
    )
    log_add(failed.pk, nasty("failed-log"), person=admin)
    running = Extraction.objects.create(
        model_source=short("running"), state="layers", step=short("step"),
        heartbeat_at=timezone.now(), notice=nasty("notice"),
    )  # fmt: skip
    ExtractionLayer.objects.create(
        extraction=running, layer=0, total=9, state="running",
        worker=short("layer-worker") + ":1:a", claim=uuid.uuid4(),
        heartbeat_at=timezone.now(), started_at=timezone.now(),
    )  # fmt: skip
    Worker.objects.create(
        name=short("machine") + ":1:a", seen_at=timezone.now() + timedelta(seconds=1), extracts=True
    )
