"""A worker says that it lives, sweeps what others left, and goes when it stops."""

import threading
from datetime import timedelta

import pytest
from django.utils import timezone

from annotation_site.workers import heartbeat
from annotation_site.workers.models import Sweep, Worker
from annotation_site.workers.selectors import ALIVE_FOR, workers_alive

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_worker_is_alive_from_its_start_to_its_stop():
    swept = threading.Event()
    heartbeat.start([swept.set])
    assert swept.wait(60)
    assert workers_alive().count() == 1
    heartbeat.stop()
    assert Worker.objects.count() == 0


def test_a_sweep_that_fails_stops_neither_heartbeat_nor_other_sweeps(monkeypatch):
    monkeypatch.setattr(heartbeat, "BEAT_SECONDS", 0.01)
    tried, again = [], threading.Event()

    def broken():
        tried.append(1)
        raise ZeroDivisionError

    heartbeat.start([broken, lambda: len(tried) > 1 and again.set()])
    assert again.wait(60)
    assert workers_alive().count() == 1
    heartbeat.stop()


def test_a_worker_that_missed_its_beats_counts_as_dead():
    Worker.objects.create(name="x", seen_at=timezone.now() - ALIVE_FOR - timedelta(seconds=1))
    assert workers_alive().count() == 0


def test_one_worker_sweeps_at_a_time():
    assert heartbeat._is_ours()
    assert not heartbeat._is_ours()
    Sweep.objects.update(swept_at=timezone.now() - timedelta(minutes=1))
    assert heartbeat._is_ours()
    Sweep.objects.update(swept_at=timezone.now() + timedelta(hours=1))  # a clock was set back
    assert heartbeat._is_ours()
