"""A Redis and a PostgreSQL of the test's own, on free ports, to be killed and started again."""

import os
import pwd
import random
import shutil
import subprocess
from pathlib import Path

import psycopg2
import redis

from tests import requires
from tests.e2e.site import wait_for
from tests.ports import free_port


def _port() -> int:
    """A port that is free now; at random, since another test may look for one at this moment."""
    return free_port("127.0.0.1", random.randrange(21_000, 28_000))


class Broker:
    """A Redis that keeps nothing over a restart."""

    def __init__(self, folder: Path) -> None:
        program = shutil.which("redis-server")
        if program is None:
            requires.missing("No redis-server: install the system's package redis-server.")
        port = _port()
        self.url = f"redis://127.0.0.1:{port}/0"
        self._command = [
            program, "--port", str(port), "--bind", "127.0.0.1", "--save", "",
            "--appendonly", "no", "--dir", str(folder),
        ]  # fmt: skip

    def start(self) -> None:
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL)
        with redis.Redis.from_url(self.url) as client:
            wait_for(lambda: _answers(client))

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()


def _answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.ConnectionError:
        return False


class Postgres:
    """A PostgreSQL with one database, which keeps what it acknowledged over every restart.

    It refuses to run as root, so there it runs as the system's user postgres.
    """

    def __init__(self, folder: Path) -> None:
        found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
        if program := shutil.which("postgres"):
            found.append(Path(program))
        if not found:
            requires.missing("No PostgreSQL server: install the system's package postgresql.")
        self._programs = found[-1].parent
        self._folder = folder
        self._port = _port()
        self._user = pwd.getpwnam("postgres") if os.geteuid() == 0 else None
        if self._user:
            os.chown(folder, self._user.pw_uid, self._user.pw_gid)
        self.url = f"postgres://postgres@127.0.0.1:{self._port}/postgres"
        self._run("initdb", "--username=postgres", "--auth=trust", "--no-sync", "--no-locale",
                  "--encoding=UTF8", "--pgdata", str(folder / "data"))  # fmt: skip

    def _as_user(self) -> dict[str, object]:
        if self._user is None:
            return {}
        return {"user": self._user.pw_uid, "group": self._user.pw_gid, "extra_groups": []}

    def _run(self, program: str, *arguments: str) -> None:
        subprocess.run(
            [self._programs / program, *arguments], cwd=self._folder, check=True,
            capture_output=True, **self._as_user(),
        )  # fmt: skip

    def start(self) -> None:
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    self._programs / "postgres", "-D", self._folder / "data",
                    "-p", str(self._port), "-c", "listen_addresses=127.0.0.1",
                    "-c", f"unix_socket_directories={self._folder}", "-c", "max_connections=40",
                ],
                cwd=self._folder, stdout=log, stderr=log, start_new_session=True,
                **self._as_user(),
            )  # fmt: skip
        wait_for(self._answers, lambda: (self._folder / "log").read_text()[-2000:], pause=0.05)

    def _answers(self) -> bool:
        try:
            psycopg2.connect(self.url).close()
        except psycopg2.OperationalError:
            return False
        return True

    def stop(self, mode: str = "fast") -> None:
        """Cut everybody off in the middle of what they ask.

        "fast" is what an upgrade does, "immediate" what a crash does: the next start recovers.
        """
        self._run("pg_ctl", "stop", f"--mode={mode}", "--pgdata", str(self._folder / "data"))
        self._process.wait()
