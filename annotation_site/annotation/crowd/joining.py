"""How people take part by an open link: join, pass the check, work, finish, leave, come back.

Before the check and after completion the membership counts as removed, so that lists wait for
nobody who does not work. Locks: study, link, then whatever `members` takes.
"""

import re
import secrets
import uuid
from collections.abc import Mapping, Sequence
from datetime import timedelta

from django.db import transaction
from django.db.models import Exists, OuterRef, Q
from django.utils import timezone
from django.utils.translation import gettext as _

from annotation_site.accounts import audit
from annotation_site.accounts.models import User
from annotation_site.accounts.services import crowd_account_create
from annotation_site.annotation.allocation.slots import leases_end, study_locked
from annotation_site.annotation.crowd.checks import answers_right, questions_from_json
from annotation_site.annotation.crowd.links import PROLIFIC, member_take_out, why_shut
from annotation_site.annotation.crowd.models import CrowdParticipant, OpenLink
from annotation_site.annotation.lists.page import needs_consent
from annotation_site.annotation.models import Assignment, Membership, Study, TakenTime
from annotation_site.annotation.people.members import annotator_add
from annotation_site.errors import Invalid, NotAllowed

MOST_ID = 100  # characters
OUTSIDE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@:-]{0,99}")
SAME_START = timedelta(minutes=10)  # in which a second press of "Start" is the first one again


def ids_of(link: OpenLink, sent: Mapping[str, str]) -> tuple[str, dict[str, str]]:
    """The participant id in an address and the platform's other parameters.

    Raises Invalid where the link needs an id and the address has none, or one that is malformed.
    Other parameters that are malformed are left out, because nothing depends on them.
    """
    if not link.parameter:
        return "", {}
    outside_id = sent.get(link.parameter, "")
    if not OUTSIDE_ID.fullmatch(outside_id):
        raise Invalid(
            _(
                "The address does not hold your participant id, so your work could not be assigned "
                "to you. Open the study from the platform again."
            )
        )
    others = PROLIFIC[1:] if link.preset == OpenLink.Preset.PROLIFIC else ()
    return outside_id, {
        name: sent[name] for name in others if OUTSIDE_ID.fullmatch(sent.get(name, ""))
    }


@transaction.atomic
def participation_start(
    *, link: OpenLink, outside_id: str, other_ids: Mapping[str, str], key: uuid.UUID
) -> CrowdParticipant:
    """Make an account for a person who pressed "Start", without lists yet.

    The same `key` again, within SAME_START, is the same press. An id that the study knows makes a
    new account, which is flagged: an address proves nothing about the person who has it. Raises
    NotAllowed with the sentence of `why_shut`.
    """
    study = study_locked(link.study_id)
    link = OpenLink.objects.select_for_update().get(pk=link.pk)
    link.study = study
    before = link.participants.filter(start_key=key, joined_at__gte=timezone.now() - SAME_START)
    again: CrowdParticipant | None = before.select_related("membership__user").first()
    if again is not None:
        return again
    if reason := why_shut(link):
        raise NotAllowed(reason)
    known = CrowdParticipant.objects.filter(link__study=study, outside_id=outside_id)
    user = crowd_account_create()
    membership = Membership.objects.create(
        study=study,
        user=user,
        role=Membership.Role.ANNOTATOR,
        removed_at=timezone.now(),
        most_lists=link.most_lists,
    )
    participant: CrowdParticipant = CrowdParticipant.objects.create(
        link=link,
        membership=membership,
        outside_id=outside_id,
        other_ids=dict(other_ids),
        seen_before=bool(outside_id) and known.exists(),
        start_key=key,
    )
    audit.record("open_link_joined", target=link, actor=user, flagged=participant.seen_before)
    return participant


@transaction.atomic
def participation_resume(*, participant: CrowdParticipant) -> None:
    """Give a returning person their place again, and lists if they had got that far.

    A no-op for somebody who never lost it. Raises NotAllowed where nobody can join by now.
    """
    study, participant = _locked(participant)
    if participant.idle_at is None:
        return
    if reason := why_shut(participant.link):
        raise NotAllowed(reason)
    participant.idle_at = None
    participant.save(update_fields=["idle_at"])
    if participant.entered_at is not None and participant.completed_at is None:
        annotator_add(study=study, user=participant.membership.user)


@transaction.atomic
def check_answer(*, participant: CrowdParticipant, given: Sequence[int | None]) -> bool:
    """Score the answers to the comprehension check; whether they are all right.

    With the last wrong attempt the person's part ends. Raises Invalid for a check that is over or
    has another number of questions, and while a question has no answer: that is no attempt.
    """
    _study, participant = _locked(participant)
    link = participant.link
    questions = questions_from_json(link.questions)
    if participant.check_passed_at or participant.check_failed_at or not questions:
        raise Invalid(_("Your check is over already. Open the study again."))
    if len(given) != len(questions) or None in given:
        raise Invalid(_("Answer every question, then send your answers."))
    now = timezone.now()
    participant.check_attempts += 1
    participant.check_right = answers_right(questions, given)
    passed = participant.check_right == len(questions)
    if passed:
        participant.check_passed_at = now
    elif participant.check_attempts >= link.attempts:
        participant.check_failed_at = now
    participant.save(
        update_fields=["check_attempts", "check_right", "check_passed_at", "check_failed_at"]
    )
    if passed:
        participation_enter(participant=participant)
    return passed


@transaction.atomic
def participation_enter(*, participant: CrowdParticipant) -> bool:
    """Give lists to a person who has agreed and passed the check; whether that was now."""
    study, participant = _locked(participant)
    waits = needs_consent(participant.membership, study) or (
        participant.link.questions and participant.check_passed_at is None
    )
    over = participant.check_failed_at or participant.idle_at or participant.membership.withdrawn_at
    if waits or over or participant.entered_at is not None or study.state != Study.State.OPEN:
        return False
    participant.entered_at = timezone.now()
    participant.save(update_fields=["entered_at"])
    annotator_add(study=study, user=participant.membership.user)
    leases_end(study)  # at once: somebody who got no list is told that none is left
    return True


@transaction.atomic
def participation_complete(*, participant: CrowdParticipant) -> bool:
    """Note that the person finished and was shown the code; False while they have lists left.

    They get no more lists; what they submitted stays theirs to change while the study is open.
    """
    study, participant = _locked(participant)
    own = participant.membership.assignments
    if participant.completed_at is not None:
        return True
    if participant.entered_at is None or own.filter(state__in=Assignment.UNFINISHED).exists():
        return False
    participant.completed_at = timezone.now()
    participant.idle_at = None
    participant.save(update_fields=["completed_at", "idle_at"])
    member_take_out(study=study, membership=participant.membership)
    return True


@transaction.atomic
def participation_end(*, participant: CrowdParticipant) -> None:
    """Give a person's unopened lists to others because they stay away; once."""
    study, participant = _locked(participant)
    if participant.idle_at is not None or participant.completed_at is not None:
        return
    participant.idle_at = timezone.now()
    participant.save(update_fields=["idle_at"])
    freed = member_take_out(study=study, membership=participant.membership)
    if freed:
        person = participant.membership.user.public_id
        audit.record("lists_released", target=study, person=person, lists=freed, idle=True)


def crowd_sweep() -> None:
    """End the part of people who stay away longer than their link says, in open studies."""
    for link in OpenLink.objects.filter(study__state=Study.State.OPEN).order_by("pk"):
        for participant in _away(link):
            participation_end(participant=participant)


def _away(link: OpenLink) -> list[CrowdParticipant]:
    since = timezone.now() - timedelta(hours=link.idle_hours)
    own = Assignment.objects.filter(membership=OuterRef("membership"))
    worked = own.filter(Q(opened_at__gte=since) | Q(submitted_at__gte=since))
    saved = TakenTime.objects.filter(user=OuterRef("membership__user"), at__gte=since)
    came = Q(joined_at__gte=since) | Q(entered_at__gte=since)
    return list(
        link.participants.in_place()
        .filter(completed_at=None)
        .exclude(came)
        .filter(~Exists(worked), ~Exists(saved))
        .select_related("link", "membership__user")
        .order_by("pk")
    )


def _locked(participant: CrowdParticipant) -> tuple[Study, CrowdParticipant]:
    """The study and the participant as they are by now, locked until the transaction ends."""
    study = study_locked(participant.link.study_id)
    row: CrowdParticipant = (
        CrowdParticipant.objects.select_for_update(of=("self",))
        .select_related("link", "membership__user")
        .get(pk=participant.pk)
    )
    row.link.study = row.membership.study = study
    return study, row


def participant_of(user: User) -> CrowdParticipant | None:
    """The participant row of an account of an open link; None once the link is deleted."""
    found: CrowdParticipant | None = (
        CrowdParticipant.objects.filter(membership__user=user)
        .select_related("link__study", "membership__user", "membership__study")
        .first()
    )
    return found


def start_key() -> uuid.UUID:
    """A key for the form with the button "Start"."""
    return uuid.UUID(bytes=secrets.token_bytes(16), version=4)
