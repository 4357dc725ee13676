"""Statistics of every measure, and the groups of lists over which tables add them up."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from scipy import sparse

from annotation_site.analysis.agreement.answers import Answers
from annotation_site.analysis.agreement.arrays import Integers
from annotation_site.analysis.agreement.encoding import encode
from annotation_site.analysis.agreement.measure import Measure, Statistics
from annotation_site.analysis.agreement.registry import AGREEMENT_MEASURES
from annotation_site.analysis.intervals import STRATA
from annotation_site.analysis.labels import Labels

Cell = tuple[str | None, str]
"""Category, None for all, and name of a measure."""


@dataclass(frozen=True, eq=False)
class Agreement:
    """Statistics of every measure, from which tables are added up.

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
    """

    answers: Mapping[str | None, Answers]
    measures: Mapping[str, Measure]
    strata: tuple[str, ...] = STRATA
    unit: str = "list_id"

    @property
    def lists(self) -> pd.DataFrame:
        """One row per list; see `Answers.lists`."""
        return self.answers[None].lists

    @cached_property
    def statistics(self) -> dict[Cell, Statistics]:
        """By category (None for all) and name of the measure, where that makes sense."""
        return {
            (category, name): measure.function(answers)
            for category, answers in self.answers.items()
            for name, measure in self.measures.items()
            if not (answers.one_category and measure.needs_categories)
        }

    def units(self, rows: Integers) -> tuple[Integers, Integers]:
        """What is drawn: the unit of each of these lists, 0, 1, …, and the stratum of each unit."""
        lists = self.lists.iloc[rows]
        keys = lists.groupby([*self.strata, self.unit], observed=True, sort=False)
        stratum = lists.groupby(list(self.strata), observed=True).ngroup().to_numpy(dtype=np.int64)
        units = keys.ngroup().to_numpy(dtype=np.int64)
        strata = np.empty(int(units.max(initial=-1)) + 1, dtype=np.int64)
        strata[units] = stratum
        return units, strata

    def by_pair(self) -> "Agreement":
        """The agreement of every two people, with the columns ``first`` and ``second``."""
        pairs = {category: answers.by_pair() for category, answers in self.answers.items()}
        return Agreement(pairs, self.measures)


def measure_agreement(
    labels: Labels,
    *,
    min_tokens: int,
    categories: Sequence[str] = (),
    measures: Mapping[str, Measure] = AGREEMENT_MEASURES,
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

    Raises
    ------
    ValueError
        When `min_tokens` is below 1, or a person has two annotations of one list.
    """
    return Agreement(encode(labels, min_tokens=min_tokens, categories=categories), measures)


@dataclass(frozen=True, eq=False)
class Grouping:
    """Groups of lists: `codes` gives each list's group, shape (lists,)."""

    by: tuple[str, ...]
    keys: pd.DataFrame
    codes: Integers
    categories: tuple[str | None, ...]

    @classmethod
    def of(cls, agreement: Agreement, by: Sequence[str]) -> "Grouping":
        """Lists with equal values in the columns `by`. Raises ValueError for unknown columns."""
        lists = agreement.lists
        columns = [column for column in by if column != "category"]
        known = {*lists.columns, "category"} - {"annotations"}
        if not set(by) <= known or len(set(by)) < len(by):
            raise ValueError(f"by is {tuple(by)}; it takes {', '.join(sorted(known))}, each once.")
        categories = tuple(agreement.answers)
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
        """Which lists are in which group, shape (groups, lists)."""
        ones = np.ones(len(self.codes))
        shape = len(self.keys), len(self.codes)
        return sparse.csr_array((ones, (self.codes, np.arange(len(self.codes)))), shape=shape)

    def cells(self, agreement: Agreement) -> list[Cell]:
        """Category and measure of each row of one group."""
        return [(category, name) for category in self.categories for name in agreement.measures]

    def strata(self, agreement: Agreement) -> tuple[Integers, Integers]:
        """How many strata each group has, and how many of them one unit; shape (groups,)."""
        used = np.flatnonzero(agreement.lists["annotations"].to_numpy() > 1)
        units, strata = agreement.units(used)
        group = np.empty(len(strata), dtype=np.int64)
        group[units] = self.codes[used]
        size = (
            pd.DataFrame({"group": group, "stratum": strata}).groupby(["group", "stratum"]).size()
        )
        of_group = size.index.get_level_values("group").to_numpy(dtype=np.int64)
        groups = len(self.keys)
        single = of_group[size.to_numpy() == 1]
        return np.bincount(of_group, minlength=groups), np.bincount(single, minlength=groups)
