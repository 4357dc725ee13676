"""Unopened slots are shared among the people at work; leases end; people come and go."""

import random
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from datetime import timedelta

from django.db import transaction
from django.db.models import Count, Exists, F, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.utils import timezone
from django.utils.translation import gettext as _

from annotation_site.annotation.allocation.plan import Given, ListToJudge, share, trim
from annotation_site.annotation.allocation.queues import SHARED, Row, queue_rows, queues_write
from annotation_site.annotation.models import Assignment, Item, Membership, Study, WorkedDay
from annotation_site.errors import NotFound

State = Assignment.State
Purpose = Assignment.Purpose
MOST_CLOCK_DIFFERENCE = timedelta(minutes=1)  # of machines that share a database


def slots_share(*, study: Study) -> int:
    """Share the unopened slots of the study's lists again among the annotators at work.

    Runs whenever somebody joins, leaves, is away, skips, is released or finishes, when a lease
    ends, when lists are added and when k changes. Opened lists stay with their person. A surplus
    annotation takes a slot that nobody has opened before anybody is asked for another one. Where
    nobody works (the study is paused or closed) nobody is asked: people who left lose what they
    have not opened, and nothing else moves. In a pilot everybody gets every pilot list instead; a
    draft gives out nothing.

    The caller holds the study's lock; this takes those of all unopened assignments and then those
    of the lists, so that no list ever has more than k live annotations. Returns how many lists
    somebody got.
    """
    if study.state == Study.State.PILOT:
        return _pilot_fill(study)
    if study.state == Study.State.DRAFT:
        return 0
    members = list(_concerned(study).order_by("pk").select_related("user"))
    _lock_unopened(members)
    items = study.items.filter(use=Item.Use.STUDY).order_by("pk")
    list(items.select_for_update().values_list("pk"))
    _surplus_promote(study, items)
    rows = queue_rows([member.pk for member in members])
    is_open = study.state == Study.State.OPEN
    shares = (share if is_open else trim)(
        lists=[
            # Models are balanced as kinds are.
            ListToJudge(pk, f"{extraction}:{kind}", layer)
            for pk, extraction, kind, layer in items.values_list(
                "pk", "vector__extraction_id", "vector__kind", "vector__layer"
            )
        ],
        people=[member.pk for member in members if is_at_work(member)],
        per_list=study.annotators_per_list,
        seed=study.seed,
        given=_given(members, rows, held=_held(items)),
    )
    given = queues_write(study=study, members=members, rows=rows, shares=shares)
    if study.shares_due:
        Study.objects.filter(pk=study.pk).update(shares_due=False)
        study.shares_due = False
    return given


def _given(members: Sequence[Membership], rows: Sequence[Row], *, held: Mapping[int, int]) -> Given:
    """Lists of the study itself that people have."""
    had, begun = set(), Counter[int]()
    waiting: dict[int, set[int]] = defaultdict(set)
    for row in rows:
        if row.purpose != Purpose.ANNOTATION:
            continue
        if row.belongs_to_nobody:
            if row.state == State.WAITING:
                waiting[row.membership_id].add(row.item_id)
            continue
        had.add((row.membership_id, row.item_id))
        begun[row.membership_id] += row.state == State.IN_PROGRESS
    most = {m.pk: m.most_lists for m in members if m.most_lists is not None}
    return Given(had=had, held=held, waiting=waiting, begun=begun, most=most)


def slots_held(items: QuerySet[Item]) -> QuerySet[Assignment]:
    """The assignments that have slots of these lists; a list has k slots."""
    return Assignment.objects.filter(
        item__in=items, purpose=Purpose.ANNOTATION, state__in=Assignment.LIVE, surplus=False
    )


def _held(items: QuerySet[Item]) -> dict[int, int]:
    """How many slots of each list opened annotations hold; a list without any is not in it."""
    opened = slots_held(items).exclude(state=State.WAITING)
    return dict(opened.order_by().values_list("item").annotate(n=Count("pk")))


def _lock_unopened(members: Sequence[Membership]) -> None:
    """Lock what may move: one that is being opened just now is waited for, and stays."""
    unopened = Assignment.objects.filter(membership__in=members, state=State.WAITING)
    list(unopened.order_by(*Assignment.LOCK_ORDER).select_for_update().values_list("pk"))


def _pilot_fill(study: Study) -> int:
    """Give every annotator every pilot list that they have not had, in an order of their own.

    What an earlier pilot left unfinished goes on: nobody else takes it, and nobody gets it anew.
    """
    items = study.items.filter(use__in=(Item.Use.PILOT, Item.Use.TRAINING)).order_by("pk")
    uses: dict[str, list[int]] = {Item.Use.PILOT: [], Item.Use.TRAINING: []}
    for pk, use in items.values_list("pk", "use"):
        uses[use].append(pk)
    people = annotators_of(study)
    ended = Assignment.objects.filter(
        membership__in=people, purpose=Purpose.PILOT, state=State.EXPIRED
    )
    ended.filter(opened_at=None).update(state=State.WAITING)
    ended.exclude(opened_at=None).update(state=State.IN_PROGRESS)
    members = list(people.order_by("pk"))
    had: dict[int, list[Row]] = defaultdict(list)
    for row in queue_rows([member.pk for member in members]):
        had[row.membership_id].append(row)
    created = []
    for member in members:
        rng = random.Random(f"pilot:{study.order_key}:{member.pk}")  # noqa: S311 (an order, no secret)  # nosec B311
        mixed = rng.sample(uses[Item.Use.PILOT], len(uses[Item.Use.PILOT]))
        first = had[member.pk][-1].position + 1 if had[member.pk] else 1
        seen = {row.item_id for row in had[member.pk]}
        training = uses[Item.Use.TRAINING] if member.training_waived_at is None else []
        queue = [
            *((item, Purpose.TRAINING) for item in training),
            *((item, Purpose.PILOT) for item in mixed),
        ]
        new = [(item, of) for item, of in queue if item not in seen]
        created += [
            Assignment(membership=member, item_id=item, purpose=of, position=position)
            for position, (item, of) in enumerate(new, first)
        ]
    Assignment.objects.bulk_create(created)
    return sum(row.purpose == Purpose.PILOT for row in created)


def _surplus_promote(study: Study, items: QuerySet[Item]) -> None:
    """Give slots that nobody has opened to the oldest surplus annotations of their lists."""
    surplus = Assignment.objects.filter(
        item__in=items, purpose=Purpose.ANNOTATION, state=State.SUBMITTED, surplus=True
    )
    # One that is being submitted again just now decides for itself; waiting for it here, with its
    # list locked, could wait for ever.
    rows = list(surplus.order_by("submitted_at", "pk").select_for_update(skip_locked=True))
    if not rows:
        return
    held = _held(items)
    promoted = []
    for row in rows:
        if held.get(row.item_id, 0) < study.annotators_per_list:
            held[row.item_id] = held.get(row.item_id, 0) + 1
            promoted.append(row.pk)
    if promoted:
        Assignment.objects.filter(pk__in=promoted).update(surplus=False)
        tables_touch(study)


def _annotators(study: Study) -> QuerySet[Membership]:
    return study.memberships.filter(role=Membership.Role.ANNOTATOR)


def _concerned(study: Study) -> QuerySet[Membership]:
    """Annotators at work, and those with unopened lists: of a crowd, most have done their work."""
    unopened = Assignment.objects.filter(
        membership=OuterRef("pk"),
        purpose__in=SHARED,
        state__in=(State.WAITING, State.EXPIRED),
        opened_at=None,
        version=0,
    )
    at_work = annotators_of(study).filter(away_since=None)
    return _annotators(study).filter(Q(pk__in=at_work.values("pk")) | Exists(unopened))


def annotators_of(study: Study) -> QuerySet[Membership]:
    """Memberships that can get lists: not left, not removed, able to log in."""
    return _annotators(study).filter(withdrawn_at=None, removed_at=None, user__is_active=True)


def is_at_work(member: Membership) -> bool:
    """Whether unopened lists are shared with this annotator: `annotators_of`, and not away."""
    gone = member.withdrawn_at or member.removed_at or member.away_since
    return not gone and member.user.is_active


def annotators_away(people: QuerySet[Membership]) -> int:
    """Mark annotators as away: their unopened lists go to others until they come back."""
    return people.filter(away_since=None).update(away_since=timezone.now())


def annotators_arrive(people: QuerySet[Membership]) -> None:
    """Count annotators as at work from now on; their days of idleness begin again."""
    people.update(away_since=None, at_work_since=timezone.now())


@transaction.atomic
def annotator_return(*, membership: Membership) -> None:
    """Give somebody who was away and comes back a share again. Else a no-op, without a query."""
    if membership.away_since is None:
        return
    study = study_locked(membership.study_id)
    annotators_arrive(Membership.objects.filter(pk=membership.pk))
    membership.away_since = None
    slots_share(study=study)


@transaction.atomic
def shares_renew(*, study_id: int) -> int:
    """Share a study's unopened slots again, in a transaction of its own."""
    return slots_share(study=study_locked(study_id))


def leases_sweep() -> None:
    """End expired leases, find idle people, and share again what that frees. Drafts stay with their
    authors.

    A list that everybody in the study has had already stays with its author: ending the lease
    would lose the place and help nobody.
    """
    # Opened in the future: a clock was set back since. Left so, the lease would last until then.
    now = timezone.now()
    Assignment.objects.filter(
        state=State.IN_PROGRESS, opened_at__gt=now + MOST_CLOCK_DIFFERENCE
    ).update(opened_at=now)
    for study in Study.objects.filter(state=Study.State.OPEN):
        is_due = study.shares_due or _idle(study).exists()
        if is_due or _leases_that_can_move(study).exists():
            with transaction.atomic():
                leases_end(study_locked(study.pk))


def shares_due_sweep() -> None:
    """Share the studies that a migration marked as due; `migrate` runs it, and each sweep."""
    due = Study.objects.filter(shares_due=True, state=Study.State.OPEN)
    for study_id in due.values_list("pk", flat=True):
        shares_renew(study_id=study_id)


def leases_end(study: Study) -> None:
    """With the study locked: end expired leases that can move and find idle people, then share."""
    if study.state != Study.State.OPEN:
        return
    idle = annotators_away(_idle(study))
    candidates = _leases_that_can_move(study).values_list("pk", flat=True)
    # The rows are locked before they are judged: a submission that is under way wins.
    found = Assignment.objects.filter(pk__in=list(candidates))
    locked = found.order_by(*Assignment.LOCK_ORDER).select_for_update()
    ended = [row for row in locked if row.state == State.IN_PROGRESS]
    Assignment.objects.filter(pk__in=[row.pk for row in ended]).update(state=State.EXPIRED)
    if any(row.purpose == Purpose.ANNOTATION for row in ended):
        tables_touch(study)  # which count what was not submitted in time
    if ended or idle or study.shares_due:
        slots_share(study=study)


def _idle(study: Study) -> QuerySet[Membership]:
    """Annotators at work who have done nothing for as many days as the study says."""
    since = timezone.now() - timedelta(days=study.idle_days)
    at_list = Assignment.objects.filter(
        Q(opened_at__gte=since) | Q(submitted_at__gte=since) | Q(looked_at__gte=since),
        membership=OuterRef("pk"),
    )
    day = WorkedDay.objects.filter(membership=OuterRef("pk"), day__gte=since.date())
    quiet = annotators_of(study).filter(
        Q(consented_at=None) | Q(consented_at__lt=since), away_since=None, at_work_since__lt=since
    )
    return quiet.filter(~Exists(at_list), ~Exists(day))


def _leases_that_can_move(study: Study) -> QuerySet[Assignment]:
    """Assignments whose lease has run out and whose list somebody else could take.

    Repeats and silent references go nowhere, and yet their leases end as those of other lists do:
    one that stayed would tell its person what it is.
    """
    at_work = annotators_of(study).filter(away_since=None)
    people = at_work.count()
    had = (
        Assignment.objects.filter(item=OuterRef("item"), membership__in=at_work)
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
