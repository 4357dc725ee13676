"""An installation of the site for tests: a folder, its settings, and commands as they are typed.

Every command is a process of its own with these settings and no others.
"""

import ctypes
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.e2e.site import PASSWORD, prepared_folder

ROOT = Path(__file__).resolve().parent.parent
PR_CAPBSET_DROP, CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH = 24, 1, 2  # <sys/prctl.h>, capability(7)


class Installation:
    """A site that is set up, without anybody who runs it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.var = folder / "var"
        self.home = folder / "home"
        self.home.mkdir(parents=True)
        self.settings: dict[str, str] = {
            "VAR_DIR": str(self.var),
            "SECRET_KEY": "a-k3y-of-these-tests-" * 4,
            # Else a developer's own file would be read as well.
            "FFN_ENV_FILE": os.devnull,
        }

    def set_up(self) -> "Installation":
        """What migrate, createadmin and collectstatic leave behind."""
        shutil.copytree(prepared_folder(), self.var, dirs_exist_ok=True)
        self.var.chmod(0o700)
        created = self.manage("createadmin", "ada", text=PASSWORD + "\n")
        assert created.returncode == 0, created.stderr
        return self

    def copy(self, folder: Path) -> "Installation":
        """The same installation in another folder."""
        new = Installation(folder)
        shutil.copytree(self.var, new.var, symlinks=True)
        new.var.chmod(0o700)
        return new

    @property
    def environment(self) -> dict[str, str]:
        """These settings, and what any process has."""
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "PYTHONWARNINGS": "ignore",
            "OMP_NUM_THREADS": "1",
            **self.settings,
        }

    def manage(
        self, *arguments: str, text: str = "", before: Callable[[], None] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """`manage.py` with these arguments."""
        return subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT, env=self.environment, input=text, capture_output=True, text=True,
            check=False, timeout=300, preexec_fn=before,
        )  # fmt: skip

    def sql(self, statement: str, *values: object) -> None:
        """Change the database behind the site's back."""
        with sqlite3.connect(self.var / "db.sqlite3") as connection:
            connection.execute(statement, values)
        connection.close()

    def worker_seen(self, host: str = "", *, seconds_ago: float = 0, extracts: bool = True) -> None:
        """A sign of life of a worker."""
        now = datetime.now(UTC)
        seen = (now - timedelta(seconds=seconds_ago)).strftime("%Y-%m-%d %H:%M:%S.%f")
        self.sql(
            "INSERT INTO workers_worker "
            "(name, started_at, seen_at, extracts, tasks_at_once, version) "
            "VALUES (?, ?, ?, ?, 0, '')",
            f"{host or socket.gethostname()}:1:abc", seen, seen, extracts,
        )  # fmt: skip


def without_roots_privilege() -> None:
    """In a child: what a folder's mode forbids is forbidden to root as well."""
    if os.geteuid() == 0:
        libc = ctypes.CDLL(None, use_errno=True)
        for capability in (CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH):
            libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)
