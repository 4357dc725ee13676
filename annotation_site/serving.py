"""Web server and workers as processes that start and stop together."""

import contextlib
import ctypes
import errno
import hashlib
import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from types import FrameType

from django.conf import settings
from django.contrib.staticfiles.finders import get_finders
from django.core.management import call_command

from annotation_site.celery import DEFAULT_QUEUE, EXTRACTION_QUEUE, prepare_queue
from annotation_site.static_files import StaticFiles

WORKER_CLASS = "sync"
START_SECONDS = 60
GRACE_SECONDS = 20
PR_SET_PDEATHSIG = 1  # <sys/prctl.h>
_libc = ctypes.CDLL(None) if sys.platform == "linux" else None  # loaded before any fork
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)  # SIGHUP: the terminal was closed


def taken_port(host: str, first: int) -> socket.socket:
    """A socket bound to the first port from `first` on that nobody has: from here on it is ours.

    Looking for a free one and binding it later would let another program in between.
    """
    for port in range(first, first + 1000):
        taken = socket.socket()
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            taken.bind((host, port))
            taken.listen(1)  # two sockets may be bound to one port until one of them listens
        except OSError as error:
            taken.close()
            if error.errno not in (errno.EADDRINUSE, errno.EACCES):
                raise
            continue
        return taken
    raise SystemExit(f"No free port from {first} to {first + 999}. Choose another with --port.")


def free_port(host: str, first: int) -> int:
    """A port that nobody has now; another program may take it the moment after."""
    with taken_port(host, first) as taken:
        return int(taken.getsockname()[1])


def serve(host: str, first_port: int, web_workers: int = 3) -> None:
    """Run web server and workers until one of them ends or a signal asks to stop.

    The port is `first_port` or the next one that is free.

    Exits the process with the status of whichever ended by itself.
    """
    taken = taken_port(host, first_port)
    port = taken.getsockname()[1]
    prepare()
    workers = (
        # One that extracts, a piece at a time, with the whole machine; one for all that is short.
        worker_command(EXTRACTION_QUEUE, concurrency=1),
        worker_command(DEFAULT_QUEUE, concurrency=2),
    )
    processes: list[subprocess.Popen[bytes]] = []
    with _stop_signals() as stopping:
        try:
            bind = f"fd://{taken.fileno()}"
            processes.append(_start(web_command(bind, web_workers), pass_fds=[taken.fileno()]))
            taken.close()
            _wait_until_answering(host, port, processes, stopping)
            if not stopping and processes[0].poll() is None:
                print(f"\nFFN Concepts is at http://{host}:{port}/  (Ctrl-C stops it)", flush=True)
            # Last, so that the first page does not wait for the workers' imports.
            processes += [_start(worker) for worker in workers]
            while not stopping and all(process.poll() is None for process in processes):
                time.sleep(0.2)
        finally:
            _stop(processes)
    ended = [p.returncode for p in processes if p.returncode not in (0, -signal.SIGTERM)]
    if not stopping:
        raise SystemExit(ended[0] if ended else 1)


def worker_command(queue: str, *, concurrency: int) -> list[str]:
    """What starts a worker that takes from one queue, with so many children."""
    return [
        sys.executable, "-m", "celery", "--quiet", "--app", "annotation_site", "worker",
        "--queues", queue, "--hostname", f"{queue}@%h", "--concurrency", str(concurrency),
        "--loglevel", "WARNING", "--without-gossip", "--without-mingle",
    ]  # fmt: skip


def web_command(bind: str, web_workers: int) -> list[str]:
    """The command that runs the web server alone, at host:port or fd://socket."""
    return [
        sys.executable, "-m", "gunicorn", "annotation_site.wsgi", "--preload",
        "--bind", bind, "--workers", str(web_workers),
        "--log-level", "warning", "--no-control-socket",
        # A bundle that is uploaded over a slow line takes its worker as long as it comes in.
        "--timeout", "900",
        "--max-requests", "20000", "--max-requests-jitter", "2000",
    ]  # fmt: skip


def _start(command: list[str], pass_fds: Sequence[int] = ()) -> "subprocess.Popen[bytes]":
    # A session of its own: Ctrl-C in a terminal reaches this process, which stops the others.
    return subprocess.Popen(
        command, start_new_session=True, preexec_fn=_end_with_parent, pass_fds=pass_fds
    )


def _end_with_parent() -> None:
    """In a child: be asked to stop when the parent is killed and cannot ask any more.

    Linux only. Elsewhere a child that is left behind does no harm: all share one database.
    """
    if _libc is not None:
        _libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def prepare() -> None:
    """Bring database, static files and queue up to date; quick when they are."""
    os.umask(0o077)  # database, queue and bundles are nobody else's to read
    settings.VAR_DIR.mkdir(mode=0o700, parents=True, exist_ok=True)
    prepare_queue()
    call_command("migrate", verbosity=0, interactive=False)
    collect_static_files()


def collect_static_files() -> None:
    """Run collectstatic, unless nothing changed since it ran: it takes a second each time."""
    sources = [
        f"{path} {(stat := os.stat(storage.path(path))).st_size} {stat.st_mtime_ns}"
        for finder in get_finders()
        for path, storage in finder.list(StaticFiles.ignore_patterns)
    ]
    seen = hashlib.sha256("\n".join(sorted(sources)).encode()).hexdigest()
    stamp = settings.STATIC_ROOT / "collected"
    if stamp.exists() and stamp.read_text() == seen:
        return
    call_command("collectstatic", verbosity=0, interactive=False)
    stamp.write_text(seen)


def _wait_until_answering(
    host: str, port: int, processes: list[subprocess.Popen[bytes]], stopping: list[int]
) -> None:
    """Wait for any HTTP answer, a redirect to https included; give up after a while."""
    deadline = time.monotonic() + START_SECONDS
    while not stopping and all(process.poll() is None for process in processes):
        try:
            connection = http.client.HTTPConnection(host, port, timeout=5)
            connection.request("GET", "/healthz")
            connection.getresponse().read()
            return
        except (OSError, http.client.HTTPException):
            if time.monotonic() > deadline:
                return
            time.sleep(0.1)
        finally:
            connection.close()


@contextlib.contextmanager
def _stop_signals() -> Iterator[list[int]]:
    """A list that fills when a signal asks to stop."""
    received: list[int] = []

    def note(number: int, _: FrameType | None) -> None:
        received.append(number)

    before = {number: signal.signal(number, note) for number in STOP_SIGNALS}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _stop(processes: list[subprocess.Popen[bytes]]) -> None:
    """Ask all to stop, then insist. The worker finishes what is short and gives the rest back."""
    for process in processes:
        if process.poll() is None:
            process.terminate()
    deadline = time.monotonic() + GRACE_SECONDS
    for process in processes:
        try:
            process.wait(max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
