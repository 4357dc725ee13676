"""Each person's queue in the database: training, lists, silent references and repeats."""

import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

from django.db import connection
from django.db.models import Q

from annotation_site.annotation.allocation.plan import (
    ANNOTATION,
    REFERENCE,
    REPEAT,
    TRAINING,
    Entry,
    Queue,
    own_order,
    queue_compose,
    repeats_due,
)
from annotation_site.annotation.models import Assignment, Item, Membership, Study

State = Assignment.State
SHARED = (ANNOTATION, REFERENCE, REPEAT)  # what waits in these comes and goes with the shares
OUT_OF_THE_WAY = 2**30  # beyond every position, while rows change theirs
BATCH = 5_000  # rows in one statement

MOVE = {
    "sqlite": """
        UPDATE annotation_assignment SET position = moved.position FROM (
            SELECT json_extract(value, '$[0]') AS id, json_extract(value, '$[1]') AS position
            FROM json_each(%s)
        ) AS moved WHERE annotation_assignment.id = moved.id
    """,
    "postgresql": """
        UPDATE annotation_assignment SET position = (moved.value ->> 1)::integer
        FROM json_array_elements(%s::json) AS moved
        WHERE annotation_assignment.id = (moved.value ->> 0)::bigint
    """,
}


class Row(NamedTuple):
    """One assignment, as far as sharing has to know it."""

    pk: int
    membership_id: int
    item_id: int
    purpose: str
    state: str
    position: int
    surplus: bool
    version: int
    is_opened: bool

    @property
    def entry(self) -> Entry:
        return (self.item_id, self.purpose)

    @property
    def belongs_to_nobody(self) -> bool:
        """Whether nobody has opened it, so that it can go to somebody else.

        Earlier versions kept the rows of unopened lists that went to others, as expired.
        """
        unopened = not (self.is_opened or self.version)
        return unopened and self.purpose in SHARED and self.state in (State.WAITING, State.EXPIRED)


def queue_rows(members: Collection[int]) -> list[Row]:
    """Everybody's assignments, in the order of each queue."""
    rows = Assignment.objects.filter(membership__in=members).order_by("membership", "position")
    values = rows.annotate(is_opened=Q(opened_at__isnull=False)).values_list(*Row._fields)
    return [Row._make(row) for row in values.iterator(chunk_size=BATCH)]


def queues_write(
    *,
    study: Study,
    members: Iterable[Membership],
    rows: Sequence[Row],
    shares: Mapping[int, Collection[int]],
) -> int:
    """Make everybody's queue hold their share; returns how many lists somebody got.

    People who are in no `shares` have none: what waits for them goes. Training comes before the
    first list. With lists come the silent references that the person has not had, and the repeats
    that are due. Of what stays, the order stays. The caller holds the study's lock and those of all
    unopened lists.
    """
    by_person: dict[int, list[Row]] = defaultdict(list)
    for row in rows:
        by_person[row.membership_id].append(row)
    with_reference = _with_reference(study)
    gone: list[int] = []
    moved: list[tuple[int, int]] = []
    created: list[Assignment] = []
    for member in members:
        own = by_person[member.pk]
        wanted = (
            _queue(study, member, own, shares[member.pk], with_reference)
            if member.pk in shares
            else []
        )
        stays = {entry: position for position, entry in wanted}
        for row in own:
            if row.belongs_to_nobody and (row.state == State.EXPIRED or row.entry not in stays):
                gone.append(row.pk)
            elif row.state == State.WAITING and row.entry in stays:
                position = stays.pop(row.entry)
                if position != row.position:
                    moved.append((row.pk, position))
        created += [
            Assignment(membership_id=member.pk, item_id=item, purpose=of, position=position)
            for (item, of), position in stays.items()
        ]
    _delete(gone)
    _move(moved)
    Assignment.objects.bulk_create(created, batch_size=BATCH)
    return sum(row.purpose == ANNOTATION for row in created)


def _queue(
    study: Study,
    member: Membership,
    own: Sequence[Row],
    lists: Collection[int],
    with_reference: Mapping[str, Sequence[int]],
) -> list[tuple[int, Entry]]:
    """Compute the entries that are to wait for a person, each with its position."""
    opened = [row for row in own if not row.belongs_to_nobody]  # or training that waits
    waiting = [row for row in own if row.belongs_to_nobody and row.state == State.WAITING]
    had = {row.item_id for row in opened}
    was_waiting = {row.item_id for row in waiting}
    key, person = study.order_key, member.pk
    training: list[Entry] = []
    references = [
        item
        for item in with_reference[Item.Use.REFERENCE]
        if item not in had and (lists or item in was_waiting)
    ]
    if lists and member.training_waived_at is None:
        training += [
            (item, TRAINING) for item in with_reference[Item.Use.TRAINING] if item not in had
        ]
    order = own_order(
        {*lists, *references}, order_key=key, person=person, after=_is_at(opened, waiting)
    )
    silent = set(references)
    live = [r.item_id for r in opened if r.purpose == ANNOTATION and r.state in Assignment.LIVE]
    entries = queue_compose(
        queue=Queue(
            opened=[row.entry for row in opened],
            waiting=[row.entry for row in waiting],
            live=live,
        ),
        order=[(item, REFERENCE if item in silent else ANNOTATION) for item in order],
        due=_due(study, opened, waiting, lists, len(live)),
        order_key=key,
        person=person,
    )
    first = max((row.position for row in opened), default=0) + 1
    return list(enumerate(training + entries, first))


def _is_at(opened: Sequence[Row], waiting: Sequence[Row]) -> int | None:
    """The list that the person opened last before what waits."""
    until = min((row.position for row in waiting), default=OUT_OF_THE_WAY)
    before = [
        row.item_id
        for row in opened
        if row.purpose in (ANNOTATION, REFERENCE) and row.position < until
    ]
    return before[-1] if before else None


def _due(
    study: Study, opened: Sequence[Row], waiting: Sequence[Row], lists: Collection[int], live: int
) -> int:
    """How many repeats are to wait.

    A queue does not get shorter because its person skips a list: that would tell that there was a
    repeat of it.
    """
    # One that was taken away with its list, when its lease ended, is none.
    had = sum(row.purpose == REPEAT and row.state != State.EXPIRED for row in opened)
    due = repeats_due(live + len(lists), study.repeat_percent, had)
    before = {row.item_id for row in waiting if row.purpose == ANNOTATION}
    if before - set(lists):
        return due
    return max(due, sum(row.purpose == REPEAT for row in waiting))


def _with_reference(study: Study) -> dict[str, list[int]]:
    """The study's training and its silent reference lists."""
    found: dict[str, list[int]] = {Item.Use.TRAINING: [], Item.Use.REFERENCE: []}
    used = study.items.filter(use__in=found).order_by("pk")
    for pk, use in used.values_list("pk", "use"):
        found[use].append(pk)
    return found


def _delete(rows: Sequence[int]) -> None:
    """Delete unopened lists: nothing points at them, so nothing else is looked for."""
    for at in range(0, len(rows), BATCH):
        unopened = Assignment.objects.filter(pk__in=rows[at : at + BATCH])
        unopened._raw_delete(unopened.db)


def _move(rows: Sequence[tuple[int, int]]) -> None:
    """Give rows their new positions: in two steps, so that no two ever have the same."""
    if not rows:
        return
    away = [(pk, position + OUT_OF_THE_WAY) for pk, position in rows]
    with connection.cursor() as cursor:
        for moved in (away, rows):
            cursor.execute(MOVE[connection.vendor], [json.dumps(moved)])
