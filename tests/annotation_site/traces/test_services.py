"""Who may trace what, how much, who sees it, and for how long it is kept."""

from datetime import timedelta

import pytest
from django.utils import timezone

from annotation_site import bounds
from annotation_site.accounts.models import AuditEntry, Role
from annotation_site.annotation.models import Membership
from annotation_site.annotation.people.joining import person_erase
from annotation_site.corpus.models import Extraction, LanguageModel
from annotation_site.errors import Invalid, NotAllowed
from annotation_site.traces import selectors, services
from annotation_site.traces.models import Trace, TraceContent
from annotation_site.traces.sweeps import traces_sweep
from tests.annotation_site.factories import (
    LanguageModelFactory,
    UserFactory,
    make_extraction,
    make_study,
    make_trace,
)

pytestmark = pytest.mark.django_db
State = Trace.State


@pytest.fixture
def researcher(messages):
    return UserFactory(role=Role.RESEARCHER)


@pytest.fixture
def model(monkeypatch):
    """A model that was extracted here; that its files are there is another test's."""
    monkeypatch.setattr(services, "trace_refusal", lambda model: "")
    model = LanguageModelFactory(n_layers=2, d_ff=16, vocab_size=100)
    make_extraction(model=model, kinds=("value",))
    return model


def request(model, by, prompt="the cat sat on the", **changes):
    return services.trace_request(model=model, prompt=prompt, requested_by=by, **changes)


def refused(model, by, **changes):
    with pytest.raises((Invalid, NotAllowed)) as raised:
        request(model, by, **changes)
    return raised.value.message


def change(layer=0, index=0, **more):
    return {"layer": layer, "index": index, "action": "scale", "value": -1, **more}


def test_a_request_waits_for_a_worker_and_names_the_day_of_its_deletion(
    model, researcher, messages, settings
):
    settings.TRACE_DAYS = 7
    trace = request(model, researcher, position=3, token_id=5, interventions=[change(1, 7)])
    assert (trace.state, trace.model_source, trace.is_shared) == (State.QUEUED, "model", False)
    assert trace.request == {
        "position": 3, "token_id": 5, "new_tokens": services.NEW_TOKENS,
        "interventions": [
            {"layer": 1, "index": 7, "action": "scale", "value": -1.0, "from_position": 0}
        ],
    }  # fmt: skip
    assert abs(trace.expires_at - timezone.now() - timedelta(days=7)) < timedelta(minutes=1)
    assert messages == [("trace_work", trace.pk)]


def test_the_log_holds_no_prompt(model, researcher):
    trace = request(model, researcher, prompt="a secret prompt")
    services.trace_share(trace=trace, is_shared=True, by=researcher)
    services.trace_delete(trace=trace, by=researcher)
    entries = AuditEntry.objects.filter(action__startswith="trace_").order_by("pk")
    assert [entry.action for entry in entries] == [
        "trace_requested", "trace_shared", "trace_deleted",
    ]  # fmt: skip
    assert "secret" not in str([(entry.target, entry.details) for entry in entries])


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"prompt": ""}, "Type a prompt first, such as “The capital of France is”."),
        ({"prompt": " \n"}, "Type a prompt first, such as “The capital of France is”."),
        (
            {"prompt": "a" * (bounds.PROMPT + 1)},
            "The prompt has 2,001 letters, and at most 2,000 can be traced.",
        ),
        ({"prompt": "a\0b"}, "The prompt has a character NUL, which cannot be stored."),
        (
            {"new_tokens": 51},
            "Give a number of 0 to 50 for the number of tokens to continue with; 51 is not one.",
        ),
        ({"position": 256}, "Give a number of 0 to 255 for the position; 256 is not one."),
        ({"token_id": 100}, "Give a number of 0 to 99 for the token; 100 is not one."),
        (
            {"interventions": [change(0, n % 16) for n in range(21)]},
            "21 vectors are chosen, and at most 20 can be changed in a trace.",
        ),
        (
            {"interventions": [change(2, 0)]},
            "The model has no vector 2.0. Choose a layer of 0 to 1 and an index of 0 to 15.",
        ),
        (
            {"interventions": [change(), change()]},
            "The vector 0.0 is chosen twice. Change it once.",
        ),
        (
            {"interventions": [change(value=float("inf"))]},
            "Give a number between −1,000,000 and 1,000,000 for the vector 0.0.",
        ),
        (
            {"interventions": [change(action="double")]},
            "A vector can be set, scaled or zeroed; “double” is none of these.",
        ),
    ],
)
def test_what_cannot_be_traced_is_refused_with_its_numbers(model, researcher, changes, said):
    assert refused(model, researcher, **changes) == said
    assert not Trace.objects.exists()


def test_ten_traces_of_one_person_wait_and_no_more(model, researcher):
    for _ in range(services.MOST_WAITING):
        request(model, researcher)
    assert refused(model, researcher).startswith("10 of your traces are waiting")
    request(model, UserFactory(role=Role.RESEARCHER))
    Trace.objects.filter(requested_by=researcher).first().delete()
    request(model, researcher)


def test_a_hundred_a_day_count_also_when_they_were_deleted(model, researcher):
    for _ in range(services.MOST_A_DAY):
        trace = request(model, researcher)
        services.trace_delete(trace=trace, by=researcher)
    assert refused(model, researcher).startswith("You requested 100 traces today")


def test_annotators_trace_nothing(model, messages):
    assert refused(model, UserFactory()) == "Only researchers and admins trace prompts."


def test_nobody_changes_a_vector_of_a_study_in_which_they_annotate(messages, monkeypatch):
    monkeypatch.setattr(services, "trace_refusal", lambda model: "")
    study = make_study(lists_per_layer=1)
    item = study.items.select_related("vector__extraction__model").filter(
        vector__kind="value"
    ).first()  # fmt: skip
    vector = item.vector
    annotator = study.memberships.filter(role=Membership.Role.ANNOTATOR).first().user
    annotator.role = Role.RESEARCHER
    annotator.save()
    model = vector.extraction.model
    theirs = [change(vector.layer, vector.index)]
    assert refused(model, annotator, interventions=theirs) == (
        "A chosen vector belongs to an unfinished study in which you annotate. You can change it "
        "when the study is closed."
    )
    request(model, annotator, interventions=[change(vector.layer, 15)])
    request(model, UserFactory(role=Role.RESEARCHER), interventions=theirs)


def test_a_trace_is_seen_by_its_person_and_admins_and_shared_by_the_team():
    rosa, other = UserFactory.create_batch(2, role=Role.RESEARCHER)
    admin, annotator = UserFactory(role=Role.ADMIN), UserFactory()
    trace = make_trace(requested_by=rosa)

    def seen():
        return [trace in selectors.traces_of(who) for who in (rosa, other, admin, annotator)]

    assert seen() == [True, False, True, False]
    with pytest.raises(NotAllowed):
        services.trace_share(trace=trace, is_shared=True, by=other)
    services.trace_share(trace=trace, is_shared=True, by=rosa)
    assert seen() == [True, True, True, False]
    with pytest.raises(NotAllowed):  # the team reads
        services.trace_delete(trace=trace, by=other)
    services.trace_share(trace=trace, is_shared=False, by=admin)
    assert seen() == [True, False, True, False]
    services.trace_delete(trace=trace, by=admin)
    assert not Trace.objects.exists()
    assert not TraceContent.objects.exists()


def test_expired_traces_are_swept_away_with_their_models():
    kept, over = make_trace(), make_trace(expires_at=timezone.now() - timedelta(seconds=1))
    waiting = make_trace(state=State.QUEUED, expires_at=timezone.now() - timedelta(seconds=1))
    traces_sweep()
    assert list(Trace.objects.all()) == [kept]
    assert list(LanguageModel.objects.all()) == [kept.model]  # nothing else was left of those
    assert not Trace.objects.filter(pk__in=(over.pk, waiting.pk)).exists()


def test_a_model_with_extractions_stays_when_its_last_trace_is_deleted():
    model = LanguageModelFactory(d_ff=1_000)
    make_extraction(model=model, kinds=("value",))
    trace = make_trace(model, requested_by=UserFactory(role=Role.RESEARCHER))
    services.trace_delete(trace=trace, by=trace.requested_by)
    assert list(LanguageModel.objects.all()) == [model]


def test_erasing_a_person_deletes_their_traces():
    rosa, admin = UserFactory(role=Role.RESEARCHER), UserFactory(role=Role.ADMIN)
    make_trace(requested_by=rosa, is_shared=True)
    make_trace(requested_by=rosa, state=State.QUEUED)
    other = make_trace(requested_by=admin)
    person_erase(person=rosa, by=admin)
    assert list(Trace.objects.all()) == [other]
    assert not TraceContent.objects.exclude(trace=other).exists()


def test_a_model_that_cannot_be_traced_says_why(settings, tmp_path, tiny_model):
    settings.MODELS_DIR = tmp_path
    model = LanguageModelFactory(name="m")
    assert services.trace_refusal(model) == (
        "m has no ready extraction here. Enqueue the model first."
    )
    make_extraction(model=model, layers=1, per_layer=1, kinds=("value",))
    Extraction.objects.update(model_source="tiny")
    assert services.trace_refusal(model) == (
        "The files of m are not on this site anymore. Put “tiny” back into MODELS_DIR, or enqueue "
        "the model again."
    )
    LanguageModel.objects.update(revision="abc")  # of the hub: a worker asks there
    model.refresh_from_db()
    assert services.trace_refusal(model) == ""
    (tmp_path / "tiny").symlink_to(tiny_model("bert"))
    assert services.trace_refusal(model).startswith("A bert model is an encoder")
    (tmp_path / "tiny").unlink()
    (tmp_path / "tiny").symlink_to(tiny_model("gpt2"))
    assert services.trace_refusal(model) == ""


def test_the_form_of_a_demo_model_begins_with_a_prompt():
    names = ("SmolLM2-135M-Instruct", "someone/SmolLM2-360M", "gpt2")
    found = [selectors.example_of(LanguageModelFactory(name=name)) for name in names]
    assert found == ["The capital of France is", "The capital of France is", ""]
