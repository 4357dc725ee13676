"""Statistics of every measure of agreement, and the groups of lists of a table."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self

import numpy as np
import pandas as pd
from scipy import sparse

from annotation_site.analysis.agreement.annotations import EncodedAnnotations
from annotation_site.analysis.agreement.arrays import Integers
from annotation_site.analysis.agreement.chance import Shuffled, shuffled
from annotation_site.analysis.agreement.encoding import encode
from annotation_site.analysis.agreement.measure import Measure, Statistics
from annotation_site.analysis.agreement.registry import AGREEMENT_MEASURES
from annotation_site.analysis.annotation_frames import AnnotationFrames
from annotation_site.analysis.intervals import SEED
from annotation_site.analysis.strata import STRATA, Marks, Populations, Strata

Cell = tuple[str | None, str]
"""Category, None for all, and name of a measure."""


@dataclass(frozen=True, eq=False)
class Drawn:
    """The units of a resample, each some lists that are drawn together.

    Attributes
    ----------
    rows
        Lists that enter, as rows of `Agreement.lists`.
    units
        The unit of each, 0, 1, …, shape (rows,).
    stratum
        The stratum of each unit, shape (units,).
    strata
        How they were sampled.
    """

    rows: Integers
    units: Integers
    stratum: Integers
    strata: Strata


@dataclass(frozen=True, eq=False)
class Agreement:
    """Statistics of every measure of agreement; tables are sums of them.

    Attributes
    ----------
    answers
        All answers under the key None; under a category's name, its patterns alone.
    measures
        Which measures.
    strata
        Columns of `lists` within whose values lists are resampled.
    unit
        A column of `lists`: those with the same value are drawn together.
    counted
        A column of `lists`: those with the same value are one list in a table's counts.
    seed
        Of the shuffles behind `chance`.
    of_lists
        Where each list is a pair of annotations, the agreement of the lists themselves, whose
        shuffles these are too.
    """

    annotations: Mapping[str | None, EncodedAnnotations]
    measures: Mapping[str, Measure]
    strata: tuple[str, ...] = STRATA
    unit: str = "list_id"
    counted: str = "list_id"
    seed: int = SEED
    of_lists: Self | None = None

    @property
    def lists(self) -> pd.DataFrame:
        """One row per list; see `Answers.lists`."""
        return self.annotations[None].lists

    @cached_property
    def statistics(self) -> dict[Cell, Statistics]:
        """Statistics by category (None for all) and measure, where the measure is defined."""
        return {
            (category, name): measure.function(answers)
            for category, answers in self.annotations.items()
            for name, measure in self.measures.items()
            if not measure.undefined and not (answers.one_category and measure.needs_categories)
        }

    @cached_property
    def shuffled(self) -> dict[str | None, Shuffled]:
        """Annotations with shuffled entries by category, None for all."""
        if self.of_lists is None:
            return {
                category: shuffled(answers, seed=self.seed)
                for category, answers in self.annotations.items()
            }
        return {
            category: one.by_pair(self.annotations[category])
            for category, one in self.of_lists.shuffled.items()
        }

    @cached_property
    def chance(self) -> dict[Cell, Statistics]:
        """Statistics of shuffled annotations, of the measures that have a chance level."""
        return {
            (category, name): self.measures[name].function(self.shuffled[category].annotations)
            for category, name in self.statistics
            if self.measures[name].has_chance
        }

    def drawn(self, populations: Populations) -> "Drawn":
        """The units of a resample for intervals: the lists with two annotations or more."""
        rows = np.flatnonzero(self.lists["annotations"].to_numpy() > 1)
        lists = self.lists.iloc[rows]
        keys = lists.groupby([*self.strata, self.unit], observed=True, sort=False)
        grouped = lists.groupby(list(self.strata), observed=True)
        units = keys.ngroup().to_numpy(dtype=np.int64)
        stratum = np.empty(int(units.max(initial=-1)) + 1, dtype=np.int64)
        stratum[units] = grouped.ngroup().to_numpy(dtype=np.int64)
        known = grouped.size().reset_index()[list(self.strata)]
        size = np.bincount(stratum, minlength=len(known)).astype(np.int64)
        return Drawn(rows, units, stratum, Strata.of(known, size, populations))

    def by_pair(self) -> "Agreement":
        """The agreement of every two people, with the columns ``first`` and ``second``."""
        pairs = {category: answers.by_pair() for category, answers in self.annotations.items()}
        return Agreement(pairs, self.measures, seed=self.seed, of_lists=self)


@dataclass(frozen=True, eq=False, kw_only=True)
class AgreementOfLists(Agreement):
    """The agreement of some of the lists of `whole`, whose statistics it uses."""

    whole: Agreement
    rows: Integers

    @classmethod
    def taking(cls, whole: Agreement, rows: Integers) -> "AgreementOfLists":
        """The lists in these rows of `Agreement.lists`; not by category."""
        every = whole.annotations[None]
        part = replace(every, lists=every.lists.iloc[rows].reset_index(drop=True))
        return cls({None: part}, whole.measures, seed=whole.seed, whole=whole, rows=rows)

    @cached_property
    def statistics(self) -> dict[Cell, Statistics]:
        """Those of the whole, of these lists alone."""
        return self._taken(self.whole.statistics)

    @cached_property
    def shuffled(self) -> dict[str | None, Shuffled]:
        """The shuffled annotations of the whole."""
        return {None: self.whole.shuffled[None]}

    @cached_property
    def chance(self) -> dict[Cell, Statistics]:
        """Those of the whole, of these lists alone."""
        return self._taken(self.whole.chance)

    def _taken(self, found: Mapping[Cell, Statistics]) -> dict[Cell, Statistics]:
        return {cell: one.taking(self.rows) for cell, one in found.items() if cell[0] is None}


def measure_agreement(
    labels: AnnotationFrames,
    *,
    min_tokens: int,
    categories: Sequence[str] = (),
    measures: Mapping[str, Measure] = AGREEMENT_MEASURES,
    seed: int = SEED,
) -> Agreement:
    """Prepare the tables of agreement.

    Parameters
    ----------
    labels
        What people answered; nobody answers a list twice.
    min_tokens
        A person's pattern qualifies when it has at least this many members.
    categories
        Categories that tables can be split by.
    measures
        Which measures to compute.
    seed
        Of the shuffles behind chance levels.

    Raises
    ------
    ValueError
        When `min_tokens` is below 1, or a person has two annotations of one list.
    """
    known = encode(labels, min_tokens=min_tokens, categories=categories)
    return Agreement(known, measures, seed=seed)


@dataclass(frozen=True, eq=False)
class Grouping:
    """Groups of lists: `codes` gives each list's group, shape (lists,)."""

    by: tuple[str, ...]
    keys: pd.DataFrame
    codes: Integers
    categories: tuple[str | None, ...]

    @classmethod
    def of(cls, agreement: Agreement, by: Sequence[str]) -> "Grouping":
        """Group lists by equal values in the columns `by`. Raises ValueError if one is unknown."""
        lists = agreement.lists
        columns = [column for column in by if column != "category"]
        known = {*lists.columns, "category"} - {"annotations"}
        if not set(by) <= known or len(set(by)) < len(by):
            raise ValueError(f"by is {tuple(by)}; it takes {', '.join(sorted(known))}, each once.")
        categories = tuple(agreement.annotations)
        if "category" in by and len(categories) == 1:
            raise ValueError("by names category, but no categories were given.")
        if columns:
            groups = lists.groupby(columns, observed=True)
            codes = groups.ngroup().to_numpy(dtype=np.int64)
            keys = groups.size().reset_index()[columns]
        else:
            codes = np.zeros(len(lists), dtype=np.int64)
            keys = pd.DataFrame(index=[0])
        if "kind" in columns:
            keys["kind"] = keys["kind"].astype("str")
        return cls(tuple(by), keys, codes, categories[1:] if "category" in by else categories[:1])

    def indicator(self) -> sparse.csr_array:
        """Membership of lists in groups, shape (groups, lists)."""
        ones = np.ones(len(self.codes))
        shape = len(self.keys), len(self.codes)
        return sparse.csr_array((ones, (self.codes, np.arange(len(self.codes)))), shape=shape)

    def cells(self, agreement: Agreement) -> list[Cell]:
        """Category and measure of each row of one group."""
        return [(category, name) for category in self.categories for name in agreement.measures]

    def members(self, rows: Integers, units: Integers, groups: Integers) -> Marks:
        """Membership of groups of units in these groups, shape (groups, groups of units).

        `rows` are lists with their `units`, and `groups` says the group of each unit.
        """
        member = np.zeros((len(self.keys), int(groups.max(initial=-1)) + 1), dtype=np.bool_)
        member[self.codes[rows], groups[units]] = True
        return member
