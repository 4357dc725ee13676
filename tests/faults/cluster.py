"""Workers of a site that a test starts and kills, one by one, without a web server."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from annotation_site.serving import worker_command
from tests.e2e.site import ROOT, Site, wait_for

EXTRACTING = worker_command("extraction", concurrency=1)
TAKING_EVERYTHING = [
    sys.executable, "-m", "celery", "--app", "annotation_site", "worker", "--concurrency", "2",
]  # fmt: skip
COMPUTING = worker_command("celery", concurrency=1)


class Cluster:
    """A site without a web server, and workers that the test starts and kills."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.workers: list[subprocess.Popen[bytes]] = []
        self._logs: list[Path] = []

    def start(self, count: int, *commands: Sequence[str]) -> None:
        """Start so many workers of each kind; returns when all say that they live."""
        before = self._names()
        wanted = count * (commands or (EXTRACTING,))
        for command in wanted:
            self.launch(command)
        wait_for(lambda: len(self._names() - before) == len(wanted), self.said)

    def launch(self, command: Sequence[str], **environment: str) -> "subprocess.Popen[bytes]":
        """Start a worker and wait for nothing."""
        log = self.site.folder / f"worker-{len(self.workers)}.log"
        self._logs.append(log)
        with log.open("wb") as file:
            process = subprocess.Popen(
                command,
                cwd=ROOT, env={**self.site.environment, **environment}, stdout=file, stderr=file,
                start_new_session=True,
            )  # fmt: skip
        self.workers.append(process)
        return process

    def _names(self) -> set[tuple]:
        return set(self.rows("SELECT name FROM workers_worker"))

    def kill(self, worker: str) -> None:
        """SIGKILL for a worker with its children, as a power cut does. `worker` is its name."""
        os.killpg(self._group(worker), signal.SIGKILL)

    @contextlib.contextmanager
    def paused(self, worker: str) -> Iterator[None]:
        """Nothing that this worker does goes on in the block. It may be killed there."""
        os.killpg(self._group(worker), signal.SIGSTOP)
        try:
            yield
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._group(worker), signal.SIGCONT)

    def _group(self, worker: str) -> int:
        pid = int(worker.split(":")[1])
        assert pid in [process.pid for process in self.workers]
        return pid

    def rows(self, sql: str) -> list[tuple]:
        """The site's `rows`."""
        return self.site.rows(sql)

    def said(self) -> str:
        """What the workers printed, for the message of a failed wait."""
        states = [
            self.rows(f"SELECT {columns} FROM {table}")
            for columns, table in (
                ("state, step, attempts, error, notice", "corpus_extraction"),
                ("layer, state, worker, attempts, done", "corpus_extractionlayer"),
                ("state, step, attempts, error", "results_snapshot"),
                ("content, state, attempts, error", "results_exportjob"),
            )
        ]
        return "\n".join([*map(str, states), *(log.read_text()[-3000:] for log in self._logs)])

    def running(self) -> list[tuple[int, str]]:
        """Layers being done, and by whom."""
        return self.rows(
            "SELECT layer, worker FROM corpus_extractionlayer WHERE state = 'running' AND done > 0"
        )

    def finished(self) -> list[tuple]:
        return self.rows(
            "SELECT state, bundle_digest, error FROM corpus_extraction "
            "WHERE state IN ('ready', 'failed')"
        )

    def layers(self) -> list[tuple[str, str, int, int, int]]:
        return self.rows(
            "SELECT state, worker, attempts, done, total FROM corpus_extractionlayer ORDER BY layer"
        )

    def stop(self) -> None:
        for process in self.workers:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
