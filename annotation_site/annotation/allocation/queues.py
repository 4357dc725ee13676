"""Each person's queue in the database: training, lists, silent references and repeats."""

import random
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from django.db.models import QuerySet

from annotation_site.annotation.allocation.plan import REPEAT_AFTER, queue_compose, repeats_due
from annotation_site.annotation.models import Assignment, Item, Study

State = Assignment.State
Purpose = Assignment.Purpose
Row = tuple[int, int, str, str, int]  # pk, item, purpose, state, position


def queues_extend(
    *, study: Study, orders: Mapping[int, Sequence[int]], purpose: str = Purpose.ANNOTATION
) -> int:
    """Append lists to people's queues; returns how many lists of `orders` that were.

    `orders` names each membership's new lists, in their own order. Whoever gets a first list gets
    the study's training lists before it. Lists of the study bring the silent reference lists that
    the person has not had, and the repeats that are due; those of a pilot bring neither. References
    that went unopened with released lists come again. Whatever else stands in a queue stays where
    it is. The caller holds the study's lock.
    """
    training, references = _with_reference(study)
    is_pilot = purpose == Purpose.PILOT
    references = [] if is_pilot else references
    new = {person: order for person, order in orders.items() if order or is_pilot}
    held = _held(new)
    released = _released(new, references)
    created, returned = [], []
    for person, order in new.items():
        rows = held[person]
        last = rows[-1][-1] if rows else 0
        had = {item for _, item, *_ in rows}
        rng = random.Random(f"queue:{study.order_key}:{person}:{last}")  # noqa: S311 (an order)  # nosec B311
        queue = queue_compose(
            lists=order,
            rng=rng,
            training=[i for i in training if i not in had],
            references=[i for i in references if i not in had or (person, i) in released],
            repeats=0 if is_pilot else _due(study, rows, len(order)),
            earlier=_repeatable(rows),
        )
        for position, (item, of) in enumerate(queue, last + 1):
            if of == Purpose.REFERENCE and (row := released.get((person, item))) is not None:
                row.position, row.state = position, State.WAITING
                returned.append(row)
                continue
            created.append(
                Assignment(
                    membership_id=person,
                    item_id=item,
                    purpose=purpose if of == Purpose.ANNOTATION else of,
                    position=position,
                )
            )
    Assignment.objects.bulk_update(returned, ["position", "state"])
    Assignment.objects.bulk_create(created)
    return sum(map(len, new.values()))


def repeats_move(
    *, study: Study, item_ids: Collection[int] | QuerySet[Item, Any] | None = None
) -> None:
    """Point each waiting repeat of a list that its person no longer has to another list.

    Nobody sees a list again that they have skipped or that went to others; and their queue does
    not change its length, which would tell that there was a repeat. The other list stands far
    enough before it where there is one, else as far as can be; only where the person has none at
    all, the repeat goes. The caller holds the study's lock.
    """
    if not study.repeat_percent:
        return
    waiting = Assignment.objects.filter(
        membership__in=study.memberships.filter(
            withdrawn_at=None, removed_at=None, user__is_active=True
        ),
        purpose=Purpose.REPEAT,
        state=State.WAITING,
    )
    if item_ids is not None:
        waiting = waiting.filter(item__in=item_ids)
    waiting = waiting.order_by(*Assignment.LOCK_ORDER)
    repeats = list(waiting.select_for_update(of=("self",)))
    held = _held({repeat.membership_id for repeat in repeats})
    for repeat in repeats:
        rows = held[repeat.membership_id]
        lists = {item: (state, at) for _, item, of, state, at in rows if of == Purpose.ANNOTATION}
        if repeat.item_id in lists and lists[repeat.item_id][0] in Assignment.LIVE:
            continue
        repeated = {item for _, item, of, *_ in rows if of == Purpose.REPEAT}
        before = sorted(
            (at, item)
            for item, (state, at) in lists.items()
            if state in Assignment.LIVE and item not in repeated and at < repeat.position
        )
        if not before:
            repeat.delete()
            continue
        far = [item for at, item in before if at + REPEAT_AFTER <= repeat.position]
        rng = random.Random(f"repeat:{study.order_key}:{repeat.pk}")  # noqa: S311 (an order)  # nosec B311
        repeat.item_id = rng.choice(far or [before[0][1]])
        repeat.save(update_fields=["item"])
        rows.append((repeat.pk, repeat.item_id, Purpose.REPEAT, repeat.state, repeat.position))


def _with_reference(study: Study) -> tuple[list[int], list[int]]:
    """The study's training and its silent reference lists."""
    found: dict[str, list[int]] = defaultdict(list)
    for pk, use in study.items.order_by("pk").values_list("pk", "use"):
        found[use].append(pk)
    return found[Item.Use.TRAINING], found[Item.Use.REFERENCE]


def _released(
    people: Collection[int], references: Sequence[int]
) -> dict[tuple[int, int], Assignment]:
    """The people's silent references that ended unopened, by person and list."""
    if not references:
        return {}
    rows = Assignment.objects.filter(
        membership__in=list(people), item__in=references, purpose=Purpose.REFERENCE,
        state=State.EXPIRED, opened_at=None,
    )  # fmt: skip
    return {(row.membership_id, row.item_id): row for row in rows}


def _due(study: Study, rows: Sequence[Row], new: int) -> int:
    """How many repeats the person is to get with so many new lists."""
    lists = sum(of == Purpose.ANNOTATION and state in Assignment.LIVE for *_, of, state, _ in rows)
    # One that was taken away with its list, when lists were released, is none.
    had = sum(of == Purpose.REPEAT and state != State.EXPIRED for *_, of, state, _ in rows)
    return repeats_due(lists + new, study.repeat_percent, had)


def _repeatable(rows: Sequence[Row]) -> dict[int, int]:
    """Lists that the person has and that are not repeated yet; how many lists follow each."""
    repeated = {item for _, item, of, *_ in rows if of == Purpose.REPEAT}
    return {
        item: len(rows) - 1 - n
        for n, (_, item, of, state, _) in enumerate(rows)
        if of == Purpose.ANNOTATION and state in Assignment.LIVE and item not in repeated
    }


def _held(people: Collection[int]) -> dict[int, list[Row]]:
    """Everybody's queue so far, in its order."""
    held: dict[int, list[Row]] = defaultdict(list)
    rows = Assignment.objects.filter(membership__in=list(people)).order_by("position")
    for person, *row in rows.values_list(
        "membership_id", "pk", "item_id", "purpose", "state", "position"
    ):
        held[person].append(tuple(row))  # type: ignore[arg-type]
    return held
