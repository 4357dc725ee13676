"""Submissions a second of eight annotators who never think: `python -m benchmarks.throughput`.

One round trip submits a list and brings the next one. The server is started as `manage.py serve`
does it (no background worker, which has nothing to do here), the clients run on the same machine
and keep their connections. Every submission is a different list with one pattern of eight tokens.
SQLite by default, PostgreSQL where TEST_DATABASE_URL is set and FFN_TEST_SERVICES is 1.

Beside the rate it says what a submission takes of processors: of the web server's, of the
database's where that runs here, and of the clients'. Unlike the rate, that hardly depends on what
else the machine does; two cores that do nothing else reach 2,000 ms divided by the sum.
"""

import argparse
import contextlib
import os
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")  # the servers have their own

from annotation_site.serving import WEB_THREADS, WEB_WORKERS, WORKER_CLASS
from benchmarks.annotators import ANSWER, PEOPLE
from benchmarks.figures import Figure
from benchmarks.machine import describe, process_group, processor_ms
from tests.e2e.annotators import Annotator, people_of
from tests.e2e.site import Site, database_of_its_own

WARM = 5  # submissions of each before anything is counted
GOAL = 180.0  # submissions a second, two cores


def work(person: Annotator, lists: list[str], end: list[float], started: threading.Barrier) -> int:
    """Submit until the time is over; how many it were."""
    own = person.open(lists[0])

    def submit() -> None:
        nonlocal own
        following = person.submit(own, ANSWER)
        if following is None:
            raise SystemExit("The lists ran out. Ask for fewer --seconds.")
        own = person.meet(following)

    for _ in range(WARM):
        submit()
    started.wait()
    done = 0
    while time.monotonic() < end[0]:
        submit()
        done += 1
    return done


@dataclass(frozen=True)
class Found:
    """What a run gave. `processors` are milliseconds a submission, by who took them."""

    submissions: int
    rate: float
    processors: dict[str, float]
    locked: int


def measure(seconds: float, web_workers: int) -> Found:
    """Let the eight work so long on a site of their own."""
    with tempfile.TemporaryDirectory() as folder:
        site = Site(Path(folder) / "var", models=False)
        with database_of_its_own(site.environment):
            site.prepare()
            people = people_of(site, PEOPLE, lists_per_layer=int(10 * seconds) + 10 + WARM)
            site.start_web(web_workers=web_workers)
            try:
                annotators = [
                    Annotator(("127.0.0.1", site.port), session) for session, *_ in people
                ]
                end = [0.0]
                took: dict[str, float] = {}

                def start() -> None:
                    took.update(_processors(site))
                    end[0] = time.monotonic() + seconds

                started = threading.Barrier(PEOPLE, action=start)
                with ThreadPoolExecutor(PEOPLE) as pool:
                    working = [
                        pool.submit(work, person, lists, end, started)
                        for person, (_, *lists) in zip(annotators, people, strict=True)
                    ]
                    done = sum(session.result() for session in working)
                took = {who: ms - took[who] for who, ms in _processors(site).items()}
                stored = site.query("Revision.objects.count()")
                for one in annotators:
                    one.close()
            finally:
                site.stop()
            said = site.log.read_text()
    stored -= PEOPLE * WARM
    assert stored == done, f"{done} submissions were acknowledged and {stored} stored."
    processors = {who: ms / done for who, ms in took.items()}
    return Found(done, done / seconds, processors, said.count("database is locked"))


def _processors(site: Site) -> dict[str, float]:
    """Milliseconds that everybody who takes part has taken so far."""
    assert site.process is not None
    took = {
        "web": processor_ms(process_group(site.process.pid)),
        "clients": 1000 * time.process_time(),
    }
    if "DATABASE_URL" in site.environment:
        import psycopg2

        with contextlib.closing(psycopg2.connect(site.environment["DATABASE_URL"])) as server:
            cursor = server.cursor()
            cursor.execute(
                "SELECT pid FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            took["database"] = processor_ms(pid for (pid,) in cursor.fetchall())
    return took


def figures() -> Iterator[Figure]:
    """Six seconds; the rate of two cores that do nothing else follows from the processor time."""
    found = measure(6, WEB_WORKERS)
    total = sum(found.processors.values())
    where = _database()
    yield Figure(f"submissions, {where}", found.rate, "a second", GOAL, at_least=True)
    yield Figure(
        f"2,000 ms by a submission’s, {where}", 2000 / total, "a second", GOAL, at_least=True
    )


def _database() -> str:
    return "PostgreSQL" if os.environ.get("FFN_TEST_SERVICES") == "1" else "SQLite"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--web-workers", type=int, default=WEB_WORKERS)
    options = parser.parse_args()
    database = _database()
    found = measure(options.seconds, options.web_workers)
    took = found.processors
    total = sum(took.values())
    parts = ", ".join(f"{who} {ms:.1f}" for who, ms in took.items())
    servers = f"{options.web_workers} processes of {WEB_THREADS} threads"
    print(f"{describe()}; gunicorn {WORKER_CLASS}, {servers}\n")
    print(
        "| database | submissions | a second | goal | processor time of one "
        "| two idle cores would do | “database is locked” |"
    )
    print("|---|---|---|---|---|---|---|")
    print(
        f"| {database} | {found.submissions} | {found.rate:.0f} | {GOAL:g} "
        f"| {total:.1f} ms ({parts}) | {2000 / total:.0f} | {found.locked} |"
    )


if __name__ == "__main__":
    main()
