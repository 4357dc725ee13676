"""Where the milliseconds of a submission go: `python -m benchmarks.submission [--number N]`.

Submissions with one pattern of eight tokens, whose reply is the next list, through the WSGI
application in one process, without a web server. First the processor time of one; then, under
Python's profiler, which makes everything slower, the share of each part. SQLite by default,
PostgreSQL where TEST_DATABASE_URL is set and FFN_TEST_SERVICES is 1; the database's own time is in
neither there.
"""

import argparse
import cProfile
import io
import json
import os
import pstats
import re
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.machine import describe
from tests.e2e.annotators import TOKEN

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
PARTS = {  # a function of each, by file and name; none is within another
    "session and person": (("contrib/auth/middleware.py", "get_user"),),
    "the list, locked": (("work/submissions.py", "_locked"),),
    "patterns and members": (("work/submissions.py", "_patterns_replace"),),
    "time that counts": (("work/time_records.py", "time_record"),),
    "assignment and revision": (("work/submissions.py", "_finish"),),
    "the next list": (("api/views/lists.py", "_next"),),
}
ROUNDS, WARM = 5, 20


class Person:
    """An annotator within the process."""

    def __init__(self, application: Callable[..., Any], session: str, first: str) -> None:
        self._application, self._session = application, session
        html = self._ask("GET", f"/lists/{first}/").decode()
        found = re.search(r'id="page-data"[^>]*>(.*?)</script>', html)
        assert found is not None
        self._meet(json.loads(found.group(1)))

    def submit(self) -> None:
        """Submit the list and meet the next one."""
        body = {
            "base_version": self._version, "key": str(uuid.uuid4()), "annotation": ANSWER,
            "active_seconds": 1,
        }  # fmt: skip
        reply = self._ask("POST", f"/api/lists/{self._list}/submit", json.dumps(body).encode())
        self._meet(json.loads(reply)["next"])

    def _meet(self, page: dict[str, Any]) -> None:
        self._list, self._version = page["list"]["id"], page["draft"]["version"]

    def _ask(self, method: str, path: str, body: bytes = b"") -> bytes:
        environ = {
            "REQUEST_METHOD": method, "PATH_INFO": path, "QUERY_STRING": "", "SCRIPT_NAME": "",
            "SERVER_NAME": "127.0.0.1", "SERVER_PORT": "8000", "HTTP_HOST": "127.0.0.1:8000",
            "SERVER_PROTOCOL": "HTTP/1.1", "REMOTE_ADDR": "127.0.0.1",
            "HTTP_COOKIE": f"sessionid={self._session}; csrftoken={TOKEN}",
            "HTTP_X_CSRFTOKEN": TOKEN,
            "CONTENT_TYPE": "application/json", "CONTENT_LENGTH": str(len(body)),
            "wsgi.input": io.BytesIO(body), "wsgi.errors": sys.stderr, "wsgi.version": (1, 0),
            "wsgi.url_scheme": "http", "wsgi.multithread": True, "wsgi.multiprocess": True,
            "wsgi.run_once": False,
        }  # fmt: skip
        told: list[str] = []
        response = self._application(environ, lambda status, *_: told.append(status))
        reply = b"".join(response)
        response.close()
        assert told[0].startswith("200"), (told, reply[:500])
        return reply


def measure(session: str, first: str, number: int) -> dict[str, float]:
    """Milliseconds of processor time of one submission, and the share of each part."""
    from annotation_site.wsgi import application

    person = Person(application, session, first)
    for _ in range(WARM):
        person.submit()
    times = []
    for _ in range(ROUNDS):
        start = time.process_time()
        for _ in range(number):
            person.submit()
        times.append(1000 * (time.process_time() - start) / number)
    profile = cProfile.Profile()
    profile.enable()
    for _ in range(number):
        person.submit()
    profile.disable()
    stats: Any = pstats.Stats(profile)
    spent = {
        part: sum(
            row[3]
            for (file, _, name), row in stats.stats.items()
            for end, wanted in functions
            if file.endswith(end) and name == wanted
        )
        / stats.total_tt
        for part, functions in PARTS.items()
    }
    return {"ms": statistics.median(times), **spent, "the rest": 1 - sum(spent.values())}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--number", type=int, default=100, help="Submissions of a round.")
    parser.add_argument("--measure", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure(*options.measure, options.number)))
        return
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    from tests.e2e.annotators import people_of
    from tests.e2e.site import Site, database_of_its_own

    with tempfile.TemporaryDirectory() as folder:
        site = Site(Path(folder) / "var", models=False)
        with database_of_its_own(site.environment):
            site.prepare()
            lists = (ROUNDS + 1) * options.number // 6 + WARM
            ((session, first, *_),) = people_of(site, 1, lists_per_layer=lists)
            environment = {**os.environ, **site.environment}
            environment["DJANGO_SETTINGS_MODULE"] = "annotation_site.settings"
            command = [sys.executable, "-m", "benchmarks.submission", "--measure", session, first]
            ended = subprocess.run(
                [*command, "--number", str(options.number)],
                env=environment, capture_output=True, text=True, check=True,
            )  # fmt: skip
    found = json.loads(ended.stdout.splitlines()[-1])
    milliseconds = found.pop("ms")
    print(f"{describe()}\n\n{milliseconds:.1f} ms of processor time; under the profiler:")
    for part, share in found.items():
        print(f"  {part:<26}{share:6.0%}{share * milliseconds:8.1f} ms")


if __name__ == "__main__":
    main()
