"""Whether an annotator's pages care how many lists there are: `python -m benchmarks.scale`.

Two databases with the same study of 1,002 lists; one has a million lists of others beside it, in
eight extractions, judged in a study by fifty people. A person's pages are asked for in both in
turn, round after round, and compared within each round: the processor's time that the page took in
this process and, on PostgreSQL, in the server's process that serves it (so it is measured on the
server's own machine, a Linux). SQLite by default, PostgreSQL where TEST_DATABASE_URL is set and
FFN_TEST_SERVICES is 1; both databases are the benchmark's own and dropped at the end. Ends with an
error where a page takes 20% more.
"""

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.machine import describe

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser

    from annotation_site.annotation.models import Study

LISTS = 1_000_000
AT_ONCE = 5  # of each page, in a round
GOAL = 1.2  # times as long, with a million lists
ANSWER = {
    "patterns": [
        {
            "number": 1, "description": "animals", "category": "semantic", "stopwords": None,
            "ranks": [1, 2, 3, 4],
        }
    ],
    "no_pattern": False,
    "comment": "",
}  # fmt: skip


class Person:
    """A logged-in annotator, inside this process. Each page is a method that asks once."""

    def __init__(self, study: "Study", user: "AbstractBaseUser") -> None:
        from django.test import Client

        self.slug = study.slug
        self.client = Client()
        self.client.force_login(user)
        self.list: dict[str, Any] = {}
        self.version = 0
        self.open_next()

    def pages(self) -> dict[str, Callable[[], None]]:
        return {
            "home": self.home,
            "own lists": self.own_lists,
            "list": self.open_list,
            "autosave": self.autosave,
            "submit, with the next list": self.submit,
        }

    def open_next(self) -> None:
        self._list_is(self._ask("post", f"/api/work/{self.slug}/next").json()["next"])

    def _list_is(self, page: dict[str, Any]) -> None:
        self.list, self.version = page["urls"], page["draft"]["version"]

    def home(self) -> None:
        self._ask("get", "/")

    def own_lists(self) -> None:
        self._ask("get", f"/studies/{self.slug}/")

    def open_list(self) -> None:
        self._ask("get", self.list["page"])

    def autosave(self) -> None:
        body = {
            "content": {"annotation": ANSWER},
            "base_version": self.version,
            "active_seconds": 1,
        }
        self.version = self._ask("put", self.list["draft"], body).json()["version"]

    def submit(self) -> None:
        body = {
            "annotation": ANSWER, "key": str(uuid.uuid4()), "base_version": self.version,
            "active_seconds": 1,
        }  # fmt: skip
        self._list_is(self._ask("post", self.list["submit"], body).json()["next"])

    def _ask(self, method: str, path: str, body: Any = None) -> Any:
        kind = {"content_type": "application/json"} if method != "get" else {}
        response = getattr(self.client, method)(path, body, **kind)
        assert response.status_code == 200, (path, response.status_code, response.content)
        return response


def world(others: int) -> None:
    """Make a database with so many lists of others; then measure a round for each line read."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    os.environ["TEST_REDIS_URL"] = ""  # messages for workers stay in a folder that goes
    import django

    django.setup()
    from django.db import connection

    from benchmarks.synthetic import add_lists_of_others, make_own_study

    name = connection.settings_dict["NAME"]
    with contextlib.redirect_stdout(sys.stderr):  # the other end reads only what it asked for
        connection.creation.create_test_db(verbosity=0, autoclobber=True)
    try:
        study = make_own_study()
        if others:
            add_lists_of_others(others)
        member = study.memberships.filter(role="annotator").select_related("user").order_by("pk")
        person = Person(study, member[0].user)
        print("ready", flush=True)
        for _ in sys.stdin:
            times = {name: _milliseconds(ask) for name, ask in person.pages().items()}
            print(json.dumps(times), flush=True)
    finally:
        connection.creation.destroy_test_db(name, verbosity=0)


def _milliseconds(ask: Callable[[], None]) -> float:
    """The processor's time for a page, the database's share included."""
    ask()
    before = time.process_time() + _server_seconds()
    for _ in range(AT_ONCE):
        ask()
    return 1000 * (time.process_time() + _server_seconds() - before) / AT_ONCE


def _server_seconds() -> float:
    """The processor's time that PostgreSQL's process for this connection has taken so far."""
    from django.db import connection

    if connection.vendor != "postgresql":
        return 0.0
    server = connection.connection.info.backend_pid
    return int(Path(f"/proc/{server}/schedstat").read_text().split()[0]) / 1e9


def compare(few: int, many: int, rounds: int) -> dict[str, tuple[float, float, float]]:
    """Each page's milliseconds in both worlds, and the median ratio of all rounds."""
    worlds = [
        subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", "benchmarks.scale", "--world", str(lists)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )
        for lists in (few, many)
    ]  # fmt: skip

    def answer(one: "subprocess.Popen[str]") -> str:
        assert one.stdout is not None
        return one.stdout.readline() or sys.exit("A world ended; its errors are above.")

    def measured(one: "subprocess.Popen[str]") -> dict[str, float]:
        assert one.stdin is not None
        print(file=one.stdin, flush=True)
        times: dict[str, float] = json.loads(answer(one))
        return times

    try:
        for one in worlds:
            assert answer(one) == "ready\n"
        found = []
        for n in range(rounds + 1):  # the first warms up
            first, second = (0, 1) if n % 2 else (1, 0)
            times = {first: measured(worlds[first]), second: measured(worlds[second])}
            found.append((times[0], times[1]))
    finally:
        for one in worlds:
            one.communicate()
    median = statistics.median
    return {
        name: (
            median(small[name] for small, _ in found[1:]),
            median(large[name] for _, large in found[1:]),
            median(large[name] / small[name] for small, large in found[1:]),
        )
        for name in found[0][0]
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lists", type=int, default=LISTS)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--world", type=int, help="measure one database; for the benchmark itself")
    options = parser.parse_args()
    if options.world is not None:
        world(options.world)
        return
    database = "PostgreSQL" if os.environ.get("FFN_TEST_SERVICES") == "1" else "SQLite"
    found = compare(0, options.lists, options.rounds)
    print(f"{describe()}; {options.rounds} rounds, processor time\n")
    print(f"| page | database | 1,002 lists | and {options.lists:,} more | ratio | goal |")
    print("|---|---|---|---|---|---|")
    for name, (small, large, ratio) in found.items():
        print(f"| {name} | {database} | {small:.1f} ms | {large:.1f} ms | {ratio:.2f} | {GOAL} |")
    sys.exit(any(ratio > GOAL for *_, ratio in found.values()))


if __name__ == "__main__":
    main()
