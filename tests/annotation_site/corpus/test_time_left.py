"""How much is done over all steps, and how long the queue still takes."""

from datetime import timedelta

import pytest
from django.utils import timezone

from annotation_site.accounts.models import Role
from annotation_site.corpus import forecasts
from annotation_site.corpus.models import Extraction
from annotation_site.corpus.time_left import (
    DEFAULT_SECONDS,
    Pace,
    extractions_left,
    pace,
    queue_starts,
    seconds_left,
    share_done,
)
from annotation_site.workers.models import Worker
from ffn_extract.options import ExtractOptions
from tests.annotation_site.factories import UserFactory, client_of

NOW = timezone.now()
PARAMETERS = ExtractOptions().to_json()


def running(step="", done=0, total=0, *, seconds=10.0, **changes):
    return Extraction(
        model_source="m",
        parameters=PARAMETERS,
        state="running",
        step=step,
        step_done=done,
        step_total=total,
        started_at=NOW - timedelta(seconds=seconds),
        **changes,
    )


def test_the_share_grows_from_the_first_second_on_and_with_each_step():
    learned = Pace()
    states = [
        running(seconds=0.5),
        running(seconds=5),
        running("vocabulary", 0, 1, seconds=12),
        running("updates", 1, 10, seconds=30),
        running("updates", 9, 10, seconds=50),
        running("projection", 5, 10, seconds=80),
        running("load_vectors", 99, 100, seconds=119),
    ]
    shares = [share_done(state, learned, NOW) for state in states]
    assert shares == sorted(shares)
    assert 0 < shares[0] < shares[1]
    assert shares[-1] <= 0.99


def test_a_run_without_updates_gives_their_share_to_the_others():
    without = running("projection", 0, 1)
    without.parameters = {**PARAMETERS, "kinds": ["value"]}
    assert share_done(without, Pace(), NOW) > share_done(running("sources", 1, 1), Pace(), NOW)


def test_the_time_follows_the_estimate_first_and_the_run_s_own_pace_later():
    assert seconds_left(0, 5, 100) == 100
    assert seconds_left(0.5, 50, 100) == pytest.approx(50)
    # Three times as slow as estimated: at the end the pace counts, not the estimate.
    assert seconds_left(0.9, 270, 100) == pytest.approx(0.1 * 10 + 0.9 * 30)


def test_waiting_work_starts_as_workers_get_free():
    assert queue_starts([30.0, 10.0], [20.0, 5.0, 5.0], 2) == [10.0, 30.0, 30.0]
    assert queue_starts([], [20.0, 5.0], 1) == [0.0, 20.0]
    assert queue_starts([], [20.0], 0) == [None]


def ended(seconds, *, expected=None, projection=None):
    return Extraction.objects.create(
        model_source="m",
        parameters=PARAMETERS,
        state="ready",
        started_at=NOW - timedelta(seconds=seconds),
        finished_at=NOW,
        expected_seconds=expected,
        environment={"seconds": {"projection": projection}} if projection else {},
    )


@pytest.mark.django_db
def test_estimates_learn_from_earlier_runs_of_the_site():
    assert pace().expected(running()) == DEFAULT_SECONDS
    assert forecasts.correction() == 1
    for seconds in (130, 140, 135):
        ended(seconds, expected=30, projection=seconds / 2)
    learned = pace()
    assert learned.usual["sample"] == 135
    assert learned.correction == pytest.approx(4.5)
    assert learned.expected(running(expected_seconds=40)) == pytest.approx(180)
    assert learned.weights["projection"] == pytest.approx(0.5)
    ended(100_000, expected=1)
    for _ in range(5):
        ended(100_000, expected=1)  # the network was away
    assert forecasts.correction() == 20


@pytest.mark.django_db
def test_the_page_of_an_extraction_has_one_bar_from_the_first_second():
    admin = client_of(UserFactory(role=Role.ADMIN))
    one, two = (
        Extraction.objects.create(model_source="m", parameters=PARAMETERS) for _ in range(2)
    )
    page = admin.get(f"/models/{two.public_id}/").content.decode()
    assert "No worker takes extractions at the moment" in page
    Worker.objects.create(name="n:1:x", seen_at=timezone.now())
    assert [left.starts_in for left in extractions_left()] == [0, DEFAULT_SECONDS]
    page = admin.get(f"/models/{two.public_id}/").content.decode()
    assert "It starts in about 2 min and is ready in about 4 min." in page
    Extraction.objects.filter(pk=one.pk).update(
        state="running", started_at=timezone.now(), worker="n:1:x"
    )
    page = admin.get(f"/models/{one.public_id}/progress/").content.decode()
    assert 'aria-label="All steps together"' in page
    assert "About 2 min left." in page
    assert 'class="step-running"><b>Find the model&#x27;s files</b>' in page
