"""Test data: people, extractions with lists, open studies, answers."""

import json
import uuid
import zlib
from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import factory
from django.test import Client
from django.utils import timezone
from factory.django import DjangoModelFactory

from annotation_site.accounts.models import Invitation, Role, User
from annotation_site.analysis.paper import PREFIXES_SHOWN
from annotation_site.annotation.models import Assignment, Membership, Study
from annotation_site.annotation.people.consent import consent_give
from annotation_site.annotation.people.joining import person_invite
from annotation_site.annotation.review.adjudicated_annotations import (
    WITH_REFERENCE,
    adjudicated_annotation_open,
)
from annotation_site.annotation.studies.plans import PROTOCOLS, StudyPlan
from annotation_site.annotation.studies.services import study_create, study_open
from annotation_site.annotation.work.submissions import assignment_submit
from annotation_site.corpus.models import (
    KEY_KINDS,
    Extraction,
    LanguageModel,
    Token,
    TriggerPrefixes,
    Vector,
    VectorSet,
)
from annotation_site.data_sets.models import DataSet
from annotation_site.machine_annotators.models import MachineRun
from annotation_site.machine_annotators.selectors import rules_of
from annotation_site.measurements.files import ReadFile, files_store
from annotation_site.measurements.models import Measurement
from annotation_site.measurements.options import options_checked
from annotation_site.proxies.models import ProxyRun
from annotation_site.traces.answers import require_answer
from annotation_site.traces.models import Trace, TraceContent

PASSWORD = "correct horse battery staple"
LIST_LENGTH = 30


class UserFactory(DjangoModelFactory):
    class Meta:
        model = User
        skip_postgeneration_save = True

    username = factory.Sequence(lambda n: f"person{n}")
    role = Role.ANNOTATOR

    @factory.post_generation
    def password(self: User, create: bool, extracted: str | None, **_: Any) -> None:
        self.set_password(extracted or PASSWORD)
        self.save()


class LanguageModelFactory(DjangoModelFactory):
    class Meta:
        model = LanguageModel

    name = factory.Sequence(lambda n: f"model-{n}")
    model_type = "bert"
    n_layers = 2
    d_model = 8
    d_ff = 16
    vocab_size = 100
    vocabulary = "subword"
    weights_digest = factory.Sequence(lambda n: f"sha256:{n}")


def make_extraction(
    *,
    layers: int = 2,
    per_layer: int = 2,
    kinds: tuple[str, ...] = ("value", "random", "update"),
    **changes: Any,
) -> Extraction:
    """A ready extraction whose lists are runs of 30 tokens out of 100, each list another run.

    Its keys have 25 trigger prefixes each that end in the same tokens, in this order.
    """
    extraction = Extraction.objects.create(
        model=changes.pop("model", None) or LanguageModelFactory(),
        model_source="model",
        state=Extraction.State.READY,
        bundle_digest=f"sha256:{uuid.uuid4().hex}",
        parameters={"kinds": list(kinds), "seed": 0},
        **changes,
    )
    Token.objects.bulk_create(
        Token(
            extraction=extraction,
            token_id=i,
            text=f"word{i}",
            display=f"word{i}",
            gloss=f"the meaning of {i}",
            is_stopword=i % 10 == 0,
        )
        for i in range(100)
    )
    start = iter(range(10_000))
    Vector.objects.bulk_create(
        Vector(
            extraction=extraction,
            kind=kind,
            layer=layer,
            index=index,
            norm=None if kind == "shuffled" else 1.0,
            token_ids=[(next_start + r) % 100 for r in range(LIST_LENGTH)],
            scores=None if kind == "shuffled" else [1 - r / 100 for r in range(LIST_LENGTH)],
            context="a secret context" if kind == "update" else "",
        )
        for kind in kinds
        for layer in range(layers)
        for index in range(per_layer)
        for next_start in [next(start)]
    )
    TriggerPrefixes.objects.bulk_create(
        TriggerPrefixes(
            extraction=extraction,
            kind=vector.kind,
            layer=vector.layer,
            index=vector.index,
            side="positive",
            prefixes=make_prefixes(vector.token_ids[:PREFIXES_SHOWN]),
        )
        for vector in extraction.vectors.filter(kind__in=KEY_KINDS).order_by("pk")
    )
    return extraction


def make_vector_set(model: LanguageModel | None = None, **changes: Any) -> VectorSet:
    """A set of two value vectors, of no maker."""
    number = VectorSet.objects.count() + 1
    told = {"title": f"A set of vectors, {number}", "members": [[0, 0], [1, 1]], **changes}
    return VectorSet.objects.create(model=model or LanguageModelFactory(), **told)


def make_measurement(model: LanguageModel | None = None, **changes: Any) -> Measurement:
    """A ready measurement of saturation with one table and two files."""
    measurement = Measurement.objects.create(
        model=model or LanguageModelFactory(),
        model_source="model",
        corpus_source="wordnet",
        corpus_name="wordnet",
        parameters=options_checked({}),
        **{
            "name": "saturation",
            "title": "saturation of a model",
            "state": Measurement.State.READY,
            **changes,
        },
    )
    if measurement.state == Measurement.State.READY:
        columns = {"layer": "layer, counted from 0", "share": "share of all examples"}
        line = {"label": "trained weights", "layers": [0, 1], "values": [0.25, None]}
        measurement.about = {
            "title": "Saturation events",
            "definition": "The layer from which on the prediction is on top.",
            "source": "Geva et al. (2022), section 5.1.",
            "tables": ["saturation"],
            "columns": {"saturation": columns},
            "lines": [
                {"name": "saturation", "title": "Examples", "y_label": "share", "lines": [line]}
            ],
        }
        measurement.words = "An oracle saves 12.5% of the layers."
        measurement.manifest = '{"parameters": {"seed": 0}}'
        measurement.save()
        table = b"layer,share\n0,0.25\n1,\n"
        files_store(
            measurement, [ReadFile("saturation.csv", table), ReadFile("README.md", b"# Said\n")]
        )
    return measurement


def make_proxy_run(study: Study, **changes: Any) -> ProxyRun:
    """A ready run of a proxy of the study's model, asked for by its researcher, without layers."""
    return ProxyRun.objects.create(
        **{
            "extraction": study.extractions.first(),
            "proxy": "machine-affixes",
            "min_tokens": study.min_tokens,
            "state": ProxyRun.State.READY,
            "requested_by": researcher_of(study),
            **changes,
        }
    )


def make_machine_run(study: Study, **changes: Any) -> MachineRun:
    """A ready run of a language model, requested by the study's researcher, without annotations."""
    number = MachineRun.objects.filter(study=study).count() + 1
    return MachineRun.objects.create(
        **{
            "study": study,
            "name": "machine-tiny" if number == 1 else f"machine-tiny-{number}",
            "model": "acme/tiny",
            "prompt_version": 0,
            "guidelines_version": 1,
            "rules": rules_of(study),
            "most_reply_tokens": 500,
            "most_requests": 1_000,
            "most_tokens": 1_000_000,
            "state": MachineRun.State.READY,
            "requested_by": researcher_of(study),
            **changes,
        }
    )


TRACE = Path(__file__).parent.parent / "ffn_extract" / "data" / "trace.json"


def make_data_set(study: Study, **changes: Any) -> DataSet:
    """A cancelled data set of a study."""
    choices = {"licence": "cc-by-4.0", "day": date(2026, 3, 2), "state": DataSet.State.CANCELLED}
    return DataSet.objects.create(study=study, **{**choices, **changes})


def make_trace(model: LanguageModel | None = None, **changes: Any) -> Trace:
    """A trace, by default a ready one with the answer of `tests/ffn_extract/data/trace.json`.

    `answer` replaces that. The model has its two layers, and as many vectors as it names.
    """
    answer = changes.pop("answer", None) or json.loads(TRACE.read_text())
    interventions = (answer["changed"] or {}).get("interventions", [])
    trace = Trace.objects.create(
        **{
            "model": model or LanguageModelFactory(n_layers=len(answer["layers"]), d_ff=1_000),
            "model_source": "model",
            "prompt": answer["prompt"],
            "request": {
                "position": None, "token_id": None, "new_tokens": 6,
                "interventions": interventions,
            },
            "state": Trace.State.READY,
            "expires_at": timezone.now() + timedelta(days=30),
            **changes,
        }
    )  # fmt: skip
    if trace.state == Trace.State.READY:
        kept = json.dumps(require_answer(answer, trace.model))
        TraceContent.objects.create(trace=trace, compressed=zlib.compress(kept.encode()))
    return trace


def make_prefixes(token_ids: Sequence[int], **changes: Any) -> list[dict[str, Any]]:
    """A key's trigger prefixes as they are stored, one for each last token, best first."""
    return [
        {
            "sentence": 1000 + token_id,
            "position": 5,
            "prefix": f"Nobody had expected to read of word{token_id}",
            "token_id": token_id,
            "coefficient": 9.5 - rank / 8,
            "copies": 1,
            "gate_sign": 1,
            "up_sign": 1,
            **changes,
        }
        for rank, token_id in enumerate(token_ids)
    ]


PREFIXES: dict[str, Any] = {
    "list_source": Study.ListSource.TRIGGER_PREFIXES,
    **PROTOCOLS[Study.ListSource.TRIGGER_PREFIXES].defaults,
}
"""Rules of a study of trigger prefixes, for `make_study`."""


def make_prefix_study(**changes: Any) -> Study:
    """An open study of the trigger prefixes of keys and random keys."""
    extraction = changes.pop("extraction", None) or make_extraction(kinds=KEY_KINDS)
    return make_study(extraction=extraction, **{**PREFIXES, **changes})


def make_draft(
    *, annotators: int = 2, extraction: Extraction | None = None, **changes: Any
) -> Study:
    """A study with its researcher and annotators, before it opens."""
    extractions = changes.pop("extractions", None) or [extraction or make_extraction()]
    researcher = changes.pop("researcher", None) or UserFactory(role=Role.RESEARCHER)
    people = changes.pop("people", None) or UserFactory.create_batch(annotators)
    plan = StudyPlan(
        title=changes.pop("title", "A study"),
        extractions=extractions,
        annotators=people,
        **{"annotators_per_list": min(2, len(people)), **changes},
    )
    return study_create(plan=plan, created_by=researcher)


def make_study(**changes: Any) -> Study:
    """An open study, whose annotators have read what comes before a list.

    Its training and reference lists have the reference answer of `give_references`.
    """
    study = make_draft(**changes)
    give_references(study)
    study_open(study=study)
    study.refresh_from_db()
    for membership in study.memberships.filter(role=Membership.Role.ANNOTATOR):
        consent_give(membership=membership, version=study.consent_version)
    return study


def give_references(study: Study, content: dict[str, Any] | None = None) -> None:
    """The researcher's answer to every training and reference list: tokens 1 to 4."""
    researcher = study.memberships.filter(role=Membership.Role.RESEARCHER).first().user
    for item in study.items.filter(use__in=WITH_REFERENCE):
        final = adjudicated_annotation_open(item=item, by=researcher)
        submit(final, content or answer(pattern(1, [1, 2, 3, 4])))


def submit(assignment: Assignment, content: dict[str, Any] | None = None) -> Assignment:
    """The person's answer, submitted; without content, that there is no pattern."""
    return assignment_submit(
        user=assignment.membership.user,
        public_id=assignment.public_id,
        **submission(assignment, content or answer()),
    )


def assignment_of(study: Study, position: int = 1) -> Assignment:
    """A list of the study's first annotator, who is `assignment.membership.user`."""
    return (
        Assignment.objects.filter(
            membership__role=Membership.Role.ANNOTATOR, item__study=study, position=position
        )
        .select_related("membership__user", "item__study", "item__vector")
        .order_by("membership_id")
        .first()
    )


def pattern(number: int, ranks: list[int], **changes: Any) -> dict[str, Any]:
    """One pattern of an answer's JSON."""
    return {
        "number": number,
        "description": f"pattern {number}",
        "category": "semantic",
        "stopwords": None,
        "ranks": ranks,
        **changes,
    }


def answer(*patterns: dict[str, Any], comment: str = "") -> dict[str, Any]:
    """An answer's JSON; without patterns, the explicit "no pattern"."""
    return {"patterns": list(patterns), "no_pattern": not patterns, "comment": comment}


def submission(assignment: Assignment, content: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """The body of a submit request."""
    assignment.refresh_from_db()
    return {
        "base_version": assignment.draft_version,
        "key": str(uuid.uuid4()),
        "annotation": content,
        "active_seconds": 5,
        **changes,
    }


def client_of(user: User) -> Client:
    """A browser in which the person is logged in."""
    client = Client()
    client.force_login(user)
    return client


def log_in(user: User, *, client: Client | None = None, **credentials: Any) -> Client:
    """A browser after the login page was sent; whether it let the person in is the test's."""
    client = client or Client()
    client.post("/login/", {"login": user.username, "password": PASSWORD, **credentials})
    return client


def make_invitation(*, by: User | None = None, **changes: Any) -> tuple[Invitation, str]:
    """An invitation and the path of its link."""
    invitation, token = person_invite(
        by=by or UserFactory(role=Role.ADMIN),
        **{"role": Role.ANNOTATOR, "days": 7, "uses": 1, **changes},
    )
    return invitation, f"/join/{token}/"


def newcomer(name: str = "nina", **changes: str) -> dict[str, str]:
    """What somebody fills in on the page that an invitation leads to."""
    return {"username": name, "password": PASSWORD, "email": "", **changes}


def is_in(client: Client) -> bool:
    """Whether somebody is logged in."""
    return client.get("/account/").status_code == 200


def researcher_of(study: Study) -> User:
    """The one who runs a study of `make_study`."""
    return study.memberships.get(role=Membership.Role.RESEARCHER).user


def text_of(response: Any) -> str:
    """A page's source with every run of white space as one space."""
    return " ".join(response.content.decode().split())
