"""Precision of a planned study, predicted from the variance components of a past one.

It reads only studies that the person runs: people must not learn from the results of a study that
they annotate. The components come from stored tables; nothing is estimated here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf, isnan
from typing import Any

from django.utils.translation import gettext, ngettext

from annotation_site.accounts.models import User
from annotation_site.analysis.controls import compared
from annotation_site.analysis.power import (
    FEWEST_OF_ONE_LAYER,
    FEWEST_PEOPLE,
    LISTS,
    PEOPLE,
    Components,
    Plan,
    Precision,
    precision_curve,
)
from annotation_site.annotation.models import Study
from annotation_site.annotation.selectors import studies_of
from annotation_site.annotation.studies.plans import StudyPlan
from annotation_site.annotation.studies.previews import DrawnLists, Preview
from annotation_site.corpus.models import Kind
from annotation_site.errors import Invalid
from annotation_site.results.models import Snapshot
from annotation_site.results.tables.filters import Filters

TABLE = "variance_components"
SINCE = 6  # the version of the measures that has the table
MOST_STUDIES = 50
"""Past studies that are offered, the newest ones."""


@dataclass(frozen=True)
class PastStudy:
    """A study whose stored results have annotations, with the number of that snapshot."""

    study: Study
    snapshot: int


@dataclass(frozen=True)
class Basis:
    """The annotations that the components were estimated from."""

    purpose: str
    annotations: int
    annotators: int
    lists: int
    warnings: Sequence[str]


@dataclass(frozen=True)
class Design:
    """One design of the curve, with its hours; numbers are shares of 1, None where there is none.

    `is_plan` marks the plan's own.
    """

    lists_per_layer: int
    annotators_per_list: int
    hours: float
    half_width: float | None
    smallest_difference: float | None
    half_width_people: float | None
    smallest_difference_people: float | None
    is_plan: bool


@dataclass(frozen=True)
class PlannedPrecision:
    """Prediction for a plan from a past study; without a curve, `reason` says why.

    `kind` and `control` are the compared kinds; `control` is empty where the plan has none.
    `pilot_lists` is a number of pilot lists with two of each kind and layer of the plan.
    """

    past: Sequence[PastStudy]
    chosen: Study | None
    pilot_lists: int
    basis: Basis | None = None
    model: str = ""
    kind: str = ""
    control: str = ""
    people: int = 0
    curve: Sequence[Design] = ()
    reason: str = ""
    people_reason: str = ""

    @property
    def plan(self) -> Design | None:
        """The design of the plan."""
        return next((one for one in self.curve if one.is_plan), None)


def past_studies(
    by: User, list_source: str, own: Study | None = None, chosen: str = ""
) -> list[PastStudy]:
    """Studies that the person runs with results of such lists: the draft itself, then the newest.

    The chosen one, too, where it is older. Three queries at most, with those of
    `planned_precision`, and one more for such a study.
    """
    studies = studies_of(by).filter(list_source=list_source)
    studies = studies.only("pk", "slug", "title", "min_tokens", "made_up", "list_source")
    found = list(studies[:MOST_STUDIES])
    if chosen and len(found) == MOST_STUDIES and chosen not in {study.slug for study in found}:
        found += studies.filter(slug=chosen)
    found.sort(key=lambda study: own is None or study.pk != own.pk)  # stable: itself first
    ready = (
        Snapshot.objects.filter(
            study__in=[study.pk for study in found],
            state=Snapshot.State.READY,
            measures_version__gte=SINCE,
        )
        .order_by("data_version", "measures_version")
        .values_list(
            "study_id",
            "filter_key",
            "pk",
            "counts__annotations",
            "counts__methods__counts__records__pilot",
        )
    )
    newest = {(study, key): (pk, own or pilot) for study, key, pk, own, pilot in ready}
    return [
        PastStudy(study, newest[at][0])
        for study in found
        if (at := (study.pk, Filters.of(study).key)) in newest and newest[at][1]
    ]


def planned_precision(
    *,
    plan: StudyPlan,
    preview: Preview,
    by: User,
    chosen: str = "",
    own: Study | None = None,
    strict: bool = False,
) -> PlannedPrecision:
    """Predict the precision of a plan from a past study; by default the newest.

    `own` is the draft that the plan changes, whose pilot comes first. If `strict`, a chosen study
    without results is refused: raises Invalid.
    """
    past = past_studies(by, plan.list_source, own, chosen)
    first = next((one for one in past if one.study.slug == chosen), None)
    if first is None and strict:
        raise Invalid(
            gettext(
                "“%(study)s” is no study that you run with results to plan from. Choose one with "
                "annotations of such lists, and open its results once."
            )
            % {"study": chosen}
        )
    first = first or next(iter(past), None)
    pilot_lists = 2 * sum(row.layers for row in preview.rows)
    if first is None:
        return PlannedPrecision(past, None, pilot_lists)
    stored = Snapshot.objects.filter(pk=first.snapshot).values_list(f"tables__{TABLE}", flat=True)
    rows = _rows(stored.first())
    return _predicted(PlannedPrecision(past, first.study, pilot_lists), rows, plan, preview)


Row = Mapping[str, Any]


def _rows(stored: Mapping[str, Any] | None) -> list[Row]:
    """The rows of a stored table: of its annotations, or else of its pilot; of all its models."""
    if not stored:
        return []
    names = [name for name, _ in stored["columns"]]
    rows = [dict(zip(names, row, strict=True)) for row in stored["rows"]]
    source = rows[0]["source"] if rows else ""
    rows = [row for row in rows if row["source"] == source]
    together = [row for row in rows if row["model"] is None]
    return list(together or rows)


def _predicted(
    nothing: PlannedPrecision, rows: Sequence[Row], plan: StudyPlan, preview: Preview
) -> PlannedPrecision:
    """The prediction from the rows of a table, or the reason why there is none."""
    whole = next((row for row in rows if row["kind"] is None), None)
    kind, control = _compared(plan.kinds)
    drawn = next((row for row in preview.rows if row.kind == Kind(kind).label), None)
    told = replace(
        nothing,
        basis=_basis(rows, whole),
        model=preview.rows[0].model if len(plan.extractions) > 1 else "",
        kind=kind,
        control=control,
        people=preview.people,
    )
    if whole is None:
        reason = gettext("Its results lack what a prediction needs. Open its results, then return.")
        return replace(told, reason=reason)
    if drawn is None:
        return replace(told, reason=gettext("The plan draws no list of the kind to predict."))
    if _is_chosen(plan, drawn):
        reason = gettext(
            "Vectors of this model were chosen, not drawn at random, so there is no sampling "
            "interval to predict."
        )
        return replace(told, reason=reason)
    value = _components(rows, whole, kind)
    second = _components(rows, whole, control) if control else None
    if value is None or (control and second is None):
        reason = gettext(
            "No layer of it has two annotated lists of a kind, so the variance between lists is "
            "unknown. Choose another study."
        )
        return replace(told, reason=reason)
    power = Plan(
        value=value,
        control=second,
        people_by_kind=whole["people_by_kind"],
        layers=drawn.layers,
        people=preview.people,
        population=_population(plan, drawn),
    )
    return _with_curve(told, power, plan, preview, max(1, round(drawn.lists / drawn.layers)))


def _with_curve(
    told: PlannedPrecision, power: Plan, plan: StudyPlan, preview: Preview, lists: int
) -> PlannedPrecision:
    """Add the curve, with the plan's own design in it."""
    curve = precision_curve(
        power,
        lists_per_layer=tuple(sorted({*LISTS, lists})),
        people_per_list=tuple(sorted({*PEOPLE, plan.annotators_per_list})),
    )
    here = (lists, plan.annotators_per_list)
    designs = [_design(one, preview, here) for one in curve]
    chosen = next(one for one in designs if one.is_plan)
    return replace(
        told,
        curve=designs,
        reason="" if chosen.half_width is not None else _no_width(power, lists),
        people_reason=_no_people(power, chosen),
    )


def _compared(kinds: Sequence[str]) -> tuple[str, str]:
    """The kind whose coverage is predicted, and its control; "" where the plan lacks it."""
    first, second = compared(kinds)
    if first not in kinds:
        return kinds[0], ""
    return first, second if second in kinds else ""


def _basis(rows: Sequence[Row], whole: Row | None) -> Basis | None:
    if whole is None:
        return None
    warnings = [part for row in rows for part in (row["warning"] or "").split("; ") if part]
    return Basis(
        whole["source"],
        whole["annotations"],
        whole["annotators"],
        whole["lists"],
        list(dict.fromkeys(warnings)),
    )


def _components(rows: Sequence[Row], whole: Row, kind: str) -> Components | None:
    """Those of a kind; of all kinds where the study lacks it or has too few lists of it."""
    row = next((one for one in rows if one["kind"] == kind), whole)
    row = whole if row["between_lists"] is None else row
    if row["between_lists"] is None:
        return None
    people = row["between_people"]
    if people is not None and row is whole:
        people += row["people_by_kind"] or 0.0
    return Components(row["between_lists"], row["disagreement"] or 0.0, people)


def _population(plan: StudyPlan, drawn: DrawnLists) -> float:
    """How many vectors of a layer the lists of a kind are drawn from, on average."""
    if drawn.kind not in (Kind.VALUE.label, Kind.KEY.label):
        return inf
    if plan.drawn_from is not None:
        places = plan.drawn_from["places"]
        return len(places) / len({layer for layer, _ in places})
    of = next(one for one in plan.extractions if one.pk == drawn.extraction)
    return of.model.d_ff if of.model is not None and of.model.d_ff else inf


def _is_chosen(plan: StudyPlan, drawn: DrawnLists) -> bool:
    """Whether somebody chose the extraction's value vectors, so that they are no sample."""
    of = next(one for one in plan.extractions if one.pk == drawn.extraction)
    listed = of.parameters.get("vectors") or of.parameters.get("per_layer") == "listed"
    return drawn.kind == Kind.VALUE.label and bool(listed)


def _design(one: Precision, preview: Preview, plan: tuple[int, int]) -> Design:
    strata = sum(row.layers for row in preview.rows)
    annotations = strata * one.lists_per_layer * one.people_per_list
    return Design(
        lists_per_layer=one.lists_per_layer,
        annotators_per_list=one.people_per_list,
        hours=annotations * preview.seconds_per_list / 3600,
        half_width=_known(one.half_width),
        smallest_difference=_known(one.detectable),
        half_width_people=_known(one.half_width_people),
        smallest_difference_people=_known(one.detectable_people),
        is_plan=(one.lists_per_layer, one.people_per_list) == plan,
    )


def _known(number: float) -> float | None:
    return None if isnan(number) else number


def _no_width(plan: Plan, lists: int) -> str:
    """The reason why the plan has no interval of coverage."""
    if lists >= plan.population:
        return gettext("The plan takes all vectors of a layer, so there is no sampling interval.")
    if lists == 1:
        return gettext("One list per layer is too few to predict an interval. Choose at least 2.")
    return gettext(
        "The plan has one layer with %(n)s lists. An interval needs at least %(least)s there."
    ) % {"n": lists, "least": FEWEST_OF_ONE_LAYER}


def _no_people(plan: Plan, chosen: Design) -> str:
    """The reason why the plan has no numbers for people like these."""
    if chosen.half_width is None or chosen.half_width_people is not None:
        return ""
    if plan.value.people is None:
        return gettext(
            "The past study does not tell people apart, so there is no prediction for people like "
            "these."
        )
    return ngettext(
        "With %(n)s person there is no interval for people like these: it needs at least "
        "%(least)s.",
        "With %(n)s people there is no interval for people like these: it needs at least "
        "%(least)s.",
        plan.people,
    ) % {"n": plan.people, "least": FEWEST_PEOPLE}
