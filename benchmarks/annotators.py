"""What eight annotators at once wait for the server: `python -m benchmarks.annotators`.

A server as `manage.py serve` starts it (no background worker, which has
nothing to do here) and the clients on the same machine. Each annotator thinks, saves, thinks,
saves, thinks and submits, over and over; a submission's reply holds the next list, so its time is
the time to "next". Times are the client's, from the first byte sent to the last received. SQLite
by default, PostgreSQL where TEST_DATABASE_URL is set and FFN_TEST_SERVICES is 1.
"""

import argparse
import os
import random
import statistics
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")  # the servers have their own

from annotation_site.serving import WEB_WORKERS
from benchmarks.figures import Figure
from benchmarks.machine import describe
from tests.e2e.annotators import Annotator, people_of
from tests.e2e.site import Site, database_of_its_own

PEOPLE = 8
THINK = 1.0  # seconds before each request
SAVES = 3  # per submission; a person's own pace is slower, so this is the busier case
TARGETS = {"autosave": 25.0, "next": 25.0}  # milliseconds, 95th percentile
ANSWER = {
    "patterns": [
        {
            "number": 1, "description": "animals", "category": "semantic", "stopwords": None,
            "ranks": [1, 2, 3, 4, 5, 6, 7, 8],
        }
    ],
    "no_pattern": False,
    "comment": "",
}  # fmt: skip


class Timed(Annotator):
    """An annotator who looks at the clock."""

    def __init__(self, address: tuple[str, int], session: str) -> None:
        super().__init__(address, session)
        self.times: dict[str, list[float]] = defaultdict(list)
        self.failures = 0  # of the server

    def ask(self, method: str, path: str, body: object = None) -> tuple[int, object]:
        started = time.perf_counter()
        reply = super().ask(method, path, body)
        self.times[path.rsplit("/", 1)[-1] or "page"].append(1000 * (time.perf_counter() - started))
        self.failures += reply[0] >= 500
        return reply


def work(person: Timed, lists: list[str], seconds: float, started: threading.Barrier) -> None:
    """Label until the time is over."""
    own = person.open(lists[0])
    started.wait()
    time.sleep(random.uniform(0, THINK))  # people do not press keys in step
    person.times.clear()
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for n in range(SAVES):
            time.sleep(THINK)
            person.save(own, {**ANSWER, "comment": str(n)})
        time.sleep(THINK)
        following = person.submit(own, ANSWER)
        if following is None:
            return
        own = person.meet(following)


def measure(seconds: float) -> dict[str, list[float]]:
    """Milliseconds of every autosave and every "next"."""
    with tempfile.TemporaryDirectory() as folder:
        site = Site(Path(folder) / "var", models=False)
        with database_of_its_own(site.environment):
            site.prepare()
            people = people_of(site, PEOPLE, lists_per_layer=40)
            site.start_web(web_workers=WEB_WORKERS)
            annotators = [Timed(("127.0.0.1", site.port), session) for session, *_ in people]
            started = threading.Barrier(PEOPLE)
            with ThreadPoolExecutor(PEOPLE) as pool:
                working = [
                    pool.submit(work, person, lists, seconds, started)
                    for person, (_, *lists) in zip(annotators, people, strict=True)
                ]
                for session in working:
                    session.result()
            for one in annotators:
                one.close()
            site.stop()
    named = {"autosave": "draft", "next": "submit"}
    return {
        name: [ms for person in annotators for ms in person.times[path]]
        for name, path in named.items()
    }


def figures() -> Iterator[Figure]:
    """Twenty seconds of eight people."""
    database = "PostgreSQL" if os.environ.get("FFN_TEST_SERVICES") == "1" else "SQLite"
    for name, times in measure(20).items():
        p95 = statistics.quantiles(times, n=20)[-1]
        yield Figure(f"95% of {name}, {database}", p95, "ms", TARGETS[name])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    seconds = parser.parse_args().seconds
    database = "PostgreSQL" if os.environ.get("FFN_TEST_SERVICES") == "1" else "SQLite"
    print(f"{describe()}; {PEOPLE} annotators, {THINK:g} s think time, {database}\n")
    print("| request | database | number | median | 95% | slowest | target of 95% |")
    print("|---|---|---|---|---|---|---|")
    for name, times in measure(seconds).items():
        p95 = statistics.quantiles(times, n=20)[-1]
        print(
            f"| {name} | {database} | {len(times)} | {statistics.median(times):.1f} ms "
            f"| {p95:.1f} ms | {max(times):.1f} ms | {TARGETS[name]:g} ms |"
        )


if __name__ == "__main__":
    main()
