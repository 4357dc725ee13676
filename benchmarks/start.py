"""How long a site takes to start, and the memory of its processes: `python -m benchmarks.start`.

A site on SQLite that was there before, as `manage.py serve` starts it. Time runs from the command
until the login page, and an annotator's list after it, are answered whole; processor time is that
of `serve` and its web server until then, which other people's work on the machine hardly changes.
Memory is that after some pages, of workers that wait for their first task: resident bytes (what
libraries and parents share counted in each process) and, as the kernel divides them, each
process's share. Linux only.
"""

import argparse
import contextlib
import http.client
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")  # the servers have their own

from benchmarks.figures import Figure
from benchmarks.machine import processor_ms
from tests.e2e.annotators import people_of
from tests.e2e.site import ROOT, Site, some_port, wait_for

ROUNDS, FIRST_PAGE = 3, 1.5
MOST = {"web": 120.0, "worker": 150.0}  # MB
PAGES = 12  # by each kind of page
MARKS = {"web": "gunicorn", "worker": "celery", "serve": "manage.py"}


@dataclass(frozen=True)
class Start:
    """Seconds from the command to the first pages, and of the processor until the first one."""

    login: float
    list_page: float
    processor: float


@dataclass(frozen=True)
class Resident:
    """Bytes of a process in memory, and its share where several processes have a page."""

    total: int
    share: int


def resident(process: int) -> Resident:
    """What a process has in memory."""
    rollup = Path(f"/proc/{process}/smaps_rollup").read_text()
    sizes = dict(re.findall(r"^(Rss|Pss): +(\d+) kB", rollup, re.MULTILINE))
    return Resident(1024 * int(sizes["Rss"]), 1024 * int(sizes["Pss"]))


def processes_of(site: Site) -> dict[str, list[int]]:
    """The processes of a running site by kind; the web server's parent answers no pages."""
    assert site.process is not None
    found: dict[str, list[int]] = {kind: [] for kind in ("serve", "web parent", "web", "worker")}
    for process in _family(site.process.pid):
        command = Path(f"/proc/{process}/cmdline").read_text()
        kind = next(kind for kind, mark in MARKS.items() if mark in command)
        is_first = kind == "web" and not found["web parent"]  # parents come before their children
        found["web parent" if is_first else kind].append(process)
    return found


def _family(process: int) -> list[int]:
    """A process and those that descend from it."""
    threads = Path(f"/proc/{process}/task").glob("*/children")
    children = [int(child) for path in threads for child in path.read_text().split()]
    return [process, *(one for child in children for one in _family(child))]


def start(site: Site, session: str, list_id: str) -> Start:
    """Start a prepared site and measure; it is running afterwards."""
    port = some_port()
    began = time.perf_counter()
    with site.log.open("ab") as log:
        site.process = subprocess.Popen(
            [sys.executable, "manage.py", "serve", "--port", str(port)],
            cwd=ROOT, env=site.environment, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
    site.address = f"http://127.0.0.1:{port}"
    while not _get(port, "/login/"):
        assert site.process.poll() is None, site.said()
        time.sleep(0.005)
    login = time.perf_counter() - began
    processor = processor_ms(_family(site.process.pid)) / 1000
    assert _get(port, f"/lists/{list_id}/", session), site.said()
    return Start(login, time.perf_counter() - began, processor)


def _get(port: int, path: str, session: str = "") -> bool:
    """Whether a page is answered."""
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as asked:
        try:
            asked.request("GET", path, headers={"Cookie": f"sessionid={session}"})
            response = asked.getresponse()
            return bool(response.read()) and response.status == 200
        except ConnectionRefusedError:
            return False


def measure(rounds: int) -> tuple[Start, dict[str, list[Resident]]]:
    """The least of each time over some starts, and the last one's memory by kind of process."""
    with tempfile.TemporaryDirectory() as folder:
        site = Site(Path(folder) / "var", models=False)
        # Else each process compiles this program again, which an installed one never does.
        site.environment.pop("PYTHONDONTWRITEBYTECODE", None)
        site.prepare()
        ((session, list_id, *_),) = people_of(site, 1, lists_per_layer=2)
        found = []
        for _ in range(rounds + 1):  # the first one writes Python's bytecode
            if site.process is not None:
                site.stop()
            found.append(start(site, session, list_id))
            wait_for(lambda: site.rows("SELECT count(*) FROM workers_worker") == [(2,)], site.said)
        try:
            port = int(site.address.rpartition(":")[2])
            for _ in range(PAGES):
                assert _get(port, "/login/")
                assert _get(port, f"/lists/{list_id}/", session)
            memory = {
                kind: [resident(process) for process in processes]
                for kind, processes in processes_of(site).items()
            }
        finally:
            site.stop()
    times = found[1:]
    least = (min(getattr(one, name) for one in times) for name in Start.__dataclass_fields__)
    return Start(*least), memory


def figures() -> Iterator[Figure]:
    """Some starts."""
    times, memory = measure(ROUNDS)
    yield Figure("login page after the command", times.login, "s", FIRST_PAGE)
    yield Figure("a list's page after the command", times.list_page, "s", FIRST_PAGE)
    yield Figure("processor until the login page", times.processor, "s")
    for kind, most in MOST.items():
        largest = max(one.total for one in memory[kind]) / 1e6
        yield Figure(f"largest {kind} process", largest, "MB", most)
    share = sum(one.share for found in memory.values() for one in found) / 1e6
    yield Figure("all processes together", share, "MB")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=10)
    times, memory = measure(parser.parse_args().rounds)
    print(f"login page {times.login:.2f} s, list {times.list_page:.2f} s, "
          f"processor {times.processor:.2f} s")  # fmt: skip
    for kind, found in memory.items():
        for one in found:
            print(f"{kind:10} resident {one.total / 1e6:5.0f} MB, share {one.share / 1e6:4.0f} MB")


if __name__ == "__main__":
    main()
