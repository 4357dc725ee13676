"""Invitations: links by which people join. There is no other sign-up."""

import hashlib
import secrets
from datetime import timedelta

from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext, gettext_lazy

from annotation_site.accounts import audit
from annotation_site.accounts.bounds import require_room
from annotation_site.accounts.models import Invitation, User
from annotation_site.errors import Invalid, NotFound

# One sentence for all of these, so that nobody learns which links exist.
GONE = gettext_lazy(
    "This invitation does not exist, or it was used up, was revoked or has expired. Ask the person "
    "who sent it for a new one."
)
MOST_USES = 500
MOST_DAYS = 90
MOST_TEXT = 100_000  # characters of a list of people
MOST_A_DAY = 1_000  # by one person


@transaction.atomic
def invitation_create(
    *,
    created_by: User,
    role: str,
    days: int,
    uses: int,
    study_id: int | None = None,
    study_role: str = "",
) -> tuple[Invitation, str]:
    """Make an invitation; returns it and its token, which is not stored.

    Who may invite whom is for `annotation.people.person_invite`. Raises Invalid for a number of
    uses or days that is not sensible, and beyond MOST_A_DAY of one person.
    """
    if not 1 <= uses <= MOST_USES:
        raise Invalid(
            gettext("An invitation is for 1 to %(most)s people. Choose a number in this range.")
            % {"most": MOST_USES}
        )
    if not 1 <= days <= MOST_DAYS:
        raise Invalid(
            gettext("An invitation lasts 1 to %(most)s days. Choose a number in this range.")
            % {"most": MOST_DAYS}
        )
    require_room(
        Invitation.objects.filter(created_by=created_by),
        most=MOST_A_DAY,
        sentence=gettext(
            "You made %(most)s invitations today, which is the limit for one day. Make one "
            "invitation for several people, or continue tomorrow (UTC)."
        )
        % {"most": MOST_A_DAY},
    )
    token = secrets.token_urlsafe(32)
    invitation = Invitation(
        token_digest=_digest(token),
        role=role,
        study_id=study_id,
        study_role=study_role,
        expires_at=timezone.now() + timedelta(days=days),
        uses_allowed=uses,
        created_by=created_by,
    )
    invitation.full_clean()
    invitation.save()
    audit.record("invitation_made", target=invitation, role=role, uses=uses, days=days)
    return invitation, token


def invitation_find(token: str) -> Invitation:
    """The invitation of a token. Raises NotFound unless it can be used now."""
    found = usable().filter(token_digest=_digest(token)).select_related("study").first()
    if found is None:
        raise NotFound(str(GONE))
    return found


def invitation_use(*, invitation: Invitation) -> None:
    """Count one use, in the caller's transaction. Raises NotFound when none is left.

    A conditional UPDATE: of two people at the same moment, one gets the last use.
    """
    if not usable().filter(pk=invitation.pk).update(uses=F("uses") + 1):
        raise NotFound(str(GONE))


@transaction.atomic
def invitation_revoke(*, invitation: Invitation) -> None:
    """Revoke an invitation, so that its link no longer works. Revoking twice is a no-op."""
    unrevoked = Invitation.objects.filter(pk=invitation.pk, revoked_at=None)
    if unrevoked.update(revoked_at=timezone.now()):
        audit.record("invitation_revoked", target=invitation)


def invitations_revoke_of(*, person: User) -> None:
    """Revoke all working invitations that a person has made."""
    for invitation in usable().filter(created_by=person):
        invitation_revoke(invitation=invitation)


def invitations_seen_by(person: User) -> QuerySet[Invitation]:
    """All invitations for an admin, otherwise the person's own; newest first."""
    found = Invitation.objects.select_related("study", "created_by").order_by("-created_at", "-pk")
    return found if person.is_admin else found.filter(created_by=person)


def usable() -> QuerySet[Invitation]:
    """Invitations that can be accepted now."""
    return Invitation.objects.filter(
        Q(uses__lt=F("uses_allowed")), revoked_at=None, expires_at__gt=timezone.now()
    )


def _digest(token: str) -> str:
    """The token is random and long, so a fast hash keeps it as well as a slow one would."""
    return hashlib.sha256(token.encode()).hexdigest()
