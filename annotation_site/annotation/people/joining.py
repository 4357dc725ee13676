"""Effects on a person's studies when they are invited, join, are deactivated or erased."""

from django.db import transaction
from django.utils.translation import gettext as _

from annotation_site.accounts import audit, invitations
from annotation_site.accounts import services as accounts
from annotation_site.accounts.models import Invitation, Role, User
from annotation_site.annotation.allocation.slots import (
    annotators_arrive,
    slots_share,
    study_locked,
)
from annotation_site.annotation.models import CrowdParticipant, Membership, Study, TakenTime
from annotation_site.annotation.people.consent import study_withdraw
from annotation_site.annotation.people.members import annotator_add
from annotation_site.errors import Invalid, NotAllowed, NotFound
from annotation_site.notices.services import notices_forget

ENDED = (Study.State.CLOSED, Study.State.ARCHIVED)
RANKS = list(Role.values)  # each may do what those before it may


def person_invite(
    *,
    by: User,
    role: str,
    days: int,
    uses: int,
    study: Study | None = None,
    study_role: str = "",
) -> tuple[Invitation, str]:
    """Make an invitation; returns it and the token of its link.

    Admins invite into any role and study, researchers annotators into a study of their own.
    Raises NotAllowed for the rest, Invalid for a combination that makes no sense.
    """
    study_role = invitation_check(by=by, role=role, study=study, study_role=study_role)
    return invitations.invitation_create(
        created_by=by,
        role=role,
        days=days,
        uses=uses,
        study_id=study.pk if study else None,
        study_role=study_role,
    )


def invitation_check(*, by: User, role: str, study: Study | None, study_role: str) -> str:
    """The role in the study that such an invitation would give. Raises as `person_invite` does."""
    if not by.is_admin:
        own = study is not None and study.memberships.filter(
            user=by, role=Membership.Role.RESEARCHER
        )
        if not by.is_researcher or not own or role != Role.ANNOTATOR:
            raise NotAllowed(_("You can only invite annotators into your own studies."))
    if role not in Role.values:
        raise Invalid(_("Choose one of the roles %(roles)s.") % {"roles": ", ".join(Role.values)})
    if study is None and study_role:
        raise Invalid(_("A role in a study needs a study. Choose one."))
    if study is not None:
        study_role = study_role or Membership.Role.ANNOTATOR
        if study.state in ENDED:
            raise Invalid(_("This study has ended. Re-open it first."))
        if study_role == Membership.Role.RESEARCHER and role == Role.ANNOTATOR:
            raise Invalid(
                _("To run a study, a person needs the role researcher or admin. Choose one.")
            )
        if study_role == Membership.Role.ANNOTATOR and role == Role.ADMIN:
            raise Invalid(
                _(
                    "Admins see where lists come from, so they cannot annotate them blind. Choose "
                    "another role."
                )
            )
    if study_role and study_role not in Membership.Role.values:
        raise Invalid(
            _("Choose one of the roles %(roles)s for the study.")
            % {"roles": ", ".join(Membership.Role.values)}
        )
    return study_role


def invitation_find(token: str) -> Invitation:
    """The invitation of a token. Raises NotFound unless it can be used now."""
    invitation = invitations.invitation_find(token)
    if invitation.study is not None and invitation.study.state in ENDED:
        raise NotFound(str(invitations.GONE))
    return invitation


@transaction.atomic
def person_join(*, token: str, username: str, password: str, email: str = "") -> User:
    """Create the invited person with their membership in its study, or nothing.

    Raises NotFound when the invitation cannot be used, Invalid for the name or the password.
    """
    invitation = invitation_find(token)
    invitations.invitation_use(invitation=invitation)
    person = accounts.person_create(
        username=username, password=password, role=invitation.role, email=email
    )
    _enter(invitation, person)
    audit.record("invitation_accepted", actor=person, target=invitation)
    return person


@transaction.atomic
def member_join(*, token: str, person: User) -> None:
    """Let a person with an account accept an invitation; it never removes a role.

    Whoever is in the study already uses nothing up. Raises as `person_join`, and NotAllowed for
    somebody who is not blind to the study's lists.
    """
    invitation = invitation_find(token)
    promoted = RANKS.index(invitation.role) > RANKS.index(person.role)
    is_member = (
        invitation.study is None
        or invitation.study.memberships.filter(user=person, role=invitation.study_role).exists()
    )
    if is_member and not promoted:
        raise Invalid(_("Your account already allows everything that this invitation offers."))
    invitations.invitation_use(invitation=invitation)
    if promoted:
        _check_blinding(person, invitation.role)
        before, person.role = person.role, invitation.role
        person.save(update_fields=["role"])
        audit.record("role_changed", target=person, before=before, after=person.role)
    _enter(invitation, person)
    audit.record("invitation_accepted", target=invitation)


def _enter(invitation: Invitation, person: User) -> None:
    study = invitation.study
    if study is None:
        return
    if invitation.study_role == Membership.Role.ANNOTATOR:
        annotator_add(study=study, user=person)
        return
    judges = study.memberships.filter(user=person, role=Membership.Role.ANNOTATOR).exists()
    if judges and not study.team_may_annotate:
        raise NotAllowed(_("You annotate lists of this study blind, so you cannot run it as well."))
    Membership.objects.get_or_create(study=study, user=person, role=Membership.Role.RESEARCHER)


@transaction.atomic
def person_role_change(*, person: User, role: str, by: User) -> None:
    """Give a person another role, as `accounts.services.role_change`.

    Raises Invalid as well where an admin's view would end somebody's blindness.
    """
    _check_blinding(person, role)
    accounts.role_change(person=person, role=role, by=by)


def _check_blinding(person: User, role: str) -> None:
    judged = (
        Membership.objects.filter(
            user=person,
            role=Membership.Role.ANNOTATOR,
            withdrawn_at=None,
            study__team_may_annotate=False,
        )
        .exclude(study__state__in=ENDED)
        .select_related("study")
        .first()
    )
    if role == Role.ADMIN and judged is not None:
        raise Invalid(
            _(
                "%(person)s annotates lists of “%(study)s” blind, and admins see where lists come "
                "from. Close that study first, or give this person a second account."
            )
            % {"person": person, "study": judged.study}
        )


@transaction.atomic
def person_deactivate(*, person: User, by: User) -> None:
    """Deactivate a person, and give their unopened lists to others; once."""
    if not accounts.person_deactivate(person=person, by=by):
        return
    for membership in _places(person):
        slots_share(study=study_locked(membership.study_id))


@transaction.atomic
def person_activate(*, person: User, by: User) -> None:
    """Let a person log in again; in open studies they get their share; once."""
    if not accounts.person_activate(person=person, by=by):
        return
    for membership in _places(person):
        study = study_locked(membership.study_id)
        annotators_arrive(Membership.objects.filter(pk=membership.pk))
        slots_share(study=study)


@transaction.atomic
def person_erase(*, person: User, by: User) -> None:
    """Erase a person: no name, no address, no login; their public id stays as a pseudonym.

    Their answers stay under it, or go, as each study says.
    """
    accounts.person_forget(person=person, by=by)
    notices_forget(person=person)
    TakenTime.objects.filter(user=person).delete()  # at which moments they worked
    CrowdParticipant.objects.filter(membership__user=person).ids_erase()
    for membership in _places(person):
        study_withdraw(membership=membership)


def _places(person: User) -> list[Membership]:
    return list(
        Membership.objects.filter(
            user=person, role=Membership.Role.ANNOTATOR, withdrawn_at=None
        ).order_by("study")  # in which they are locked
    )
