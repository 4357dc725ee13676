"""Submissions a second of eight annotators who never think: `python -m benchmarks.throughput`.

One round trip submits a list and brings the next one. The server is started as `manage.py serve`
does it (no background worker, which has nothing to do here), the clients run on the same machine
and keep their connections. Every submission is a different list with one pattern of eight tokens.
SQLite by default, PostgreSQL where TEST_DATABASE_URL is set and FFN_TEST_SERVICES is 1.
"""

import argparse
import os
import tempfile
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")  # the servers have their own

from annotation_site.serving import WORKER_CLASS
from benchmarks.annotators import ANSWER, PEOPLE
from benchmarks.machine import describe
from tests.e2e.annotators import Annotator, people_of
from tests.e2e.site import Site, database_of_its_own

GOAL = 120.0  # submissions a second, PostgreSQL, two cores


def work(person: Annotator, lists: list[str], end: list[float], started: threading.Barrier) -> int:
    """Submit until the time is over; how many it were."""
    own = person.open(lists[0])
    started.wait()
    done = 0
    while time.monotonic() < end[0]:
        following = person.submit(own, ANSWER)
        done += 1
        if following is None:
            raise SystemExit("The lists ran out. Ask for fewer --seconds.")
        own = person.meet(following)
    return done


def measure(seconds: float, web_workers: int) -> tuple[float, int, Counter[str]]:
    """Submissions a second, submissions stored, and what the server's log complains of."""
    with tempfile.TemporaryDirectory() as folder:
        site = Site(Path(folder) / "var", models=False)
        with database_of_its_own(site.environment):
            site.prepare()
            people = people_of(site, PEOPLE, lists_per_layer=int(7 * seconds) + 10)
            site.start_web(web_workers=web_workers)
            annotators = [Annotator(("127.0.0.1", site.port), session) for session, *_ in people]
            end = [0.0]

            def start() -> None:
                end[0] = time.monotonic() + seconds

            started = threading.Barrier(PEOPLE, action=start)
            with ThreadPoolExecutor(PEOPLE) as pool:
                working = [
                    pool.submit(work, person, lists, end, started)
                    for person, (_, *lists) in zip(annotators, people, strict=True)
                ]
                done = sum(session.result() for session in working)
            stored = site.query("Revision.objects.count()")
            site.stop()
            said = site.log.read_text()
    assert stored == done, f"{done} submissions were acknowledged and {stored} stored."
    return done / seconds, stored, Counter(locked=said.count("database is locked"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--web-workers", type=int, default=3)
    options = parser.parse_args()
    database = "PostgreSQL" if os.environ.get("FFN_TEST_SERVICES") == "1" else "SQLite"
    rate, stored, said = measure(options.seconds, options.web_workers)
    print(f"{describe()}; gunicorn {WORKER_CLASS}, {options.web_workers} processes\n")
    print("| database | annotators | submissions | a second | goal | “database is locked” |")
    print("|---|---|---|---|---|---|")
    print(
        f"| {database} | {PEOPLE} | {stored} | {rate:.0f} | {GOAL:g} (PostgreSQL) "
        f"| {said['locked']} |"
    )


if __name__ == "__main__":
    main()
