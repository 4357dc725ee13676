"""Requests to a wiki by wptools: one bounded request per title, with status and response checked.

As it comes, wptools ignores the HTTP status, follows redirects to any host, makes requests that
nobody asked for, waits forever, and fails in many ways on an answer that it did not expect. Here it
writes the query and reads the answer; what happens in between is ours.
"""

import html
import io
import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from html.parser import HTMLParser
from typing import Any

import pycurl
import wptools
from wptools.request import WPToolsRequest

from ffn_extract.glosses.wiki_settings import WikiSettings
from ffn_extract.version import __version__

CONNECT_SECONDS = 5.0
MAX_EXTRACT = 20_000  # characters; a first sentence is at its beginning
_POLL_SECONDS = 0.2  # how soon Ctrl-C is noticed
_RETRY_AFTER = re.compile(rb"^retry-after:\s*([^\r\n]+)", re.IGNORECASE | re.MULTILINE)
_BUSY_CODES = ("maxlag", "ratelimited")
_NOT_REACHED = {
    pycurl.E_COULDNT_RESOLVE_HOST,
    pycurl.E_COULDNT_RESOLVE_PROXY,
    pycurl.E_COULDNT_CONNECT,
}


@dataclass(frozen=True)
class Page:
    """A wiki's page of a title, after its own redirects; `extract` is plain text."""

    title: str
    description: str
    extract: str
    disambiguation: bool


class NoPage(Exception):
    """The wiki has no page of that title, which is a valid response."""


class NotNow(Exception):
    """No usable response this time; `reason` says why, `retry_after` is the wiki's request."""

    def __init__(self, reason: str, retry_after: float | None = None, *, limited: bool = False):
        super().__init__(reason)
        self.reason = reason
        self.retry_after = retry_after
        self.limited = limited


class Unreachable(NotNow):
    """No connection was possible."""


class TooLarge(NotNow):
    """The response was cut off at the limit, and would be again."""


class Refused(Exception):
    """The wiki refuses such requests; the message explains it."""


def ask(title: str, settings: WikiSettings) -> Page:
    """Send one request for one title.

    Raises NoPage, Refused, NotNow or one of its two kinds, Unreachable and TooLarge.
    """
    page = _Page(title, settings)
    try:
        page.get_query(show=False)
    except (LookupError, ValueError, AttributeError, pycurl.error) as error:
        # What wptools raises when something is amiss. The answer was checked before it got it.
        raise NotNow(f"wptools cannot read its answer ({type(error).__name__})") from error
    data = page.data
    return Page(
        title=data["title"],
        description=data.get("description") or "",
        extract=html.unescape(data.get("extract") or ""),
        disambiguation="disambiguation" in data,
    )


def user_agent(settings: WikiSettings) -> str:
    """The user agent, in the form of Wikimedia's policy."""
    contact = settings.contact or "no contact given"
    asks_with = f"wptools/{wptools.__version__} {pycurl.version.split()[0]}"
    return f"ffn-concepts/{__version__} ({contact}) {asks_with}"


class _Page(wptools.page):  # type: ignore[misc]
    def __init__(self, title: str, settings: WikiSettings) -> None:
        self._settings = settings
        super().__init__(title, wiki=settings.url, silent=True)

    def _request(self, proxy: object, timeout: object) -> "_Request":
        return _Request(self._settings)

    def _handle_continuations(self, response: object, cache_key: object) -> None:
        """None: up to 50 requests for links that no gloss shows."""

    def _update_imageinfo(self) -> None:
        """None: a second request, without a time limit, for images."""

    def _set_query_image(self, page: object) -> None:
        """None: it expects fields that not every wiki gives."""


class _Request(WPToolsRequest):  # type: ignore[misc]
    """Status checked, redirects off, size and time bounded; Ctrl-C is noticed at once."""

    def __init__(self, settings: WikiSettings) -> None:
        self._settings = settings
        self._body = bytearray()
        self._headers = io.BytesIO()
        self._stopped: BaseException | None = None
        super().__init__(silent=True)

    def curl_setup(self, proxy: object = None, timeout: object = 0) -> None:
        """Set the limits of a request; seconds. Calls wptools' own first."""
        super().curl_setup()
        curl = self.cobj
        curl.setopt(pycurl.CONNECTTIMEOUT_MS, int(1000 * CONNECT_SECONDS))
        curl.setopt(pycurl.TIMEOUT_MS, int(1000 * self._settings.timeout_seconds))
        curl.setopt(pycurl.NOSIGNAL, True)
        curl.setopt(pycurl.FOLLOWLOCATION, False)
        curl.setopt(pycurl.PROTOCOLS, pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS)
        curl.setopt(pycurl.USERAGENT, user_agent(self._settings))
        curl.setopt(pycurl.ACCEPT_ENCODING, "gzip")
        curl.setopt(pycurl.HEADERFUNCTION, self._headers.write)
        curl.setopt(pycurl.WRITEFUNCTION, self._write)

    def curl_perform(self, curl: Any) -> bytes:
        """The checked body, as JSON of which nothing is left but what a gloss needs."""
        code, message = self._transfer(curl)
        if self._stopped is not None:
            raise self._stopped
        if len(self._body) > self._settings.max_bytes:
            raise TooLarge(f"its answer is larger than {self._settings.max_bytes} bytes")
        if code in _NOT_REACHED:
            raise Unreachable(message)
        _require_ok(curl.getinfo(pycurl.RESPONSE_CODE), code == 0, self._retry_after())
        if code:
            raise NotNow(message)
        return json.dumps(_checked(_parsed(bytes(self._body)))).encode()

    def _transfer(self, curl: Any) -> tuple[int, str]:
        """libcurl's error number and sentence, 0 for none.

        Not by curl.perform(): that returns to Python when it is over, and Ctrl-C waits for it.
        """
        multi = pycurl.CurlMulti()
        multi.add_handle(curl)
        try:
            while True:
                _, running = multi.perform()
                _, _, failed = multi.info_read()
                if failed:
                    _, code, message = failed[0]
                    return code, message or f"libcurl's error {code}"
                if not running:
                    return 0, ""
                if multi.select(_POLL_SECONDS) < 0:
                    time.sleep(0.005)  # no socket yet: the name is being looked up
        finally:
            multi.remove_handle(curl)
            multi.close()

    def _write(self, chunk: bytes) -> int:
        try:
            self._body += chunk
            if len(self._body) <= self._settings.max_bytes:
                return len(chunk)
        except BaseException as stopped:  # libcurl would swallow a Ctrl-C
            self._stopped = stopped
        return -1

    def _retry_after(self) -> float | None:
        found = _RETRY_AFTER.findall(self._headers.getvalue())
        return _seconds(found[-1].decode("latin-1").strip()) if found else None


def _seconds(retry_after: str) -> float | None:
    """The header's value, a number of seconds or a date, in seconds from now."""
    if retry_after.isascii() and retry_after.isdigit():
        return float(retry_after[:9])
    try:
        date = parsedate_to_datetime(retry_after)
        return max(0.0, (date - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError, OverflowError):
        return None


def _require_ok(status: int, complete: bool, retry_after: float | None) -> None:
    """Raise for every HTTP status that is no success."""
    if status == 429:
        raise NotNow("too many requests (429)", retry_after, limited=True)
    if status in (401, 403):
        raise Refused(
            f"it refuses our requests ({status}). Wikimedia does so without a contact in the "
            "User-Agent: set FFN_CONTACT to your e-mail address or page. A private wiki must let "
            "everybody read."
        )
    if 300 <= status < 400:
        raise Refused(
            f"it redirects to another address ({status}), which is not followed: set FFN_WIKI to "
            "the wiki's own address."
        )
    if status >= 500:
        raise NotNow(f"the server fails ({status})", retry_after)
    if status >= 400:
        raise Refused(f"it has no API at /w/api.php ({status}).")
    if complete and status != 200:
        raise NotNow(f"a response with status {status}")


def _parsed(body: bytes) -> Mapping[str, Any]:
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        raise NotNow("its response is not JSON") from None
    if not isinstance(answer, dict):
        raise NotNow("its response is not from MediaWiki's API")
    error = answer.get("error")
    if error is not None:
        code = str(error.get("code")) if isinstance(error, dict) else "unknown"
        if code == "readapidenied":
            raise Refused("reading needs an account there (readapidenied).")
        raise NotNow(f"its API reports {code[:60]}", limited=code in _BUSY_CODES)
    return answer


def _checked(answer: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that a gloss needs, of the types that wptools expects."""
    try:
        query = answer["query"]
        if "pages" not in query and "interwiki" in query:
            raise NoPage
        page = query["pages"][0]
        if page.get("missing") or page.get("invalid"):
            raise NoPage
        descriptions = page.get("terms", {}).get("description", [])[:1]
        disambiguation = "disambiguation" in page.get("pageprops", {})
        texts = [page["title"], page.get("extract", ""), *descriptions]
    except (KeyError, IndexError, TypeError, AttributeError):
        raise NotNow("its response is not from MediaWiki's API") from None
    if not all(isinstance(text, str) for text in texts):
        raise NotNow("its response is not from MediaWiki's API")
    kept = {
        "title": texts[0],
        "extract": html.escape(_plain(texts[1][:MAX_EXTRACT])),
        "terms": {"description": descriptions},
        "pageprops": {"disambiguation": ""} if disambiguation else {},
        "links": [{"ns": 0, "title": ""}],  # wptools counts them on disambiguation pages
    }
    return {"query": {"pages": [kept], "random": [{"title": ""}]}}


class _Text(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.parts: list[str] = []

    def handle_data(self, data: str) -> None:
        self.parts.append(data)

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag == "br":
            self.parts.append(" ")

    def handle_endtag(self, tag: str) -> None:
        if tag in ("p", "li", "h2", "h3", "div"):
            self.parts.append("\n")


def _plain(markup: str) -> str:
    """The text of an extract; a line per paragraph."""
    parser = _Text()
    try:
        parser.feed(markup)
        parser.close()
    except AssertionError:  # html.parser on declarations that it does not know
        return ""
    return "".join(parser.parts)
