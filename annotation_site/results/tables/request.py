"""Shared input of the tables of results."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import pandas as pd

from annotation_site.analysis.agreement.lists import disagreement_ranking
from annotation_site.analysis.agreement.registry import (
    AGREEMENT_MEASURES,
    Measure,
    measures_of_prefixes,
)
from annotation_site.analysis.agreement.tables import (
    Agreement,
    agreement_table,
    agreement_tables,
    measure_agreement,
)
from annotation_site.analysis.alternative_annotators import Comparisons, compare
from annotation_site.analysis.annotation_frames import typed_frame
from annotation_site.analysis.coverage import (
    AnnotationFrames,
    annotation_coverage,
    coverage_of_lists,
    list_counts,
    list_coverage,
)
from annotation_site.analysis.estimates.models import VALUE, EstimateInput
from annotation_site.analysis.estimates.proxies import Proxies
from annotation_site.analysis.intervals import RESAMPLES, SEED
from annotation_site.analysis.machine_annotators import MACHINE_ANNOTATORS, is_machine
from annotation_site.analysis.means import mean_intervals
from annotation_site.analysis.missing import MISSING_COLUMNS, skips_by_group
from annotation_site.analysis.prefix_shares import (
    PATTERNS,
    WITH_PATTERN,
    list_prefix_shares,
    share_names,
)
from annotation_site.analysis.strata import NOTHING_KNOWN, ONE_ANNOTATOR, Populations, joined

AGREEMENT_TABLES: Mapping[str, tuple[str, ...]] = {
    "agreement": ("model",),
    "agreement_by_kind": ("model", "kind"),
    "agreement_by_layer": ("model", "kind", "layer"),
    "agreement_by_category": ("model", "category"),
}
"""Tables of every measure, and what makes a row of each."""

FINAL = "adjudicated"
"""The annotator that adjudicated annotations go by."""

FAILURE_COLUMNS: Mapping[str, type] = {"annotator": str, "list_id": int}
"""Columns of the lists about which a machine annotator's replies failed."""

_CONCEPTS = ("concepts_per_list", "concepts_per_list_with_stopwords")
_TOGETHER = "of all models"

_SCORES = ("annotator", "purpose", "list_id", "score")


@dataclass(frozen=True, eq=False)
class TableRequest:
    """Input of the tables.

    Attributes
    ----------
    labels
        People's answers that count.
    categories, min_tokens
        Of the study; `min_tokens` may be another for an analysis.
    resamples, seed
        Of every resampled interval and permutation test; without resamples all intervals are
        empty.
    final
        The same with adjudicated annotations of adjudicated lists; None where there are none.
    adjudicated
        Whether coverage rests on `final` in every table.
    repeats
        People's second answers to lists, if there are any.
    machines
        The annotations of machine annotators.
    machine_failures
        Lists without an annotation of a machine annotator because the replies about them failed,
        with the columns of `FAILURE_COLUMNS`.
    crowd
        Whether people joined by an open link, without being known: the default of the alternative
        annotator test depends on it.
    times
        Of the answers that count, in the order of submission: ``annotation_id``, ``annotator``,
        ``active_seconds``.
    scores
        Of training and reference lists: ``annotator``, ``purpose``, ``list_id``, ``score``.
    populations
        What the study's vectors were drawn from, and which were chosen: what was taken whole or
        chosen is no sample, and has no sampling interval.
    missing
        What gave no annotation that counts, with the columns of `MISSING_COLUMNS`.
    slots
        Annotators per list; None where a filter takes a part of the annotations.
    keys
        Of a study whose lists are trigger prefixes, the keys of its extractions, with the columns
        of `KEY_COLUMNS`; None where lists are top tokens.
    pilot
        The answers to pilot lists, which count in no other table than `variance_components`.
    several_patterns
        Whether a prefix can be in several patterns. Measures of agreement that take an entry to be
        in one at most are then undefined. Of top tokens they leave out such annotations instead.
    proxies
        Numbers that are known of every value vector, for estimates; None where there are none.
    no_sample
        Why the lists are no random sample of their layers, such as a filter that takes adjudicated
        ones alone; there are no estimates for all vectors then.
    """

    labels: AnnotationFrames
    categories: list[str]
    min_tokens: int
    resamples: int = RESAMPLES
    seed: int = SEED
    final: AnnotationFrames | None = None
    adjudicated: bool = False
    repeats: AnnotationFrames | None = None
    machines: AnnotationFrames | None = None
    machine_failures: pd.DataFrame = field(default_factory=lambda: typed_frame([], FAILURE_COLUMNS))
    crowd: bool = False
    times: pd.DataFrame = field(
        default_factory=lambda: pd.DataFrame(
            {"annotation_id": [], "annotator": [], "active_seconds": []}
        )
    )
    scores: pd.DataFrame = field(default_factory=lambda: pd.DataFrame({one: [] for one in _SCORES}))
    populations: Populations = NOTHING_KNOWN
    missing: pd.DataFrame = field(default_factory=lambda: typed_frame([], MISSING_COLUMNS))
    slots: int | None = None
    keys: pd.DataFrame | None = None
    several_patterns: bool = False
    proxies: Proxies | None = None
    pilot: AnnotationFrames | None = None
    no_sample: str = ""

    @property
    def has_prefixes(self) -> bool:
        """Whether lists are trigger prefixes of keys."""
        return self.keys is not None

    @property
    def options(self) -> dict[str, Any]:
        return {"min_tokens": self.min_tokens, "categories": self.categories}

    @property
    def draws(self) -> dict[str, Any]:
        known = {"resamples": self.resamples, "seed": self.seed}
        return {**known, "populations": self.populations}

    @property
    def with_final(self) -> AnnotationFrames:
        """Annotations, replaced by adjudicated ones where lists have one."""
        return self.labels if self.final is None else self.final

    @property
    def covering(self) -> AnnotationFrames:
        """The annotations that coverage uses."""
        return self.with_final if self.adjudicated else self.labels

    @cached_property
    def lists(self) -> pd.DataFrame:
        """Coverage of each list."""
        return list_coverage(self.covering, **self.options)

    @cached_property
    def coverage(self) -> pd.DataFrame:
        """Coverage by kind over all layers, then by kind and layer; see `coverage_of`."""
        return self.coverage_of(self.lists)

    def coverage_of(self, lists: pd.DataFrame) -> pd.DataFrame:
        """Coverage of these lists by kind (``layer`` missing), then by kind and layer."""
        parts = []
        for by in (("model", "kind"), ("model", "kind", "layer")):
            part = coverage_of_lists(lists, categories=self.categories, by=by)
            skips = skips_by_group(self.labels.lists, self.missing, by).rename("skipped")
            parts.append(part.merge(skips.reset_index(), on=list(by), how="left"))
        by_kind, by_layer = parts
        by_kind.insert(2, "layer", pd.Series(pd.NA, index=by_kind.index, dtype="Int64"))
        by_layer["layer"] = by_layer["layer"].astype("Int64")
        return pd.concat([by_kind, by_layer], ignore_index=True)

    @cached_property
    def intervals(self) -> pd.DataFrame:
        """Means with intervals, of all layers together (``layer`` missing), then of each."""
        return self._means(self.lists, self._measures, counts=_CONCEPTS)

    @property
    def _measures(self) -> list[str]:
        """The columns of `lists` that are averaged."""
        return ["coverage", "coverage_with_stopwords", *self.categories, *_CONCEPTS]

    @cached_property
    def estimates(self) -> EstimateInput:
        """The judged lists with their proxies, for estimates of all value vectors."""
        lists = self.lists
        several = lists[(lists["kind"] == VALUE) & (lists["annotations"] > 1)]["list_id"]
        rows = self.covering.annotations
        said = annotation_coverage(
            _of(self.covering, rows[rows["list_id"].isin(several)]), min_tokens=self.min_tokens
        ).rename(columns=dict(zip(("concepts", "concepts_with_stopwords"), _CONCEPTS, strict=True)))
        unused = {name: 0.0 for name in self.categories if name not in said.columns}
        return EstimateInput(
            lists,
            said.assign(**unused),
            self._measures,
            counts=_CONCEPTS,
            populations=self.populations,
            proxies=self.proxies,
            annotators=self._annotators,
            intervals=bool(self.resamples),
            no_sample=self.no_sample,
        )

    @property
    def prefix_shares(self) -> pd.DataFrame:
        """Shares of prefixes by category, and patterns per key, in the form of `intervals`."""
        lists = list_prefix_shares(self.covering, **self.options)
        measures = [*share_names(self.categories), PATTERNS, WITH_PATTERN]
        return self._means(lists, measures, counts=[PATTERNS])

    def _means(
        self, lists: pd.DataFrame, measures: list[str], *, counts: Collection[str]
    ) -> pd.DataFrame:
        """Means of these columns of lists with intervals, of all layers, then of each."""
        parts = mean_intervals(
            lists,
            columns=measures,
            by=[("model", "kind"), ("model", "kind", "layer")],
            populations=self.populations,
            counts=counts,
            intervals=bool(self.resamples),
        )
        parts[0].insert(2, "layer", pd.Series(pd.NA, index=parts[0].index, dtype="Int64"))
        table = pd.concat([part.astype({"layer": "Int64"}) for part in parts], ignore_index=True)
        table["kind"] = table["kind"].astype("str")
        return self.with_annotators(table)

    @cached_property
    def counts(self) -> pd.DataFrame:
        """The integers behind `lists`."""
        return list_counts(self.covering, min_tokens=self.min_tokens)

    def with_annotators(self, table: pd.DataFrame, *, kinds: Sequence[str] = ()) -> pd.DataFrame:
        """A table of coverage, with a warning if one person annotated all lists of a row.

        Rows are of the kinds named where they have none of their own.
        """
        said = []
        for row in table.to_dict("records"):
            layer = None if pd.isna(row["layer"]) else row["layer"]
            of = [(row["model"], kind, layer) for kind in kinds or (row["kind"],)]
            people = set().union(*(self._annotators.get(one, frozenset()) for one in of))
            said.append(joined([ONE_ANNOTATOR if len(people) == 1 else "", row["warning"]]))
        return table.assign(warning=pd.Series(said, index=table.index, dtype="object"))

    @cached_property
    def _annotators(self) -> dict[tuple[str, str, int | None], frozenset[object]]:
        """Annotators of the lists of each model and kind, and of each layer of them."""
        labels = self.covering
        who = labels.annotations.merge(labels.lists, on="list_id")
        who = who[["model", "kind", "layer", "annotator"]].drop_duplicates()
        found: dict[tuple[str, str, int | None], set[object]] = {}
        for model, kind, layer, person in who.itertuples(index=False, name=None):
            for where in (layer, None):
                found.setdefault((model, kind, where), set()).add(person)
        return {key: frozenset(people) for key, people in found.items()}

    @cached_property
    def agreement(self) -> Agreement:
        return self.agreement_of(self.labels, categories=self.categories)

    @cached_property
    def people_agreement(self) -> Agreement:
        """The same without machine annotators, where they are counted as people."""
        rows = self.labels.annotations
        machines = [one for one in rows["annotator"].unique() if is_machine(str(one))]
        if not machines:
            return self.agreement
        return self.agreement_of(_of(self.labels, rows[~rows["annotator"].isin(machines)]))

    def agreement_of(
        self, labels: AnnotationFrames, *, categories: Sequence[str] = ()
    ) -> Agreement:
        """The agreement of some of the study's annotations, by the study's measures."""
        return measure_agreement(
            labels,
            min_tokens=self.min_tokens,
            categories=categories,
            measures=self.measures,
            seed=self.seed,
        )

    @property
    def measures(self) -> Mapping[str, Measure]:
        """The measures of agreement, in the words of the study's lists."""
        if not self.has_prefixes:
            return AGREEMENT_MEASURES
        return measures_of_prefixes(several_patterns=self.several_patterns)

    @cached_property
    def agreements(self) -> dict[str, pd.DataFrame]:
        """The tables of `AGREEMENT_TABLES`, which share their resamples.

        Where the study has several models, rows without a model follow: all of them together. Not
        by layer, as layers of two models are not the same thing.
        """
        by = dict(AGREEMENT_TABLES)
        if self.labels.lists["model"].nunique() > 1:
            by |= {
                f"{name} {_TOGETHER}": columns[1:]
                for name, columns in AGREEMENT_TABLES.items()
                if "layer" not in columns
            }
        tables = agreement_tables(self.agreement, by=list(by.values()), **self.draws)
        found = dict(zip(by, tables, strict=True))
        for name in AGREEMENT_TABLES:
            together = found.pop(f"{name} {_TOGETHER}", None)
            if together is not None:
                together.insert(0, "model", None)
                together["model"] = together["model"].astype("object")
                found[name] = pd.concat([found[name], together], ignore_index=True)
        return found

    @cached_property
    def of_machines(self) -> dict[str, AnnotationFrames]:
        """The annotations of each machine annotator, by its name: programs, then language models.

        Also of one whose replies all failed, which has none.
        """
        if self.machines is None:
            return {}
        rows = self.machines.annotations
        grouped = {str(name): of_name for name, of_name in rows.groupby("annotator")}
        names = {*grouped, *map(str, self.machine_failures["annotator"])}
        return {
            name: _of(self.machines, grouped.get(name, rows.head(0)))
            for name in sorted(names, key=lambda name: (name not in MACHINE_ANNOTATORS, name))
        }

    def failures_of(self, machine: str) -> pd.Series:
        """Ids of the lists about which a machine annotator's replies failed."""
        failures = self.machine_failures
        return failures.loc[failures["annotator"] == machine, "list_id"]

    @cached_property
    def machine_agreements(self) -> dict[str, Agreement]:
        """Each machine annotator's annotations, prepared to be compared with people's."""
        return {name: self.agreement_of(labels) for name, labels in self.of_machines.items()}

    @cached_property
    def alternatives(self) -> dict[str, Comparisons]:
        """Each machine annotator beside each person, for the alternative annotator test."""
        people = self.people_agreement.annotations[None]
        return {
            name: compare(people, of_machine.annotations[None], self.failures_of(name).tolist())
            for name, of_machine in self.machine_agreements.items()
        }

    @cached_property
    def pairs(self) -> pd.DataFrame:
        return agreement_table(self.agreement.by_pair(), by=["first", "second"])

    @cached_property
    def disagreement(self) -> pd.DataFrame:
        return disagreement_ranking(self.agreement)


def _of(labels: AnnotationFrames, annotations: pd.DataFrame) -> AnnotationFrames:
    """Some of the annotations with their members."""
    inside = labels.members["annotation_id"].isin(annotations["annotation_id"])
    return AnnotationFrames(labels.lists, annotations, labels.members[inside])
