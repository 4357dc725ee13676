"""Annotators without a browser: what the page sends, over HTTP, with what the server answered.

`Annotator` keeps the rules of the page's own script: one draft with its version, one key for a
submission however often it is sent, and the newer draft of a conflict taken for its own when it
is something it had sent. Everything that the server acknowledged is noted.
"""

import http.client
import json
import re
import time
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from tests.e2e.site import Site

SESSIONS = """
from importlib import import_module
from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from tests.annotation_site.factories import Role, UserFactory, make_extraction, make_study
def session_of(user):
    session = import_module(settings.SESSION_ENGINE).SessionStore()
    session[SESSION_KEY] = str(user.pk)
    session[BACKEND_SESSION_KEY] = settings.AUTHENTICATION_BACKENDS[0]
    session[HASH_SESSION_KEY] = user.get_session_auth_hash()
    session.save()
    return session.session_key
"""
WORLD = """
study = make_study(
    annotators={people}, annotators_per_list={people}, lists_per_layer={lists_per_layer},
    extraction=make_extraction(per_layer={lists_per_layer}),
)
for member in study.memberships.filter(role="annotator").select_related("user"):
    own = member.assignments.order_by("position").values_list("public_id", flat=True)
    print("PERSON", session_of(member.user), *own)
"""
ADMIN = 'print("PERSON", session_of(UserFactory(username="admin", role=Role.ADMIN)))'
TOKEN = "t" * 32  # the CSRF cookie and its header only have to agree
FORM = "application/x-www-form-urlencoded"
IMPATIENCE = 10  # seconds for one reply
PATIENCE = 300  # seconds for all tries of one request


def people_of(site: Site, people: int, *, lists_per_layer: int) -> list[list[str]]:
    """Make a study that all of `people` judge whole: per person a session and the lists' ids."""
    return _sessions(site, WORLD.format(people=people, lists_per_layer=lists_per_layer))


def admin_of(site: Site) -> str:
    """The session of an admin, who may do everything."""
    return _sessions(site, ADMIN)[0][0]


def _sessions(site: Site, code: str) -> list[list[str]]:
    printed = site.run(SESSIONS + code).splitlines()
    return [line.split()[1:] for line in printed if line.startswith("PERSON")]


class Unanswered(Exception):
    """No reply: the server is not there, or went away before it answered."""


class Lost(AssertionError):
    """The server no longer has something that it acknowledged."""


@dataclass
class Own:
    """One list as its person knows it."""

    id: str
    version: int = 0
    acknowledged: Any = None  # the draft that the server said it has
    unanswered: list[Any] = field(default_factory=list)  # sent, and nobody said what became of it
    submissions: list[tuple[str, Any]] = field(default_factory=list)  # acknowledged: key, answer


class Annotator:
    """A person with a session, on a server that may be killed at any moment."""

    def __init__(self, address: tuple[str, int], session: str) -> None:
        self.address, self.session = address, session
        self.connection: http.client.HTTPConnection | None = None
        self.asking = ""  # what is on its way at this moment
        self.lists: dict[str, Own] = {}
        self.acknowledged = 0
        self.retries = 0
        self.told_to_wait = 0

    def ask(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """One request; the status, and the reply's JSON or text. Raises Unanswered.

        A body that is text is a form's; anything else is sent as JSON.
        """
        if self.connection is None:
            self.connection = http.client.HTTPConnection(*self.address, timeout=IMPATIENCE)
        is_form = isinstance(body, str)
        headers = {
            "Cookie": f"sessionid={self.session}; csrftoken={TOKEN}",
            "X-CSRFToken": TOKEN,
            "Content-Type": FORM if is_form else "application/json",
        }
        sent = body if is_form else json.dumps(body) if body else None
        self.asking = path.rsplit("/", 1)[-1] or "page"
        try:
            self.connection.request(method, path, sent, headers)
            response = self.connection.getresponse()
            text = response.read().decode()
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise Unanswered(str(error)) from error
        finally:
            self.asking = ""
        is_json = response.headers.get_content_type() == "application/json"
        return response.status, json.loads(text) if is_json else text

    def close(self) -> None:
        """Hang up; a request after this calls again."""
        if self.connection is not None:
            self.connection.close()
        self.connection = None

    def open(self, list_id: str) -> Own:
        """Open a list's page; it must show what was acknowledged, or something sent since."""
        status, html = self.persist("GET", f"/lists/{list_id}/")
        assert status == 200, (status, html)
        page = json.loads(re.search(r'id="page-data"[^>]*>(.*?)</script>', html).group(1))  # type: ignore[union-attr]
        return self.meet(page)

    def meet(self, page: dict[str, Any]) -> Own:
        own = self.lists.setdefault(page["list"]["id"], Own(page["list"]["id"]))
        self.settle(own, page["draft"]["version"], page["draft"]["content"])
        return own

    def settle(self, own: Own, version: int, content: Any) -> None:
        """The server says what it has: ours as acknowledged, or ours as sent without a reply."""
        known = [own.acknowledged, *own.unanswered]
        if version < own.version or content not in known:
            raise Lost(f"{own.id}: {own.version} {own.acknowledged} became {version} {content}")
        own.version, own.acknowledged, own.unanswered = version, content, []

    def save(self, own: Own, answer: Any, seconds: int = 1) -> None:
        """Autosave until it is acknowledged."""
        content = {"annotation": answer}
        own.unanswered.append(content)
        while True:
            body = {
                "base_version": own.version, "content": content, "active_seconds": seconds,
            }  # fmt: skip
            status, reply = self.persist("PUT", f"/api/lists/{own.id}/draft", body)
            if status == 200:
                own.version, own.acknowledged, own.unanswered = reply["version"], content, []
                self.acknowledged += 1
                return
            self.conflict(own, status, reply)
            if own.acknowledged == content:
                self.acknowledged += 1
                return
            own.unanswered.append(content)

    def submit(self, own: Own, answer: Any, seconds: int = 1) -> dict[str, Any] | None:
        """Submit until it is acknowledged, with one key; the next list's page, if there is one."""
        key, content = str(uuid.uuid4()), {"annotation": answer}
        own.unanswered.append(content)
        while True:
            body = {
                "base_version": own.version, "key": key, "annotation": answer,
                "active_seconds": seconds,
            }  # fmt: skip
            status, reply = self.persist("POST", f"/api/lists/{own.id}/submit", body)
            if status == 200:
                own.submissions.append((key, answer))
                own.version, own.acknowledged, own.unanswered = own.version + 1, content, []
                self.acknowledged += 1
                return reply["next"]
            self.conflict(own, status, reply)
            own.unanswered.append(content)

    def conflict(self, own: Own, status: int, reply: Any) -> None:
        assert status == 409, (status, reply)
        details = reply["error"]["details"]
        self.settle(own, details["version"], details["content"])

    def persist(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """Ask until there is a reply of the site itself, but not for ever."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            try:
                status, reply = self.ask(method, path, body)
            except Unanswered:
                self.retries += 1
                time.sleep(0.05)
                continue
            if status < 500:
                return status, reply
            if status == 503 and "The database does not answer at the moment" in str(reply):
                self.told_to_wait += 1
                time.sleep(0.05)
                continue
            raise AssertionError((status, reply))
        raise AssertionError(f"No answer to {method} {path} in {PATIENCE} s.")


def require_all_stored(site: Site, annotators: Iterable[Annotator]) -> int:
    """Fail unless the site has what it acknowledged, each draft as it was and each submission once.

    Returns the number of submissions. The site may hold other answers without a draft.
    """
    known = [own for annotator in annotators for own in annotator.lists.values()]
    drafts = site.query(
        "list(Assignment.objects.filter(draft__isnull=False).values_list("
        "'public_id', 'draft_version', 'draft'))"
    )
    expected = {own.id: (own.version, own.acknowledged) for own in known if own.version}
    assert {id: (version, said) for id, version, said in drafts} == expected
    revisions = site.query(
        "list(Revision.objects.order_by('assignment', 'version').values_list("
        "'assignment__public_id', 'version', 'key', 'snapshot__annotation'))"
    )
    stored: dict[str, list[Any]] = {}
    for list_id, *revision in revisions:
        stored.setdefault(list_id, []).append(revision)
    assert stored == {
        own.id: [[n, key, said] for n, (key, said) in enumerate(own.submissions, 1)]
        for own in known
        if own.submissions
    }
    counting = site.query(
        "list(Pattern.objects.filter(assignment__draft__isnull=False)"
        ".values_list('assignment__public_id', 'description'))"
    )
    last = [
        [own.id, pattern["description"]]
        for own in known
        for pattern in (own.submissions[-1][1]["patterns"] if own.submissions else ())
    ]
    assert sorted(counting) == sorted(last)
    return len(revisions)
