"""Strata of the sample of lists, and their warnings for intervals.

The definitions are in ``docs/measures.md``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Integers = NDArray[np.integer[Any]]
Floats = NDArray[np.float64]
Marks = NDArray[np.bool_]

STRATA = ("model", "kind", "layer")
"""Lists were sampled within these groups: the strata."""

FEW_LISTS = 20
FEW_LISTS_WARNING = f"fewer than {FEW_LISTS} lists"
FEW_OF_ONE_LAYER = 30
FEW_PER_STRATUM = 3
"""Lists of a stratum below which intervals of means and differences carry a warning."""
FEW_PER_STRATUM_RESAMPLED = 6
"""The same of resampled intervals. With fewer, that of some measure of agreement holds the truth in
less than 93% of studies (docs/measures.md, measured by ``benchmarks/intervals.py``)."""
AWAY_FROM_BOUND = 5

ALL_VECTORS = "all vectors of this kind were taken: no sampling interval"
CHOSEN_VECTORS = "vectors were chosen, not drawn at random: no sampling interval"
WHOLE_RANGE = "the interval is all that is possible and says nothing"
ONE_ANNOTATOR = "one annotator alone: another may find other concepts"
NO_SPREAD = "within each layer all lists have the same value, so that the interval has no width"


@dataclass(frozen=True)
class Populations:
    """Sizes of the populations that lists were drawn from.

    Attributes
    ----------
    sizes
        By model, kind and layer: how many vectors there are, where they are finitely many and
        lists were drawn from them without replacement (value vectors).
    chosen
        Model and kind of lists that somebody chose: no sample of anything.
    """

    sizes: Mapping[tuple[str, str, int], int] = field(default_factory=dict)
    chosen: frozenset[tuple[str, str]] = frozenset()


NOTHING_KNOWN = Populations()
"""Every list is a draw from infinitely many."""


@dataclass(frozen=True, eq=False)
class Strata:
    """Strata: groups of lists that were sampled apart, ordered by group, then layer.

    Attributes
    ----------
    group
        Strata with the same number differ in their layer alone.
    layer, size
        The layer, and how many lists the number rests on.
    population
        How many vectors the lists were drawn from; infinite where there is no such number.
    chosen
        Whether the lists were chosen.
    """

    group: Integers
    layer: Integers
    size: Integers
    population: Floats
    chosen: Marks

    @classmethod
    def of(cls, keys: pd.DataFrame, size: Integers, populations: Populations) -> "Strata":
        """Make strata from a row each, ordered by the columns `STRATA`, after others."""
        others = [column for column in keys.columns if column != "layer"]
        known = zip(keys["model"], keys["kind"].astype(str), keys["layer"], strict=True)
        where = [(str(model), kind, int(layer)) for model, kind, layer in known]
        return cls(
            group=keys.groupby(others, observed=True).ngroup().to_numpy(dtype=np.int64),
            layer=keys["layer"].to_numpy(dtype=np.int64),
            size=size,
            population=np.array([populations.sizes.get(one, np.inf) for one in where], dtype=float),
            chosen=np.array([one[:2] in populations.chosen for one in where], dtype=np.bool_),
        )

    def __len__(self) -> int:
        return len(self.size)

    def taking(self, rows: Marks) -> "Strata":
        """A subset of the strata, as if there were no others."""
        return Strata(**{one.name: getattr(self, one.name)[rows] for one in fields(self)})

    @property
    def whole(self) -> Marks:
        """Strata with all of their vectors, which have no sampling error."""
        return np.asarray(self.size >= self.population)

    @cached_property
    def pools(self) -> Integers:
        """Pool numbers from 0 on; strata with one joint variance have the same number.

        A stratum with one list has no variance of its own. It is joined with the nearest layer of
        its group, the lower of two equally near ones; strata that were taken whole stay alone.
        """
        linked = np.zeros(len(self), dtype=np.bool_)  # with the one before, among those that vary
        varying = np.flatnonzero(~self.whole)
        near = np.diff(self.layer[varying]).astype(np.float64)
        near[np.diff(self.group[varying]) != 0] = np.inf
        before, after = np.append(np.inf, near), np.append(near, np.inf)
        single = self.size[varying] == 1
        down = single & (before <= after) & np.isfinite(before)
        up = single & (after < before)
        linked[varying] = down | np.append(False, up[:-1])
        number = np.empty(len(self), dtype=np.int64)
        number[varying] = np.cumsum(~linked[varying]) - 1
        whole = np.flatnonzero(self.whole)
        number[whole] = number[varying].max(initial=-1) + 1 + np.arange(len(whole))
        return number

    def judged(
        self, rows: Marks, *, lists: int | None = None, few: int = FEW_PER_STRATUM
    ) -> tuple[str, list[str]]:
        """The reason why a value over these strata has no interval, or its warnings.

        `rows` marks the strata; `lists` says how many of their lists enter, where not all do; a
        stratum with less than `few` lists is warned of.
        Gives the reason ("" for none) and warnings.
        """
        if self.chosen[rows].any():
            return CHOSEN_VECTORS, []
        varying = rows & ~self.whole
        if not varying.any():
            return ALL_VECTORS, []
        count = int(self.size[rows].sum()) if lists is None else lists
        one_layer = len(np.unique(self.layer[varying])) == 1
        if one_layer and count < FEW_LISTS:
            return f"no interval: {FEW_LISTS_WARNING} of one layer", []
        size = self.size[varying]
        in_pool = np.bincount(self.pools[varying], size)
        if (in_pool == 1).any():
            return "no interval: a kind has one list alone, with no other layer beside it", []
        if one_layer:
            few_here = count < FEW_OF_ONE_LAYER
            return "", [f"fewer than {FEW_OF_ONE_LAYER} lists of one layer"] if few_here else []
        said = [FEW_LISTS_WARNING] if count < FEW_LISTS else []
        if single := int((size == 1).sum()):
            are = "has one list and is" if single == 1 else "have one list and are"
            said.append(
                f"{single} of {len(size)} groups of kind and layer {are} pooled with the nearest "
                "layer of the same kind"
            )
        if thin := int((size < few).sum()):
            said.append(f"fewer than {few} lists in {thin} of {len(size)} groups of kind and layer")
        return "", said


def too_near(values: Floats, *, most: float = 1.0) -> str:
    """The reason if values of one layer are too near a bound for an interval, else "".

    `most` is the largest possible value; infinite for counts.
    """
    for what, away in (("above 0", values > 0), (f"below {most:g}", values < most)):
        if int(away.sum()) < AWAY_FROM_BOUND:
            return f"no interval: fewer than {AWAY_FROM_BOUND} lists of one layer are {what}"
    return ""


def joined(parts: Sequence[str]) -> str:
    """Reasons and warnings as one text, each once."""
    return "; ".join(dict.fromkeys(part for part in parts if part))
