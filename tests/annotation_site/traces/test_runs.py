"""A worker traces what waits, keeps its model, lets go of it, and loses nothing."""

import json
import os
import signal
import time
from datetime import timedelta

import pytest
from django.utils import timezone

from annotation_site.accounts.models import Role
from annotation_site.measurements.models import Measurement
from annotation_site.traces import runs, selectors, services
from annotation_site.traces.models import Trace, TraceContent
from annotation_site.traces.sweeps import traces_sweep
from annotation_site.workers import claims
from annotation_site.workers.claims import MOST_ATTEMPTS
from annotation_site.workers.identity import this_worker
from annotation_site.workers.models import Worker
from ffn_extract.errors import FFNExtractError, ProcessEnded
from tests.annotation_site.factories import (
    TRACE,
    LanguageModelFactory,
    UserFactory,
    make_measurement,
    make_trace,
)

pytestmark = pytest.mark.django_db(transaction=True)
State = Trace.State


def waiting(model=None, by=None, **changes):
    by = by or UserFactory(role=Role.RESEARCHER)
    model = model or LanguageModelFactory(n_layers=2, d_ff=1_000)
    changes = {"model_source": model.name, **changes}
    return make_trace(model, state=State.QUEUED, requested_by=by, **changes)


def work(trace):
    runs.trace_work(trace_id=trace.pk)
    trace.refresh_from_db()
    return trace


def died():
    """Its worker is silent: a sweep gives its work to another."""
    Trace.objects.update(heartbeat_at=timezone.now() - timedelta(minutes=1))
    traces_sweep()


def test_a_worker_keeps_what_the_process_answers(processes):
    done = work(waiting(prompt="the cat"))
    assert (done.state, done.error, done.claim, done.step) == (State.READY, "", None, "")
    (process,) = processes
    assert process.asked == [
        (
            done.model.name,
            {"prompt": "the cat", "max_tokens": 256, **done.request},
        )
    ]
    answer = services.trace_content(done)
    assert [layer["layer"] for layer in answer["layers"]] == [0, 1]
    assert answer["changed"]["first_difference"] == 0


def test_one_message_that_comes_twice_is_done_once(processes):
    trace = waiting()
    work(trace)
    work(trace)
    runs.trace_work(trace_id=12_345)  # of a trace that was deleted
    assert len(processes[0].asked) == 1


def test_the_model_stays_loaded_between_traces(processes):
    model = LanguageModelFactory(n_layers=2, d_ff=1_000)
    for _ in range(3):
        assert work(waiting(model)).state == State.READY
    (process,) = processes
    assert (process.loaded, process.is_closed) == ([model.name], False)


def test_a_worker_takes_those_of_the_same_model_first(processes):
    one, other = LanguageModelFactory.create_batch(2, n_layers=2, d_ff=1_000)
    traces = [waiting(model) for model in (one, other, one, other, one)]
    work(traces[0])
    assert {row.state for row in Trace.objects.all()} == {State.READY}
    assert processes[0].loaded == [one.name, other.name]


def test_another_model_does_not_wait_for_ever(processes):
    one, other = LanguageModelFactory.create_batch(2, n_layers=2, d_ff=1_000)
    first = waiting(one)
    waiting(other)
    for _ in range(services.IN_A_ROW + 3):
        waiting(one)
    work(first)
    asked = [model for model, _ in processes[0].asked]
    assert asked.index(other.name) <= services.IN_A_ROW


def test_a_refusal_is_the_reason_and_the_process_stays(processes):
    work(waiting())
    processes[0].trace = refuse
    failed = work(waiting())
    assert (failed.state, failed.error) == (State.FAILED, "The prompt has 301 tokens.")
    assert not processes[0].is_closed


def refuse(*_):
    raise FFNExtractError("The prompt has 301 tokens.")


def test_a_process_that_was_killed_is_replaced_and_the_trace_taken_again(processes):
    work(waiting())
    processes[0].trace = crash
    trace = work(waiting())
    assert (trace.state, trace.attempts) == (State.RUNNING, 1)  # until the sweep
    assert processes[0].is_closed
    died()
    assert work(trace).state == State.READY
    assert trace.attempts == 2
    assert len(processes) == 2


def crash(*_):
    raise ProcessEnded("It ended without a word.")


def test_after_three_attempts_it_fails(processes):
    trace = waiting()
    for attempt in range(1, MOST_ATTEMPTS + 1):
        Trace.objects.filter(pk=trace.pk).update(
            state=State.RUNNING, attempts=attempt, claim="0" * 32, heartbeat_at=timezone.now()
        )
        died()
    trace.refresh_from_db()
    assert trace.state == State.FAILED
    assert "Attempts: 3" in str(trace.error)


def test_a_trace_that_is_deleted_meanwhile_leaves_nothing(processes):
    work(waiting())
    trace = waiting()
    processes[0].meanwhile = lambda: Trace.objects.filter(pk=trace.pk).delete()
    runs.trace_work(trace_id=trace.pk)
    assert not Trace.objects.filter(pk=trace.pk).exists()
    assert TraceContent.objects.count() == 1


def test_what_is_no_trace_is_refused(processes):
    work(waiting())
    processes[0].trace = lambda *_: {"layers": [], "model": "m"}
    failed = work(waiting())
    assert failed.error == "The trace is not whole (layers). Try again."


def test_other_weights_than_those_of_the_extraction_are_refused(processes):
    work(waiting())
    answer = json.loads(TRACE.read_text())
    processes[0].trace = lambda *_: {**answer, "fingerprint": "of others"}
    failed = work(waiting())
    assert str(failed.error).startswith("The model's files are not those of the extraction")
    mine = waiting()
    processes[0].trace = lambda *_: {**answer, "fingerprint": mine.model.weights_digest}
    assert work(mine).state == State.READY
    assert "fingerprint" not in services.trace_content(mine)


def test_thirty_two_people_at_once_have_positions_and_lose_nothing(processes):
    model = LanguageModelFactory(n_layers=2, d_ff=1_000)
    traces = [waiting(model) for _ in range(32)]
    assert [selectors.traces_before(trace) for trace in traces] == list(range(32))
    positions = []
    done = {"n": 0}

    def look():
        done["n"] += 1
        left = Trace.waiting().order_by("created_at", "pk")
        positions.append([selectors.traces_before(trace) for trace in left])

    runs.kept.process.meanwhile = look
    work(traces[0])
    assert {trace.state for trace in Trace.objects.all()} == {State.READY}
    assert [len(some) for some in positions] == list(range(31, -1, -1))
    # The one at work is before all others.
    assert all(some == list(range(1, len(some) + 1)) for some in positions)
    assert processes[0].loaded == [model.name]


def test_one_person_with_many_does_not_keep_others_waiting(as_worker):
    busy, other = UserFactory.create_batch(2, role=Role.RESEARCHER)
    many = [waiting(by=busy) for _ in range(5)]
    one = waiting(by=other)
    assert selectors.traces_before(one) == 1
    assert [selectors.traces_before(trace) for trace in many] == [0, 2, 3, 4, 5]


def test_a_trace_has_its_turn_before_a_measurement(as_worker):
    by = UserFactory(role=Role.RESEARCHER)
    make_measurement(state=Measurement.State.QUEUED, requested_by=by)
    trace = waiting()
    assert claims.next_of(Trace) == [trace.pk]
    assert claims.next_of(Measurement) == []


def test_a_worker_does_one_thing_at_a_time(processes):
    make_measurement(state=Measurement.State.RUNNING, worker=this_worker())
    trace = work(waiting())
    assert trace.state == State.QUEUED
    assert processes == []


def test_a_worker_that_is_about_to_end_takes_nothing_more(processes):
    traces = [waiting(), waiting()]
    work(waiting())  # opens the process
    Trace.objects.filter(pk__in=[t.pk for t in traces]).update(state=State.QUEUED)
    Worker.objects.all().delete()
    runs.trace_work(trace_id=traces[0].pk)
    assert Trace.waiting().count() == 1


def test_an_idle_process_is_let_go_of(processes, monkeypatch):
    work(waiting())
    assert runs.kept.let_go_if_idle()
    monkeypatch.setattr(runs, "IDLE_SECONDS", -1.0)
    assert not runs.kept.let_go_if_idle()
    assert processes[0].is_closed
    assert work(waiting()).state == State.READY  # in another one
    assert len(processes) == 2


def test_the_process_makes_room_for_other_work_of_the_worker(processes):
    work(waiting())
    assert runs.kept.let_go_if_idle()
    make_measurement(state=Measurement.State.RUNNING, worker=this_worker())
    assert not runs.kept.let_go_if_idle()
    assert processes[0].is_closed


def test_the_process_is_not_let_go_of_while_it_traces(processes, monkeypatch):
    monkeypatch.setattr(runs, "IDLE_SECONDS", -1.0)
    found = []
    runs.kept.process.meanwhile = lambda: found.append(runs.kept.let_go_if_idle())
    work(waiting())
    assert found == [True]


def test_a_thread_looks_after_an_idle_process(as_worker, monkeypatch):
    monkeypatch.setattr(runs, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(runs, "IDLE_SECONDS", -1.0)
    kept = runs.Kept()

    class Process:
        def close(self):
            pass

    kept._process = Process()
    with kept.used():
        pass
    kept._looking.join(timeout=20)
    assert not kept.is_open


def test_a_real_process_traces_and_survives_a_kill(tiny, monkeypatch):
    """`TracingApart` with a tiny model: the same answer as the command line's."""
    monkeypatch.setattr(runs, "kept", runs.Kept())
    by = UserFactory(role=Role.RESEARCHER)
    try:
        trace = services.trace_request(
            model=tiny,
            prompt="the cat sat on the",
            new_tokens=2,
            interventions=[{"layer": 0, "index": 1, "action": "zero"}],
            requested_by=by,
        )
        done = work(trace)
        assert (done.state, str(done.error)) == (State.READY, "")
        answer = services.trace_content(done)
        assert len(answer["layers"]) == tiny.n_layers
        assert answer["changed"]["interventions"][0]["index"] == 1
        process = runs.kept._process._process._running
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        again = work(waiting(tiny, by, model_source="tiny", prompt="the cat"))
        assert again.state == State.RUNNING
        died()
        assert work(again).state == State.READY
        long = waiting(tiny, by, model_source="tiny", prompt="the cat sat " * 120)
        began = time.monotonic()
        assert "256" in str(work(long).error)
        assert time.monotonic() - began < 60
    finally:
        runs.kept.end()
