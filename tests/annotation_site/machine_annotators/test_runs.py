"""A run: each list once, malformed replies, silence, limits, lost claims, places given back."""

import uuid
from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from annotation_site.annotation.models import Item
from annotation_site.annotation.studies.rules import study_extend
from annotation_site.corpus.models import Extraction, Vector
from annotation_site.errors import Invalid
from annotation_site.machine_annotators import exchanges, runs, services
from annotation_site.machine_annotators.answerers import NoReply
from annotation_site.machine_annotators.models import (
    MachineAnnotation,
    MachineExchange,
    MachineRun,
    MachineSpending,
)
from annotation_site.machine_annotators.sweeps import machine_runs_sweep
from annotation_site.machine_annotators.tasks import machine_run_work
from annotation_site.results.snapshots.versions import data_version
from annotation_site.workers.models import Worker
from tests.annotation_site.factories import make_extraction, make_study, researcher_of
from tests.annotation_site.machine_annotators.fake_endpoint import asked_in
from tests.annotation_site.machine_annotators.made import (
    FOUND,
    MODEL,
    NONE,
    Answering,
    reply,
    request_run,
    set_up,
    work,
)

pytestmark = pytest.mark.django_db
State = MachineRun.State
LOCKED = 'FROM "annotation_study" WHERE "annotation_study"."id"'
RUN = '"machine_annotators_machinerun"'


@pytest.fixture(autouse=True)
def _model(settings):
    set_up(settings)


@pytest.fixture
def study():
    return make_study(extraction=make_extraction(per_layer=4), lists_per_layer=2)  # 12 lists


def lists_of(study):
    return set(study.items.filter(use=Item.Use.STUDY).values_list("vector", flat=True))


def annotated(run):
    return sorted(run.annotations.values_list("vector", flat=True))


def test_each_list_is_asked_about_once_and_tables_change(study, monkeypatch):
    run = request_run(study)
    before = data_version(study.pk)
    model = work(run, monkeypatch, lambda request, n: FOUND if n % 2 else NONE)
    assert run.state == State.READY
    assert annotated(run) == sorted(lists_of(study))
    assert (run.done, run.failed, run.total, run.percent) == (12, 0, 12, 100)
    assert len(model.requests) == run.requests == run.exchanges.count() == 12
    assert (run.input_tokens, run.output_tokens) == (12 * 100, 12 * 10)
    assert run.cost == 12 * (Decimal(100) + 4 * 10) / 1_000_000
    assert run.model_version == "v1"
    assert not run.versions_differ
    assert model.closed == 1
    study.refresh_from_db()
    assert data_version(study.pk) != before
    kept = run.annotations.exclude(annotation__patterns=[]).first().annotation
    assert kept == {
        "patterns": [
            {
                "number": 1,
                "description": "a pattern",
                "category": "semantic",
                "stopwords": None,
                "ranks": [1, 2, 3, 5],
            }
        ],
        "no_pattern": False,
        "comment": "",
    }
    exchange = run.exchanges.first()
    assert exchange.state == MachineExchange.State.REPLIED
    assert exchange.messages in [request.messages for request in model.requests]
    assert exchange.reply in (FOUND, NONE)
    (spent,) = MachineSpending.objects.all()
    assert (spent.cost, spent.currency) == (run.cost, "USD")


def test_the_order_of_lists_tells_nothing_and_is_the_runs_own(study, monkeypatch):
    orders = []
    for _ in range(2):
        run = request_run(study)
        work(run, monkeypatch, lambda request, n: NONE)
        orders.append(list(run.exchanges.values_list("vector", flat=True)))
    assert sorted(orders[0]) == sorted(orders[1])
    assert orders[0] != orders[1]
    assert sorted(orders[0]) not in orders


def test_a_request_holds_nothing_of_the_list_but_entries_and_glosses(study, monkeypatch):
    run = request_run(study)
    model = work(run, monkeypatch, lambda request, n: NONE)
    vector = Vector.objects.get(pk=run.exchanges.first().vector_id)
    sent = str(run.exchanges.first().messages)
    assert all(f"word{i}" in sent and f"the meaning of {i}" in sent for i in vector.token_ids)
    said = str([request.messages for request in model.requests])
    for hidden in ("secret context", "update", "random", vector.extraction.model.name, "layer"):
        assert hidden not in said
    assert {(r.temperature, r.seed, r.max_tokens) for r in model.requests} == {(0.0, 0, 500)}


def test_a_malformed_reply_is_asked_again_once_with_the_reason(study, monkeypatch):
    run = request_run(study)
    first = []

    def say(request, n):
        if request.messages[-1]["content"] == asked_in(request.messages):  # the first time
            first.append(request.messages[-1]["content"])
            return "I see animals." if len(first) <= 2 else NONE
        return NONE if asked_in(request.messages) == first[0] else "Still animals."

    model = work(run, monkeypatch, say)
    assert run.state == State.READY
    assert (run.done, run.failed, run.requests) == (12, 1, 14)
    again = [
        request.messages
        for request in model.requests
        if "cannot be read" in request.messages[-1]["content"]
    ]
    assert [one["role"] for one in again[0][-3:]] == ["user", "assistant", "user"]
    assert again[0][-2]["content"] == "I see animals."
    assert "It is not one JSON object" in again[0][-1]["content"]
    failed = run.annotations.get(annotation__isnull=True)
    assert failed.failure.startswith("It is not one JSON object: it begins with 'Still animals.'")
    states = run.exchanges.filter(vector=failed.vector_id).values_list("number", "state", "reply")
    assert list(states) == [(1, "malformed", "I see animals."), (2, "malformed", "Still animals.")]
    assert MachineAnnotation.objects.filter(run=run, annotation__isnull=True).count() == 1


LATE = NoReply("The endpoint gave no whole reply within 60 seconds.")
BUSY = NoReply("The endpoint is busy or out of order (status 429).", is_busy=True)


def test_a_list_without_a_reply_fails_after_four_rounds_in_which_others_have_one(
    study, monkeypatch
):
    run = request_run(study)
    asked = []

    def say(request, n):
        asked.append(asked_in(request.messages))
        if asked[-1] == asked[0]:
            return LATE
        return BUSY if (n - asked.count(asked[0])) % 2 else NONE  # every second of the others

    work(run, monkeypatch, say)
    assert run.state == State.READY
    assert (run.done, run.failed) == (12, 1)
    assert run.annotations.get(annotation__isnull=True).failure == LATE.sentence
    assert asked.count(asked[0]) == runs.MOST_UNANSWERED
    # Their upper bounds stay, since nobody knows whether they were worked at.
    assert run.output_tokens == 11 * 10 + (run.requests - 11) * 500


def test_the_last_list_fails_after_silence_if_others_had_replies_when_it_had_none(
    study, monkeypatch
):
    run = request_run(study)
    asked = []

    def say(request, n):
        asked.append(asked_in(request.messages))
        return LATE if n > 3 and asked[-1] == asked[3] else NONE

    work(run, monkeypatch, say)
    assert run.state == State.READY
    assert (run.done, run.failed) == (12, 1)
    assert run.requests == 11 + asked.count(asked[3]) == 11 + 3 + runs.MOST_SILENT_ROUNDS


def test_an_endpoint_that_refuses_three_requests_of_four_fails_no_list(study, monkeypatch):
    run = request_run(study)
    work(run, monkeypatch, lambda request, n: BUSY if n % 4 else NONE)
    assert (run.state, run.done, run.failed) == (State.READY, 12, 0)
    assert run.requests > 12 * 3


@pytest.mark.parametrize("left", [1, 2, 12])
@pytest.mark.parametrize("said", [LATE, BUSY])
def test_an_endpoint_that_goes_away_fails_the_run_and_no_list(study, monkeypatch, left, said):
    run = request_run(study)
    good = []

    def say(request, n):
        if len(good) < 12 - left:
            good.append(n)
            return NONE
        return said

    work(run, monkeypatch, say)
    assert (run.state, run.done, run.failed) == (State.FAILED, 12 - left, 0)
    assert said.sentence in run.error
    run = services.run_continue(run=run, by=researcher_of(study))
    work(run, monkeypatch, lambda request, n: NONE)
    assert (run.state, run.failed) == (State.READY, 0)
    assert annotated(run) == sorted(lists_of(study))


def test_a_malformed_reply_after_none_is_still_asked_again(study, monkeypatch):
    run = request_run(study)
    asked = []

    def say(request, n):
        asked.append(asked_in(request.messages))
        if asked[-1] != asked[0]:
            return NONE if n % 3 == 2 else BUSY
        return [LATE, LATE, LATE, "no JSON", NONE][asked.count(asked[0]) - 1]

    work(run, monkeypatch, say)
    assert (run.state, run.done, run.failed) == (State.READY, 12, 0)


def test_a_list_that_is_too_long_fails_at_once(study, monkeypatch):
    run = request_run(study)
    long = NoReply("It is too long.", is_hopeless=True)
    work(run, monkeypatch, lambda request, n: long if n == 1 else NONE)
    assert (run.state, run.failed, run.requests) == (State.READY, 1, 12)
    assert run.annotations.get(annotation__isnull=True).failure == "It is too long."


def test_silence_over_several_lists_fails_the_run_which_continues_later(study, monkeypatch):
    run = request_run(study)
    model = work(run, monkeypatch, lambda request, n: NoReply("Connection refused."))
    assert run.state == State.FAILED
    assert len(model.requests) == 3 + (runs.MOST_SILENT_ROUNDS - 1)  # fewer at once in silence
    assert "Connection refused." in run.error
    assert "Continue the run" in run.error
    assert run.annotations.count() == 0
    run = services.run_continue(run=run, by=researcher_of(study))
    work(run, monkeypatch, lambda request, n: NONE)
    assert (run.state, run.failed) == (State.READY, 0)
    assert annotated(run) == sorted(lists_of(study))


def test_a_refusal_for_good_ends_the_run_at_once(study, monkeypatch):
    run = request_run(study)
    said = NoReply("The endpoint refuses the key. Set another.", is_final=True)
    model = work(run, monkeypatch, lambda request, n: said)
    assert (run.state, run.error) == (State.FAILED, "The endpoint refuses the key. Set another.")
    assert len(model.requests) == model.at_once
    assert run.annotations.count() == 0


def test_a_model_that_cannot_be_opened_fails_the_run(study, monkeypatch):
    run = request_run(study)

    def refuse(is_wanted):
        raise NoReply("The package openai is missing.", is_final=True)

    monkeypatch.setattr(runs, "answerer_open", refuse)
    machine_run_work(run.pk)
    run.refresh_from_db()
    assert (run.state, run.error) == (State.FAILED, "The package openai is missing.")


def test_a_worker_with_another_model_asks_nothing(study, monkeypatch, settings):
    run = request_run(study)
    settings.LLM_MODEL = "another"
    model = work(run, monkeypatch, lambda request, n: NONE)
    assert run.state == State.FAILED
    assert MODEL in run.error
    assert model.requests == []


@pytest.mark.parametrize(
    "change",
    [{"LLM_PRICE_INPUT": Decimal(2)}, {"LLM_PRICE_OUTPUT": Decimal(0)}, {"LLM_CURRENCY": "EUR"}],
)
def test_a_run_whose_prices_changed_asks_nothing_until_it_is_continued(
    study, monkeypatch, settings, change
):
    run = request_run(study)
    set_up(settings, **change)
    model = work(run, monkeypatch, lambda request, n: NONE)
    assert (run.state, model.requests) == (State.FAILED, [])
    assert "prices changed" in run.error
    run = services.run_continue(run=run, by=researcher_of(study))
    assert (run.price_input, run.price_output, run.currency) == (
        settings.LLM_PRICE_INPUT, settings.LLM_PRICE_OUTPUT, settings.LLM_CURRENCY,
    )  # fmt: skip
    work(run, monkeypatch, lambda request, n: NONE)
    assert run.state == State.READY


def test_a_run_without_a_price_that_has_one_now_continues_with_a_limit_of_cost(
    study, monkeypatch, settings
):
    free = {"LLM_PRICE_INPUT": None, "LLM_PRICE_OUTPUT": None}
    set_up(settings, **free)
    run = request_run(study, most_cost=None)
    set_up(settings)
    model = work(run, monkeypatch, lambda request, n: NONE)
    assert (run.state, model.requests) == (State.FAILED, [])
    with pytest.raises(Invalid, match="Give a limit of cost in USD"):
        services.run_continue(run=run, by=researcher_of(study))
    run = services.run_continue(run=run, by=researcher_of(study), most_cost=Decimal(1))
    work(run, monkeypatch, lambda request, n: NONE)
    assert (run.state, run.cost > 0) == (State.READY, True)


@pytest.mark.parametrize(
    ("limit", "words"),
    [
        ({"most_requests": 5}, "limit of 5 requests"),
        ({"most_tokens": 9_000}, "limit of 9,000 tokens"),
        ({"most_cost": Decimal("0.01")}, "cost limit of 0.01 USD"),
    ],
)
def test_a_run_stops_before_the_request_that_could_exceed_a_limit(study, monkeypatch, limit, words):
    run = request_run(study, **limit)

    def spend(request, n):  # as much as it may
        return reply(NONE, input_tokens=None, output_tokens=500)

    model = work(run, monkeypatch, spend)
    assert run.state == State.STOPPED
    assert words in run.error
    assert "higher limit" in run.error
    assert 0 < len(model.requests) == run.requests < 12
    assert run.requests <= run.most_requests
    assert run.input_tokens + run.output_tokens <= run.most_tokens
    assert run.cost <= run.most_cost
    higher = {"most_requests": 1_000, "most_tokens": 10**8, "most_cost": Decimal(10)}
    run = services.run_continue(run=run, by=researcher_of(study), **higher)
    work(run, monkeypatch, lambda request, n: NONE)
    assert run.state == State.READY
    assert annotated(run) == sorted(lists_of(study))


def test_a_reply_that_costs_more_than_asked_is_counted_as_said_and_stops_the_run(
    study, monkeypatch
):
    run = request_run(study, most_tokens=50_000)
    model = work(run, monkeypatch, lambda request, n: reply(NONE, output_tokens=10**12))
    assert run.state == State.STOPPED
    assert run.output_tokens >= 2**31 - 1
    assert len(model.requests) == model.at_once  # those that were under way
    assert run.cost == sum(run.exchanges.values_list("cost", flat=True))


def test_what_an_endpoint_does_not_say_stays_at_its_bound(study, monkeypatch):
    run = request_run(study)
    work(
        run,
        monkeypatch,
        lambda request, n: reply(NONE, input_tokens=None, output_tokens=None),
    )
    assert run.output_tokens == 12 * 500
    assert run.input_tokens > 12 * 500


def test_another_version_of_the_model_is_noted(study, monkeypatch):
    run = request_run(study)
    work(run, monkeypatch, lambda request, n: reply(NONE, model_version=f"v{min(n, 2)}"))
    assert (run.model_version, run.versions_differ) == ("v1", True)
    assert set(run.exchanges.values_list("model_version", flat=True)) == {"v1", "v2"}


def test_texts_that_no_database_holds_are_kept_without_those_signs(study, monkeypatch):
    run = request_run(study)
    work(
        run,
        monkeypatch,
        lambda request, n: reply("\0\ud800" * 100_000 if n % 2 else NONE, model_version="\0v"),
    )
    assert run.state == State.READY
    assert run.exchanges.filter(state="malformed").exists()
    assert "\0" not in "".join(run.exchanges.values_list("reply", flat=True))


def test_a_message_that_comes_twice_asks_once(study, monkeypatch):
    run = request_run(study)
    model = Answering(lambda request, n: NONE)

    def say(request, n):
        machine_run_work(run.pk)  # the same message, while the run is at work
        return NONE

    model.say = say
    monkeypatch.setattr(runs, "answerer_open", lambda is_wanted: model)
    machine_run_work(run.pk)
    machine_run_work(run.pk)  # and after it
    run.refresh_from_db()
    assert (run.state, len(model.requests), run.requests) == (State.READY, 12, 12)


def test_a_cancelled_run_writes_nothing_more_and_continues(study, monkeypatch):
    run = request_run(study)
    by = researcher_of(study)

    def say(request, n):
        if n == 5:
            services.run_cancel(run=run, by=by)
        return NONE

    model = work(run, monkeypatch, say)
    assert run.state == State.CANCELLED
    assert run.annotations.count() == run.done == 4
    assert (run.requests, len(model.requests)) == (6, 5)  # a round of three was counted
    work(services.run_continue(run=run, by=by), monkeypatch, lambda request, n: NONE)
    run.refresh_from_db()
    assert (run.state, run.done, run.requests) == (State.READY, 12, 6 + 8)
    assert annotated(run) == sorted(lists_of(study))


def test_a_run_whose_worker_died_waits_again_and_its_requests_stay_counted(study, monkeypatch):
    run = request_run(study)

    def die(request, n):
        if n == 5:
            raise SystemExit
        return NONE

    with pytest.raises(SystemExit):
        work(run, monkeypatch, die)
    MachineRun.objects.update(heartbeat_at=timezone.now() - timedelta(minutes=1))
    machine_runs_sweep()
    run.refresh_from_db()
    assert (run.state, run.requests, run.done) == (State.QUEUED, 6, 4)
    assert run.exchanges.filter(state="sent").count() == 2
    work(run, monkeypatch, lambda request, n: NONE)
    assert (run.state, run.requests) == (State.READY, 6 + 8)
    assert annotated(run) == sorted(lists_of(study))
    assert set(run.exchanges.filter(number=2).values_list("state", flat=True)) == {"replied"}


def test_a_worker_that_dies_again_and_again_without_a_reply_fails_the_run(study, monkeypatch):
    run = request_run(study)

    def die(request, n):
        raise SystemExit

    for _ in range(3):
        with pytest.raises(SystemExit):
            work(run, monkeypatch, die)
        MachineRun.objects.update(heartbeat_at=timezone.now() - timedelta(minutes=1))
        machine_runs_sweep()
    run.refresh_from_db()
    assert run.state == State.FAILED


def test_a_long_run_gives_its_place_to_what_waits(study, monkeypatch, messages):
    monkeypatch.setattr(runs, "PLACE_SECONDS", -1)
    first, second = request_run(study), request_run(study)
    work(first, monkeypatch, lambda request, n: NONE)
    assert (first.state, first.done, first.attempts) == (State.QUEUED, 3, 0)
    assert first.queued_at > second.queued_at
    second.refresh_from_db()
    MachineRun.objects.filter(pk=second.pk).update(state=State.CANCELLED)
    work(first, monkeypatch, lambda request, n: NONE)
    assert (first.state, first.done) == (State.READY, 12)


def test_a_worker_does_one_thing_of_the_queue_at_a_time(study, monkeypatch):
    run = request_run(study)
    from annotation_site.workers.identity import this_worker

    Worker.objects.create(name=this_worker(), seen_at=timezone.now())
    make_extraction()
    Extraction.objects.filter(pk=Extraction.objects.last().pk).update(
        state=Extraction.State.RUNNING, worker=this_worker()
    )
    model = work(run, monkeypatch, lambda request, n: NONE)
    assert (run.state, model.requests) == (State.QUEUED, [])


def test_lists_that_a_study_draws_later_are_annotated_when_the_run_continues(study, monkeypatch):
    run, by = request_run(study), researcher_of(study)
    work(run, monkeypatch, lambda request, n: NONE)
    study_extend(study=study, lists_per_layer=3)
    before = data_version(study.pk)
    run = services.run_continue(run=run, by=by)
    study.refresh_from_db()
    assert data_version(study.pk) != before  # tables use ready runs
    assert (run.state, run.done, run.total) == (State.QUEUED, 12, 18)
    model = work(run, monkeypatch, lambda request, n: NONE)
    assert (run.state, run.total, len(model.requests)) == (State.READY, 18, 6)
    assert annotated(run) == sorted(lists_of(study))


def test_exchanges_that_are_gone_change_nothing_in_a_run(study, monkeypatch):
    run = request_run(study)

    def say(request, n):
        run.exchanges.all().delete()
        return "malformed" if n == 1 else NONE

    work(run, monkeypatch, say)
    assert run.state == State.READY
    assert annotated(run) == sorted(lists_of(study))


def test_a_pause_that_an_endpoint_asks_for_is_kept_to(study, monkeypatch):
    run = request_run(study)
    now, slept = [0.0], []

    def sleep(seconds):
        slept.append(seconds)
        now[0] += seconds

    monkeypatch.setattr(runs.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(runs.time, "sleep", sleep)
    loop = runs._Loop(run, Answering(lambda request, n: NONE), None, [])
    monkeypatch.setattr(runs, "report", lambda run: None)
    loop._pause([NoReply("Busy.", retry_after=200.0), LATE])
    assert sum(slept) == pytest.approx(200)
    slept.clear()
    loop.silent_rounds = 50
    loop._pause([LATE])
    assert sum(slept) == pytest.approx(runs.LONGEST_PAUSE)


def test_a_study_is_locked_before_its_run(study, monkeypatch):
    """As `run_continue` does it: two that lock in turns would wait for each other."""

    def before_the_run(change):
        with CaptureQueriesContext(connection) as queries:
            change()
        said = [one["sql"] for one in queries]
        of_run = next(n for n, sql in enumerate(said) if RUN in sql)
        return any(LOCKED in sql for sql in said[:of_run])

    run = request_run(study)
    work(run, monkeypatch, lambda request, n: NONE)
    claim = uuid.uuid4()
    MachineRun.objects.update(state=State.RUNNING, claim=claim)
    run.refresh_from_db()
    assert run.study == study  # read before
    assert before_the_run(lambda: exchanges.run_finish(run=run))
    run.refresh_from_db()
    assert run.state == State.READY
    assert before_the_run(lambda: services.run_delete(run=run, by=None))
    assert not MachineRun.objects.exists()
