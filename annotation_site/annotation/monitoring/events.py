"""Events of studies that researchers are told of: all annotations there, an annotator stuck."""

from collections.abc import Iterable
from typing import Any

from django.core.cache import cache
from django.db.models import Count, F, Max, QuerySet
from django.db.models.functions import Greatest
from django.urls import reverse
from django.utils.translation import gettext_noop

from annotation_site.annotation.lists.access import training_of
from annotation_site.annotation.models import Assignment, Item, Membership, Study
from annotation_site.annotation.monitoring.progress import SUBMITTED_ANNOTATION
from annotation_site.notices.services import notice_send
from annotation_site.sentences import Sentence

LOOK_SECONDS = 60
LOOK_AT_IDLE_SECONDS = 3600
FINISHED = gettext_noop("All %(annotations)s annotations of “%(study)s” are submitted.")
NOT_PASSED = gettext_noop(
    "%(person)s did not pass the training of “%(study)s” and waits for you to let them in."
)
IDLE = gettext_noop(
    "%(person)s has done nothing in “%(study)s” for %(days)s days, so others got their lists."
)


def study_events_sweep() -> None:
    """Tell researchers what happened in open studies; safe in many workers at once.

    Nobody is told twice. Two people can submit a study's last annotations at the same moment, so
    that neither transaction sees the end; this sees both.
    """
    if cache.add("study-events", 1, LOOK_SECONDS):
        tell_of_finished_studies()
        tell_of_failed_training()
    if cache.add("idle-annotators", 1, LOOK_AT_IDLE_SECONDS):
        tell_of_idle_annotators()


def tell_of_finished_studies() -> None:
    """Tell of open studies in which every list has its annotations; again after an extension."""
    of_study = Item.objects.filter(study__state=Study.State.OPEN, use=Item.Use.STUDY).order_by()
    slots = dict(
        of_study.values("study")
        .annotate(n=Count("pk") * F("study__annotators_per_list"))
        .values_list("study", "n")
    )
    done = dict(
        Assignment.objects.filter(SUBMITTED_ANNOTATION, item__in=of_study)
        .order_by()
        .values("item__study")
        .annotate(n=Count("pk"))
        .values_list("item__study", "n")
    )
    finished = [pk for pk, n in slots.items() if n and done.get(pk, 0) >= n]
    for study in Study.objects.filter(pk__in=finished):
        n = slots[study.pk]
        notice_send(
            kind="study_finished",
            event=f"study {study.pk} finished with {n}",
            people=_researchers(study),
            text=Sentence(FINISHED, annotations=f"{n:,}", study=study.title),
            path=reverse("results:results", args=[study.slug]),
            study=study,
        )


def tell_of_failed_training() -> None:
    """Tell of annotators whose training ended below the score that opens their lists."""
    asked = _at_work().exclude(study__training_pass_percent=None)
    members = list(asked.filter(training_waived_at=None))
    for pk, training in training_of(members).items() if members else ():
        if training.lists and training.failed:
            member = next(m for m in members if m.pk == pk)
            _tell_of(member, f"training {pk}", Sentence(NOT_PASSED, **_named(member)))


def tell_of_idle_annotators() -> None:
    """Tell of annotators whose unopened lists went to others because they did nothing."""
    last = Max(Greatest("assignments__opened_at", "assignments__submitted_at"))
    opened = Max("assignments__opened_at")
    away = _at_work().exclude(away_since=None).annotate(last=last, opened=opened)
    for member in away:
        worked = (member.last, member.opened, member.at_work_since, member.consented_at)
        days = (member.away_since - max(filter(None, worked), default=member.away_since)).days
        if days >= member.study.idle_days:  # else a researcher released the lists
            _tell_of(
                member,
                f"away {member.pk} since {member.away_since:%Y-%m-%d}",
                Sentence(IDLE, days=days, **_named(member)),
            )


def _at_work() -> "QuerySet[Any]":
    """Annotators of open studies who could work."""
    return Membership.objects.filter(
        role=Membership.Role.ANNOTATOR,
        study__state=Study.State.OPEN,
        withdrawn_at=None,
        removed_at=None,
        user__is_active=True,
    ).select_related("user", "study")


def _named(member: Membership) -> dict[str, str]:
    return {"person": member.user.get_username(), "study": member.study.title}


def _tell_of(member: Membership, event: str, text: Sentence) -> None:
    notice_send(
        kind="person_stuck",
        event=event,
        people=_researchers(member.study),
        text=text,
        path=reverse("annotation:run", args=[member.study.slug]),
        study=member.study,
        person=member.user,
    )


def _researchers(study: Study) -> Iterable[int]:
    return study.memberships.filter(role=Membership.Role.RESEARCHER).values_list("user", flat=True)
