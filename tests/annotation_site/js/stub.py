"""The annotation page without a site: the real template and scripts, a server that can misbehave.

The stub keeps one draft per list in memory and follows the contract of `annotation_site.api`. Tests
make it fail, hang, lose a reply or change a draft behind the page's back.
"""

import contextlib
import json
import threading
import uuid
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.contrib.staticfiles import finders
from django.template.loader import render_to_string
from django.test import RequestFactory
from django.urls import resolve
from django.utils import translation

from annotation_site.annotation.lists.look_up import look_up
from annotation_site.annotation.lists.nouns import nouns_of

POLICY = "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'"
TYPES = {
    ".css": "text/css",
    ".js": "text/javascript",
    ".mjs": "text/javascript",
    ".svg": "image/svg+xml",
    ".html": "text/html",
}
GUIDELINES = "<h2>What to do</h2><p>Look for <strong>patterns</strong> in the tokens.</p>"
HERE = Path(__file__).parent


PREFIXES = "trigger_prefixes"
BOTH_KINDS = pytest.mark.parametrize("stub", ["top_tokens", PREFIXES], indirect=True)
"""For a test of what is the same whatever lists show."""

BOTH_KINDS_SLOWLY = pytest.mark.parametrize(
    "stub", ["top_tokens", pytest.param(PREFIXES, marks=pytest.mark.long)], indirect=True
)
"""The same, where the second run takes long."""


def tokens(*texts: str) -> list[list[str]]:
    """Thirty tokens: those given, then numbered ones; every second has a description."""
    texts = (*texts, *(f"word{n}" for n in range(len(texts) + 1, 31)))
    return [[text, f"what {text} means" if rank % 2 else ""] for rank, text in enumerate(texts, 1)]


def prefixes(*texts: str) -> list[list[str]]:
    """Thirty prefixes: those given, cut before their last word, then numbered ones."""
    texts = (*texts, *(f"a sentence about word{n}" for n in range(len(texts) + 1, 31)))
    cuts = (text.rpartition(" ") for text in texts)
    return [[last, "", f"{before}{space}"] for before, space, last in cuts]


class Stub:
    """Three lists of one person, of top tokens or of trigger prefixes."""

    def __init__(self, list_source: str = "top_tokens") -> None:
        self.shows_prefixes = list_source == "trigger_prefixes"
        self.ids = [str(uuid.UUID(int=n)) for n in (1, 2, 3)]
        self.study = {
            "title": "Concepts in a small encoder",
            "list_source": list_source,
            "categories": ["semantic", "syntactic", "names"],
            "min_tokens": 4,
            "several_patterns_per_token": False,
            "show_glosses": not self.shows_prefixes,
            "highlight_spellings": False,
            "open": True,
            "skipped_goes_on": True,
        }
        self.look_up = look_up()
        self.lists = [
            {
                "tokens": prefixes() if self.shows_prefixes else tokens(),
                "state": "in progress",
                "submitted": 0,
                "version": 0,
                "draft": None,
            }
            for _ in self.ids
        ]
        self.requests: list[tuple[str, dict[str, Any]]] = []
        self.keys: set[str] = set()
        self.looks = 0  # times that a page asked for a draft
        self.status = 0  # answer every API request with this status
        self.busy = ""  # answer 429, and to come again after so many seconds
        self.words_asked: list[str] = []  # addresses of the scripts' words
        self.lose_replies = False  # do what was asked, and answer like a proxy without a server
        self.logged_out = False
        self.language = "en"
        self.turn = threading.Condition()  # held while a request is answered
        self.holding = False
        self.held = 0  # requests that wait for an answer
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self.address = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    @contextlib.contextmanager
    def answers_wait(self) -> Iterator[Callable[[], None]]:
        """No request is answered before the end; calling the value waits until one has come."""

        def wait_for_one() -> None:
            with self.turn:
                assert self.turn.wait_for(lambda: self.held, timeout=60)

        with self.turn:
            self.holding = True
        try:
            yield wait_for_one
        finally:
            with self.turn:
                self.holding = False
                self.turn.notify_all()

    def url(self, n: int) -> str:
        return f"/lists/{self.ids[n]}/"

    def answer(self, n: int = 0) -> dict[str, Any]:
        return self.lists[n]["draft"]["annotation"]

    def sent(self, what: str) -> list[dict[str, Any]]:
        return [body for name, body in self.requests if name == what]

    def page(self, n: int) -> dict[str, Any]:
        entry, api = self.lists[n], f"/api/lists/{self.ids[n]}"
        return {
            "list": {
                "id": self.ids[n],
                "position": n + 1,
                "total": len(self.ids),
                "state": entry["state"],
                "submitted_version": entry["submitted"],
                "tokens": entry["tokens"],
                "senses": entry.get("senses")
                or [[["noun", gloss]] if gloss else [] for _, gloss, *_ in entry["tokens"]],
                "stopwords": [
                    rank
                    for rank, token in enumerate(entry["tokens"], 1)
                    if token[0] in ("the", "of", ",")
                ],
            },
            "study": self.study,
            "draft": {"version": entry["version"], "content": entry["draft"]},
            "active_seconds": 0,
            "urls": {
                "draft": f"{api}/draft",
                "submit": f"{api}/submit",
                "skip": f"{api}/skip",
                "page": self.url(n),
                "previous": self.url(n - 1) if n else None,
            },
        }

    def reply(self, n: int, what: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        entry = self.lists[n]
        if body.get("key") in self.keys:
            return self.next(n)
        if body["base_version"] != entry["version"]:
            details = {"version": entry["version"], "content": entry["draft"]}
            return _error(409, "draft_conflict", "Changed elsewhere.", details)
        if what != "skip":
            entry["version"] += 1
            entry["draft"] = (
                body["content"] if what == "draft" else {"annotation": body["annotation"]}
            )
        if what == "draft":
            return 200, {"version": entry["version"]}
        self.keys.add(body["key"])
        entry["state"] = "submitted" if what == "submit" else "skipped"
        entry["submitted"] += what == "submit"
        return self.next(n)

    def next(self, n: int) -> tuple[int, dict[str, Any]]:
        if n + 1 == len(self.ids):
            return 200, {"next": None, "next_url": "/"}
        return 200, {"next": self.page(n + 1), "next_url": self.url(n + 1)}


def _error(status: int, code: str, message: str, details: Any = None) -> tuple[int, dict[str, Any]]:
    return status, {"error": {"code": code, "message": message, "details": details or {}}}


def _handler(stub: Stub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *args: object) -> None:
            """Silent: pytest shows what matters."""

        def send(self, status: int, kind: str, body: bytes, kept: str = "") -> None:
            self.send_response(status)
            if kept:
                self.send_header("Cache-Control", kept)
            if status == 429:
                self.send_header("Retry-After", stub.busy)
            self.send_header("Content-Type", f"{kind}; charset=utf-8")
            self.send_header("Content-Security-Policy", POLICY)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_GET(self) -> None:
            folder, _, name = self.path.removeprefix("/").partition("/")
            if folder in ("static", "tests"):
                found = finders.find(name) if folder == "static" else HERE / name
                path = Path(str(found))
                self.send(200, TYPES[path.suffix], path.read_bytes())
            elif self.path.startswith("/lists/dialogs/?"):
                if stub.status:
                    return self.send(stub.status, "text/html", b"no")
                with translation.override(stub.language):
                    nouns = nouns_of(str(stub.study["list_source"]))
                    html = render_to_string("annotation/_dialogs.html", {"nouns": nouns})
                self.send(200, "text/html", html.encode())
            elif self.path.startswith("/lists/words/"):
                stub.words_asked.append(self.path)
                found = resolve(self.path)
                reply = found.func(RequestFactory().get(self.path), **found.kwargs)
                self.send(200, "text/javascript", reply.content, reply["Cache-Control"])
            elif folder == "lists":
                person = SimpleNamespace(is_authenticated=True, public_id="somebody")
                context = {
                    "page": stub.page(stub.ids.index(name.strip("/"))),
                    "study": stub.study,
                    "look_up": stub.look_up,
                    "guidelines_html": GUIDELINES,
                    "user": person,
                }
                with translation.override(stub.language):
                    html = render_to_string("annotation/list.html", context)
                self.send(200, "text/html", html.encode())
            elif self.path.endswith("/draft"):
                entry = stub.lists[stub.ids.index(self.path.split("/")[3])]
                stub.looks += 1
                reply = {"version": entry["version"], "content": entry["draft"]}
                self.send(stub.status or 200, "application/json", json.dumps(reply).encode())
            else:
                self.send(200, "text/html", b"<!doctype html><title>elsewhere</title>")

        def do_PUT(self) -> None:
            _, _, _, list_id, what = self.path.split("/")
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with stub.turn:
                stub.requests.append((what, body))
                stub.held += 1
                stub.turn.notify_all()
                stub.turn.wait_for(lambda: not stub.holding)
                stub.held -= 1
                if stub.status:
                    return self.send(stub.status, "text/html", b"no")
                if stub.busy:
                    status, reply = _error(429, "throttled", "Wait, then try again.")
                elif stub.logged_out:
                    status, reply = _error(403, "not_authenticated", "Log in first.")
                else:
                    status, reply = stub.reply(stub.ids.index(list_id), what, body)
                if stub.lose_replies:
                    return self.send(502, "text/html", b"lost")
            self.send(status, "application/json", json.dumps(reply).encode())

        do_POST = do_PUT

    return Handler
