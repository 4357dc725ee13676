"""Queries of notices."""

from datetime import datetime

from django.db.models import Count, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce

from annotation_site.accounts.models import User
from annotation_site.notices.kinds import ADMINS, KINDS, NoticeKind
from annotation_site.notices.models import Notice, SwitchedOff

COUNTED = 99  # a header says "99+" beyond


def kinds_of(user: User) -> dict[str, NoticeKind]:
    """The kinds that a person's role can get; none for annotators."""
    if not user.is_researcher:
        return {}
    return {name: kind for name, kind in KINDS.items() if user.is_admin or kind.circle != ADMINS}


def kinds_chosen(user: User) -> list[tuple[str, NoticeKind, bool]]:
    """The kinds of `kinds_of`, each with whether the person wants it."""
    off = set(SwitchedOff.objects.filter(user=user).values_list("kind", flat=True))
    return [(name, kind, name not in off) for name, kind in kinds_of(user).items()]


def notices_of(user: User) -> QuerySet[Notice]:
    """A person's notices that their role may still get, newest first."""
    return Notice.objects.filter(user=user, kind__in=kinds_of(user))


def unread_count(user: User) -> int:
    """Number of unread notices, at most one more than COUNTED."""
    return notices_of(user).filter(read_at=None).order_by()[: COUNTED + 1].count()


def notices_over(before: datetime, most: int) -> QuerySet[Notice]:
    """Notices from before a moment, and those of each person beyond the newest `most`."""
    crowded = Notice.objects.order_by().values("user").annotate(n=Count("pk")).filter(n__gt=most)
    newest = Notice.objects.filter(user=OuterRef("user")).order_by("-pk")
    beyond = Notice.objects.filter(
        user__in=crowded.values("user"),
        pk__lte=Coalesce(Subquery(newest.values("pk")[most : most + 1]), 0),
    )
    old = Notice.objects.filter(created_at__lt=before)
    over = [*old.values_list("pk", flat=True), *beyond.values_list("pk", flat=True)]
    return Notice.objects.filter(pk__in=over)
