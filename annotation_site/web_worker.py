"""gunicorn worker in which no thread waits for a client that sends or reads slowly.

gunicorn's `gthread` gives a connection a thread as soon as its first byte is there, and that thread
then waits for the rest without end. Here the main loop collects a request until it is whole and
sends what a client has not yet read of its answer, so that threads only compute. Two kinds of
work do wait in a thread: bodies for `LARGE_BODIES`, which are too large to collect, and answers of
which a client has yet to read more than `MOST_KEPT`. Both have to keep a pace, and at least one
thread of each process takes no large body.
"""

import contextlib
import errno
import select
import selectors
import socket
import struct
import time
from collections import deque
from concurrent.futures import Future
from functools import partial
from typing import Any, BinaryIO

from gunicorn import util
from gunicorn.config import Config
from gunicorn.errors import ConfigError
from gunicorn.http.body import ChunkedReader
from gunicorn.http.message import Request
from gunicorn.http.unreader import IterUnreader
from gunicorn.workers.gthread import TConn, ThreadWorker

LARGE_BODIES = ("/models/import/", "/api/extractions/upload", "/corpora/", "/api/corpora")
"""The addresses that take files; each asks for an admin or a researcher before it reads any."""
MOST_BODY = 1_048_576  # bytes, elsewhere
MOST_HEAD = 65_536  # bytes
HEAD_SECONDS = 20  # from the first byte of a request's head to its last
PATIENCE_SECONDS = 30  # that a client may fall behind the slowest pace
SLOWEST = 8_000  # bytes a second
LINGER_SECONDS = 2  # a client that still sends reads the answer before the connection is closed
MOST_KEPT = 1_048_576  # bytes of an answer that the main loop sends after the thread has gone on
MOST_BUFFERED = 64_000_000  # bytes, over all connections of a process
MOST_CONNECTIONS = 500  # of a process; many systems give one 1,024 files
PIECE = 65_536
MOST_REQUESTS = 32  # of a connection: those made while a process was away find another one so
YIELD_SECONDS = 0.0003  # for each connection that a process has, before it takes another
MOST_YIELD_SECONDS = 0.002


class Line:
    """A client's socket for gunicorn's threads; the socket itself never blocks."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        sock.setblocking(False)
        self.unsent = bytearray()
        self.cut_short = False
        self.begin()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)

    def begin(self) -> None:
        """Reset the state of the previous request."""
        self.streams = False  # whether a thread may wait for more of the request
        self._credit = float(PATIENCE_SECONDS)

    def setblocking(self, flag: bool) -> None:
        """No-op: a thread waits in `_wait` only."""

    def settimeout(self, seconds: float | None) -> None:
        """No-op, as above."""

    def _moved(self, count: int) -> None:
        self._credit = min(PATIENCE_SECONDS, self._credit + count / SLOWEST)

    def _wait(self, event: int) -> bool:
        """Wait for the client as long as it keeps the pace; False once it has fallen behind."""
        poll = select.poll()
        poll.register(self._sock, event)
        before = time.monotonic()
        ready = self._credit > 0 and poll.poll(self._credit * 1000)
        self._credit -= time.monotonic() - before
        return bool(ready)

    def recv(self, size: int) -> bytes:
        """Receive a part of a large body; too slow a client counts as gone.

        All of any other request was there before a thread took it.
        """
        while self.streams:
            with contextlib.suppress(BlockingIOError):
                data = self._sock.recv(size)
                self._moved(len(data))
                return data
            if not self._wait(select.POLLIN):
                break
        self.cut_short = True
        return b""

    def sendall(self, data: bytes | bytearray | memoryview) -> None:
        """Send what the client takes now, keep a little for the main loop, wait for the rest."""
        view = memoryview(data).cast("B")
        for start in range(0, len(view), PIECE):
            self.unsent += view[start : start + PIECE]
            self.flush()
            while len(self.unsent) > MOST_KEPT:
                if not self._wait(select.POLLOUT):
                    self.cut_short = True
                    raise BrokenPipeError(errno.EPIPE, "The client reads too slowly.")
                self.flush()

    def send(self, data: bytes | bytearray | memoryview) -> int:
        """As `sendall`; gunicorn sends one small response so, and ignores the number."""
        self.sendall(data)
        return memoryview(data).nbytes

    def sendfile(self, file: BinaryIO, offset: int = 0, count: int | None = None) -> int:
        """Send through `sendall`: the kernel's own way waits for ever."""
        file.seek(offset)
        sent = 0
        while count is None or sent < count:
            data = file.read(PIECE if count is None else min(PIECE, count - sent))
            if not data:
                break
            self.sendall(data)
            sent += len(data)
        return sent

    def flush(self) -> None:
        """Send what the client takes at once."""
        with contextlib.suppress(BlockingIOError):
            while self.unsent:
                sent = self._sock.send(self.unsent[:PIECE])
                del self.unsent[:sent]
                self._moved(sent)


class Connection(TConn):
    """State of a connection: gunicorn's, and the bytes of the incoming request."""

    def __init__(self, cfg: Config, sock: socket.socket, client: Any, server: Any) -> None:
        super().__init__(cfg, Line(sock), client, server)
        self.data_ready = True  # a thread need not look again
        self.received = bytearray()
        self.wanted = 0  # bytes of the whole request, once its head is there
        self.deadline = 0.0
        self.handed = 0  # bytes of the request that a thread has or waits for
        self.gone = False
        self.requests = 0

    def next_request(self) -> None:
        """Start the next request, with the bytes that were sent ahead."""
        if self.parser is not None:
            self.received += self.parser.unreader.take_buffered()
        self.wanted = 0
        self.sock.begin()

    def buffered(self) -> int:
        """Number of bytes in memory for this connection."""
        return len(self.received) + len(self.sock.unsent)


class Refused(Exception):
    """A request refused before a thread sees it: a status and its reason."""


class Worker(ThreadWorker):  # type: ignore[misc]  # gunicorn has no types
    """gunicorn's `gthread` worker for complete requests; `_slow` holds connections that its main
    loop waits for.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._slow: dict[Connection, None] = {}  # half a request in, half an answer out, or closing
        self._queued: deque[Connection] = deque()  # large bodies that wait for their turn
        self._streaming = 0
        self._handed = 0
        self.worker_connections = min(self.cfg.worker_connections, MOST_CONNECTIONS)
        self.max_keepalived = self.worker_connections - self.cfg.threads
        self._most_streaming = max(1, self.cfg.threads - 1)

    @classmethod
    def check_config(cls, cfg: Config, log: Any) -> None:
        """Refuse TLS and HTTP/2, which end at the proxy: this process reads HTTP/1 itself."""
        super().check_config(cfg, log)
        if cfg.is_ssl or cfg.http2_cleartext != "off" or cfg.protocol != "http":
            raise ConfigError("This web server speaks plain HTTP/1.1. Let a proxy end TLS.")

    def accept(self, listener: socket.socket) -> None:
        """Accept a connection; at the limit, one that waits is closed."""
        # The process with fewer connections takes a new one first: a person's connection stays
        # where it is, and a process of Python uses no more than one core.
        time.sleep(min(self.nr_conns * YIELD_SECONDS, MOST_YIELD_SECONDS))
        try:
            sock, client = listener.accept()
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE):
                self._make_room()
            elif error.errno not in (errno.EAGAIN, errno.ECONNABORTED, errno.EWOULDBLOCK):
                raise
            return
        self.nr_conns += 1
        if self.nr_conns >= self.worker_connections:
            self._make_room()
        self._await_request(Connection(self.cfg, sock, client, listener.getsockname()))

    def _make_room(self) -> None:
        """Close what has waited longest: idle connections first, then half requests."""
        waiting = next(iter(self.keepalived_conns or self._slow or self._queued), None)
        if waiting is not None:
            self._drop(waiting)

    def _await_request(self, conn: Connection) -> None:
        """Wait for the first byte of the next request, unless it came with the one before."""
        conn.next_request()
        if conn.received:
            self._look(conn)
            return
        conn.set_timeout()
        if not self.alive:
            conn.timeout = min(conn.timeout, time.monotonic() + LINGER_SECONDS)
        self.keepalived_conns.append(conn)
        self._watch(conn, selectors.EVENT_READ, self._first_bytes)

    def _first_bytes(self, conn: Connection, _: Any) -> None:
        self._unwatch(conn)
        self._read(conn)

    def _read(self, conn: Connection, _: Any = None) -> None:
        """Take what has come of a request."""
        try:
            data = conn.sock._sock.recv(PIECE)
        except BlockingIOError:
            data = None
        except OSError:
            data = b""
        if data == b"":
            self._drop(conn)
            return
        conn.received += data or b""
        self._look(conn)

    def _look(self, conn: Connection) -> None:
        """Hand a request to a thread once it is whole, else wait for the rest of it."""
        try:
            whole = self._is_whole(conn)
        except Refused as refused:
            self._unwatch(conn)
            self._refuse(conn, *refused.args)
            return
        if whole:
            self._unwatch(conn)
            self._dispatch(conn)
            return
        if conn not in self._slow:
            if not conn.wanted:
                conn.deadline = time.monotonic() + HEAD_SECONDS
            self._watch(conn, selectors.EVENT_READ, self._read)
        if conn.buffered() > PIECE:
            self._bound_memory()

    def _is_whole(self, conn: Connection) -> bool:
        if conn.wanted:
            return len(conn.received) >= conn.wanted
        end = conn.received.find(b"\r\n\r\n")
        if end < 0 and len(conn.received) <= MOST_HEAD:
            return False
        if end < 0 or end > MOST_HEAD:
            raise Refused(431, "Request Header Fields Too Large")
        head = bytes(conn.received[: end + 4])
        body = self._body_bytes(conn, head)
        conn.wanted = len(head) + body
        conn.deadline = time.monotonic() + PATIENCE_SECONDS + body / SLOWEST
        return conn.sock.streams or len(conn.received) >= conn.wanted

    def _body_bytes(self, conn: Connection, head: bytes) -> int:
        """How many bytes follow the head, read by gunicorn's own parser."""
        lower = head.lower()
        if b"content-length" not in lower and b"transfer-encoding" not in lower:
            return 0  # nearly every request; the thread parses it
        try:
            request = Request(self.cfg, IterUnreader([head]), conn.client)
        except Exception:
            return 0  # the thread meets the same error, and answers it
        reader = request.body.reader
        if isinstance(reader, ChunkedReader):
            # Django reads no body without a length, so it would be lost in silence.
            raise Refused(411, "Length Required")
        if reader.length > MOST_BODY:
            if request.path not in LARGE_BODIES:
                raise Refused(413, "Content Too Large")
            conn.sock.streams = True
        elif reader.length and request._expected_100_continue:
            conn.sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        return reader.length

    def _dispatch(self, conn: Connection) -> None:
        if conn.sock.streams and self._streaming >= self._most_streaming:
            self._queued.append(conn)  # unread: the client's own system stops sending
            return
        if len(conn.received) > PIECE and self._handed + len(conn.received) > MOST_BUFFERED:
            self._refuse(conn, 503, "Service Unavailable")
            return
        self._streaming += conn.sock.streams
        conn.handed = len(conn.received)
        self._handed += conn.handed
        conn.init()
        conn.parser.unreader.unread(bytes(conn.received))
        conn.received.clear()
        self.enqueue_req(conn)

    def handle_request(self, req: Request, conn: Connection) -> bool:
        """Answer a request; the last one that its connection may bring says so to the client."""
        conn.requests += 1
        if conn.requests >= MOST_REQUESTS:
            req.force_close()
        return bool(super().handle_request(req, conn))

    def _keepalive_after(self, conn: Connection, keepalive: bool) -> bool:
        """Reuse a connection only where the request was read to its end."""
        if conn.sock.cut_short:
            return False
        if conn.sock.streams and conn.parser.mesg.body.reader.length:
            return False  # a stranger's upload, refused unread
        return bool(super()._keepalive_after(conn, keepalive))

    def finish_request(self, conn: Connection, fs: "Future[bool]") -> None:
        """Back in the main loop: send the rest of the response, then handle the next request."""
        self._handed -= conn.handed
        if conn.sock.streams:
            conn.sock.streams = False
            self._streaming -= 1
            if self._queued:
                self._dispatch(self._queued.popleft())
        keep = not fs.cancelled() and fs.exception() is None and fs.result() is True
        if not conn.sock.unsent:
            self._answered(conn, keep)
        elif conn.sock.cut_short or conn.sock.fileno() < 0:
            self._drop(conn)
        else:
            conn.deadline = time.monotonic() + PATIENCE_SECONDS + len(conn.sock.unsent) / SLOWEST
            self._watch(conn, selectors.EVENT_WRITE, partial(self._send_rest, keep))
            self._bound_memory()

    def _send_rest(self, keep: bool, conn: Connection, _: Any) -> None:
        try:
            conn.sock.flush()
        except OSError:
            self._drop(conn)
            return
        if not conn.sock.unsent:
            self._unwatch(conn)
            self._answered(conn, keep)

    def _answered(self, conn: Connection, keep: bool) -> None:
        if keep:
            self._await_request(conn)
            return
        # Closed at once, a connection with bytes that nobody read takes the answer along.
        with contextlib.suppress(OSError):
            conn.sock.shutdown(socket.SHUT_WR)
            conn.deadline = time.monotonic() + LINGER_SECONDS
            conn.received.clear()
            self._watch(conn, selectors.EVENT_READ, self._read_past)
            return
        self._drop(conn)

    def _read_past(self, conn: Connection, _: Any) -> None:
        try:
            if conn.sock._sock.recv(PIECE):
                return
        except BlockingIOError:
            return
        except OSError:
            pass
        self._drop(conn)

    def _refuse(self, conn: Connection, status: int, reason: str) -> None:
        self.log.debug("Refused a request: %s %s", status, reason)
        with contextlib.suppress(OSError):
            util.write_error(conn.sock, status, reason, "")
        self._answered(conn, keep=False)

    def _bound_memory(self) -> None:
        """Drop the largest until all that is buffered is little enough."""
        held = {conn: conn.buffered() for conn in (*self._slow, *self._queued)}
        total = self._handed + sum(held.values())
        for conn in sorted(held, key=held.__getitem__, reverse=True):
            if total <= MOST_BUFFERED:
                return
            total -= held[conn]
            self._drop(conn)

    def murder_pending(self) -> None:
        """Close connections past their time: gunicorn's main loop calls this in each turn."""
        now = time.monotonic()
        for conn in [conn for conn in self._slow if conn.deadline < now]:
            if conn.received:
                self._unwatch(conn)
                self._refuse(conn, 408, "Request Timeout")
            else:
                self._drop(conn)

    def _cap_keepalive(self, deadline: float) -> None:
        """A stopping process waits for nobody longer than for the idle ones."""
        super()._cap_keepalive(deadline)
        for conn in self._slow:
            conn.deadline = min(conn.deadline, deadline)

    def _watch(self, conn: Connection, event: int, callback: Any) -> None:
        if callback != self._first_bytes:
            self._slow[conn] = None
        self.poller.register(conn.sock, event, partial(callback, conn))

    def _unwatch(self, conn: Connection) -> None:
        self._slow.pop(conn, None)
        with contextlib.suppress(ValueError):
            self.keepalived_conns.remove(conn)
        with contextlib.suppress(KeyError, ValueError, OSError):
            self.poller.unregister(conn.sock)

    def _drop(self, conn: Connection) -> None:
        """Close a connection that no thread has; it may be among the events of this turn still."""
        if conn.gone:
            return
        conn.gone = True
        self._unwatch(conn)
        with contextlib.suppress(ValueError):
            self._queued.remove(conn)
        if conn.sock.unsent:
            # At once, also for the system, which else keeps for long what nobody reads.
            with contextlib.suppress(OSError):
                conn.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.nr_conns -= 1
        conn.close()
