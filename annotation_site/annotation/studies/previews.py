"""Preview of a plan before anything is stored: lists, annotations, hours, a list to look at."""

import statistics
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from django.db.models import Count, QuerySet
from django.utils.html import format_html, format_html_join
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from annotation_site.accounts.models import User
from annotation_site.annotation.lists.entries import ListEntry, list_entries, with_list
from annotation_site.annotation.lists.hidden import hidden_from
from annotation_site.annotation.models import Assignment, Item, Membership, Study
from annotation_site.annotation.studies.of_sets import of_set
from annotation_site.annotation.studies.plans import Remedy, StudyPlan, plan_check, use
from annotation_site.annotation.studies.sampling import Stratum, sizes_drawn
from annotation_site.annotation.studies.services import lists_check
from annotation_site.corpus.models import Kind, Vector
from annotation_site.exact_words import exact

FEWEST_ANNOTATIONS = 20  # below that, a few slow lists would decide the estimate
SECONDS_PER_LIST = 180  # what the protocol takes, where nobody has been measured yet


@dataclass(frozen=True)
class DrawnLists:
    """How many lists of one extraction and kind a study would hold; a layer, `fewest` to `most`."""

    extraction: int
    model: str
    kind: str
    layers: int
    fewest: int
    most: int
    lists: int
    asked: int  # per layer

    @property
    def is_short(self) -> bool:
        """Whether a layer has fewer lists than were asked for."""
        return self.fewest < self.asked

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Equal for kinds of an extraction that one line can tell."""
        return self.extraction, self.layers, self.fewest, self.most


@dataclass(frozen=True)
class DrawnKinds:
    """Kinds of one model with the same numbers of lists."""

    one: DrawnLists
    kinds: list[str]

    @property
    def lists(self) -> int:
        return self.one.lists * len(self.kinds)


@dataclass(frozen=True)
class Part:
    """Number of annotations for one purpose."""

    what: str
    annotations: int


@dataclass(frozen=True)
class Preview:
    """Preview of a plan. `people` is the number who share the work, chosen or at least needed."""

    rows: list[DrawnLists]
    parts: list[Part]
    people: int
    people_chosen: bool
    seconds_per_list: float
    measured: int  # answers that the seconds rest on; 0 where they are a guess
    sample: list[ListEntry]
    never_active: int  # keys of the kinds without a list
    short_lists: int  # keys with fewer trigger prefixes than a full list
    references: int  # training and silent reference lists, whose answers come before opening
    remedies: list[Remedy]

    @property
    def by_model(self) -> list[DrawnKinds]:
        """The rows, with kinds of equal numbers in one."""
        groups = [list(rows) for _, rows in groupby(self.rows, key=lambda row: row.shape)]
        return [DrawnKinds(rows[0], [row.kind for row in rows]) for rows in groups]

    @property
    def lists(self) -> int:
        return sum(row.lists for row in self.rows)

    @property
    def annotations(self) -> int:
        return sum(part.annotations for part in self.parts)

    @property
    def annotations_each(self) -> int:
        return round(self.annotations / self.people)

    @property
    def hours(self) -> float:
        return self.annotations * self.seconds_per_list / 3600

    @property
    def hours_each(self) -> float:
        return self.hours / self.people


def study_preview(*, plan: StudyPlan, by: User) -> Preview:
    """Compute the preview of a plan; few queries whatever its size.

    Raises Invalid for rules that cannot work.
    """
    plan_check(plan)
    every = of_set(
        Vector.objects.filter(extraction__in=plan.extractions, kind__in=plan.kinds),
        plan.drawn_from,
    )
    vectors = with_list(every, plan.list_source, full_only=plan.full_lists_only)
    counted = vectors.values_list("extraction", "kind", "layer").annotate(n=Count("pk")).order_by()
    sizes: dict[Stratum, int] = {(e, kind, layer): n for e, kind, layer, n in counted}
    others = sum(plan.others.values())
    drawn = sizes_drawn(
        sizes=sizes, per_stratum=plan.lists_per_layer, others=others, seed=plan.seed
    )
    lists = sum(drawn.values())
    lists_check(
        extractions=plan.extractions,
        holding={extraction for extraction, _, _ in sizes},
        candidates=sum(sizes.values()),
        enough=bool(lists) and others <= sum(sizes.values()),
    )
    people = max(len(plan.annotators), plan.annotators_per_list)
    seconds = _seconds_before(by)
    sample = hidden_from(by).left_out_of(vectors).order_by("pk").first()
    rows = _rows(plan, drawn)
    return Preview(
        rows=rows,
        parts=_parts(plan, lists, people),
        people=people,
        people_chosen=people == len(plan.annotators),
        seconds_per_list=statistics.median(seconds) if seconds else SECONDS_PER_LIST,
        measured=len(seconds),
        sample=list_entries(
            sample, plan.list_source, plan.gloss_rule if plan.show_glosses else None
        )
        if sample
        else [],
        **_left_out(plan, every),
        references=plan.training_lists + plan.reference_lists,
        remedies=[*_too_few_lists(plan, rows), *_too_few_people(plan)],
    )


def _left_out(plan: StudyPlan, every: "QuerySet[Vector]") -> dict[str, int]:
    """Numbers of keys that are never active, and of those with short lists."""
    if plan.list_source != Study.ListSource.TRIGGER_PREFIXES:
        return {"never_active": 0, "short_lists": 0}
    active = with_list(every, plan.list_source).count()
    full = with_list(every, plan.list_source, full_only=True).count()
    return {"never_active": every.count() - active, "short_lists": active - full}


def _too_few_lists(plan: StudyPlan, rows: Sequence[DrawnLists]) -> list[Remedy]:
    """Remedy, as HTML, where models hold fewer lists per layer than were asked for."""
    short = [row for row in rows if row.is_short]
    if not short:
        return []
    sentences = []
    for pk, name in {row.extraction: row.model for row in short}.items():
        own = [row for row in rows if row.extraction == pk]
        fewest = min(row.fewest for row in own)
        sentence = ngettext(
            "“{model}” has only {n} list in some layers and kinds, and gives what it has.",
            "“{model}” has only {n} lists in some layers and kinds, and gives what it has.",
            fewest,
        )
        if all(row.most == fewest for row in own):
            sentence = ngettext(
                "“{model}” has only {n} list per layer and kind.",
                "“{model}” has only {n} lists per layer and kind.",
                fewest,
            )
        sentences.append(format_html(sentence, model=exact(name), n=f"{fewest:,}"))
    fewest = min(row.fewest for row in short)
    value = str(fewest) if fewest else ""
    said = format_html_join(" ", "{}", ((sentence,) for sentence in sentences))
    return [Remedy("lists_per_layer", said, value, use(fewest) if fewest else "")]


def _too_few_people(plan: StudyPlan) -> list[Remedy]:
    """Hint for a plan without annotators."""
    if plan.annotators:
        return []
    needed = plan.annotators_per_list
    sentence = ngettext(
        "Choose at least %(n)s annotator to open the study at once, or save a draft and invite "
        "people.",
        "Choose at least %(n)s annotators to open the study at once, or save a draft and invite "
        "people.",
        needed,
    )
    return [Remedy("annotators", sentence % {"n": f"{needed:,}"})]


def _rows(plan: StudyPlan, drawn: dict[Stratum, int]) -> list[DrawnLists]:
    by_kind: dict[tuple[int, str], list[int]] = defaultdict(list)
    for (of, kind, _layer), n in drawn.items():
        by_kind[of, kind].append(n)
    rows = []
    for extraction in plan.extractions:
        for kind in plan.kinds:
            if found := by_kind.get((extraction.pk, kind)):
                row = (len(found), min(found), max(found), sum(found), plan.lists_per_layer)
                rows.append(DrawnLists(extraction.pk, str(extraction), str(Kind(kind).label), *row))
    return rows


def _parts(plan: StudyPlan, lists: int, people: int) -> list[Part]:
    answers = lists * plan.annotators_per_list
    parts = [
        Part(
            ngettext(
                "Lists of the study, %(n)s annotator per list",
                "Lists of the study, %(n)s annotators per list",
                plan.annotators_per_list,
            )
            % {"n": plan.annotators_per_list},
            answers,
        ),
        Part(_("Lists shown a second time"), round(answers * plan.repeat_percent / 100)),
    ]
    for purpose, what in (
        (Item.Use.TRAINING, _("Training lists, for everybody")),
        (Item.Use.REFERENCE, _("Silent reference lists, for everybody")),
        (Item.Use.PILOT, _("Pilot lists, for everybody")),
    ):
        parts.append(Part(what, plan.others[purpose] * people))
    return [part for part in parts if part.annotations]


def _seconds_before(by: User) -> list[int]:
    """Active seconds of the answers in the researcher's studies, where there are enough."""
    own = Study.objects.filter(memberships__user=by, memberships__role=Membership.Role.RESEARCHER)
    found = Assignment.objects.filter(
        item__study__in=own,
        purpose=Assignment.Purpose.ANNOTATION,
        state=Assignment.State.SUBMITTED,
        active_seconds__gt=0,
    ).values_list("active_seconds", flat=True)
    seconds = list(found)
    return seconds if len(seconds) >= FEWEST_ANNOTATIONS else []
