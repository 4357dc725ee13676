"""Labels of the value vectors of a model, for many vectors at once, in a few queries.

By the rule of `explorer.said`: annotations of finished studies, and of begun ones that the reader
runs. Lists of all extractions with the same weights are of the same vectors.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import combinations

from django.db.models import F, Q
from django.utils.translation import gettext

from annotation_site.accounts.models import User
from annotation_site.analysis.machine_annotators import MACHINE_ANNOTATORS
from annotation_site.annotation.lists.entries import entries_of_lists
from annotation_site.annotation.models import Assignment, Item, Study
from annotation_site.corpus.loading import CONTINUATION
from annotation_site.corpus.models import Extraction, Kind, Vector
from annotation_site.explorer.said import items_sorted_out
from annotation_site.results.pages.marks import annotations_of, state_of

Place = tuple[int, int]  # layer and index
Source = Study.ListSource
MOST_DESCRIPTIONS = 5
MACHINE_MIN_TOKENS = 4  # of a pattern: the papers' number


@dataclass(frozen=True)
class Label:
    """The name that people, or a machine annotator, gave a vector.

    `people` have annotated it; `agreement` is the mean overlap of what two of them marked, 0 to 1,
    None for one person. Without a description nobody saw a pattern that counts. `category` is what
    more than half of the people say, empty where no category has that many.
    """

    category: str
    descriptions: list[str]
    people: int = 0
    agreement: float | None = None
    is_adjudicated: bool = False
    is_made_up: bool = False
    machine: str = ""  # the machine annotator's title

    @property
    def is_machine(self) -> bool:
        return bool(self.machine)

    def to_json(self) -> dict[str, object]:
        """As the JSON of a trace has it."""
        return {
            "kind": "machine" if self.machine else "people",
            "category": self.category,
            "descriptions": self.descriptions,
            "people": self.people,
            "agreement": None if self.agreement is None else round(self.agreement, 4),
            "adjudicated": self.is_adjudicated,
            "made_up": self.is_made_up,
            "machine": self.machine,
        }


@dataclass(frozen=True)
class Labelled:
    """The labels of one vector: people's, else machine annotators'.

    `is_held`: an unfinished study that the reader does not run holds it, so there is none.
    `ask_first`: the reader could still adjudicate its list blind.
    """

    labels: list[Label] = field(default_factory=list)
    is_held: bool = False
    ask_first: bool = False


@dataclass(frozen=True)
class Labels:
    """The labels of many vectors; `looked_at` are lists that the reader sees for the first time,
    each with its vector's place.
    """

    by_place: dict[Place, Labelled] = field(default_factory=dict)
    looked_at: list[tuple[Place, Item]] = field(default_factory=list)

    def of(self, layer: int, index: int) -> Labelled:
        """The labels of a vector."""
        return self.by_place.get((layer, index), Labelled())


def labels_of(places: Iterable[Place], *, weights: str, user: User) -> Labels:
    """The labels of value vectors of the model with these weights; at most 13 queries."""
    wanted = _chosen(places)
    if not wanted:
        return Labels()
    rows = (
        Item.objects.filter(
            _where(wanted, "vector__"),
            study__list_source=Source.TOP_TOKENS,
            vector__kind=Kind.VALUE,
            vector__extraction__model__weights_digest=weights,
        )
        .select_related("study")
        .annotate(layer=F("vector__layer"), index=F("vector__index"))
        .order_by("study__created_at", "study", "pk")
    )
    items = list(rows)
    place_of = {item.pk: (item.layer, item.index) for item in items}
    found = items_sorted_out(items, user)
    held = {place_of[item.pk] for item in found.held}
    shown = [item for item in found.shown if place_of[item.pk] not in held]
    ask_first = {place_of[item.pk] for item in found.ask_first}
    by_place: defaultdict[Place, list[Item]] = defaultdict(list)
    for item in shown:
        by_place[place_of[item.pk]].append(item)
    annotations = _annotations(shown)
    labels = {
        place: label
        for place, own in by_place.items()
        if (label := label_of([(item.study, annotations[item.pk]) for item in own])) is not None
    }
    machine = _machine(wanted, weights, without={*held, *labels, *ask_first})
    return Labels(
        {
            place: Labelled(
                [labels[place]] if place in labels else machine.get(place, []),
                place in held,
                place in ask_first and place not in held,
            )
            for place in {*held, *ask_first, *labels, *machine}
        },
        [(place_of[item.pk], item) for item in found.unseen if place_of[item.pk] not in held],
    )


def _chosen(places: Iterable[Place]) -> dict[int, set[int]]:
    wanted: defaultdict[int, set[int]] = defaultdict(set)
    for layer, index in places:
        wanted[layer].add(index)
    return dict(wanted)


def _where(wanted: dict[int, set[int]], prefix: str = "") -> Q:
    chosen = Q()
    for layer, indices in wanted.items():
        chosen |= Q(**{f"{prefix}layer": layer, f"{prefix}index__in": indices})
    return chosen


def _annotations(items: Sequence[Item]) -> dict[int, list[Assignment]]:
    """Annotations that count, and adjudicated ones, by list; three queries."""
    found: dict[int, list[Assignment]] = {item.pk: [] for item in items}
    if items:
        for row in annotations_of(items):
            is_submitted = row.state == Assignment.State.SUBMITTED
            if is_submitted and state_of(row) in ("counted", "adjudicated"):
                found[row.item_id].append(row)
    return found


@dataclass(frozen=True)
class _Answer:
    """One annotation, as far as it counts: its patterns, the largest first, and their entries."""

    patterns: list[tuple[str, str, int]]  # description, category, size
    marked: frozenset[int]


def label_of(lists: Sequence[tuple[Study, Sequence[Assignment]]]) -> Label | None:
    """The label by the annotations of a vector's lists in some studies; None without any.

    An adjudicated annotation says what the vector is called; the number of people and their
    agreement are always those of the people.
    """
    people: list[tuple[int, int, _Answer]] = []  # list, person
    final: list[_Answer] = []
    for number, (study, rows) in enumerate(lists):
        for row in rows:
            answer = _answer(row, study.min_tokens)
            if state_of(row) == "adjudicated":
                final.append(answer)
            else:
                people.append((number, row.membership.user_id, answer))
    if not people and not final:
        return None
    said = final or [answer for _, _, answer in people]
    overlaps = [
        _overlap(one.marked, other.marked)
        for (a, _, one), (b, _, other) in combinations(people, 2)
        if a == b
    ]
    return Label(
        category=_majority([a.patterns[0][1] if a.patterns else "" for a in said]),
        descriptions=_descriptions(said),
        people=len({person for _, person, _ in people}),
        agreement=sum(overlaps) / len(overlaps) if overlaps else None,
        is_adjudicated=bool(final),
        is_made_up=any(study.made_up for study, rows in lists if rows),
    )


def _answer(row: Assignment, least: int) -> _Answer:
    found = []
    marked: set[int] = set()
    for pattern in row.patterns.all():
        ranks = [member.rank for member in pattern.members.all()]
        if len(ranks) >= least:
            found.append((pattern.description.strip(), pattern.category, len(ranks)))
            marked.update(ranks)
    return _Answer(sorted(found, key=lambda one: -one[2]), frozenset(marked))


def _overlap(one: frozenset[int], other: frozenset[int]) -> float:
    """Jaccard overlap; two people who mark nothing agree."""
    both = one | other
    return len(one & other) / len(both) if both else 1.0


def _majority(categories: Sequence[str]) -> str:
    (category, count), *_ = Counter(categories).most_common(1)
    return category if 2 * count > len(categories) else ""


def _descriptions(answers: Sequence[_Answer]) -> list[str]:
    """Each description once, those of most people and of the largest patterns first."""
    count: Counter[str] = Counter()
    spelled: dict[str, str] = {}
    size: Counter[str] = Counter()
    for answer in answers:
        for description, _, n in answer.patterns:
            key = description.casefold()
            if key:
                spelled.setdefault(key, description)
                count[key] += 1
                size[key] = max(size[key], n)
    ordered = sorted(spelled, key=lambda key: (-count[key], -size[key]))
    return [spelled[key] for key in ordered[:MOST_DESCRIPTIONS]]


def _machine(
    wanted: dict[int, set[int]], weights: str, *, without: set[Place]
) -> dict[Place, list[Label]]:
    """Labels of the machine annotators that need no WordNet, for lists that are on the site."""
    vectors: dict[Place, Vector] = {}
    rows = Vector.objects.filter(
        _where(wanted),
        kind=Kind.VALUE,
        extraction__model__weights_digest=weights,
        extraction__state=Extraction.State.READY,
    ).order_by("-extraction")
    for vector in rows:
        if (vector.layer, vector.index) not in without:
            vectors.setdefault((vector.layer, vector.index), vector)
    programs = [
        one for one in MACHINE_ANNOTATORS.values()
        if not one.needs_wordnet and not one.reads_prefixes
    ]  # fmt: skip
    entries = entries_of_lists(list(vectors.values()), Source.TOP_TOKENS) if vectors else {}
    found = {}
    for place, vector in vectors.items():
        texts = [entry.text.removeprefix(CONTINUATION) for entry in entries[vector.pk]]
        said = []
        for one in programs:
            proposed = one.propose(texts, MACHINE_MIN_TOKENS, None)
            if proposed:
                largest = max(proposed, key=lambda pattern: len(pattern.ranks))
                said.append(
                    Label(largest.category, [largest.description], machine=gettext(one.title))
                )
        if said:
            found[place] = said
    return found
