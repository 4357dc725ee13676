"""The commands of README.md and docs/deploying.md, run from their text.

A project's folder is copied, so that a file `.env` can be in it. What a test cannot have (root, a
service manager, the network) is taken by small programs of the same names; everything else is real.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path

from tests.e2e.site import PASSWORD, wait_for
from tests.ports import free_port

ROOT = Path(__file__).resolve().parent.parent
PLACES = ("/opt/ffn-concepts", "/etc/ffn-concepts.env", "/var/lib/ffn-concepts", "/backups")
SERVERS = ("manage.py serve", "bin/gunicorn", "bin/celery")
STAND_INS = {
    "sudo": 'if [ "$1" = -u ]; then shift 2; fi; exec "$@"',
    "install": 'while [ "$1" != -m ]; do shift 2; done; cp "$3" "$4"; chmod "$2" "$4"',
    "git": "true",
    "python3": 'test "$1 $2" = "-m venv"',
    # A service that is asked to run is run by the test; the time at which does not matter here.
    "systemctl": 'echo "$*" >> "$STAND_INS/systemctl.log"',
}


def blocks(page: str, heading: str) -> list[str]:
    """The indented blocks below a heading, up to the next."""
    text = (ROOT / page).read_text()
    found = re.search(
        rf"^## {re.escape(heading)}\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL
    )
    assert found, f"{page} has no heading {heading}"
    pieces = re.findall(r"(?:^(?:    .*)?\n)+", found.group(1), re.MULTILINE)
    cleaned = (re.sub(r"^    ", "", piece, flags=re.MULTILINE).strip() for piece in pieces)
    return [piece for piece in cleaned if piece]


def the_block(page: str, heading: str, beginning: str) -> str:
    """The one block below a heading that has a line which begins like that."""
    found = [b for b in blocks(page, heading) if re.search(rf"^{re.escape(beginning)}", b, re.M)]
    assert len(found) == 1, f"{heading}: {len(found)} blocks with {beginning}"
    return found[0]


class Machine:
    """A machine on which somebody follows the documentation, with nothing set beforehand."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.project = self.place("/opt/ffn-concepts")
        self.project.mkdir(parents=True)
        for name in ("annotation_site", "ffn_extract", "requirements"):
            shutil.copytree(ROOT / name, self.project / name)
        for name in ("manage.py", "requirements.txt"):
            shutil.copy2(ROOT / name, self.project / name)
        for name in ("etc", "var/lib", "backups", "home", "bin"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        programs = self.project / ".venv/bin"
        programs.mkdir(parents=True)
        real = f'exec "{sys.executable}"'
        self._program(programs / "python", f'{real} "$@"')
        self._program(programs / "gunicorn", f'{real} -m gunicorn "$@"')
        self._program(programs / "celery", f'{real} -m celery "$@"')
        self._program(programs / "pip", 'test "$1 $2" = "install -r" && test -f "$3"')
        for name, script in STAND_INS.items():
            self._program(folder / "bin" / name, script)

    @staticmethod
    def _program(path: Path, script: str) -> None:
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    def place(self, path: str) -> Path:
        """Where a folder or file of the text is on this machine."""
        return self.folder / path.lstrip("/")

    def here(self, text: str) -> str:
        """A text with its places as they are on this machine, and NAME and dots filled in."""
        for path in PLACES:
            text = re.sub(rf"(?<![\w/.]){path}", str(self.place(path)), text)
        return text.replace("createadmin NAME", "createadmin ada")

    @property
    def environment(self) -> dict[str, str]:
        """What a fresh login has: no setting."""
        return {
            "PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}",
            "HOME": str(self.folder / "home"),
            "STAND_INS": str(self.folder / "bin"),
            "PYTHONWARNINGS": "ignore",
            "OMP_NUM_THREADS": "1",
        }

    def type(self, commands: str, *, fails: bool = False) -> str:
        """Type commands into a shell in the project's folder; returns everything they print."""
        ended = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", self.here(commands)],
            cwd=self.project, env=self.environment, input=PASSWORD + "\n", text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, timeout=600,
        )  # fmt: skip
        assert (ended.returncode != 0) is fails, ended.stdout
        assert "Traceback" not in ended.stdout, ended.stdout
        return ended.stdout

    @contextmanager
    def running(self, command: str, **more: str) -> Iterator[int]:
        """A server, as it is started by a line of the text; on a free port, which is returned."""
        port = free_port("127.0.0.1", 22_000)
        command = self.here(command).replace("127.0.0.1:8000", f"127.0.0.1:{port}")
        if "manage.py serve" in command:
            command = command.removesuffix(" --port 8000") + f" --port {port}"
        log = self.folder / "server.log"
        with log.open("ab") as file:
            process = subprocess.Popen(
                ["bash", "-c", f"exec {command}"], cwd=self.project,
                env={**self.environment, **more}, stdout=file, stderr=file, start_new_session=True,
            )  # fmt: skip
        try:
            yield port
            assert process.poll() is None, log.read_text()
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(120)
            finally:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait()


def page(port: int, path: str, host: str) -> tuple[int, str]:
    """What a proxy with TLS gets for a page."""
    connection = HTTPConnection("127.0.0.1", port, timeout=60)
    headers = {"Host": host, "X-Forwarded-Proto": "https", "X-Forwarded-For": "192.0.2.1"}
    try:
        connection.request("GET", path, headers=headers)
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()


def answers(port: int) -> None:
    """Wait until a web server serves."""

    def ready() -> bool:
        try:
            return page(port, "/readyz", "127.0.0.1")[0] == 200
        except OSError:
            return False

    wait_for(ready)
