"""Registry of the tables of results: pages, exports and archives offer TABLES.

A study of trigger prefixes has those of PREFIX_TABLES too.

Pure: from labels to dataframes. Each function takes a `TableRequest`. Neither the database nor a
page is known here, so that everybody can compute an archive's tables again.
"""

from collections.abc import Callable, Iterator, Mapping
from itertools import product

import numpy as np
import pandas as pd

from annotation_site.analysis.agreement.lists import (
    machine_table,
    matched_patterns,
    retest_table,
)
from annotation_site.analysis.agreement.tables import COLUMNS
from annotation_site.analysis.alternative_annotators import (
    PEOPLE_COLUMNS,
    TEST_COLUMNS,
    alternative_annotator_rows,
    person_rows,
    table_of,
)
from annotation_site.analysis.annotation_frames import KINDS, AnnotationFrames, typed_frame
from annotation_site.analysis.comparisons import kind_comparison
from annotation_site.analysis.competence import competence_table
from annotation_site.analysis.controls import compared, other_controls
from annotation_site.analysis.coverage import coverage_table, list_coverage
from annotation_site.analysis.estimates.tables import (
    estimate_differences_table,
    estimates_table,
)
from annotation_site.analysis.machine_annotators import is_machine
from annotation_site.analysis.missing import missing_table
from annotation_site.analysis.people import learning_table, people_table, times_table
from annotation_site.analysis.people_intervals import Setting, people_intervals
from annotation_site.analysis.prefix_shares import KEY_COLUMNS, keys_table
from annotation_site.analysis.sensitivity import sensitivity_table
from annotation_site.analysis.strata import ONE_ANNOTATOR, joined
from annotation_site.analysis.variance_components import variance_components
from annotation_site.exports.table import Table, table_from_frame
from annotation_site.results.tables.request import FINAL, TableRequest

NO_PATTERNS = "undefined, because nobody found a pattern."

_NO_PEOPLE_FINAL = (
    "no interval for people like these: some lists rest on one adjudicated annotation"
)
_NO_PEOPLE_MACHINES = "no interval for people like these: machine annotators are counted as people"

SIDE_BY_SIDE = 10
"""Lists people disagree on most whose patterns are matched."""


def coverage_adjudicated(request: TableRequest) -> pd.DataFrame:
    """Coverage with a list's adjudicated annotation, if there is one, in place of people's."""
    if request.adjudicated or request.final is None:
        return request.coverage
    return request.coverage_of(list_coverage(request.final, **request.options))


def missing(request: TableRequest) -> pd.DataFrame:
    """Missing annotations by model and kind, then also by layer, with the reasons for skips."""
    annotations = request.labels.annotations
    people = annotations[~_machines_in(annotations["annotator"])]  # machines hold no slot
    labels = AnnotationFrames(request.labels.lists, people, request.labels.members.head(0))
    return missing_table(labels, request.missing, slots=request.slots)


def _machines_in(annotators: pd.Series) -> pd.Series:
    """Whether each of these annotators is a machine annotator."""
    machines = [one for one in annotators.unique() if is_machine(str(one))]
    return annotators.isin(machines)


def table_2(request: TableRequest) -> pd.DataFrame:
    """Table 2 of the paper: a row per model, kind of vector, and without or with stopwords
    concepts; coverage with its interval, numbers of lists and annotations, and concepts per list.
    """
    found = request.coverage[request.coverage["layer"].isna()]
    known_rows = request.intervals[request.intervals["layer"].isna()]
    keys = zip(known_rows["model"], known_rows["kind"], known_rows["measure"], strict=True)
    intervals = dict(zip(keys, known_rows.to_dict("records"), strict=True))
    rows = []
    for model, of_model in found.groupby("model"):
        of_kind = of_model.set_index("kind")
        for kind, with_stopwords in product(KINDS, (False, True)):
            if kind not in of_kind.index:
                continue
            row = of_kind.loc[kind]
            ending = "_with_stopwords" if with_stopwords else ""
            key = (str(model), kind, f"coverage{ending}")
            known = intervals.get(key)
            rows.append(
                {
                    "model": model,
                    "kind": kind,
                    "stopwords_concepts": "with" if with_stopwords else "without",
                    "coverage": np.nan if known is None else known["value"],
                    "low": np.nan if known is None else known["low"],
                    "high": np.nan if known is None else known["high"],
                    "concepts_per_list": row[f"concepts_per_list{ending}"],
                    "lists": row["lists"],
                    "lists_total": row["lists_total"],
                    "annotations": row["annotations"],
                    "no_pattern": row["no_pattern"],
                    "warning": "nobody has judged a list" if known is None else known["warning"],
                    "skipped": row["skipped"],
                }
            )
    columns = ["model", "kind", "stopwords_concepts", "coverage", "low", "high"]
    columns += ["concepts_per_list", "lists", "lists_total", "annotations", "no_pattern", "warning"]
    columns += ["skipped"]
    table = pd.DataFrame(rows, columns=columns)
    counts = ["lists", "lists_total", "annotations", "no_pattern", "skipped"]
    return table.astype(
        {"coverage": float, "low": float, "high": float, **dict.fromkeys(counts, int)}
    )


def real_against_random(request: TableRequest) -> pd.DataFrame:
    """Value vectors against random ones, in coverage without and with stopwords concepts.

    Without random vectors, against the first other control that there is. In a study of trigger
    prefixes: keys against random keys, and no stopwords are proposed.
    """
    return _difference(request, compared(request.counts["kind"].unique()))


def other_controls_table(request: TableRequest) -> pd.DataFrame:
    """Value vectors against each further control; p-values are adjusted for each one alone."""
    parts = []
    for control in other_controls(request.counts["kind"].unique()):
        part = _difference(request, ("value", control))
        part.insert(0, "control", control)
        parts.append(part)
    if parts:
        return pd.concat(parts, ignore_index=True)
    empty = _difference(request, ("", "")).head(0)
    empty.insert(0, "control", pd.Series(dtype="object"))
    return empty


def _difference(request: TableRequest, kinds: tuple[str, str]) -> pd.DataFrame:
    first, second = kinds
    columns = ["coverage"] if first == "key" else ["coverage", "coverage_with_stopwords"]
    table = kind_comparison(
        request.counts,
        first=first,
        second=second,
        columns=columns,
        populations=request.populations,
        permutations=max(request.resamples, 1),
        seed=request.seed,
        intervals=bool(request.resamples),
    )
    return request.with_annotators(table, kinds=kinds)


def retest(request: TableRequest) -> pd.DataFrame:
    """People's agreement with themselves on repeated lists."""
    if request.repeats is None or not len(request.repeats.annotations):
        return pd.DataFrame({name: [] for name in ("annotator", *COLUMNS)})
    repeats = request.agreement_of(request.repeats)
    table = retest_table(request.agreement, repeats, **request.draws)
    alone = request.repeats.annotations["annotator"].nunique() == 1
    return _warned(table, alone)


def _warned(table: pd.DataFrame, alone: bool) -> pd.DataFrame:
    """A table of agreement, in which one person's rows, or all rows, say so."""
    of_one = table["annotator"].notna() | alone
    has_value = of_one & table["value"].notna()
    said = [
        joined([ONE_ANNOTATOR if one else "", warning])
        for one, warning in zip(has_value, table["warning"], strict=True)
    ]
    return table.assign(warning=pd.Series(said, index=table.index, dtype="object"))


def reference(request: TableRequest) -> pd.DataFrame:
    """Overlap of people's annotations with the reference annotations of training and reference
    lists.
    """
    scored = request.scores.dropna(subset=["score"]).astype({"score": float})
    table = scored.groupby(["annotator", "purpose"])["score"].agg(
        lists="size", mean_score="mean", lowest="min"
    )
    return table.reset_index()


def disagreement(request: TableRequest) -> pd.DataFrame:
    """Lists with two annotations or more, lowest agreement first.

    `score` is 1 − the mean overlap of matched patterns: 0 full agreement, 1 none; missing where
    nobody found a pattern, as `undefined` says.
    """
    table = request.disagreement
    score = 1 - table["mean_matched_jaccard"]
    return table.assign(score=score, undefined=np.where(score.isna(), NO_PATTERNS, ""))


def side_by_side(request: TableRequest) -> pd.DataFrame:
    """Patterns of the lists with the lowest agreement, matched pair by pair; ranks as text."""
    ranking = request.disagreement
    worst = ranking[ranking["mean_matched_jaccard"].notna()]["list_id"].head(SIDE_BY_SIDE)
    table = matched_patterns(request.labels, list_ids=worst.tolist(), min_tokens=request.min_tokens)
    columns = ["list_id", "first", "second", "first_pattern", "second_pattern", "jaccard"]
    columns += ["shared", "only_first", "only_second", "same_category"]
    for name in ("shared", "only_first", "only_second"):
        table[name] = [" ".join(str(rank) for rank in ranks) for ranks in table[name]]
    known = {True: "yes", False: "no"}
    table["same_category"] = [known.get(one) for one in table["same_category"]]
    for name in ("first_pattern", "second_pattern"):
        table[name] = table[name].astype("Int64")
    return table.astype({"jaccard": float})[columns]


def machine_coverage(request: TableRequest) -> pd.DataFrame:
    """Coverage of each machine annotator, by model and kind, over the lists that it annotated.

    `failed` is the number of lists without an annotation because the replies about them failed.
    """
    by = ["model", "kind"]
    columns = ["annotator", *by, "coverage", "concepts_per_list", "lists", "failed"]
    parts = []
    for name, labels in request.of_machines.items():
        part = coverage_table(labels, by=by, **request.options)
        failed = labels.lists[labels.lists["list_id"].isin(request.failures_of(name))]
        counts = failed.groupby(by).size().rename("failed").reset_index()
        part = part.merge(counts, on=by, how="left").fillna({"failed": 0}).astype({"failed": int})
        part.insert(0, "annotator", name)
        parts.append(part[columns])
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns)


def machine_agreement(request: TableRequest) -> pd.DataFrame:
    """Agreement of people with each other and with each machine annotator, on the same lists."""
    parts = []
    known: dict[bytes, pd.DataFrame] = {}
    for name, machine in request.machine_agreements.items():
        part = machine_table(
            request.people_agreement,
            machine,
            failures=request.failures_of(name).tolist(),
            known=known,
            **request.draws,
        )
        part.insert(0, "annotator", None)
        alone = len(request.people_agreement.annotations[None].people) == 1
        parts.append(_warned(part, alone).assign(annotator=name))
    columns = ["annotator", "between", *COLUMNS]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns)


def alternative_annotators(request: TableRequest) -> pd.DataFrame:
    """The alternative annotator test of each machine annotator, for several ε."""
    rows = (
        row
        for name, found in request.alternatives.items()
        for row in alternative_annotator_rows(name, found, crowd=request.crowd)
    )
    return table_of(rows, TEST_COLUMNS)


def alternative_annotator_people(request: TableRequest) -> pd.DataFrame:
    """Each person beside each machine annotator, in the alternative annotator test."""
    rows = (
        row
        for name, found in request.alternatives.items()
        for row in person_rows(name, found, crowd=request.crowd)
    )
    return table_of(rows, PEOPLE_COLUMNS)


def components(request: TableRequest) -> pd.DataFrame:
    """Variance components of coverage, of the annotations that count and of the pilot's."""
    table = variance_components(request.labels, min_tokens=request.min_tokens)
    if request.pilot is None or not len(request.pilot.annotations):
        return table
    of_pilot = variance_components(request.pilot, min_tokens=request.min_tokens, source="pilot")
    return pd.concat([table, of_pilot], ignore_index=True) if len(table) else of_pilot


def people_like_these(request: TableRequest) -> pd.DataFrame:
    """Intervals for people like the annotators, beside those conditional on these annotators."""
    names = {str(one) for one in request.covering.annotations["annotator"].unique()}
    no_people = dict.fromkeys(filter(is_machine, names), _NO_PEOPLE_MACHINES)
    setting = Setting(
        request.populations,
        request.resamples,
        request.seed,
        {FINAL: _NO_PEOPLE_FINAL, **no_people},
    )
    return people_intervals(request.covering, request.agreement, setting=setting, **request.options)


def sensitivity(request: TableRequest) -> pd.DataFrame:
    """Coverage and the difference of two kinds, by the choices behind them."""
    return sensitivity_table(
        request.covering,
        min_tokens=request.min_tokens,
        flagged=not request.has_prefixes,
        populations=request.populations,
        apart=[FINAL],
        intervals=bool(request.resamples),
    )


TABLES: Mapping[str, Callable[[TableRequest], pd.DataFrame]] = {
    "coverage": lambda request: request.coverage,
    "coverage_adjudicated": coverage_adjudicated,
    "table_2": table_2,
    "coverage_intervals": lambda request: request.intervals,
    "real_against_random": real_against_random,
    "agreement": lambda request: request.agreements["agreement"],
    "agreement_by_kind": lambda request: request.agreements["agreement_by_kind"],
    "agreement_by_layer": lambda request: request.agreements["agreement_by_layer"],
    "agreement_by_category": lambda request: request.agreements["agreement_by_category"],
    "agreement_of_pairs": lambda request: request.pairs,
    "retest": retest,
    "reference": reference,
    "machine_coverage": machine_coverage,
    "machine_agreement": machine_agreement,
    "alternative_annotators": alternative_annotators,
    "alternative_annotator_people": alternative_annotator_people,
    "people": lambda request: people_table(
        request.labels, request.times, request.pairs, min_tokens=request.min_tokens
    ),
    "time_per_list": lambda request: times_table(request.labels, request.times),
    "learning_curve": lambda request: learning_table(
        request.labels, request.times, request.agreement
    ),
    "lists": lambda request: request.lists.astype({"kind": "str"}),
    "disagreement": disagreement,
    "side_by_side": side_by_side,
    "missing": missing,
    "estimates": lambda request: estimates_table(request.estimates),
    "estimate_differences": lambda request: estimate_differences_table(request.estimates),
    "variance_components": components,
    "people_intervals": people_like_these,
    "sensitivity": sensitivity,
    "competence": lambda request: competence_table(
        request.agreement.annotations[None], **request.draws
    ),
    "other_controls": other_controls_table,
}
"""Every table by name. Columns and meanings are described in docs/measures.md."""


def keys(request: TableRequest) -> pd.DataFrame:
    """Keys that are never active, and those with a short list, beside the study's lists."""
    known = typed_frame([], KEY_COLUMNS) if request.keys is None else request.keys
    return keys_table(known, request.labels)


PREFIX_TABLES: Mapping[str, Callable[[TableRequest], pd.DataFrame]] = {
    "prefix_shares": lambda request: request.prefix_shares,
    "keys": keys,
}
"""Those of a study whose lists are trigger prefixes, after the others."""


def tables_for(request: TableRequest) -> Mapping[str, Callable[[TableRequest], pd.DataFrame]]:
    """The tables that the request's study has."""
    return {**TABLES, **PREFIX_TABLES} if request.has_prefixes else TABLES


def tables_of(request: TableRequest) -> Iterator[tuple[str, Table]]:
    """Compute one table after the other, as exports take them; the rows are in a list."""
    for name, compute in tables_for(request).items():
        table = table_from_frame(name, compute(request))
        yield name, Table(name, table.columns, list(table.rows))
