"""How much coverage depends on choices: the smallest pattern, flagged patterns, each annotator.

The definitions are in ``docs/measures.md``, "Sensitivity". Members are counted once for all
settings, and a person is left out by subtraction.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from annotation_site.analysis.controls import compared
from annotation_site.analysis.coverage import AnnotationFrames, ordered_lists
from annotation_site.analysis.members import encode_members
from annotation_site.analysis.strata import (
    NOTHING_KNOWN,
    ONE_ANNOTATOR,
    STRATA,
    Floats,
    Integers,
    Marks,
    Populations,
    Strata,
    joined,
)
from annotation_site.analysis.stratum_sums import StratumSums, weighted_means

LEAST, MOST = 2, 8
"""The smallest and largest `min_tokens` of the table, beside the study's own."""
COVERAGE, DIFFERENCE = "coverage", "difference"
WITHOUT, WITH = "without", "with"
NOBODY_ELSE = "no value: nobody else annotated these lists"
NO_LAYER = "no value: no layer has lists of both kinds"

_COLUMNS = (
    *("of", "model", "kind", "min_tokens", "stopwords_concepts", "left_out"),
    *("value", "low", "high", "change", "lists", "annotations", "warning"),
)


def sensitivity_table(
    labels: AnnotationFrames,
    *,
    min_tokens: int,
    flagged: bool = True,
    populations: Populations = NOTHING_KNOWN,
    apart: Collection[str] = (),
    intervals: bool = True,
) -> pd.DataFrame:
    """Tabulate coverage and the difference of two kinds over the choices behind them.

    Parameters
    ----------
    labels
        The annotations that coverage uses.
    min_tokens
        Of the study: a row of its own also where it is not between `LEAST` and `MOST`.
    flagged
        Whether patterns can be flagged as stopwords; else there are no rows ``with`` them.
    populations
        What the lists were drawn from.
    apart
        Annotators who are not left out.
    intervals
        Whether intervals are wanted.

    Returns
    -------
    DataFrame
        Per model first coverage of each kind, then the difference of a kind and its control. Of
        each a row per ``min_tokens`` (up to the longest list) and ``stopwords_concepts``
        ("without", "with"), then with the study's `min_tokens` a row per annotator of these
        lists, who is ``left_out``. ``of`` is "coverage" or "difference"; ``kind`` is missing of a
        difference; ``value`` is missing where no annotation is left; ``low`` and ``high`` are 95%
        stratified t intervals; ``change`` is the value minus that of the study's `min_tokens`,
        with the same flagged patterns and all annotators; ``lists`` and ``annotations`` are those
        behind the value.

    Raises
    ------
    ValueError
        When `min_tokens` is below 1.
    """
    if min_tokens < 1:
        raise ValueError(f"min_tokens is {min_tokens}; a pattern has at least 1 member.")
    longest = int(labels.lists["length"].max()) if len(labels.lists) else 0
    sizes = sorted({*range(LEAST, min(MOST, longest) + 1), min_tokens})
    counted = _Counted.of(labels, sizes, (WITHOUT, WITH) if flagged else (WITHOUT,))
    names = (labels.lists[one] for one in STRATA)
    held = Counter(zip(*names, strict=True))
    rows: list[dict[str, object]] = []
    for model, lists in counted.lists.groupby("model", sort=True):
        study = _Model(counted, lists, min_tokens, populations, frozenset(apart), intervals)
        of_model = {key[1:]: size for key, size in held.items() if key[0] == model}
        for kind in lists["kind"].astype(str).unique():
            row = {"of": COVERAGE, "model": model, "kind": kind}
            rows += ({**row, **one} for one in study.rows(kind, None, of_model))
        first, second = compared(lists["kind"].astype(str))
        if {first, second} <= set(lists["kind"]):
            row = {"of": DIFFERENCE, "model": model, "kind": None}
            rows += ({**row, **one} for one in study.rows(first, second, of_model))
    table = pd.DataFrame(rows, columns=list(_COLUMNS))
    numbers = dict.fromkeys(("value", "low", "high", "change"), float)
    return table.astype({**numbers, **dict.fromkeys(("min_tokens", "lists", "annotations"), int)})


@dataclass(frozen=True, eq=False)
class _Counted:
    """How many entries are in a concept, of each annotation in every setting.

    `lists` are the annotated ones in the order of tables, `of_list` and `person` are numbers per
    annotation, `entries` has shape (annotations, settings).
    """

    lists: pd.DataFrame
    length: Integers
    of_list: Integers
    person: Integers
    people: tuple[str, ...]
    entries: Integers
    settings: tuple[tuple[int, str], ...]

    @classmethod
    def of(cls, labels: AnnotationFrames, sizes: list[int], flags: tuple[str, ...]) -> "_Counted":
        """Count for every minimum of `sizes` and every one of `flags`."""
        # A fixed order makes what is added up later independent of the order of the rows.
        annotations = labels.annotations.sort_values("annotation_id", ignore_index=True)
        lists = ordered_lists(labels)
        lists = lists[lists["list_id"].isin(annotations["list_id"])].reset_index(drop=True)
        place = pd.Index(lists["list_id"]).get_indexer(annotations["list_id"])
        lengths = labels.lists.set_index("list_id")["length"]
        length = lengths.reindex(lists["list_id"]).to_numpy(dtype=np.int64)
        members = encode_members(labels.members, annotations, width=int(length.max(initial=0)))
        order = np.argsort(members.pattern_size, kind="stable")  # of several the largest stays
        grids = {}
        for flag in flags:
            kept = order if flag == WITH else order[~members.stopwords[order]]
            grid = np.zeros(members.shape, dtype=np.int32)
            grid[members.annotation[kept], members.token[kept]] = members.pattern_size[kept]
            grids[flag] = grid
        settings: tuple[tuple[int, str], ...] = tuple(product(sizes, flags))
        columns = [(grids[flag] >= size).sum(axis=1) for size, flag in settings]
        person, people = pd.factorize(annotations["annotator"].astype(str), sort=True)
        return cls(
            lists=lists,
            length=length,
            of_list=place.astype(np.int64),
            person=person.astype(np.int64),
            people=tuple(str(one) for one in people),
            entries=np.stack(columns, axis=1).astype(np.int64),
            settings=settings,
        )


class _Model:
    """One model's lists, with the sums of their strata."""

    def __init__(
        self,
        counted: _Counted,
        lists: pd.DataFrame,
        min_tokens: int,
        populations: Populations,
        apart: frozenset[str],
        intervals: bool,
    ) -> None:
        self.settings, self.min_tokens, self.intervals = counted.settings, min_tokens, intervals
        self.own = [n for n, (size, _) in enumerate(self.settings) if size == min_tokens]
        place = np.full(len(counted.lists), -1)
        place[lists.index] = np.arange(len(lists))
        inside = place[counted.of_list] >= 0
        self.list, self.person = place[counted.of_list[inside]], counted.person[inside]
        self.entries = counted.entries[inside]
        self.people, self.apart = counted.people, apart
        self.length = counted.length[lists.index]
        grouped = lists.groupby(list(STRATA), observed=True)
        self.keys = grouped.size().reset_index(name="size")
        self.keys["kind"] = self.keys["kind"].astype(str)
        self.stratum = grouped.ngroup().to_numpy(dtype=np.int64)
        size = self.keys["size"].to_numpy(dtype=np.int64)
        self.strata = Strata.of(self.keys[list(STRATA)], size, populations)
        self.annotations = np.bincount(self.list, minlength=len(lists))
        self.total = np.stack(
            [np.bincount(self.list, one, len(lists)) for one in self.entries.T], axis=1
        )
        self.means = self.total / (self.length * self.annotations)[:, None]
        self.center = _means_of(self.means, self.stratum, size)
        self.sums = StratumSums.of(self.means, self.stratum, self.center)
        self._kept: dict[int, StratumSums] = {}

    def rows(
        self, first: str, second: str | None, held: Mapping[tuple[str, int], int]
    ) -> Iterator[dict[str, object]]:
        """Of the mean of a kind, or of its difference from another kind."""
        weights = _Weights.of(self.keys["kind"].to_numpy(), self.strata.layer, first, second, held)
        base = self._valued(self.sums, weights)
        for column, (_, flag) in enumerate(self.settings):
            yield self._row(base, column, base.value[self._own_of(flag)])
        of_row = weights.rows[self.stratum][self.list]
        for person in np.unique(self.person[of_row]):
            if self.people[person] in self.apart:
                continue
            without = self._valued(self._without(int(person)), weights, int(person))
            for column, own in enumerate(self.own):
                yield self._row(without, column, base.value[own], self.people[person])

    def _own_of(self, flag: str) -> int:
        return next(n for n in self.own if self.settings[n][1] == flag)

    def _row(
        self, found: "_Valued", column: int, own: float, left_out: str | None = None
    ) -> dict[str, object]:
        size, flag = self.settings[column if left_out is None else self.own[column]]
        low, high = found.bounds[column]
        return {
            "min_tokens": size,
            "stopwords_concepts": flag,
            "left_out": left_out,
            "value": found.value[column],
            "low": low,
            "high": high,
            "change": found.value[column] - own,
            "lists": found.lists,
            "annotations": found.annotations,
            "warning": found.warnings[column],
        }

    def _without(self, person: int) -> StratumSums:
        """The sums of the own settings without a person."""
        if person in self._kept:
            return self._kept[person]
        mine = self.person == person
        lists = self.list[mine]
        stays = self.annotations[lists] > 1
        left = self.total[lists][:, self.own] - self.entries[mine][:, self.own]
        labels = self.length[lists] * (self.annotations[lists] - 1)
        center = self.center[:, self.own]
        means = left[stays] / labels[stays, None]
        gone = StratumSums.of(self.means[lists][:, self.own], self.stratum[lists], center)
        come = StratumSums.of(means, self.stratum[lists[stays]], center)
        self._kept[person] = self.sums.columns(self.own).changed(gone, come)
        return self._kept[person]

    def _valued(self, sums: StratumSums, weights: "_Weights", left_out: int = -1) -> "_Valued":
        """Values of all columns, and what they rest on."""
        columns = sums.center.shape[1]
        kept = weights.usable(sums.count)
        behind = kept[self.stratum][self.list] & (self.person != left_out)
        lists, annotations = int(sums.count[kept].sum()), int(behind.sum())
        nothing = np.full((columns, 2), np.nan)
        if not kept.any():
            some = weights.rows & (sums.count > 0)
            why = [NO_LAYER if some.any() else NOBODY_ELSE] * columns
            return _Valued(nothing[:, 0], nothing, why, lists, annotations)
        strata = replace(self.strata, size=sums.count).taking(kept)
        estimate = weighted_means(sums.taking(kept), strata, weights.signed(kept, sums.count))
        people = np.unique(self.person[behind])
        alone = ONE_ANNOTATOR if len(people) == 1 else ""
        bounds, said = nothing, [""] * columns
        if self.intervals:
            bounds, said = estimate.bounds(least=0.0 if weights.held is None else -1.0)
        warnings = [joined([alone, one]) for one in said]
        return _Valued(estimate.value, bounds, warnings, lists, annotations)


@dataclass(frozen=True, eq=False)
class _Valued:
    """By column a value, its bounds, shape (columns, 2), and its warning; what they rest on."""

    value: Floats
    bounds: Floats
    warnings: Sequence[str]
    lists: int
    annotations: int


@dataclass(frozen=True, eq=False)
class _Weights:
    """The weights of strata: of the mean of one kind, or of a difference within layers.

    `rows` marks the strata of the kinds; `pair` is the stratum of the other kind in the layer, −1
    where there is none; `held` are the study's lists of both kinds in the layer, None of a mean.
    """

    rows: Marks
    sign: Floats
    pair: Integers
    held: Floats | None

    @classmethod
    def of(
        cls,
        kinds: NDArray[np.object_],
        layer: Integers,
        first: str,
        second: str | None,
        held: Mapping[tuple[str, int], int],
    ) -> "_Weights":
        """Make them for strata of these kinds and layers; without `second`, of a mean."""
        sign = np.where(kinds == first, 1.0, -1.0)
        pair = np.full(len(kinds), -1)
        if second is None:
            return cls(kinds == first, sign, pair, None)
        place = {key: n for n, key in enumerate(zip(kinds, layer.tolist(), strict=True))}
        other = {first: second, second: first}
        weight = np.zeros(len(kinds))
        for (kind, where), n in place.items():
            if kind in other:
                pair[n] = place.get((other[kind], where), -1)
                weight[n] = held.get((first, where), 0) + held.get((second, where), 0)
        return cls(np.isin(kinds, [first, second]), sign, pair, weight)

    def usable(self, count: Integers) -> Marks:
        """Strata that enter: of a difference, the layers with lists of both kinds."""
        there = self.rows & (count > 0)
        if self.held is None:
            return there
        return np.asarray(there & (self.pair >= 0) & there[self.pair])

    def signed(self, kept: Marks, count: Integers) -> Floats:
        """W_h of the kept strata."""
        if self.held is None:
            return np.asarray(count[kept] / count[kept].sum())
        # Each layer stands once for either kind.
        return np.asarray(2 * self.sign[kept] * self.held[kept] / self.held[kept].sum())


def _means_of(values: Floats, stratum: Integers, size: Integers) -> Floats:
    sums = [np.bincount(stratum, column, len(size)) for column in values.T]
    return np.asarray(np.stack(sums, axis=1) / size[:, None])
