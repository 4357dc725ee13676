"""What fifty annotators at once do to a site at work: `python -m benchmarks.load`, or `make load`.

The site as `manage.py serve` runs it, web server and both workers, and the clients on the same
machine. Each annotator opens the next list, saves it twice and submits it, over and over, and
thinks for a second before every request. Meanwhile the workers extract the demo's model, write
100,000 labels to a file and compute the study's results, again and again. Once before, each of
these was done, so that what is measured is a site that has run for a while.

Ends with an error when a request failed, when something that was acknowledged is not stored or is
stored twice, when a piece of the workers' work failed, or when the memory of a kind of process
grows between a quarter of the time and its end; with --strict also when 95% of the annotators'
requests take longer than the goal. SQLite and the queue of files by default; PostgreSQL and Redis
where TEST_DATABASE_URL and TEST_REDIS_URL are set and FFN_TEST_SERVICES is 1.
"""

import argparse
import os
import random
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")  # the servers have their own

from benchmarks.annotators import ANSWER, Timed
from benchmarks.machine import describe, resident_bytes_below
from tests.e2e.annotators import Annotator, Lost, Own, admin_of, people_of, require_all_stored
from tests.e2e.site import MODEL, Site, database_of_its_own, wait_for

SAVES = 2  # per list
STRATA = 6  # layers and kinds of the study that `people_of` makes
EXTRACT = {"model": MODEL, "kinds": ["value", "random"], "per_layer": 100, "glosses": []}
EXPORT = "content=jsonl"
ROUND_SECONDS = 20  # from one extraction and export to the next
WORK = {
    "extractions": "Extraction.objects.exclude(model__name__startswith='model-')"
    ".exclude(model__name='random')",
    "exports": "ExportJob.objects.all()",
    "results": "Snapshot.objects.all()",
}
GOAL = 250.0  # milliseconds, 95th percentile of what annotators wait for
MOST_GROWTH = 1.25  # of the resident size, from a quarter of the time to its end
NAMES = {"next": "next", "draft": "autosave", "submit": "submit"}
ROLES = {
    "web": "gunicorn",
    "worker": "--queues celery",
    "extraction worker": "--queues extraction",
}


@dataclass
class Found:
    """What a load did, and what is wrong with it."""

    times: dict[str, list[float]]  # milliseconds, by request
    memory: dict[str, list[int]]  # bytes of the largest process, by role, second by second
    submissions: int
    work: dict[str, Counter[str]]  # states of extractions, exports and snapshots
    locked: int  # "database is locked" in the servers' log
    repeated: int  # requests that nobody answered
    wrong: list[str] = field(default_factory=list)

    def growth(self, role: str) -> float:
        """Resident size at the end, in terms of that after a quarter of the time."""
        sizes = self.memory[role]
        return sizes[-1] / sizes[len(sizes) // 4]


def label(person: Annotator, study: str, think: float, end: float) -> None:
    """One annotator's session, until the time or the lists are over."""
    time.sleep(random.uniform(0, think))  # people do not press keys in step
    while time.monotonic() < end:
        own = next_list(person, study, think)
        if time.monotonic() < end:  # else a draft stays, to be looked for afterwards
            person.submit(own, ANSWER)
        time.sleep(think)


def next_list(person: Annotator, study: str, think: float) -> Own:
    """Open the next list and save it; returned when it is time to submit."""
    status, reply = person.persist("POST", f"/api/work/{study}/next")
    assert status == 200, (status, reply)
    assert reply["next"] is not None, "The lists ran out."
    own = person.meet(reply["next"])
    for n in range(SAVES):
        time.sleep(think)
        person.save(own, {**ANSWER, "comment": f"draft {n}"})
    time.sleep(think)
    return own


def ask_for_work(admin: Annotator, seed: int) -> None:
    """An extraction and an export; results come by themselves, with submissions."""
    status, reply = admin.persist("POST", "/api/extractions", {**EXTRACT, "seed": seed})
    assert status == 201, (status, reply)
    status, reply = admin.persist("POST", "/studies/benchmark/exports/", EXPORT)
    assert status in (302, 422), (status, reply)  # 422: many wait already


def states(site: Site) -> dict[str, Counter[str]]:
    """How far the workers' work is."""
    asked = ", ".join(
        f"'{name}': list({rows}.values_list('state', flat=True))" for name, rows in WORK.items()
    )
    return {name: Counter(found) for name, found in site.query(f"{{{asked}}}").items()}


def wait_until_done(site: Site, **least: int) -> None:
    """Wait until so many pieces of each kind are done; a failure ends the wait, too."""

    def done() -> bool:
        found = states(site)
        return any(count["failed"] for count in found.values()) or all(
            found[name]["ready"] >= count for name, count in least.items()
        )

    wait_for(done, site.said, seconds=600, pause=3)


def largest_by_role(site: Site) -> dict[str, int]:
    """Resident bytes of the largest process of each role."""
    assert site.process is not None
    found = resident_bytes_below(site.process.pid)
    return {
        role: max((size for command, size in found if mark in command), default=0)
        for role, mark in ROLES.items()
    }


def load(
    site: Site, *, people: int, seconds: float, think: float = 1.0, labels: int = 100_000
) -> Found:
    """Put a prepared site under load; it is running afterwards."""
    lists = 2 + int(seconds / (think * (SAVES + 2)) / STRATA)
    persons = people_of(site, people, lists_per_layer=lists)
    fill = f"from benchmarks.exports import fill; fill({labels})"
    site.run(fill)
    study = site.query("Study.objects.exclude(slug='benchmark').get().slug")
    session = admin_of(site)
    site.start()
    address = ("127.0.0.1", urlsplit(site.address).port or 0)
    annotators = [Timed(address, own) for own, *_ in persons]
    admin = Timed(address, session)
    ask_for_work(admin, seed=0)
    wait_until_done(site, extractions=1, exports=1)
    # The first to submit loads what sending a message needs, and has results computed.
    annotators[0].submit(next_list(annotators[0], study, 0), ANSWER)
    wait_until_done(site, results=1)
    annotators[0].times.clear()

    wrong: list[str] = []
    memory: dict[str, list[int]] = {role: [] for role in ROLES}
    start = time.monotonic()
    end = start + seconds
    with ThreadPoolExecutor(people) as pool:
        working = [pool.submit(label, one, study, think, end) for one in annotators]
        rounds = 0
        while (now := time.monotonic()) < end:
            if now >= start + rounds * ROUND_SECONDS:
                rounds += 1
                ask_for_work(admin, seed=rounds)
            assert site.process is not None
            assert site.process.poll() is None, f"The site ended. {site.said()}"
            for role, size in largest_by_role(site).items():
                memory[role].append(size)
            time.sleep(min(1.0, seconds / 20))
        wrong += [f"An annotator: {error!r}" for one in working if (error := one.exception())]
    for one in [*annotators, admin]:
        one.close()
    wait_until_done(site, extractions=2, exports=2, results=2)
    found = Found(
        times={name: [ms for one in annotators for ms in one.times[key]]
               for key, name in NAMES.items()},
        memory=memory,
        submissions=0,
        work=states(site),
        locked=site.log.read_text().count("database is locked"),
        repeated=sum(one.retries for one in [*annotators, admin]),
        wrong=wrong,
    )  # fmt: skip
    wrong += [f"Failed: {name}" for name, count in found.work.items() if count["failed"]]
    if failures := sum(one.failures for one in [*annotators, admin]):
        wrong.append(f"The server failed {failures} times.")
    if found.locked:
        wrong.append("The database was locked.")
    try:
        found.submissions = require_all_stored(site, annotators)
    except (AssertionError, Lost) as error:
        wrong.append(f"Lost or double: {error}")
    return found


def p95(times: Sequence[float]) -> float:
    return statistics.quantiles(times, n=20)[-1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--people", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--labels", type=int, default=100_000)
    parser.add_argument("--strict", action="store_true", help="fail where the goal is missed")
    options = parser.parse_args()
    services = os.environ.get("FFN_TEST_SERVICES") == "1"
    database = "PostgreSQL and Redis" if services else "SQLite"
    with tempfile.TemporaryDirectory() as folder:
        site = Site(Path(folder) / "var")
        with database_of_its_own(site.environment):
            site.prepare()
            try:
                found = load(
                    site,
                    people=options.people,
                    seconds=options.seconds,
                    labels=options.labels,
                )
            finally:
                if site.process is not None and site.process.poll() is None:
                    site.stop()
    print_found(found, options.people, options.seconds, database)
    wrong = found.wrong + [
        f"Memory: the {role} grew {found.growth(role):.2f} times."
        for role in ROLES
        if found.growth(role) > MOST_GROWTH
    ]
    if options.strict:
        wrong += [
            f"Slow: {name}" for name, times in found.times.items() if times and p95(times) > GOAL
        ]
    sys.exit("\n".join(wrong) or 0)


def print_found(found: Found, people: int, seconds: float, database: str) -> None:
    print(f"{describe()}; {people} annotators for {seconds:g} s, {database}\n")
    print("| request | database | number | median | 95% | slowest | goal of 95% |")
    print("|---|---|---|---|---|---|---|")
    for name, times in found.times.items():
        print(
            f"| {name} | {database} | {len(times)} | {statistics.median(times):.0f} ms "
            f"| {p95(times):.0f} ms | {max(times):.0f} ms | {GOAL:g} ms |"
        )
    print("\n| largest process | after a quarter of the time | at the end | growth |")
    print("|---|---|---|---|")
    for role, sizes in found.memory.items():
        print(
            f"| {role} | {sizes[len(sizes) // 4] / 2**20:.0f} MB | {sizes[-1] / 2**20:.0f} MB "
            f"| {found.growth(role):.2f} |"
        )
    done = ", ".join(f"{name}: {count['ready']}" for name, count in found.work.items())
    print(
        f"\n{found.submissions} submissions, each stored once; {done}; “database is locked”: "
        f"{found.locked}; requests repeated for want of a reply: {found.repeated}; "
        f"faults: {len(found.wrong)}"
    )


if __name__ == "__main__":
    main()
