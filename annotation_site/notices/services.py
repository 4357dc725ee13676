"""Services of notices: send, mark as read, switch kinds off, forget."""

from collections.abc import Iterable
from typing import Any

from django.db import transaction
from django.db.models import Model, QuerySet
from django.utils import timezone

from annotation_site.accounts.models import Role, User
from annotation_site.notices.kinds import ADMINS, KINDS
from annotation_site.notices.models import Notice, SwitchedOff
from annotation_site.sentences import Sentence

MOST = 500  # notices of one person; the oldest go first


@transaction.atomic
def notice_send(
    *,
    kind: str,
    event: str,
    people: Iterable[int],
    text: Sentence,
    path: str,
    study: Model | None = None,
    person: Model | None = None,
) -> None:
    """Tell some people of an event, in the transaction of the event itself.

    Each is told once: the same `event` again changes nothing, so a task that is done twice tells
    nobody twice. `people` are keys of users; those whose role may not get this kind, who cannot log
    in or have switched it off, get nothing. `text` names the `study` and the `person` it is about,
    so that it goes with them. Raises KeyError for a kind that is not in KINDS.
    """
    stored: Any = text  # the field takes sentences, of which its type does not know
    off = SwitchedOff.objects.filter(kind=kind).values("user")
    told = circle(kind).filter(pk__in=[pk for pk in people if pk]).exclude(pk__in=off)
    Notice.objects.bulk_create(
        [
            Notice(
                user=user,
                kind=kind,
                event=event,
                text=stored,
                path=path,
                study_id=study.pk if study else None,
                person_id=person.pk if person else None,
            )
            for user in told
        ],
        ignore_conflicts=True,
    )


def circle(kind: str) -> "QuerySet[User]":
    """The people whose role may get a kind. Raises KeyError for one that is not in KINDS."""
    roles = [Role.ADMIN] if KINDS[kind].circle == ADMINS else [Role.ADMIN, Role.RESEARCHER]
    return User.objects.filter(is_active=True, role__in=roles)


def notice_read(*, notice: Notice) -> None:
    """Mark a notice as read; a no-op where it is."""
    Notice.objects.filter(pk=notice.pk, read_at=None).update(read_at=timezone.now())


def notices_read(*, user: User) -> None:
    """Mark all notices of a person as read."""
    Notice.objects.filter(user=user, read_at=None).update(read_at=timezone.now())


@transaction.atomic
def kinds_choose(*, user: User, wanted: Iterable[str]) -> None:
    """Switch on the wanted kinds of a person and all others off; unknown ones are ignored."""
    SwitchedOff.objects.filter(user=user).delete()
    SwitchedOff.objects.bulk_create(
        SwitchedOff(user=user, kind=kind) for kind in KINDS if kind not in set(wanted)
    )


def notices_drop(*, path: str) -> None:
    """Delete the notices about a page that is no longer there."""
    Notice.objects.filter(path=path).delete()


@transaction.atomic
def notices_forget(*, person: User) -> None:
    """Delete what a person was told, what others were told about them, and their switches."""
    Notice.objects.filter(user=person).delete()
    Notice.objects.filter(person=person).delete()
    SwitchedOff.objects.filter(user=person).delete()
