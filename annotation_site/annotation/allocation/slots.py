"""Allocation of free slots to annotators, and the end of leases."""

import random
from collections.abc import Iterable
from datetime import timedelta

from django.db import transaction
from django.db.models import Count, F, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.utils import timezone
from django.utils.translation import gettext as _

from annotation_site.annotation.allocation.plan import Existing, ListToJudge, allocate
from annotation_site.annotation.allocation.queues import queues_extend, repeats_move
from annotation_site.annotation.models import Assignment, Item, Membership, Study
from annotation_site.errors import NotFound

State = Assignment.State
Purpose = Assignment.Purpose
MOST_CLOCK_DIFFERENCE = timedelta(minutes=1)  # of machines that share a database


def slots_fill(*, study: Study, item_ids: Iterable[int] | None = None) -> int:
    """Allocate free slots of the study's lists (or of some of them) to its annotators.

    A surplus answer takes a place before anybody is asked for another one, and where nobody works
    (the study is paused or closed) nobody is asked. In a pilot everybody gets every pilot list
    instead; a draft gives out nothing. The caller holds the study's lock and this takes the lists',
    so that no list ever has more than k live assignments. Returns how many places were given out.
    """
    if study.state == Study.State.PILOT:
        return _pilot_fill(study)
    if study.state == Study.State.DRAFT:
        return 0
    items = study.items.filter(use=Item.Use.STUDY)
    if item_ids is not None:
        items = items.filter(pk__in=item_ids)
    list(items.order_by("pk").select_for_update().values_list("pk"))
    _surplus_promote(study, items)
    if study.state != Study.State.OPEN:
        return 0
    assigned = Assignment.objects.filter(item__in=items)
    load = _load(annotators_of(study))
    orders = allocate(
        lists=[
            # Models are balanced as kinds are.
            ListToJudge(pk, f"{extraction}:{kind}", layer)
            for pk, extraction, kind, layer in items.values_list(
                "pk", "vector__extraction_id", "vector__kind", "vector__layer"
            )
        ],
        people=sorted(load),
        per_list=study.annotators_per_list,
        seed=study.seed,
        order_key=study.order_key,
        existing=Existing(
            had=frozenset(assigned.values_list("membership_id", "item_id")),
            live=dict(slots_held(items).values_list("item").annotate(n=Count("pk"))),
            load=load,
            most={
                pk: most
                for pk, most in annotators_of(study).values_list("pk", "most_lists")
                if most is not None
            },
        ),
    )
    repeats_move(study=study, item_ids=items.values("pk"))
    return queues_extend(study=study, orders=orders)


def slots_held(items: QuerySet[Item]) -> QuerySet[Assignment]:
    """The assignments that hold slots of these lists; a list has k slots."""
    return Assignment.objects.filter(
        item__in=items, purpose=Purpose.ANNOTATION, state__in=Assignment.LIVE, surplus=False
    )


def _pilot_fill(study: Study) -> int:
    """Give every annotator every pilot list that they have not had, in an order of their own.

    What an earlier pilot left unfinished goes on: nobody else takes it, and nobody gets it anew.
    """
    items = study.items.filter(use=Item.Use.PILOT)
    pilot = sorted(items.values_list("pk", flat=True))
    given = Assignment.objects.filter(item__in=items)
    had = set(given.values_list("membership_id", "item_id"))
    ended = given.filter(membership__in=annotators_of(study), state=State.EXPIRED)
    ended.filter(opened_at=None).update(state=State.WAITING)
    ended.exclude(opened_at=None).update(state=State.IN_PROGRESS)
    orders = {}
    for person in annotators_of(study).order_by("pk").values_list("pk", flat=True):
        rng = random.Random(f"pilot:{study.order_key}:{person}")  # noqa: S311 (an order, no secret)  # nosec B311
        mixed = rng.sample(pilot, len(pilot))
        orders[person] = [item for item in mixed if (person, item) not in had]
    return queues_extend(study=study, orders=orders, purpose=Purpose.PILOT)


def _surplus_promote(study: Study, items: QuerySet[Item]) -> None:
    """Give free slots to the oldest surplus annotations of their lists."""
    surplus = Assignment.objects.filter(
        item__in=items, purpose=Purpose.ANNOTATION, state=State.SUBMITTED, surplus=True
    )
    # One that is being submitted again just now decides for itself; waiting for it here, with its
    # list locked, could wait for ever.
    rows = list(surplus.order_by("submitted_at", "pk").select_for_update(skip_locked=True))
    held = dict(slots_held(items).values_list("item").annotate(n=Count("pk")))
    promoted = []
    for row in rows:
        if held.get(row.item_id, 0) < study.annotators_per_list:
            held[row.item_id] = held.get(row.item_id, 0) + 1
            promoted.append(row.pk)
    if promoted:
        Assignment.objects.filter(pk__in=promoted).update(surplus=False)
        tables_touch(study)


def annotators_of(study: Study) -> QuerySet[Membership]:
    """Memberships that can get lists: not left, not removed, able to log in."""
    return study.memberships.filter(
        role=Membership.Role.ANNOTATOR, withdrawn_at=None, removed_at=None, user__is_active=True
    )


def _load(people: QuerySet[Membership]) -> dict[int, int]:
    """Per membership, how many lists of the study they were given so far."""
    lists = Count("assignments", filter=Q(assignments__purpose=Purpose.ANNOTATION))
    return dict(people.annotate(lists=lists).values_list("pk", "lists"))


def leases_sweep() -> None:
    """End expired leases and give their slots to others; drafts stay with their authors.

    A list that everybody in the study has had already stays with its author: ending the lease
    would lose the place and help nobody.
    """
    # Opened in the future: a clock was set back since. Left so, the lease would last until then.
    now = timezone.now()
    Assignment.objects.filter(
        state=State.IN_PROGRESS, opened_at__gt=now + MOST_CLOCK_DIFFERENCE
    ).update(opened_at=now)
    for study in Study.objects.filter(state=Study.State.OPEN):
        if _leases_that_can_move(study).exists():
            with transaction.atomic():
                leases_end(study_locked(study.pk))


def leases_end(study: Study) -> None:
    """With the study locked: end expired leases that can move, then fill the places."""
    candidates = _leases_that_can_move(study).values_list("pk", flat=True)
    # The rows are locked before they are judged: a submission that is under way wins.
    found = Assignment.objects.filter(pk__in=list(candidates))
    locked = found.order_by(*Assignment.LOCK_ORDER).select_for_update()
    ended = [row for row in locked if row.state == State.IN_PROGRESS]
    if not ended:
        return
    Assignment.objects.filter(pk__in=[row.pk for row in ended]).update(state=State.EXPIRED)
    if any(row.purpose == Purpose.ANNOTATION for row in ended):
        tables_touch(study)  # which count what was not submitted in time
    slots_fill(study=study, item_ids=[row.item_id for row in ended])


def _leases_that_can_move(study: Study) -> QuerySet[Assignment]:
    """Assignments whose lease has run out and whose list somebody else could take.

    Repeats and silent references go nowhere, and yet their leases end as those of other lists do:
    one that stayed would tell its person what it is.
    """
    people = annotators_of(study).count()
    had = (
        Assignment.objects.filter(item=OuterRef("item"), membership__in=annotators_of(study))
        .values("item")
        .annotate(n=Count("membership", distinct=True))
        .values("n")
    )
    movable = Q(had__lt=people)
    if people > study.annotators_per_list:
        movable |= Q(purpose=Purpose.REFERENCE)  # which everybody has
    return (
        Assignment.objects.filter(
            item__study=study,
            purpose__in=(Purpose.ANNOTATION, Purpose.REPEAT, Purpose.REFERENCE),
            state=State.IN_PROGRESS,
            opened_at__lt=timezone.now() - timedelta(hours=study.lease_hours),
        )
        .alias(had=Coalesce(Subquery(had), 0))  # none, where its person was removed
        .filter(movable)
    )


def tables_touch(study: Study) -> None:
    """Mark the study's results as stale although nothing was submitted."""
    Study.objects.filter(pk=study.pk).update(other_changes=F("other_changes") + 1)


def study_locked(study_id: int) -> Study:
    """Lock the study until the transaction ends, and return it.

    Raises NotFound for one that is being deleted, or gone.
    """
    study = Study.objects.select_for_update().filter(pk=study_id).first()
    if study is None or study.state == Study.State.DELETING:
        raise NotFound(_("This study has been deleted."))
    return study
