"""Facts of a researcher's studies, which both homes show: work, people, and what is amiss.

The number of queries depends neither on studies nor on people.
"""

import datetime
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from django.db.models import Count, Exists, F, Max, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce

from annotation_site.annotation.lists.access import Training, training_of
from annotation_site.annotation.models import Assignment, Item, Membership, Study
from annotation_site.annotation.monitoring.flags import Flag
from annotation_site.annotation.monitoring.progress import flags_of_members
from annotation_site.annotation.review.adjudicated_annotations import WITH_REFERENCE
from annotation_site.annotation.review.adjudication import FEWEST_ANNOTATIONS
from annotation_site.results.models import Snapshot
from annotation_site.results.tables.filters import Filters
from annotation_site.sentences import Sentence

State = Assignment.State
Purpose = Assignment.Purpose


@dataclass(frozen=True)
class PersonFacts:
    """An annotator's slots of a study: submitted, opened, unopened; and when they last worked."""

    membership: Membership
    done: int = 0
    opened: int = 0
    unopened: int = 0
    pilot_left: int = 0
    last_at: datetime.datetime | None = None
    training: Training | None = None
    overdue: int = 0  # opened lists that nobody else could take when their time was over
    flags: Sequence[Flag] = ()

    @property
    def name(self) -> str:
        return str(self.membership.user)

    @property
    def left(self) -> int:
        return self.opened + self.unopened

    @property
    def can_work(self) -> bool:
        """Whether the person is in the study and can log in."""
        member = self.membership
        return not member.withdrawn_at and not member.removed_at and member.user.is_active

    @property
    def waits_for_training(self) -> bool:
        """Whether only a researcher can open the queue."""
        return self.can_work and self.training is not None and self.training.failed


@dataclass(frozen=True)
class StudyFacts:
    """One study on the homes; `slots` is the true total, k for each list."""

    study: Study
    people: Sequence[PersonFacts]
    lists: int
    pilot_lists: int
    references: int
    references_written: int
    adjudicable: int
    adjudicated: int
    stuck_slots: int  # that nobody in the study can take
    failure: Sentence | str  # why the newest results could not be computed

    @property
    def slots(self) -> int:
        return self.lists * self.study.annotators_per_list

    @property
    def done(self) -> int:
        return sum(person.done for person in self.people)

    @property
    def opened(self) -> int:
        return sum(person.opened for person in self.people)

    @property
    def unopened(self) -> int:
        return self.slots - self.done - self.opened

    @property
    def at_work(self) -> int:
        """Number of annotators who can get lists."""
        return sum(person.can_work for person in self.people)

    @property
    def undecided(self) -> int:
        return max(0, self.adjudicable - self.adjudicated)

    @property
    def references_missing(self) -> int:
        return self.references - self.references_written


def study_facts(
    studies: Sequence[Study], *, now: datetime.datetime, with_flags: bool = True
) -> list[StudyFacts]:
    """The facts of some studies, in their order; at most twelve queries."""
    uses = _by_study(Item.objects.filter(study__in=studies), "study", "use")
    members = list(
        Membership.objects.filter(study__in=studies, role=Membership.Role.ANNOTATOR)
        .select_related("user", "study")
        .order_by("user__username", "pk")
    )
    people = _people(members, now, with_flags=with_flags)
    decided = _by_study(
        Assignment.objects.filter(
            item__study__in=studies, purpose=Purpose.ADJUDICATION, state=State.SUBMITTED
        ),
        "item__study",
        "item__use",
    )
    adjudicable = _adjudicable(studies)
    failures = _failures(studies)
    lists = {study.pk: uses.get((study.pk, Item.Use.STUDY), 0) for study in studies}
    stuck = _stuck_slots(
        [
            study
            for study in studies
            if study.state == Study.State.OPEN
            and sum(p.done + p.left for p in people[study.pk])
            < lists[study.pk] * study.annotators_per_list
        ],
        people,
    )
    return [
        StudyFacts(
            study=study,
            people=people[study.pk],
            lists=lists[study.pk],
            pilot_lists=uses.get((study.pk, Item.Use.PILOT), 0),
            references=sum(uses.get((study.pk, use), 0) for use in WITH_REFERENCE),
            references_written=sum(decided.get((study.pk, use), 0) for use in WITH_REFERENCE),
            adjudicable=adjudicable.get(study.pk, 0),
            adjudicated=decided.get((study.pk, Item.Use.STUDY), 0),
            stuck_slots=stuck.get(study.pk, 0),
            failure=failures.get(study.pk, ""),
        )
        for study in studies
    ]


def _by_study(rows: QuerySet[Item] | QuerySet[Assignment], *by: str) -> dict[tuple[int, str], int]:
    counted = rows.order_by().values_list(*by).annotate(n=Count("pk"))
    return {(study, use): n for study, use, n in counted}


def _people(
    members: Sequence[Membership], now: datetime.datetime, *, with_flags: bool
) -> dict[int, list[PersonFacts]]:
    """Everybody's slots by study, in the order of the members; up to six queries."""
    rows = (
        Assignment.objects.filter(membership__in=members, surplus=False)
        .order_by()
        .values_list("membership", "purpose", "state")
        .annotate(n=Count("*"), opened=Max("opened_at"), submitted=Max("submitted_at"))
    )
    counts: dict[int, dict[tuple[str, str], int]] = defaultdict(dict)
    last: dict[int, datetime.datetime] = {}
    for membership, purpose, state, n, *moments in rows:
        counts[membership][purpose, state] = n
        for at in filter(None, moments):
            last[membership] = max(last.get(membership, at), at)
    trained = [m for m in members if m.study.training_pass_percent is not None]
    training = training_of(trained) if trained else {}
    overdue = _overdue([m for m in members if m.study.state == Study.State.OPEN], now)
    at_work = [m for m in members if m.study.state in Study.AT_WORK] if with_flags else []
    flags = flags_of_members(at_work) if at_work else {}
    found: dict[int, list[PersonFacts]] = defaultdict(list)
    for member in members:
        own = counts[member.pk]
        pilot = sum(own.get((Purpose.PILOT, state), 0) for state in Assignment.UNFINISHED)
        found[member.study_id].append(
            PersonFacts(
                membership=member,
                done=own.get((Purpose.ANNOTATION, State.SUBMITTED), 0),
                opened=own.get((Purpose.ANNOTATION, State.IN_PROGRESS), 0),
                unopened=own.get((Purpose.ANNOTATION, State.WAITING), 0),
                pilot_left=pilot,
                last_at=last.get(member.pk),
                training=training.get(member.pk),
                overdue=overdue.get(member.pk, 0),
                flags=flags.get(member.pk, ()),
            )
        )
    return found


def _overdue(members: Iterable[Membership], now: datetime.datetime) -> dict[int, int]:
    """Opened lists whose lease has ended and that stay with their people; few are open at once."""
    until = {m.pk: now - timedelta(hours=m.study.lease_hours) for m in members}
    opened = Assignment.objects.filter(
        membership__in=until, purpose=Purpose.ANNOTATION, state=State.IN_PROGRESS
    ).values_list("membership", "opened_at")
    found: dict[int, int] = defaultdict(int)
    for membership, at in opened:
        if at and at < until[membership]:
            found[membership] += 1
    return found


def _adjudicable(studies: Sequence[Study]) -> dict[int, int]:
    """How many lists have enough annotations that count, by study."""
    answered = (
        Assignment.objects.filter(
            item__study__in=studies, item__use=Item.Use.STUDY, purpose=Purpose.ANNOTATION,
            state=State.SUBMITTED, surplus=False, unblinded=False,
        )
        .order_by()
        .values("item")
        .annotate(n=Count("pk"))
        .filter(n__gte=FEWEST_ANNOTATIONS)
    )  # fmt: skip
    items = Item.objects.filter(pk__in=answered.values("item")).order_by()
    return dict(items.values_list("study").annotate(n=Count("pk")))


def _stuck_slots(
    studies: Sequence[Study], people: Mapping[int, Sequence[PersonFacts]]
) -> dict[int, int]:
    """Free slots beyond the people who have not had their list, by study; no query without any."""
    if not studies:
        return {}
    takers = {
        study.pk: [p.membership.pk for p in people.get(study.pk, ()) if p.can_work]
        for study in studies
    }
    everybody = [pk for own in takers.values() for pk in own]
    rows = Assignment.objects.filter(item=OuterRef("pk")).order_by().values("item")
    live = rows.filter(purpose=Purpose.ANNOTATION, state__in=Assignment.LIVE, surplus=False)
    had = rows.filter(membership__in=everybody)
    lists = (
        Item.objects.filter(study__in=studies, use=Item.Use.STUDY)
        .annotate(
            live=Coalesce(Subquery(live.annotate(n=Count("pk")).values("n")), 0),
            had=Coalesce(
                Subquery(had.annotate(n=Count("membership", distinct=True)).values("n")), 0
            ),
        )
        .filter(live__lt=F("study__annotators_per_list"))
        .values_list("study", "study__annotators_per_list", "live", "had")
    )
    found: dict[int, int] = defaultdict(int)
    for study, per_list, held, had_it in lists:
        can = max(0, len(takers[study]) - had_it)
        found[study] += max(0, per_list - held - can)
    return found


def _failures(studies: Sequence[Study]) -> dict[int, Sentence | str]:
    """Why a study's own results failed, where none that are newer are ready."""
    newer = Snapshot.objects.filter(
        study=OuterRef("study"), filter_key=OuterRef("filter_key"),
        data_version__gte=OuterRef("data_version"), state=Snapshot.State.READY,
    )  # fmt: skip
    keys = {study.pk: Filters.of(study).key for study in studies}
    failed = Snapshot.objects.filter(
        ~Q(Exists(newer)), study__in=studies, state=Snapshot.State.FAILED
    ).order_by("data_version")
    rows = failed.values_list("study", "filter_key", "error")
    return {study: error for study, key, error in rows if key == keys[study]}
