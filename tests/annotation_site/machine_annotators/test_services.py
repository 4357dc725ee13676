"""Services of runs: who may ask, what is refused in a sentence, limits, budget, prompts, log."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.utils import timezone

from annotation_site.accounts.audit import entries
from annotation_site.accounts.models import Role
from annotation_site.annotation.models import Study
from annotation_site.annotation.people.consent import study_texts_change
from annotation_site.corpus.models import Vector
from annotation_site.corpus.services import extraction_delete
from annotation_site.errors import Invalid, NotAllowed, NotFound
from annotation_site.machine_annotators import forecasts, prompts, services
from annotation_site.machine_annotators.asking import most_tokens_of
from annotation_site.machine_annotators.forecasts import run_forecast
from annotation_site.machine_annotators.messages import DEFAULT_PROMPT, PROMPT_MOST
from annotation_site.machine_annotators.models import (
    MachineAnnotation,
    MachineExchange,
    MachineRun,
    MachineSpending,
)
from annotation_site.machine_annotators.selectors import (
    exchanges_of,
    ready_runs,
    runs_of_study,
    vectors_covered,
)
from annotation_site.operations.tidy import tidy
from annotation_site.results.files.deletion import study_delete, study_delete_run
from annotation_site.results.snapshots.versions import data_version
from tests.annotation_site.factories import (
    UserFactory,
    make_draft,
    make_prefix_study,
    make_study,
    researcher_of,
)
from tests.annotation_site.machine_annotators.made import (
    MODEL,
    NONE,
    request_run,
    set_up,
    work,
)
from tests.annotation_site.proxies.made import make_census, make_value_study

pytestmark = pytest.mark.django_db
State = MachineRun.State


@pytest.fixture(autouse=True)
def _model(settings):
    set_up(settings)


@pytest.fixture
def study():
    return make_study()


def ended(study, monkeypatch, **changes):
    run = request_run(study, **changes)
    work(run, monkeypatch, lambda request, n: NONE)
    return run


def test_a_run_keeps_what_it_was_requested_with(study):
    run = request_run(study, temperature=0.7, seed=3)
    assert (run.name, run.title) == ("machine-tiny-model-1-5", "Machine: tiny-model-1-5")
    assert (run.model, run.endpoint, run.is_local) == (MODEL, "llm.example.org", False)
    assert (run.state, run.total, run.covers) == (State.QUEUED, study.items.count(), "lists")
    assert (run.prompt_version, run.guidelines_version) == (0, 1)
    assert (run.temperature, run.seed, run.most_reply_tokens) == (0.7, 3, 500)
    assert (run.price_input, run.price_output, run.currency) == (1, 4, "USD")
    assert run.rules["categories"] == study.categories
    assert request_run(study).name == "machine-tiny-model-1-5-2"
    assert set(runs_of_study(study)) == set(MachineRun.objects.all())
    assert not ready_runs(study).exists()


NAMES = {
    "machine/hypernyms": "machine-hypernyms-2",  # another annotator has that name
    "llama3:8b": "machine-llama3-8b",
    "///": "machine-model",
    "模型": "machine-model-2",
    "m" * 200: f"machine-{'m' * 50}",
}


def test_a_name_is_the_models_last_part(study, settings):
    for model, name in NAMES.items():
        settings.LLM_MODEL = model
        assert request_run(study, by=None).name == name


def test_a_local_model_has_no_endpoint_and_no_price(study, settings):
    set_up(settings, LLM_ENDPOINT="", LLM_PRICE_INPUT=None, LLM_PRICE_OUTPUT=None)
    run = request_run(study, most_cost=None)
    assert run.is_local
    assert (run.most_cost, run.currency, run.price_input) == (None, "", None)


def test_only_researchers_of_the_study_and_admins_may(study, monkeypatch):
    run = request_run(study)
    admin, other = UserFactory(role=Role.ADMIN), UserFactory(role=Role.RESEARCHER)
    annotator = study.memberships.filter(role="annotator").first().user
    for person in (other, annotator):
        for change in (
            lambda by: request_run(study, by=by),
            lambda by: services.run_cancel(run=run, by=by),
            lambda by: services.run_continue(run=run, by=by),
            lambda by: services.run_delete(run=run, by=by),
            lambda by: services.exchanges_delete(run=run, by=by),
            lambda by: services.prompt_save(study=study, text="x", base=0, by=by),
        ):
            with pytest.raises(NotAllowed, match="researchers of the study"):
                change(person)
    for person in (admin, researcher_of(study)):
        request_run(study, by=person)


REFUSED = [
    ({"covers": "everything"}, "covers one of: lists, vectors"),
    ({"temperature": 2.1}, "from 0 to 2.0"),
    ({"temperature": float("nan")}, "from 0 to 2.0"),
    ({"temperature": True}, "from 0 to 2.0"),
    ({"temperature": "0"}, "from 0 to 2.0"),
    ({"seed": -1}, "seed must be a whole number"),
    ({"seed": 2**31}, "seed must be a whole number"),
    ({"most_reply_tokens": 1_001}, "from 16 to 1,000"),
    ({"most_reply_tokens": 1}, "from 16 to 1,000"),
    ({"most_requests": 0}, "limit of requests must be"),
    ({"most_requests": 10**7}, "limit of requests must be"),
    ({"most_tokens": 10**12}, "limit of tokens must be"),
    ({"most_tokens": 1.5}, "limit of tokens must be"),
    ({"most_cost": None}, "Give a limit of cost in USD"),
    ({"most_cost": Decimal(0)}, "number above 0"),
    ({"most_cost": Decimal("NaN")}, "number above 0"),
    ({"most_cost": Decimal("Infinity")}, "number above 0"),
    ({"most_cost": Decimal("0.0000001")}, "six decimal places"),
    ({"most_cost": Decimal("1e9")}, "at most 1,000,000"),
    ({"most_cost": "much"}, "number above 0"),
]


def test_numbers_out_of_bounds_are_refused(study):
    for changes, words in REFUSED:
        with pytest.raises(Invalid, match=words):
            request_run(study, **changes)
    assert not MachineRun.objects.exists()


def test_without_a_model_nothing_is_requested(study, settings):
    settings.LLM_MODEL = ""
    with pytest.raises(Invalid, match="No language model is set up"):
        request_run(study)
    with pytest.raises(Invalid, match="No language model is set up"):
        run_forecast(study, "lists")


def test_a_study_that_goes_is_archived_or_has_no_lists_is_refused(study):
    Study.objects.filter(pk=study.pk).update(state=Study.State.ARCHIVED)
    with pytest.raises(Invalid, match="archived"):
        request_run(study)
    empty = make_draft()
    empty.items.all().delete()
    with pytest.raises(Invalid, match="no lists yet"):
        request_run(empty)
    with pytest.raises(Invalid, match="no lists yet"):
        run_forecast(empty, "lists")
    Study.objects.filter(pk=study.pk).update(state=Study.State.DELETING)
    with pytest.raises(NotFound):
        request_run(study, by=None)


def test_a_person_has_few_unfinished_runs_and_a_study_few_runs(study):
    for _ in range(services.MOST_UNFINISHED):
        run = request_run(study)
    with pytest.raises(Invalid, match="3 of your runs"):
        request_run(study)
    services.run_cancel(run=run, by=researcher_of(study))
    request_run(study)
    MachineRun.objects.update(state=State.CANCELLED)
    for _ in range(services.MOST_OF_STUDY - MachineRun.objects.count()):
        request_run(study, by=None)
    MachineRun.objects.update(state=State.CANCELLED)
    with pytest.raises(Invalid, match="10 runs"):
        request_run(study)


def test_the_budget_counts_what_was_spent_lately_and_may_still_be(study, settings, monkeypatch):
    settings.LLM_BUDGET = Decimal(10)
    ended(study, monkeypatch, most_cost=Decimal(4))
    spent = MachineSpending.objects.get().cost
    assert 0 < spent < Decimal("0.01")
    request_run(study, most_cost=Decimal(6))
    with pytest.raises(Invalid, match=r"10\.00 USD in 30 days, of which 3\.99"):
        request_run(study, most_cost=Decimal(4))
    run = request_run(study, most_cost=Decimal("3.5"))
    services.run_cancel(run=run, by=None)
    request_run(study, most_cost=Decimal("3.9"))
    # A deleted run has spent all the same.
    MachineRun.objects.all().delete()
    MachineSpending.objects.update(cost=Decimal(9))
    with pytest.raises(Invalid, match=r"of which 1\.00 are left"):
        request_run(study, most_cost=Decimal(2))
    MachineSpending.objects.update(day=(timezone.now() - timedelta(days=31)).date())
    request_run(study, most_cost=Decimal(10))


def test_every_value_vector_can_be_covered_where_the_lists_are_here():
    census = make_census()
    study = make_value_study(census)
    own = set(study.items.values_list("vector", flat=True))
    values = set(
        Vector.objects.filter(extraction=census, kind="value").values_list("pk", flat=True)
    )
    assert set(vectors_covered(study, "vectors").values_list("pk", flat=True)) == own | values
    assert request_run(study, covers="vectors").total == len(own | values)
    assert run_forecast(study, "vectors").lists == len(own | values)


def test_another_extraction_of_the_same_model_can_hold_every_value_vector():
    census = make_census()
    other = make_census(model=census.model)
    other.parameters = {**other.parameters, "per_layer": 4}
    other.save()
    study = make_value_study(other)
    assert vectors_covered(study, "vectors").filter(extraction=census, kind="value").count() == 24
    run = request_run(study, covers="vectors")
    extraction_delete(extraction=census)
    with pytest.raises(Invalid, match="no list of every value vector"):
        services.vectors_left(run).count()


def test_a_deleted_extraction_takes_its_annotations_along(monkeypatch):
    census = make_census()
    other = make_census(model=census.model)
    other.parameters = {**other.parameters, "per_layer": 4}
    other.save()
    run = ended(make_value_study(other), monkeypatch, covers="vectors")
    assert run.state == State.READY
    extraction_delete(extraction=census)
    assert run.annotations.count() == run.exchanges.count() == 12


@pytest.mark.parametrize("make", [make_study, make_prefix_study])
def test_not_every_vector_is_covered_where_lists_are_missing(make):
    with pytest.raises(Invalid, match="study’s lists only"):
        request_run(make(), covers="vectors")


def test_prefix_lists_are_annotated_too(monkeypatch):
    run = ended(make_prefix_study(), monkeypatch)
    assert run.state == State.READY
    assert "Nobody had expected" in str(run.exchanges.first().messages)


def test_a_run_that_has_ended_can_be_continued_unless_there_is_nothing_to_do(
    study, monkeypatch, settings
):
    by = researcher_of(study)
    run = request_run(study)
    with pytest.raises(Invalid, match="at work already"):
        services.run_continue(run=run, by=by)
    services.run_cancel(run=run, by=by)
    services.run_cancel(run=run, by=by)  # a no-op
    again = services.run_continue(run=run, by=by, most_requests=77, most_cost=Decimal("1.5"))
    assert (again.state, again.most_requests, again.most_cost) == (State.QUEUED, 77, Decimal("1.5"))
    assert (again.claim, again.error, again.finished_at) == (None, "", None)
    work(again, monkeypatch, lambda request, n: NONE)
    assert (again.state, again.requests) == (State.READY, 12)
    with pytest.raises(Invalid, match="nothing to continue"):
        services.run_continue(run=again, by=by)
    again.annotations.first().delete()
    with pytest.raises(Invalid, match="has used 12 requests"):
        services.run_continue(run=again, by=by, most_requests=12)
    settings.LLM_MODEL = "other"
    with pytest.raises(Invalid, match="Request a new run"):
        services.run_continue(run=again, by=by)
    settings.LLM_MODEL = MODEL
    settings.LLM_CURRENCY = "EUR"
    with pytest.raises(Invalid, match="Prices were in USD"):
        services.run_continue(run=again, by=by)
    settings.LLM_CURRENCY = "USD"
    Study.objects.filter(pk=study.pk).update(min_tokens=5)
    with pytest.raises(Invalid, match="rules changed"):
        services.run_continue(run=again, by=by)
    Study.objects.filter(pk=study.pk).update(min_tokens=4)
    MachineRun.objects.update(restored=True)
    with pytest.raises(Invalid, match="came with an archive"):
        services.run_continue(run=again, by=by)


def test_a_deleted_run_is_gone_from_tables_and_not_from_the_budget(study, monkeypatch):
    by = researcher_of(study)
    run = request_run(study)
    with pytest.raises(Invalid, match="Cancel it first"):
        services.run_delete(run=run, by=by)
    with pytest.raises(Invalid, match="Cancel it first"):
        services.exchanges_delete(run=run, by=by)
    work(run, monkeypatch, lambda request, n: NONE)
    before = data_version(study.pk)
    assert list(ready_runs(study)) == [run]
    assert exchanges_of(run).count() == 12
    services.run_delete(run=run, by=by)
    services.run_delete(run=run, by=by)  # a no-op
    assert data_version(study.pk) != before
    assert not MachineAnnotation.objects.exists()
    assert not MachineExchange.objects.exists()
    assert MachineSpending.objects.get().cost > 0


def test_exchanges_can_be_deleted_at_once_and_go_by_their_age(study, monkeypatch, settings):
    run = ended(study, monkeypatch)
    MachineExchange.objects.filter(pk__in=run.exchanges.values("pk")[:5]).update(
        sent_at=timezone.now() - timedelta(days=91)
    )
    assert "5 requests to language models" in str(tidy(dry_run=True))
    tidy()
    assert run.exchanges.count() == 7
    assert services.exchanges_delete(run=run, by=researcher_of(study)) == 7
    assert services.exchanges_delete(run=run, by=researcher_of(study)) == 0
    run.refresh_from_db()
    assert (run.annotations.count(), run.requests, run.state) == (12, 12, State.READY)


def test_a_deleted_study_takes_its_runs_along(study, monkeypatch):
    ended(study, monkeypatch)
    services.prompt_save(study=study, text="Look.", base=0)
    waiting = request_run(study)
    Study.objects.filter(pk=study.pk).update(state=Study.State.PAUSED)
    study_delete(study=study, by=researcher_of(study))
    waiting.refresh_from_db()
    assert waiting.state == State.CANCELLED
    study_delete_run(deletion_id=study.deletion.pk)
    assert not Study.objects.exists()
    assert not MachineRun.objects.exists()
    assert not MachineExchange.objects.exists()


def test_the_log_says_who_did_what_and_holds_no_text(study, monkeypatch):
    by = researcher_of(study)
    services.prompt_save(study=study, text="A very special prompt", base=0, by=by)
    run = request_run(study)
    services.run_cancel(run=run, by=by)
    run = services.run_continue(run=run, by=by)
    work(run, monkeypatch, lambda request, n: NONE)
    services.exchanges_delete(run=run, by=by)
    services.run_delete(run=run, by=by)
    found = [entry for entry in entries() if entry.action.startswith("machine_")]
    assert [entry.action for entry in reversed(found)] == [
        "machine_annotator_prompt_changed",
        "machine_annotator_requested",
        "machine_annotator_cancelled",
        "machine_annotator_continued",
        "machine_annotator_exchanges_deleted",
        "machine_annotator_deleted",
    ]
    assert {entry.actor for entry in found} == {by.public_id}
    assert "special" not in str([entry.details for entry in found])


def test_a_prompt_is_versioned(study):
    by = researcher_of(study)
    assert services.prompt_current(study) == (0, DEFAULT_PROMPT)
    assert services.prompt_save(study=study, text=DEFAULT_PROMPT, base=0, by=by).version == 0
    first = services.prompt_save(study=study, text=" One\r\ntwo \r\n", base=0, by=by)
    assert (first.version, first.text) == (1, "One\ntwo")
    run = request_run(study)
    assert run.prompt_version == 1
    assert services.prompt_save(study=study, text="One\ntwo", base=0, by=by) == first
    with pytest.raises(Invalid, match="changed after you opened"):
        services.prompt_save(study=study, text="Three", base=0, by=by)
    services.prompt_save(study=study, text="Three", base=1, by=by)
    assert services.prompt_current(study) == (2, "Three")
    assert prompts.prompt_text(study, run.prompt_version) == "One\ntwo"


def test_a_prompt_has_bounds(study):
    texts = {
        " \r\n": "is empty",
        "x" * (PROMPT_MOST + 1): "6,001 characters",
        "a\0b": "cannot be stored",
        "a\ud800": "cannot be stored",
    }
    for text, words in texts.items():
        with pytest.raises(Invalid, match=words):
            services.prompt_save(study=study, text=text, base=0)
    assert services.prompt_current(study)[0] == 0


def test_a_prompt_changes_so_often_a_day(study, monkeypatch):
    monkeypatch.setattr(prompts, "MOST_VERSIONS_A_DAY", 2)
    for n in range(2):
        services.prompt_save(study=study, text=f"Version {n}", base=n)
    with pytest.raises(Invalid, match="2 times a day"):
        services.prompt_save(study=study, text="Version 3", base=2)


def test_a_run_keeps_the_texts_of_its_request(study, monkeypatch):
    services.prompt_save(study=study, text="The first prompt.", base=0)
    run = request_run(study)
    services.prompt_save(study=study, text="The second prompt.", base=1)
    study_texts_change(
        study=study, guidelines="New ones.", guidelines_base=1, consent="", consent_base=0
    )
    work(run, monkeypatch, lambda request, n: NONE)
    sent = str(list(run.exchanges.values_list("messages", flat=True)))
    assert "The first prompt." in sent
    assert "second" not in sent
    assert "New ones." not in sent


def test_a_forecast_has_the_exact_messages_and_is_never_too_low(study, monkeypatch):
    services.prompt_save(study=study, text="Do look.", base=0)
    forecast = run_forecast(study, "lists", most_reply_tokens=500)
    run = request_run(study, most_cost=forecast.cost)
    work(run, monkeypatch, lambda request, n: "very " * 5_000 + "wrong")
    assert (run.state, run.failed) == (State.READY, 12)
    assert run.requests == forecast.requests == 24
    once = forecast.once
    assert (once.requests, once.output_tokens, once.once) == (12, 12 * 500, None)
    kept = list(run.exchanges.order_by("pk"))
    assert forecast.messages_of_first in [one.messages for one in kept]
    bounds = [most_tokens_of(one.messages) for one in kept]
    assert sum(bounds) <= forecast.input_tokens
    assert sum(bounds[i] for i, one in enumerate(kept) if one.number == 1) == once.input_tokens
    assert forecast.output_tokens == 24 * 500
    assert forecast.cost == Decimal(forecast.input_tokens + 4 * 24 * 500) / 1_000_000
    assert (forecast.currency, forecast.model, forecast.endpoint) == (
        "USD", MODEL, "llm.example.org",
    )  # fmt: skip


def test_a_forecast_of_more_lists_than_it_looks_at_is_no_bound(study, monkeypatch):
    assert run_forecast(study, "lists").is_bound
    monkeypatch.setattr(forecasts, "LOOKED_AT", 3)
    found = run_forecast(study, "lists")
    assert (found.lists, found.looked_at, found.is_bound) == (12, 3, False)
