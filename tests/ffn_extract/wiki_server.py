"""A small server that answers as MediaWiki's API does, well and badly."""

import contextlib
import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

Reply = tuple[int, dict[str, str], bytes]


def page(title: str, description: str | None = None, extract: str = "", **more) -> dict:
    """A page as `action=query` with `formatversion=2` gives it."""
    found = {"pageid": 1, "ns": 0, "title": title, "extract": extract, **more}
    if description is not None:
        found["terms"] = {"label": [title], "description": [description]}
    return found


DISAMBIGUATION = {"pageprops": {"disambiguation": "", "wikibase_item": "Q1"}}
PAGES = {
    "London": page("London", "capital and largest city of England"),
    "Obama": page("Barack Obama", "44th president of the United States"),
    "Mercury": page("Mercury", "Wikimedia disambiguation page", "<p>…</p>", **DISAMBIGUATION),
    "Lima": page(
        "Lima", "", "<p></p><p><b>Lima</b> is the capital<br>(St. 1 &amp; co. Ltd.) of Peru.</p>"
    ),
    "Empty": page("Empty"),
}  # fmt: skip


def answer(found: dict, **query) -> Reply:
    """A whole answer around one page, with what wptools asks for besides."""
    whole = {
        "continue": {"plcontinue": "1|0|X", "continue": "||"},
        "query": {
            "pages": [{**found, "pageimage": "A.jpg", "thumbnail": {"source": "http://x/A.jpg"}}],
            "random": [{"id": 7, "ns": 0, "title": "Elsewhere"}],
            **query,
        },
    }
    return 200, {"Content-Type": "application/json"}, json.dumps(whole).encode()


def by_title(title: str) -> Reply:
    """What a healthy wiki says."""
    capital = title[:1].upper() + title[1:]
    if capital in PAGES:
        moved = [{"from": capital, "to": PAGES[capital]["title"]}]
        return answer(PAGES[capital], redirects=moved if capital == "Obama" else [])
    return answer({"ns": 0, "title": capital, "missing": True})


class WikiServer:
    """`reply` says what a title gets; `requests` keeps what was asked, with the headers."""

    def __init__(self) -> None:
        self.reply: Callable[[str], Reply] = by_title
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.closing = threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                parts = urlsplit(self.path)
                title = parse_qs(parts.query)["titles"][0]
                outer.requests.append((title, dict(self.headers)))
                status, headers, body = outer.reply(title)
                if parts.path != "/w/api.php":
                    status, headers, body = 404, {}, b"nothing here"
                self.send_response(status)
                for name, value in {"Content-Length": str(len(body)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                with contextlib.suppress(OSError):  # hung up on, as too large an answer should be
                    self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Nothing on standard error."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    @property
    def titles(self) -> list[str]:
        """What was asked for, in order."""
        return [title for title, _ in self.requests]

    def close(self) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
