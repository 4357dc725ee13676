"""A local server that answers as the hub does, for one model, and remembers what it was asked."""

import contextlib
import hashlib
import http.server
import json
import threading
from dataclasses import dataclass, field

COMMIT = "0123456789abcdef0123456789abcdef01234567"
OTHER_COMMIT = "89abcdef0123456789abcdef0123456789abcdef"
MODEL = "someone/tiny"


@dataclass
class Hub:
    """One model: its files, who may read them, and what goes wrong.

    `token` makes it private, `gated` refuses everybody; `elsewhere` is the address of another
    server that has the weights; files in `cut` end in the middle, those in `lies` are sent with
    other bytes. `says` is what is answered about the model instead of the truth, a status and a
    body. `hangs` are parts of paths that get no answer until `closing`. `asked` are method, path
    and Authorization header of each request.
    """

    files: dict[str, bytes]
    revisions: dict[str, str] = field(default_factory=lambda: {"main": COMMIT})
    token: str | None = None
    gated: bool = False
    elsewhere: str | None = None
    cut: frozenset[str] = frozenset()
    lies: frozenset[str] = frozenset()
    says: tuple[int, bytes] | None = None
    hangs: tuple[str, ...] = ()
    closing: threading.Event = field(default_factory=threading.Event)
    asked: list[tuple[str, str, str | None]] = field(default_factory=list)
    address: str = ""

    def fetched(self) -> list[str]:
        """The files that were sent, in the order asked."""
        return [path.rsplit("/", 1)[1] for method, path, _ in self.asked if _is_get(method, path)]

    def tokens(self) -> set[str | None]:
        """What was sent as Authorization with requests about the model."""
        return {sent for _, path, sent in self.asked if MODEL in path}


def _is_get(method: str, path: str) -> bool:
    return method == "GET" and not path.startswith("/api/")


@contextlib.contextmanager
def served(hub: Hub):
    """The hub on a free port."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), type("_", (_Answer,), {"hub": hub}))
    hub.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield hub
    finally:
        hub.closing.set()
        server.shutdown()
        thread.join()
        server.server_close()


class _Answer(http.server.BaseHTTPRequestHandler):
    hub: Hub

    def do_GET(self):
        self._answer()

    def do_HEAD(self):
        self._answer()

    def _answer(self):
        self.path = self.path.partition("?")[0]
        hub, sent = self.hub, self.headers.get("Authorization")
        hub.asked.append((self.command, self.path, sent))
        if any(part in self.path for part in hub.hangs) and self.command == "GET":
            hub.closing.wait()
            return None
        if not self.path.startswith((f"/api/models/{MODEL}/", f"/{MODEL}/", "/blob/")):
            return self._refuse(404, "RepoNotFound", "Repository not found")
        if hub.token is not None and sent != f"Bearer {hub.token}":
            if sent is not None:
                return self._refuse(401, None, "Invalid credentials in Authorization header")
            return self._refuse(401, "RepoNotFound", "Invalid username or password.")
        if hub.gated:
            return self._refuse(403, "GatedRepo", "Access to this model is restricted")
        name = self.path.rsplit("/", 1)[1]
        if self.path.startswith("/blob/"):
            return self._file(name, {})
        revision = self.path.split("/")[-2 if "/resolve/" in self.path else -1]
        commit = hub.revisions.get(revision, revision if revision in hub.revisions.values() else "")
        if not commit:
            return self._refuse(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        if self.path.startswith("/api/"):
            return self._send(*hub.says, {}) if hub.says else self._info(commit)
        if name not in hub.files:
            return self._refuse(404, "EntryNotFound", "Entry not found", commit)
        return self._file(name, {"X-Repo-Commit": commit})

    def _info(self, commit):
        files = self.hub.files.items()
        siblings = [{"rfilename": name, "size": len(content)} for name, content in files]
        self._send(200, json.dumps({"id": MODEL, "sha": commit, "siblings": siblings}).encode(), {})

    def _file(self, name, headers):
        content = self.hub.files[name]
        etag = f'"{hashlib.sha256(content).hexdigest()}"'
        if self.hub.elsewhere and name.endswith((".safetensors", ".bin")):
            self._send(
                302,
                b"",
                {
                    **headers,
                    "Location": f"{self.hub.elsewhere}/blob/{name}",
                    "X-Linked-ETag": etag,
                    "X-Linked-Size": str(len(content)),
                },
            )
            return
        begin = int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").split("-")[0])
        headers["Content-Length"] = str(len(content) - begin)
        if name in self.hub.lies:
            content = bytes([content[0] ^ 1]) + content[1:-1] + bytes([content[-1] ^ 1])
        if name in self.hub.cut:
            content = content[: len(content) // 2]
        status = 206 if "Range" in self.headers else 200
        self._send(status, content[begin:], {**headers, "ETag": etag})

    def _refuse(self, status, code, message, commit=None):
        headers = {"X-Error-Message": message}
        if code:
            headers["X-Error-Code"] = code
        if commit:
            headers["X-Repo-Commit"] = commit
        self._send(status, b"", headers)

    def _send(self, status, content, headers):
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)

    def log_message(self, *_):
        pass
