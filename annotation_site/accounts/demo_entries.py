"""One-click logins of the demo: tokens that are valid once, for ten minutes, on this machine.

They exist only in processes to which the demo's own process handed its key (`demo.wsgi`). A token
is stored as a digest made with that key, so one of an earlier run, or of a copied database, opens
nothing.
"""

import hmac
import secrets
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import urlsplit

from django.core.cache import cache
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from annotation_site.accounts import audit
from annotation_site.accounts.models import User
from annotation_site.accounts.throttling import seconds_to_wait

MINUTES = 10
VIEWS_PER_MINUTE = 20  # of the start page that make tokens; it bounds how many are outstanding
HERE = ("127.0.0.1", "localhost", "::1")
# Any of them says that a proxy stands between the person and this machine.
FORWARDING = (
    "HTTP_FORWARDED", "HTTP_VIA", "HTTP_X_REAL_IP", "HTTP_X_CLIENT_IP", "HTTP_CLIENT_IP",
    "HTTP_X_CLUSTER_CLIENT_IP", "HTTP_X_ORIGINAL_HOST", "HTTP_X_ORIGINAL_URL", "HTTP_X_REWRITE_URL",
    "HTTP_TRUE_CLIENT_IP", "HTTP_CF_CONNECTING_IP", "HTTP_FASTLY_CLIENT_IP", "HTTP_CDN_LOOP",
)  # fmt: skip

# What each of the demo's people can try, in their order.
TRIES = (
    _("Try this: mark the pattern in your first list and submit it."),
    _("Try this: annotate the lists that ada has, so that agreement appears."),
    _("Try this: compare value vectors with random ones in a study’s results."),
    _("Try this: open Models and watch a worker read a language model."),
)


@dataclass(frozen=True)
class _Demo:
    key: bytes
    people: dict[str, str]


_demo: _Demo | None = None


def entries_allow(*, key: bytes, people: dict[str, str]) -> None:
    """Let people in with one click, from now on in this process.

    `people` are public ids, each with the session hash that belongs to the password that the demo
    gave: a person who chose another password is not let in. Raises ValueError for a key that could
    be guessed.
    """
    global _demo  # of the process, like the key itself
    if len(key) < 32:
        raise ValueError("The demo's key needs 32 bytes.")
    _demo = _Demo(key, people)


def is_demo() -> bool:
    """Whether the demo's own process started this one."""
    return _demo is not None


def may_enter(request: HttpRequest) -> bool:
    """Whether a request may use one-click logins: in the demo, and from this machine, directly."""
    if _demo is None or any(
        name in FORWARDING or name.startswith("HTTP_X_FORWARDED") for name in request.META
    ):
        return False
    try:
        host = urlsplit(f"//{request.META.get('HTTP_HOST', '')}").hostname
        return host in HERE and ip_address(request.META.get("REMOTE_ADDR", "")).is_loopback
    except ValueError:  # neither a host nor an address
        return False


def entries_make() -> dict[str, str]:
    """A token for each person of the demo, by public id; none after too many in this minute."""
    if seconds_to_wait("demo-entries", most=VIEWS_PER_MINUTE) is not None:
        return {}
    made = {}
    for person in entry_people():
        token = secrets.token_urlsafe(32)
        cache.set(_stored(token), str(person.public_id), MINUTES * 60)
        made[str(person.public_id)] = token
    return made


def entry_people() -> list[User]:
    """People whom a click lets in: active, with the password that the demo gave them."""
    if _demo is None:
        return []
    known = User.objects.filter(public_id__in=_demo.people, is_active=True).order_by("pk")
    return [person for person in known if _is_as_given(person)]


def entry_try(person: User) -> str:
    """The hint for one of the demo's people; "" for others, and outside the demo."""
    order = list(_demo.people) if _demo is not None else []
    name = str(person.public_id)
    return str(TRIES[order.index(name)]) if name in order[: len(TRIES)] else ""


def entry_person(token: str) -> User | None:
    """The person whom a token would let in; it stays valid."""
    public_id = cache.get(_stored(token)) if _demo is not None else None
    return next((p for p in entry_people() if str(p.public_id) == public_id), None)


def entry_use(token: str) -> User | None:
    """The person whom a token lets in, which ends it; None for one that is over or was used.

    Of two uses at once, one deletes the row, and the other gets None.
    """
    person = entry_person(token)
    if person is None or not cache.delete(_stored(token)):
        return None
    audit.record("demo_entered", target=person, actor=person)
    return person


def _is_as_given(person: User) -> bool:
    assert _demo is not None  # noqa: S101  # for the type checker
    given = _demo.people.get(str(person.public_id), "")
    return hmac.compare_digest(given, person.get_session_auth_hash())


def _stored(token: str) -> str:
    assert _demo is not None  # noqa: S101  # for the type checker
    return "demo-entry:" + hmac.digest(_demo.key, token.encode(errors="replace"), "sha256").hex()
