"""`serve`: web server and workers as processes that start and stop together."""

import contextlib
import errno
import functools
import hashlib
import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from django.conf import settings
from django.core.management import call_command
from django.db import connections

from annotation_site.orphans import GRACE_SECONDS, end_with
from annotation_site.private_files import keep_files_private
from annotation_site.static_files import static_sources
from annotation_site.workers.queues import EXTRACTION_QUEUE, RESULTS_QUEUE
from ffn_extract.target_lock import held

NICENESS = 5  # a third of the processor where pages want all of it
WORKER_CLASS = "annotation_site.web_worker.Worker"  # gthread, and no thread waits for a client
WEB_WORKERS, WEB_THREADS = 2, 2
BACKLOG = 2048  # connections that wait to be accepted; gunicorn leaves this as it finds it
START_SECONDS = 60
STEADY_SECONDS = 30  # a process that ran so long was no false start
MOST_RESTARTS = 3  # of false starts in a row, before the web server is given up
MOST_PAUSE_SECONDS = 60  # between two false starts of a worker, which is never given up
LOCK = "serve.lock"
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)  # SIGHUP: the terminal was closed


def _nothing(*_: object) -> None:
    """Do nothing, as a site without additions does."""


def _say_address(address: str) -> None:
    print(f"\nFFN Concepts is at {address}  (Ctrl-C stops it)", flush=True)


def _silently(_: str) -> AbstractContextManager[None]:
    return contextlib.nullcontext()


@dataclass(frozen=True)
class Site:
    """The site that is served, with the demo's additions to it.

    `fill` puts into the database what is to be there before the first page. `application` is the
    web server's, which inherits the files `handed`. `step` surrounds each step of the start,
    `started` gets the address, and `meanwhile` is called a few times per second while all run.
    """

    fill: Callable[[], None] = _nothing
    application: str = "annotation_site.wsgi"
    handed: tuple[int, ...] = ()
    step: Callable[[str], AbstractContextManager[None]] = _silently
    started: Callable[[str], None] = _say_address
    meanwhile: Callable[[], None] = _nothing


def taken_port(host: str, first: int) -> socket.socket:
    """A socket bound to the first free port from `first` on, which reserves it.

    Looking for a free one and binding it later would let another program in between.
    """
    for port in range(first, first + 1000):
        taken = socket.socket()
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            taken.bind((host, port))
            taken.listen(BACKLOG)  # two sockets may be bound to one port until one of them listens
        except OSError as error:
            taken.close()
            if error.errno not in (errno.EADDRINUSE, errno.EACCES):
                raise
            continue
        return taken
    raise SystemExit(f"No free port from {first} to {first + 999}. Choose another with --port.")


def serve(
    host: str,
    first_port: int,
    web_workers: int = WEB_WORKERS,
    *,
    site: Site = Site(),  # frozen
) -> None:
    """Run web server and workers until a signal asks to stop.

    The port is `first_port` or the next one that is free. One server that ends by itself is started
    again; requests that come meanwhile wait. A web server that keeps ending at once stops all, and
    the exit status is its own; without a worker the site goes on. Raises SystemExit where this
    folder's site runs already.
    """
    keep_files_private()
    with _alone():
        with site.step("Database and static files"):
            prepare()
        site.fill()
        _serve(host, first_port, web_workers, site)


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    """The right to serve from this folder of data, until the process ends, however it ends."""
    folder = settings.VAR_DIR
    with contextlib.ExitStack() as stack:
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            stack.enter_context(held(folder / LOCK))
        except BlockingIOError:
            raise SystemExit(
                f"A site runs from {folder} already (`manage.py serve` or `make demo`). Use that "
                "one, or stop it first; for a second site, set VAR_DIR to another folder."
            ) from None
        except OSError as error:
            raise SystemExit(
                f"{folder} cannot be written: {error.strerror}. Make room or change its owner, or "
                "set VAR_DIR to another folder."
            ) from error
        yield


def _serve(host: str, first_port: int, web_workers: int, site: Site) -> None:
    taken = taken_port(host, first_port)
    port = taken.getsockname()[1]
    command = web_command(f"fd://{taken.fileno()}", web_workers, site.application)
    web = _Server("web server", command, taken.fileno(), *site.handed)
    workers = (
        # One that extracts, a piece at a time, with the whole machine; one for all that is short.
        _Worker("worker for extractions", worker_command(EXTRACTION_QUEUE, concurrency=1)),
        _Worker("worker for results", worker_command(RESULTS_QUEUE, concurrency=2)),
    )
    servers: list[_Server] = []
    hopeless = None
    with _stop_signals() as stopping, taken:
        try:
            with site.step("Web server"):
                web.start()
                servers.append(web)
                _wait_until_answering(host, port, [web.process], stopping)
            if not stopping and web.process.poll() is None:
                site.started(f"http://{host}:{port}/")
            # Last, so that the first page does not wait for the workers' imports.
            for worker in workers:
                worker.start()
                servers.append(worker)
            while not stopping and hopeless is None:
                hopeless = next((one for one in servers if not one.kept_up()), None)
                site.meanwhile()
                time.sleep(0.2)
        finally:
            _stop([server.process for server in servers])
    if hopeless is not None and not stopping:
        raise SystemExit(max(1, hopeless.process.returncode))


class _Server:
    """A process that is started again when it ends."""

    prepare_child = staticmethod(end_with)

    def __init__(self, title: str, command: list[str], *pass_fds: int) -> None:
        self.title = title
        self._command, self._pass_fds = command, pass_fds
        self._false_starts = 0
        self._ended_at: float | None = None

    def start(self) -> None:
        # A session of its own: Ctrl-C in a terminal reaches this process, which stops the others.
        self.process = subprocess.Popen(
            self._command,
            start_new_session=True,
            preexec_fn=functools.partial(self.prepare_child, os.getpid()),
            pass_fds=self._pass_fds,
        )
        self._started_at = time.monotonic()
        self._ended_at = None

    def kept_up(self) -> bool:
        """Start it again where it has ended; False where that has been of no use."""
        status = self.process.poll()
        if status is None:
            return True
        now = time.monotonic()
        if self._ended_at is None:
            self._ended_at = now
            at_once = now - self._started_at < STEADY_SECONDS
            self._false_starts = self._false_starts + 1 if at_once else 0
            how = _how_it_ended(status)
            if self.given_up(how):
                return False
        if now - self._ended_at >= self.pause():
            self.start()
        return True

    def given_up(self, how: str) -> bool:
        """Whether there is no use in starting it again; says so, or that it is started again."""
        if self._false_starts > MOST_RESTARTS:
            _say(f"The {self.title} {how} again and again, so all stops here. Its log is above.")
            return True
        _say(f"The {self.title} {how}. It is started again; nothing that was saved is lost.")
        return False

    def pause(self) -> float:
        """Seconds until it is started again."""
        return 0


class _Worker(_Server):
    """One that lets others go first, and without which the site goes on."""

    def given_up(self, how: str) -> bool:
        if self._false_starts <= MOST_RESTARTS:
            return super().given_up(how)
        _say(
            f"The {self.title} {how} again and again; its log is above. Pages go on without it, "
            f"and its work waits. It is started again in {self.pause():.0f} s."
        )
        return False

    def pause(self) -> float:
        further = self._false_starts - MOST_RESTARTS
        return min(2.0**further, MOST_PAUSE_SECONDS) if further > 0 else 0

    @staticmethod
    def prepare_child(parent: int) -> None:
        """Somebody who waits for a page goes before work that takes minutes."""
        end_with(parent)
        os.nice(NICENESS)
        # Linux weighs the sessions of a machine first, and this child has one of its own.
        with contextlib.suppress(OSError):
            Path("/proc/self/autogroup").write_text(str(NICENESS))


def _how_it_ended(status: int) -> str:
    return f"was ended by {signal.Signals(-status).name}" if status < 0 else f"ended ({status})"


def _say(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)


def worker_command(queue: str, *, concurrency: int) -> list[str]:
    """The command that starts a worker of one queue with so many children."""
    return [
        sys.executable, "-m", "celery", "--quiet", "--app", "annotation_site", "worker",
        "--queues", queue, "--hostname", f"{queue}@%h", "--concurrency", str(concurrency),
        "--loglevel", "WARNING", "--without-gossip", "--without-mingle",
    ]  # fmt: skip


def web_command(
    bind: str, web_workers: int, application: str = "annotation_site.wsgi"
) -> list[str]:
    """The command that runs the web server alone, at host:port or fd://socket."""
    return [
        sys.executable, "-m", "gunicorn", application, "--preload",
        "--bind", bind, "--workers", str(web_workers),
        "--worker-class", WORKER_CLASS, "--threads", str(WEB_THREADS),
        "--log-level", "warning", "--no-control-socket",
        # Longer than people think and than proxies keep connections: a server that hangs up just
        # when somebody sends loses the request.
        "--keep-alive", "75",
        # Whether headers of a proxy are believed is BEHIND_PROXY's to say, not the server's: by
        # itself it believes whatever comes from this machine.
        "--forwarded-allow-ips", "",
        # Seconds of silence of the main loop until its process is replaced. Requests have limits of
        # their own (`web_worker`).
        "--timeout", "900",
        "--max-requests", "20000", "--max-requests-jitter", "2000",
    ]  # fmt: skip


def prepare() -> None:
    """Bring database and static files up to date; quick when they are."""
    keep_files_private()
    settings.VAR_DIR.mkdir(mode=0o700, parents=True, exist_ok=True)
    call_command("migrate", verbosity=0, interactive=False)
    collect_static_files()
    connections.close_all()  # who only watches over servers keeps none of PostgreSQL's


def collect_static_files() -> None:
    """Run collectstatic, unless nothing changed since it ran: it takes a second each time."""
    sources = [
        f"{name} {(stat := path.stat()).st_size} {stat.st_mtime_ns}"
        for name, path in static_sources()
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
