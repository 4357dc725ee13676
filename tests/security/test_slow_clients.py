"""Clients that send half a request, or read half an answer, keep nobody else waiting.

Every stalled connection stays open while the next request is served; no test looks at seconds.
"""

import contextlib
import os
import re
import select
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.urls import reverse

from annotation_site import web_worker
from annotation_site.serving import WEB_THREADS, WEB_WORKERS, taken_port, web_command
from tests.e2e.site import Site, database_of_its_own, wait_for

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.xdist_group("slow-clients")
# Answers with how much of the body came; /large with as many bytes as the address says.
APPLICATION = """
import os

def application(environ, start_response):
    path, length = environ["PATH_INFO"], 0
    if path.startswith("/bytes/"):
        body = b"x" * int(path.rpartition("/")[2])
    elif path.startswith("/file"):
        start_response("200 OK", [("Content-Length", "20000000")])
        with open("zeros", "wb") as file:
            file.truncate(20_000_000)
        return environ["wsgi.file_wrapper"](open("zeros", "rb"))
    elif path.startswith("/refuse") or environ.get("HTTP_X_REFUSE"):
        body = b"refused unread"
    else:
        while piece := environ["wsgi.input"].read(65536):
            length += len(piece)
        body = b"%d bytes" % length
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"""
HEAD = b"GET /login/ HTTP/1.1\r\nHost: 127.0.0.1\r\nX-a: b"
BODY = b"POST /login/ HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 900000\r\n\r\nab"
ASK = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
UPLOAD = web_worker.LARGE_BODIES[0].encode()


class Server:
    """gunicorn as `serve` starts it, with an application of a few lines."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @contextlib.contextmanager
    def running(self, **constants: int) -> Iterator["Server"]:
        """One process; `constants` are web_worker's."""
        (self.folder / "small.py").write_text(APPLICATION)
        settings = ["from annotation_site import web_worker", "graceful_timeout = 2"]
        settings += [f"web_worker.{name} = {value}" for name, value in constants.items()]
        (self.folder / "conf.py").write_text("\n".join(settings))
        with taken_port("127.0.0.1", 21_000) as taken, (self.folder / "log").open("w") as log:
            self.port = taken.getsockname()[1]
            command = web_command(f"fd://{taken.fileno()}", 1)
            command[command.index("annotation_site.wsgi")] = "small:application"
            self.process = subprocess.Popen(
                [*command, "--config", self.folder / "conf.py", "--pythonpath", self.folder],
                cwd=self.folder, pass_fds=[taken.fileno()], stdout=log, stderr=log,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
            )  # fmt: skip
        try:
            wait_for(lambda: self.ask(), (self.folder / "log").read_text, pause=0.05)
            yield self
        finally:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(timeout=60)
        assert "Traceback" not in (self.folder / "log").read_text()

    def connect(self, sent: bytes = b"", window: int = 0) -> socket.socket:
        return connected(self.port, sent, window)

    def ask(
        self, request: bytes = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    ) -> bytes:
        """The whole answer, or nothing where nobody listens."""
        try:
            with self.connect(ASK) as line:
                return everything(line)
        except ConnectionRefusedError:
            return b""


def connected(port: int, sent: bytes = b"", window: int = 0) -> socket.socket:
    line = socket.socket()
    if window:
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
    line.settimeout(120)  # for what never comes
    line.connect(("127.0.0.1", port))
    line.sendall(sent)
    return line


def everything(line: socket.socket) -> bytes:
    """What comes until the server hangs up."""
    found = b""
    with contextlib.suppress(ConnectionResetError):
        while piece := line.recv(65536):
            found += piece
    return found


def are_open(lines: list[socket.socket]) -> int:
    """How many of these the server has neither answered nor closed."""
    return len(lines) - len(select.select(lines, [], [], 0)[0])


@pytest.fixture
def server(tmp_path: Path) -> Server:
    return Server(tmp_path)


def slowly(line: socket.socket, data: bytes) -> None:
    """A byte at a time, until the server has had enough."""
    with contextlib.suppress(OSError):
        for byte in data:
            line.sendall(bytes([byte]))
            if select.select([line], [], [], 0.05)[0]:
                return


@pytest.mark.parametrize("half", [b"", HEAD, BODY], ids=["nothing", "head", "body"])
def test_two_hundred_stalled_connections_leave_the_next_request_served(server, half):
    with server.running(), contextlib.ExitStack() as stack:
        lines = [stack.enter_context(server.connect(half)) for _ in range(200)]
        for _ in range(5):
            assert server.ask().endswith(b"0 bytes")
        assert are_open(lines) == 200


def test_sixteen_stalled_connections_of_each_kind_leave_the_site_itself_served(tmp_path):
    site = Site(tmp_path / "var", models=False)
    with database_of_its_own(site.environment), contextlib.ExitStack() as stack:
        site.prepare()
        site.start_web()
        try:
            lines = [
                stack.enter_context(connected(site.port, half))
                for half in (b"", HEAD, BODY)
                for _ in range(16)
            ]
            assert len(lines) > WEB_WORKERS * WEB_THREADS
            ask = HEAD + b"\r\nConnection: close\r\n\r\n"
            for _ in range(5):
                with connected(site.port, ask) as line:
                    assert everything(line).startswith(b"HTTP/1.1 200 ")
            assert are_open(lines) == 48
        finally:
            site.stop()


def test_more_connections_than_a_process_may_have_leave_the_next_request_served(server):
    with server.running(MOST_CONNECTIONS=50), contextlib.ExitStack() as stack:
        lines = [stack.enter_context(server.connect(HEAD)) for _ in range(120)]
        assert server.ask().endswith(b"0 bytes")
        assert 40 <= are_open(lines) < 50


def test_half_a_request_ends_with_408_however_steadily_bytes_drip_in(server):
    with server.running(HEAD_SECONDS=1, PATIENCE_SECONDS=1, SLOWEST=1_000_000):
        for half in (HEAD, BODY):
            with server.connect(half) as line:
                assert everything(line).startswith(b"HTTP/1.1 408 ")
            with server.connect(half) as line:
                slowly(line, b"c" * 100_000)
                assert everything(line).startswith(b"HTTP/1.1 408 ")


def test_a_slow_but_steady_client_is_served(server):
    with server.running(), server.connect() as line:
        slowly(line, HEAD + b"\r\nConnection: close\r\n\r\n")
        assert everything(line).endswith(b"0 bytes")


def test_a_large_upload_comes_in_whole_and_only_where_files_are_taken(server):
    size = 30_000_000
    post = b"POST %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %d\r\n%s\r\n"
    with server.running():
        for path in web_worker.LARGE_BODIES:
            with server.connect(post % (path.encode(), size, b"")) as line:
                line.sendall(b"x" * size)
                assert everything(line).endswith(b"30000000 bytes")
        with server.connect(post % (UPLOAD, size, b"Expect: 100-continue\r\n")) as line:
            assert line.recv(100).startswith(b"HTTP/1.1 100 ")
            line.sendall(b"x" * size)
            assert everything(line).endswith(b"30000000 bytes")
        with server.connect(post % (b"/login/", size, b"")) as line:
            assert everything(line).startswith(b"HTTP/1.1 413 ")
        most = web_worker.MOST_BODY
        with server.connect(post % (b"/login/", most, b"")) as line:
            line.sendall(b"x" * most)
            assert everything(line).endswith(b"%d bytes" % most)


def test_stalled_uploads_leave_a_thread_for_others_and_end(server):
    post = b"POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: 5000000\r\n\r\nab" % UPLOAD
    with server.running(), contextlib.ExitStack() as stack:
        lines = [stack.enter_context(server.connect(post)) for _ in range(40)]
        assert server.ask().endswith(b"0 bytes")
        assert are_open(lines) == 40
    with server.running(PATIENCE_SECONDS=1, SLOWEST=1_000_000):
        with server.connect(post) as line:
            slowly(line, b"c" * 100_000)
            # As from one that hung up: the application sees the end, and the connection is closed.
            assert re.search(rb"\r\n\r\n\d+ bytes$", everything(line))
        assert server.ask().endswith(b"0 bytes")


def test_uploads_that_are_refused_unread_keep_no_admin_waiting(server):
    post = b"POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n%s\r\n"
    with server.running(LINGER_SECONDS=600), contextlib.ExitStack() as stack:
        lines = [
            stack.enter_context(server.connect(post % (UPLOAD, 5_000_000, b"X-Refuse: 1\r\n")))
            for _ in range(40)
        ]
        with server.connect(post % (UPLOAD, 2_000_000, b"Connection: close\r\n")) as line:
            line.sendall(b"x" * 2_000_000)
            assert everything(line).endswith(b"2000000 bytes")
        for line in lines:
            assert everything(line).endswith(b"refused unread")


@pytest.mark.parametrize(
    "path", [b"/bytes/20000000", pytest.param(b"/file", marks=pytest.mark.long)]
)
def test_clients_that_do_not_read_their_answer_are_dropped_and_keep_nobody_waiting(server, path):
    get = b"GET %s HTTP/1.1\r\nHost: x\r\n\r\n" % path
    with server.running(PATIENCE_SECONDS=2, SLOWEST=1_000_000), contextlib.ExitStack() as stack:
        lines = [stack.enter_context(server.connect(get, window=4096)) for _ in range(6)]
        assert server.ask().endswith(b"0 bytes")
        with server.connect(get.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")) as line:
            answer = everything(line)
            assert len(answer.partition(b"\r\n\r\n")[2]) == 20_000_000
        wait_for(lambda: server.ask().endswith(b"0 bytes"))
        for line in lines:
            assert len(everything(line)) < 20_000_000


def test_an_answer_that_is_kept_for_the_main_loop_leaves_all_threads_free(server):
    get = b"GET /bytes/900000 HTTP/1.1\r\nHost: x\r\n\r\n" * 3
    with server.running(), contextlib.ExitStack() as stack:
        lines = [stack.enter_context(server.connect(get, window=4096)) for _ in range(40)]
        assert server.ask().endswith(b"0 bytes")
        for line in lines[:3]:
            found = b""
            while found.count(b"x") < 3 * 900_000:
                found += line.recv(1_000_000)
            assert found.count(b"HTTP/1.1 200 OK") == 3


def test_bodies_that_are_collected_are_bounded_over_all_connections(server):
    post = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n" + b"x" * 900_000
    with server.running(MOST_BUFFERED=5_000_000), contextlib.ExitStack() as stack:
        lines = []
        for _ in range(20):
            line = stack.enter_context(server.connect())
            with contextlib.suppress(OSError):
                line.sendall(post)
            lines.append(line)
        assert server.ask().endswith(b"0 bytes")
        wait_for(lambda: are_open(lines) <= 5)
        assert are_open(lines) >= 4


def test_requests_sent_ahead_are_answered_in_turn_and_none_is_made_of_a_bodys_rest(server):
    one = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s"
    with server.running(), server.connect() as line:
        ahead = one % (3, b"abc") + one % (0, b"") + one % (5, b"GET /")
        line.sendall(ahead[:-2])
        line.sendall(ahead[-2:] + b"GET /refuse HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        bodies = re.findall(rb"\r\n\r\n([^\r]*?)(?=HTTP/1.1|$)", everything(line))
        assert bodies == [b"3 bytes", b"0 bytes", b"5 bytes", b"refused unread"]


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 70_000, 431),
        (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc", 411),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -3\r\n\r\n", 400),
        (b"nonsense\r\n\r\n", 400),
    ],
)
def test_what_is_no_proper_request_is_refused_at_once(server, sent, status):
    with server.running(), server.connect(sent) as line:
        assert everything(line).startswith(b"HTTP/1.1 %d " % status)


def test_a_client_that_waits_to_be_asked_for_a_small_body_is_asked(server):
    with server.running(), server.connect() as line:
        line.sendall(
            b"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 3\r\n"
            b"Expect: 100-continue\r\n\r\n"
        )
        assert line.recv(100).startswith(b"HTTP/1.1 100 ")
        line.sendall(b"abc")
        assert everything(line).endswith(b"3 bytes")


def test_stopping_waits_for_no_stalled_client(server):
    with contextlib.ExitStack() as stack:
        with server.running():
            for half in (b"", HEAD, BODY) * 5:
                stack.enter_context(server.connect(half))
            assert server.ask()
        assert server.process.returncode == 0


def test_large_bodies_go_to_the_addresses_that_take_files_and_no_others():
    of_files = ("corpus:import", "api:upload", "corpus:corpora", "api:corpora")
    found = {reverse(name) for name in of_files}
    assert set(web_worker.LARGE_BODIES) == found


@pytest.mark.parametrize("name", ["Dockerfile", "docs/deploying.md"])
def test_the_worker_is_named_however_the_web_server_is_started(name):
    lines = (ROOT / name).read_text().splitlines()
    started = [line for line in lines if re.search(r"gunicorn\W+annotation_site.wsgi", line)]
    assert started
    command = web_command("127.0.0.1:8000", 2)
    wanted = command[command.index("--worker-class") + 1]
    assert wanted == "annotation_site.web_worker.Worker"
    assert all(re.search(rf"--worker-class\W+{wanted}\W", line) for line in started)
