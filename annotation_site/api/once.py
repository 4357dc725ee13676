"""Idempotency keys: repeated requests are executed once."""

import hashlib
import json
from collections.abc import Callable
from datetime import timedelta
from functools import wraps
from typing import Any

from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext
from rest_framework.exceptions import ValidationError
from rest_framework.response import Response

from annotation_site.accounts.bounds import require_room
from annotation_site.accounts.models import RequestKey
from annotation_site.annotation.selectors import study_of
from annotation_site.api.calls import PersonRequest
from annotation_site.errors import Invalid

HEADER = "Idempotency-Key"
KEPT = timedelta(hours=24)
MOST_LETTERS = 100
MOST_A_DAY = 5_000  # keys of one person


class KeyReused(Invalid):
    """An Idempotency-Key was used with another request."""

    code = "key_reused"


def once(*, not_kept: tuple[str, ...] = ()) -> Callable[[Callable[..., Response]], Any]:
    """Decorator that lets a method be repeated under its Idempotency-Key: same response, executed
    once.

    Fields named in `not_kept` are secrets: they are null in the answer's repetition. A request that
    was refused is not remembered. Two at the same moment: the second waits for the first. Without
    the rights that the request needs by now, its answer does not come again.
    """

    def decorate(method: Callable[..., Response]) -> Callable[..., Response]:
        @wraps(method)
        def repeatable(view: Any, request: PersonRequest, **kwargs: Any) -> Response:
            key = _key(request)
            if key is None:
                return method(view, request, **kwargs)
            with transaction.atomic():
                kept, known = _remember(request, key)
                if known:
                    _check_rights(request, {kwargs.get("slug"), (kept.response or {}).get("slug")})
                    return _repeated(kept, request)
                response = method(view, request, **kwargs)
                kept.status = response.status_code
                kept.response = {**response.data, **dict.fromkeys(not_kept)}
                kept.save(update_fields=["status", "response"])
                return response

        return described(repeatable)

    return decorate


def described(method: Callable[..., Response]) -> Callable[..., Response]:
    """Add the Idempotency-Key header to a method's description."""
    method.is_repeatable = True  # type: ignore[attr-defined]
    return method


def answered(request: PersonRequest) -> Response | None:
    """The stored response of this request's key, before its body is read; else None.

    For a view that streams: what it does after the body is in is decorated with `once`, so that no
    transaction waits for a slow line.
    """
    key = _key(request)
    fresh = RequestKey.objects.filter(created_at__gte=timezone.now() - KEPT)
    kept = fresh.filter(user=request.user, key=key).first() if key else None
    return _repeated(kept, request) if kept else None


def _key(request: PersonRequest) -> str | None:
    key = request.headers.get(HEADER)
    if key is None or (0 < len(key) <= MOST_LETTERS and key.isascii() and key.isprintable()):
        return key
    raise ValidationError(
        {
            HEADER: [
                gettext("A key has 1 to %(most)s printable ASCII characters. Send another key.")
                % {"most": MOST_LETTERS}
            ]
        }
    )


def _remember(request: PersonRequest, key: str) -> tuple[RequestKey, bool]:
    """The row of this key, and whether there was one already; a second request waits here."""
    # Everybody's: an answer can name people, and who called once may never call again.
    RequestKey.objects.filter(created_at__lt=timezone.now() - KEPT).delete()
    own = RequestKey.objects.filter(user=request.user)
    if not own.filter(key=key).exists():
        require_room(
            own,
            most=MOST_A_DAY,
            sentence=gettext(
                "You sent %(most)s Idempotency-Keys today, which is the limit for one day. Send "
                "the request without a key, or continue tomorrow (UTC)."
            )
            % {"most": MOST_A_DAY},
        )
    try:
        with transaction.atomic():
            row = RequestKey.objects.create(user=request.user, key=key, digest=_digest(request))
    except IntegrityError:
        return RequestKey.objects.get(user=request.user, key=key), True
    return row, False


def _check_rights(request: PersonRequest, slugs: set[str | None]) -> None:
    """404 where the study of a kept answer is not, or no longer, the person's to run.

    Role and scope are checked before; what is in no study is only for those.
    """
    for slug in filter(None, slugs):
        study_of(request.user, slug)


def _repeated(kept: RequestKey, request: PersonRequest) -> Response:
    if kept.digest != _digest(request):
        raise KeyReused(
            gettext(
                "This Idempotency-Key was used for another request within a day. Use a new key."
            )
        )
    return Response(kept.response, status=kept.status, headers={"Idempotent-Replayed": "true"})


def _digest(request: PersonRequest) -> str:
    said = json.dumps([request.method, request.path, request.data], sort_keys=True)
    return hashlib.sha256(said.encode()).hexdigest()
