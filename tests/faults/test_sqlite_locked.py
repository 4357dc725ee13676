"""Another program holds SQLite's lock: for a moment, which nobody sees, and for too long."""

import sqlite3
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager

import pytest

from tests.annotation_site.factories import answer, pattern
from tests.e2e import annotators
from tests.e2e.annotators import Annotator, people_of
from tests.e2e.site import MODEL, wait_for
from tests.faults.bookkeeping import require_nothing_lost_or_double
from tests.faults.cluster import Cluster
from tests.faults.marks import ONCE

pytestmark = [pytest.mark.long, pytest.mark.xdist_group("faults-web"), ONCE]
PATIENCE = 20  # seconds that the settings give SQLite
OPTIONS = ("--kinds", "value", "--per-layer", "5", "--glosses", "none")


@contextmanager
def locked(database, seconds: float, until: Callable[[], bool] = lambda: True):
    """Hold the lock so long and `until`, in a thread, from the first line of the block on.

    SQLite counts the waits that it asked for, not the time they took: on a busy machine its
    patience lasts longer than it says.
    """
    holds = threading.Event()

    def hold() -> None:
        with closing(sqlite3.connect(database, timeout=60, isolation_level=None)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            holds.set()
            time.sleep(seconds)
            wait_for(until)
            connection.execute("ROLLBACK")

    with ThreadPoolExecutor(1) as pool:
        held = pool.submit(hold)
        assert holds.wait(90)
        yield
        held.result()


def test_a_request_waits_for_a_short_lock_and_is_told_of_a_long_one(stopped_site, monkeypatch):
    """Meanwhile a worker extracts: what it could not write ends nothing, and is done again."""
    monkeypatch.setattr(annotators, "IMPATIENCE", 60)
    site = stopped_site
    database = site.folder / "db.sqlite3"
    ((session, first, second, *_),) = people_of(site, 1, lists_per_layer=5)
    site.start_web()
    cluster = Cluster(site)
    try:
        cluster.start(1)
        person = Annotator(("127.0.0.1", site.port), session)
        own = person.open(first)
        with locked(database, 3):
            person.submit(own, answer(pattern(1, [1, 2, 3, 4])))
        assert person.told_to_wait == 0

        own = person.open(second)
        site.manage("enqueue_model", MODEL, *OPTIONS)
        at_work = "SELECT 1 FROM corpus_extraction WHERE state = 'running' AND step <> ''"
        wait_for(lambda: cluster.rows(at_work), cluster.said, 300, pause=0.02)
        with locked(database, PATIENCE + 5, until=lambda: person.told_to_wait >= 1):
            person.submit(own, answer(pattern(1, [5, 6, 7, 8])))
        assert person.told_to_wait >= 1
        ended = "SELECT state, error FROM corpus_extraction WHERE model_source <> 'model'"
        wait_for(lambda: cluster.rows(ended)[0][0] in ("ready", "failed"), cluster.said, 300)
        assert cluster.rows(ended) == [("ready", "")]
        assert require_nothing_lost_or_double(site, [person]) == 2
    finally:
        cluster.stop()
        site.kill()
