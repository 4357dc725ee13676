"""API tokens: secrets with scopes and an expiry, by which scripts act as a person."""

from collections.abc import Sequence
from datetime import timedelta

from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext

from annotation_site.accounts import audit
from annotation_site.accounts.models import ApiToken, Role, Scope, User
from annotation_site.errors import Invalid

DEFAULT_DAYS = 30
MOST_DAYS = 366
MOST_TOKENS = 50
# A token is used many times a second; when it was last, is worth one write a minute.
USE_NOTED_EVERY = timedelta(minutes=1)
SCOPES_OF = {
    Role.ANNOTATOR: (Scope.READ, Scope.ANNOTATE),
    Role.RESEARCHER: (Scope.READ, Scope.ANNOTATE, Scope.MANAGE),
    Role.ADMIN: tuple(Scope),
}


def scopes_for(user: User) -> tuple[Scope, ...]:
    """The scopes that a token of this person can have."""
    return SCOPES_OF[Role(user.role)]


def scopes_now(user: User, token: ApiToken | None) -> list[str]:
    """The scopes of a token or, without one, of a session; never more than the role allows."""
    return [scope for scope in scopes_for(user) if token is None or scope in token.scopes]


@transaction.atomic
def token_create(
    *, user: User, name: str, scopes: Sequence[str], days: int = DEFAULT_DAYS
) -> tuple[ApiToken, str]:
    """Make a token; returns it and its secret, which is not stored.

    Raises Invalid without a name, for scopes that the person's role does not have, for days outside
    1 to MOST_DAYS, for somebody who may not log in, and beyond MOST_TOKENS of one person.
    """
    name = name.strip()
    if user.is_crowd:
        raise Invalid(gettext("An account of an open link has no API tokens. Use another account."))
    if not user.is_active:
        raise Invalid(
            gettext("This person cannot log in, so a token would not work. Activate them first.")
        )
    if not 1 <= len(name) <= 100:
        raise Invalid(
            gettext("Give the token a name of 1 to 100 characters that says what it is for.")
        )
    known = scopes_for(user)
    if not scopes or not set(scopes) <= set(known):
        raise Invalid(
            gettext("Choose one or more of these scopes: %(scopes)s.")
            % {"scopes": ", ".join(known)}
        )
    if not 1 <= days <= MOST_DAYS:
        raise Invalid(
            gettext("A token lasts 1 to %(most)s days. Choose a number in this range.")
            % {"most": MOST_DAYS}
        )
    if tokens_of(user).count() >= MOST_TOKENS:
        raise Invalid(
            gettext("You have %(most)s tokens, which is the limit. Revoke those you do not need.")
            % {"most": MOST_TOKENS}
        )
    token, secret = ApiToken.objects.create(
        user=user,
        expiry=timedelta(days=days),
        name=name,
        scopes=[scope for scope in known if scope in scopes],
    )
    audit.record("token_made", target=token, person=user.public_id, scopes=token.scopes, days=days)
    return token, secret


@transaction.atomic
def token_revoke(*, token: ApiToken) -> None:
    """Revoke a token, so that it no longer works. Revoking twice is a no-op."""
    deleted, _ = ApiToken.objects.filter(pk=token.pk).delete()
    if deleted:
        audit.record("token_revoked", target=token, person=token.user.public_id)


def tokens_revoke_of(*, person: User) -> None:
    """Revoke all tokens of a person."""
    for token in tokens_of(person):
        token_revoke(token=token)


def tokens_of(user: User) -> QuerySet[ApiToken]:
    """A person's tokens, newest first; also those that have expired."""
    return ApiToken.objects.filter(user=user).select_related("user")


def token_note_use(*, token: ApiToken) -> None:
    """Store when the token was used, at most once per USE_NOTED_EVERY."""
    now = timezone.now()
    if token.last_used_at is None or token.last_used_at < now - USE_NOTED_EVERY:
        earlier = Q(last_used_at=None) | Q(last_used_at__lt=now - USE_NOTED_EVERY)
        ApiToken.objects.filter(earlier, pk=token.pk).update(last_used_at=now)
