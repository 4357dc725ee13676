"""Starting and stopping the two servers."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from annotation_site import serving
from tests.ports import free_port


class Redirects(BaseHTTPRequestHandler):
    """Answers as a site does whose address is https."""

    def do_GET(self) -> None:
        self.send_response(301)
        self.send_header("Location", "https://labels.example.org/healthz")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


class Running:
    """A process that never ends."""

    def poll(self) -> None:
        return None


@pytest.fixture
def redirecting():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Redirects)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_redirect_to_https_is_an_answer_so_that_the_worker_starts(redirecting):
    waited = threading.Thread(
        target=serving._wait_until_answering,
        args=("127.0.0.1", redirecting, [Running()], []),
        daemon=True,
    )
    waited.start()
    waited.join(timeout=120)
    assert not waited.is_alive()


def test_waiting_ends_when_a_signal_asks_to_stop():
    free = free_port("127.0.0.1", 20_000)
    serving._wait_until_answering("127.0.0.1", free, [Running()], [2])
    assert free_port("127.0.0.1", free) == free


def test_the_next_free_port_is_taken(redirecting):
    assert free_port("127.0.0.1", redirecting) > redirecting


def test_two_servers_that_start_at_once_take_two_ports():
    # Far from the ports of the test above, which may run at this moment.
    one, other = (serving.taken_port("127.0.0.1", 21_000) for _ in range(2))
    with one, other:
        assert one.getsockname()[1] < other.getsockname()[1]
