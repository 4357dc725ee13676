"""Compute a snapshot from a study's annotations. Only workers import this."""

from collections import Counter
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Any

import pandas as pd
from django.db.models import Count
from django.utils.translation import gettext_noop
from threadpoolctl import threadpool_limits

from annotation_site.analysis.annotation_frames import AnnotationFrames
from annotation_site.analysis.estimates.models import ADJUDICATED_ALONE, MACHINES_COUNTED
from annotation_site.analysis.strata import ONE_ANNOTATOR, Populations
from annotation_site.annotation.models import Assignment, Study
from annotation_site.corpus.models import Extraction, Vector
from annotation_site.exports.table import table_from_frame
from annotation_site.proxies.census import layer_sizes
from annotation_site.proxies.registry import announced, title_of
from annotation_site.results.figures.canvas import printed, svg
from annotation_site.results.figures.charts import (
    FigurePlan,
    agreement_matrix,
    coverage_by_kind,
    learning_curve,
    time_per_list,
)
from annotation_site.results.figures.coverage import coverage_across_layers, coverage_alt_text
from annotation_site.results.figures.estimates import NAME as ESTIMATES_FIGURE
from annotation_site.results.figures.estimates import estimates_across_layers
from annotation_site.results.figures.prefix_shares import prefix_shares_figure
from annotation_site.results.tables.dataframes import (
    StudyAnnotations,
    annotations_of,
    frames_with_adjudicated,
    has_crowd,
)
from annotation_site.results.tables.facts import PURPOSES, facts_of
from annotation_site.results.tables.filters import Filters
from annotation_site.results.tables.keys import key_frame
from annotation_site.results.tables.machine_annotators import machine_frames
from annotation_site.results.tables.missing import missing_frame
from annotation_site.results.tables.model_names import model_names
from annotation_site.results.tables.proxies import study_proxies
from annotation_site.results.tables.registry import tables_for
from annotation_site.results.tables.request import TableRequest

Purpose = Assignment.Purpose
MADE_UP = "made-up annotations"
"""The mark on every figure of annotations that no people gave."""
OF_ONE_PERSON = "one annotator alone"
"""The note on every figure of coverage that rests on one person's annotations."""
_OF_COVERAGE = ("coverage", "prefix_shares", "table_2")
LISTED = "listed"
"""What an extraction has in place of a number of vectors per layer where somebody chose them."""

Progress = Callable[[str, int, int], None]
Files = dict[tuple[str, str], bytes]
"""Figures' files by name and extension."""
_DEFINITION = ("title", "definition", "source", "url", "unit", "on")
TABLES_STEP, FIGURES_STEP = gettext_noop("Tables"), gettext_noop("Figures")
_STEPS = {
    "coverage_intervals": gettext_noop("Intervals of coverage"),
    "real_against_random": gettext_noop("Real against random"),
    "other_controls": gettext_noop("Other controls"),
    "agreement": gettext_noop("Agreement and its intervals"),
}
"""What takes long enough to be named while it runs."""


@dataclass(frozen=True)
class Result:
    """The content of a snapshot, as JSON; of its figures, what pages say about them."""

    tables: dict[str, Any]
    figures: dict[str, Any]
    counts: dict[str, Any]
    measures: dict[str, Any]


def compute(
    study: Study, filters: Filters, *, progress: Progress = lambda step, done, total: None
) -> Result:
    """Compute tables and counts of a study under a filter, reporting progress.

    The figures are drawn afterwards, from the stored tables: see `figures_again`.
    """
    answers = annotations_of(study)
    request, missing = table_request(study, answers, filters)
    made = tables_for(request)
    total = len(made) + 1
    frames: dict[str, pd.DataFrame] = {}
    step = TABLES_STEP
    # Products are small: shared among threads they take twice the processor time and end no sooner.
    with threadpool_limits(limits=1, user_api="blas"):
        for number, (name, table) in enumerate(made.items()):
            step = _STEPS.get(name, TABLES_STEP)
            progress(step, number, total)
            frames[name] = table(request)
    progress(FIGURES_STEP, total - 1, total)
    figures, _ = _drawn(study, frames, [])
    return Result(
        tables={name: table_json(frame) for name, frame in frames.items()},
        figures=figures,
        counts=_counts(study, answers, request.labels)
        | {"machines_missing": missing, "methods": _methods(answers, request)},
        measures={
            name: {key: getattr(measure, key) for key in _DEFINITION}
            for name, measure in request.measures.items()
        },
    )


def figures_again(
    study: Study, tables: dict[str, Any], extensions: Collection[str]
) -> tuple[dict[str, Any], Files]:
    """The figures of a snapshot's stored tables: what pages say of them, and such files of each."""
    return _drawn(study, {name: _frame(stored) for name, stored in tables.items()}, extensions)


def _drawn(
    study: Study, frames: dict[str, pd.DataFrame], extensions: Collection[str]
) -> tuple[dict[str, Any], Files]:
    figures: dict[str, Any] = {}
    files: Files = {}
    for plan in _plans(study, frames):
        if plan.table in _OF_COVERAGE and _of_one_person(frames, plan.model):
            plan = plan.noted(OF_ONE_PERSON)
        if study.made_up:
            plan = plan.marked(MADE_UP)
        figures[plan.name] = {"title": plan.title, "alt": plan.alt, "table": plan.table}
        for extension in extensions:
            if extension == "svg":
                drawn = svg(plan.draw, title=plan.title, description=plan.alt)
                figures[plan.name]["sizes"] = drawn.sizes
                files[plan.name, extension] = drawn.content
            else:
                files[plan.name, extension] = printed(plan.draw, extension, title=plan.title)
    return figures, files


def _of_one_person(frames: dict[str, pd.DataFrame], model: str) -> bool:
    """Whether one person annotated all lists of a kind; `model` is empty for all models."""
    rows = frames["coverage_intervals"]
    rows = rows[rows["layer"].isna() & ((rows["model"] == model) | (model == ""))]
    return any(ONE_ANNOTATOR in str(warning) for warning in rows["warning"])


def _frame(stored: dict[str, Any]) -> pd.DataFrame:
    """A dataframe of a stored table; missing numbers are NaN."""
    frame = pd.DataFrame(stored["rows"], columns=[name for name, _ in stored["columns"]])
    numbers = [name for name, kind in stored["columns"] if kind == "number"]
    frame[numbers] = frame[numbers].apply(pd.to_numeric)
    return frame


def table_request(
    study: Study, answers: StudyAnnotations, filters: Filters
) -> tuple[TableRequest, dict[str, str]]:
    """The tables' input, and the machine annotators that cannot run here."""
    categories = list(study.categories)
    counted = answers.counted(filters)
    labels = answers.labels(counted, filters)
    machines = machine_frames(
        study,
        answers.chosen_lists(filters),
        min_tokens=filters.min_tokens,
        categories=categories,
        chosen=filters.categories,
    )
    final = None
    if len(answers.of(Purpose.ADJUDICATION)):
        final = frames_with_adjudicated(answers, filters)
    if filters.machine_annotators:
        labels = _together(labels, machines.labels)
        final = None if final is None else _together(final, machines.labels)
    repeats = answers.of(Purpose.REPEAT)
    if filters.people is not None:
        repeats = repeats[repeats["annotator"].isin(filters.people)]
    scores = answers.annotations.rename(columns={"reference_score": "score"})
    scores = scores[scores["purpose"].isin([Purpose.TRAINING, Purpose.REFERENCE])]
    scores = scores[~scores["unblinded"]]
    counted = counted[counted["annotation_id"].isin(labels.annotations["annotation_id"])]
    request = TableRequest(
        labels,
        categories,
        filters.min_tokens,
        final=final,
        adjudicated=filters.adjudicated != "off",
        repeats=answers.labels(repeats[~repeats["unblinded"]], filters),
        machines=machines.labels,
        machine_failures=machines.failures,
        crowd=has_crowd(study),
        times=counted[["annotation_id", "annotator", "active_seconds"]],
        scores=scores[["annotator", "purpose", "list_id", "score"]],
        populations=_taken(populations_of(study), filters),
        missing=missing_frame(study, answers, filters),
        slots=None if filters.takes_a_part else study.annotators_per_list,
        keys=key_frame(study, filters),
        several_patterns=study.several_patterns_per_token,
        proxies=study_proxies(study),
        pilot=answers.of_pilot(filters),
        no_sample=_no_sample(filters),
    )
    return request, machines.missing


def _taken(populations: Populations, filters: Filters) -> Populations:
    """The layers that the filter takes: what is estimated is of these alone."""
    sizes = {
        (model, kind, layer): size
        for (model, kind, layer), size in populations.sizes.items()
        if filters.takes_layer(kind, layer)
    }
    return Populations(sizes, populations.chosen)


def _no_sample(filters: Filters) -> str:
    """Why the lists, or their annotations, are no sample of people's; empty if they are one."""
    if filters.adjudicated == "only":
        return ADJUDICATED_ALONE
    return MACHINES_COUNTED if filters.machine_annotators else ""


def _together(labels: AnnotationFrames, machines: AnnotationFrames) -> AnnotationFrames:
    """People and machines; only where somebody asked for it."""
    return AnnotationFrames(
        labels.lists,
        pd.concat([labels.annotations, machines.annotations], ignore_index=True),
        pd.concat([labels.members, machines.members], ignore_index=True),
    )


def populations_of(study: Study) -> Populations:
    """Number of value vectors per layer of a study's extractions, and which were chosen.

    Random vectors and updates are draws from infinitely many. Lists that were drawn from a set
    speak of its vectors alone.
    """
    names = model_names(study)
    of_set = Counter(layer for layer, _ in study.drawn_from["places"]) if study.drawn_from else {}
    sizes: dict[tuple[str, str, int], int] = {}
    chosen = set()
    for extraction in Extraction.objects.filter(pk__in=names).select_related("model"):
        name = names[extraction.pk]
        values = Vector.objects.filter(extraction=extraction, kind="value").order_by()
        held = dict(values.values_list("layer").annotate(n=Count("pk")))
        if extraction.restored is not None:
            whole = extraction.restored["value_vectors"].items()
            sizes |= {(name, "value", int(layer)): size for layer, size in whole}
            held = {}
        every = extraction.parameters.get("per_layer") == "all"
        of_layer = extraction.model.d_ff if extraction.model is not None else 0
        known = layer_sizes(extraction) if held and not every else {}
        for layer, count in held.items():
            # Experts together; d_ff is that of the largest layer, where nothing says the others'.
            whole = count if every else max(count, known.get(layer, of_layer))
            sizes[name, "value", layer] = whole
        if of_set:
            sizes = {where: size for where, size in sizes.items() if where[0] != name}
            sizes |= {(name, "value", layer): size for layer, size in of_set.items()}
        if extraction.parameters.get("vectors") or extraction.parameters.get("per_layer") == LISTED:
            chosen.add((name, "value"))
    return Populations(sizes, frozenset(chosen))


def _plans(study: Study, frames: dict[str, pd.DataFrame]) -> Iterator[FigurePlan]:
    yield from _across_layers(study, frames)
    yield from _estimates(frames)
    pairs = frames["agreement_of_pairs"]
    people = sorted({*pairs["first"], *pairs["second"]})
    plans = (
        coverage_by_kind(frames["table_2"], prefixes="prefix_shares" in frames),
        agreement_matrix(pairs, people),
        time_per_list(frames["time_per_list"]),
        learning_curve(frames["learning_curve"]),
    )
    yield from (plan for plan in plans if plan is not None)


def _across_layers(study: Study, frames: dict[str, pd.DataFrame]) -> Iterator[FigurePlan]:
    """The figure across layers, one for each model: of coverage, or of shares of prefixes."""
    coverage, intervals = frames["coverage"], frames["coverage_intervals"]
    by_layer = coverage[coverage["layer"].notna()].astype({"layer": int})
    intervals = intervals[intervals["layer"].notna() & (intervals["measure"] == "coverage")]
    title = "Coverage across layers"
    shares = frames.get("prefix_shares")
    for number, (model, rows) in enumerate(by_layer.groupby("model")):
        if shares is not None:
            yield prefix_shares_figure(
                f"prefix-shares-{number}",
                shares[shares["layer"].notna() & (shares["model"] == model)],
                rows,
                categories=study.categories,
                intervals=intervals[intervals["model"] == model],
            )
            continue
        options: dict[str, Any] = {
            "categories": study.categories,
            "title": title,
            "intervals": intervals[intervals["model"] == model],
        }
        yield FigurePlan(
            f"coverage-across-layers-{number}",
            f"{title} of {model}",
            coverage_alt_text(rows, **options),
            "coverage",
            coverage_across_layers(rows, **options),
            model=str(model),
        )


def _estimates(frames: dict[str, pd.DataFrame]) -> Iterator[FigurePlan]:
    """The figure of estimates across layers, one for each model of which a proxy is known."""
    estimates = frames.get("estimates")
    if estimates is None:  # of an older version
        return
    coverage = estimates[estimates["measure"] == "coverage"]
    for number, (model, rows) in enumerate(coverage.groupby("model")):
        known = rows[rows["layer_from"].isna() & rows["value"].notna()]
        if proxy := announced(known["proxy"]):
            plan = estimates_across_layers(
                f"{ESTIMATES_FIGURE}-{number}",
                rows,
                model=str(model),
                proxy=proxy,
                proxy_title=title_of(proxy),
            )
            if plan is not None:
                yield plan


def _counts(study: Study, answers: StudyAnnotations, labels: AnnotationFrames) -> dict[str, Any]:
    of_annotation, final = answers.of(Purpose.ANNOTATION), answers.of(Purpose.ADJUDICATION)
    final = final[final["list_id"].isin(labels.lists["list_id"])]
    people = labels.annotations[labels.annotations["annotation_id"] > 0]
    return {
        "lists": len(labels.lists),
        "annotations": len(people),
        "annotators": int(people["annotator"].nunique()),
        "skipped": Assignment.objects.filter(
            item__study=study,
            purpose=Purpose.ANNOTATION,
            state=Assignment.State.SKIPPED,
        ).count(),
        "surplus": int(of_annotation["surplus"].sum()),
        "unblinded": int(of_annotation["unblinded"].sum()),
        # Reference answers are adjudicated annotations too, of lists that count in no table.
        "adjudicated": len(final),
        "adjudicated_not_blind": int(final["looked_before"].sum()),
    }


def _methods(answers: StudyAnnotations, request: TableRequest) -> dict[str, Any]:
    """Counts and settings for the methods paragraph, under the keys of an archive."""
    everything = answers.annotations
    own = everything[everything["purpose"] == Purpose.ANNOTATION]
    states, purposes = request.missing["state"], everything["purpose"]
    missing = {name: int((states == name).sum()) for name in ("skipped", "expired", "withdrawn")}
    return {
        "counts": {
            **facts_of(request),
            **missing,
            "excluded": {
                "surplus": int(own["surplus"].sum()),
                "unblinded": int((own["unblinded"] & ~own["surplus"]).sum()),
            },
            "records": {name: n for name in PURPOSES if (n := int((purposes == name).sum()))},
        },
        "tables": {
            "min_tokens": request.min_tokens,
            "resamples": request.resamples,
            "seed": request.seed,
            "chosen": sorted(list(one) for one in request.populations.chosen),
        },
    }


def table_json(frame: pd.DataFrame) -> dict[str, Any]:
    """A table as JSON: columns with their kind, and rows with null for missing values."""
    table = table_from_frame("", frame)
    return {
        "columns": [[column.name, column.kind] for column in table.columns],
        "rows": [list(row) for row in table.rows],
    }
