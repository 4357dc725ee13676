"""500 lists at a hostile endpoint, by workers that are killed: none double, none lost, no leak."""

from decimal import Decimal

import pytest

from annotation_site.machine_annotators.models import MachineRun
from annotation_site.machine_annotators.services import run_continue
from tests.annotation_site.machine_annotators.fake_endpoint import MODEL, FakeEndpoint
from tests.annotation_site.machine_annotators.killing import (
    AT_ONCE,
    honest_tokens,
    hostile,
    marked_study,
    outcome_of,
    work_killed,
)
from tests.annotation_site.machine_annotators.made import request_run, set_up

State = MachineRun.State
LISTS = 500
KILLS = (30, 75, 140, 141, 220, 330, 450)
FEW = 300  # requests, the run's first limit


@pytest.mark.django_db(transaction=True)
def test_killed_workers_lose_nothing_and_ask_nothing_uncounted(settings):
    killer = hostile(seed=3, kills=KILLS)
    with FakeEndpoint(killer, slow=0.1) as endpoint:
        set_up(settings, LLM_ENDPOINT=endpoint.address, LLM_MODEL=MODEL, LLM_REPLY_TOKENS=200)
        study = marked_study(LISTS)
        run = request_run(study, most_reply_tokens=200, most_requests=FEW, by=None)
        seconds = work_killed(run, endpoint, killer)
        assert run.state == State.STOPPED
        assert len(endpoint.requests) <= run.requests <= FEW
        run = run_continue(run=run, by=None, most_requests=5_000, most_cost=Decimal(200))
        seconds += work_killed(run, endpoint, killer)
    assert run.state == State.READY, run.error
    found = outcome_of(run, endpoint, seconds, killer.kills)
    assert found.kills >= 5
    assert (found.annotations, found.lost, found.doubles) == (LISTS, 0, 0)
    assert (found.wrong, found.uncounted, found.leaks) == (0, 0, [])
    # Every request is counted; of a killed worker some that were not sent any more.
    assert found.got <= run.requests <= min(5_000, found.got + found.kills * AT_ONCE)
    assert run.requests == run.exchanges.count()
    assert run.input_tokens + run.output_tokens >= honest_tokens(endpoint.requests)
    assert run.cost == sum(run.exchanges.values_list("cost", flat=True))
    # The endpoint did misbehave, and some lists are lost to it, as every table's n says.
    assert 0 < run.failed < LISTS // 5
    failures = run.annotations.filter(annotation__isnull=True).values_list("failure", flat=True)
    assert run.failed == len(failures)
    assert "" not in failures
