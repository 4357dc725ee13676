"""How a study's unopened lists are shared, in numbers and words: for its researchers.

Progress, Annotators, the invitation page and the API all read this, so that no two of them say
different things at one moment. Numbers of whole studies: `selectors.with_annotation_counts`.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from django.db.models import Count, Q, Sum
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from annotation_site.annotation.allocation.slots import is_at_work, slots_held
from annotation_site.annotation.models import Assignment, Item, Membership, Study

State = Assignment.State
Purpose = Assignment.Purpose


@dataclass(frozen=True)
class Share:
    """One annotator's share: lists of the study that are opened and unfinished, and unopened ones.

    `reason` says why others have more, where they do.
    """

    begun: int
    unopened: int
    reason: str = ""

    @property
    def remaining(self) -> int:
        """Lists of the study that are left for the person."""
        return self.begun + self.unopened


@dataclass(frozen=True)
class Shares:
    """How the unopened lists of a study are shared.

    `newcomer` lists would go to somebody who joined now: `from_people` annotators would give some
    of theirs, and `unowned` slots belong to nobody as yet.
    """

    people: Mapping[int, Share]
    newcomer: int
    from_people: int
    unowned: int
    is_open: bool

    @property
    def is_uneven(self) -> bool:
        """Whether remaining lists of two annotators at work differ by more than one."""
        return any(share.reason for share in self.people.values())

    @property
    def for_a_newcomer(self) -> str:
        """The share of somebody who joins now, as a sentence."""
        if not self.is_open:
            return _("This study is not open. Lists are shared among its annotators when it opens.")
        if not self.newcomer:
            return _(
                "A newcomer would get no list now: every list is begun or submitted as often as "
                "the study asks for. They get a share when lists are added or become free."
            )
        about = ngettext(
            "A newcomer would get about %(n)s list",
            "A newcomer would get about %(n)s lists",
            self.newcomer,
        ) % {"n": f"{self.newcomer:,}"}
        if not self.from_people:
            return _("%(about)s, which nobody has yet.") % {"about": about}
        source = ngettext(
            "unopened ones of %(people)s annotator",
            "unopened ones of %(people)s annotators",
            self.from_people,
        ) % {"people": f"{self.from_people:,}"}
        if self.unowned:
            return _("%(about)s, taken from those that nobody has yet and from %(source)s.") % {
                "about": about,
                "source": source,
            }
        return _("%(about)s, taken from %(source)s.") % {"about": about, "source": source}


def shares_of(study: Study, members: Sequence[Membership]) -> Shares:
    """How a study's unopened lists are shared now, in at most five queries, whatever its size.

    `members` are all its annotators, with their users.
    """
    begun, unopened, total = _counts(members)
    at_work = {member.pk: member for member in members if is_at_work(member)}
    left = {pk: begun[pk] + unopened[pk] for pk in at_work}
    is_open = study.state == Study.State.OPEN
    free, unowned = _open_lists(study) if is_open else (0, 0)
    reasons = _reasons(study, at_work, left, total) if is_open else {}
    level = _newcomers_level(free, unowned, left, unopened) if is_open else 0
    return Shares(
        people={
            member.pk: Share(begun[member.pk], unopened[member.pk], reasons.get(member.pk, ""))
            for member in members
        },
        newcomer=level,
        from_people=sum(n > level and unopened[pk] > 0 for pk, n in left.items()) if level else 0,
        unowned=unowned,
        is_open=is_open,
    )


def study_shares(study: Study) -> Shares:
    """`shares_of` a study whose annotators are not at hand."""
    annotators = study.memberships.filter(role=Membership.Role.ANNOTATOR)
    return shares_of(study, list(annotators.select_related("user")))


def _counts(members: Sequence[Membership]) -> tuple[dict[int, int], dict[int, int], dict[int, int]]:
    """Lists that each annotator has begun, has unopened, and ever had or has; one query."""
    begun: dict[int, int] = defaultdict(int)
    unopened: dict[int, int] = defaultdict(int)
    total: dict[int, int] = defaultdict(int)
    rows = Assignment.objects.filter(membership__in=members, purpose=Purpose.ANNOTATION).order_by()
    for member, state, n in rows.values_list("membership", "state").annotate(n=Count("*")):
        total[member] += n
        if state == State.IN_PROGRESS:
            begun[member] = n
        elif state == State.WAITING:
            unopened[member] = n
    return begun, unopened, total


def _open_lists(study: Study) -> tuple[int, int]:
    """Lists with a slot that nobody has opened, and slots that nobody has at all; two queries."""
    items = study.items.filter(use=Item.Use.STUDY)
    k = study.annotators_per_list
    lists = items.count()
    opened = Count("pk", filter=~Q(state=State.WAITING))
    by_list = slots_held(items).order_by().values("item").annotate(n=Count("pk"), opened=opened)
    found = by_list.aggregate(full=Count("item", filter=Q(opened__gte=k)), held=Sum("n"))
    return lists - found["full"], max(lists * k - (found["held"] or 0), 0)


def _reasons(
    study: Study,
    at_work: Mapping[int, Membership],
    left: Mapping[int, int],
    total: Mapping[int, int],
) -> dict[int, str]:
    """Why people have fewer lists than others, where two differ by more than one; two queries."""
    most = max(left.values(), default=0)
    fewer = [pk for pk, n in left.items() if most - n > 1]
    if not fewer:
        return {}
    rows = Assignment.objects.filter(purpose=Purpose.ANNOTATION).order_by()
    waiting: dict[int, set[int]] = defaultdict(set)
    had: dict[int, set[int]] = defaultdict(set)
    unopened = rows.filter(membership__in=list(at_work), state=State.WAITING)
    for member, item in unopened.values_list("membership", "item"):
        waiting[member].add(item)
    opened = rows.filter(membership__in=fewer).exclude(state=State.WAITING)
    for member, item in opened.values_list("membership", "item"):
        had[member].add(item)
    reasons = {}
    for pk in fewer:
        others = set().union(*(waiting[other] for other, n in left.items() if n - left[pk] > 1))
        reasons[pk] = _reason(study, at_work[pk], total[pk], others, own=waiting[pk], had=had[pk])
    return reasons


def _reason(
    study: Study,
    member: Membership,
    total: int,
    others: set[int],
    *,
    own: set[int],
    had: set[int],
) -> str:
    """The rule that keeps a person from lists that others have."""
    if member.most_lists is not None and total >= member.most_lists:
        return ngettext(
            "Cap: this person gets at most %(n)s list.",
            "Cap: this person gets at most %(n)s lists.",
            member.most_lists,
        ) % {"n": f"{member.most_lists:,}"}
    if others - own - had:
        return _("Pace: lists are shared again when somebody joins, leaves, skips or finishes.")
    if not others:
        return _("Earlier work: the lists that others have left are opened, and stay theirs.")
    if others & had:
        return _("Earlier work: this person has had the lists that others still have.")
    return ngettext(
        "People per list: this person has each of these lists already, and every list needs "
        "%(k)s person.",
        "People per list: this person has each of these lists already, and every list needs "
        "%(k)s different people.",
        study.annotators_per_list,
    ) % {"k": study.annotators_per_list}


def _newcomers_level(
    free: int, unowned: int, left: Mapping[int, int], unopened: Mapping[int, int]
) -> int:
    """How many lists somebody who has had none would get: a level that everybody gives down to."""
    low, high = 0, free
    while low < high:
        level = (low + high + 1) // 2
        offered = sum(min(unopened[pk], max(n - level, 0)) for pk, n in left.items())
        if offered + unowned >= level:
            low = level
        else:
            high = level - 1
    return low
