"""The judged lists of a model by layer, and spans of neighbouring layers."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from annotation_site.analysis.estimates.estimator import Sample
from annotation_site.analysis.strata import Floats, Integers, Marks, Strata

LEAST_LISTS = 30
"""Lists that the interval of an estimate takes."""
LEAST_AWAY = 15
"""Lists that are not 0, and lists that are not 1, that an interval takes."""


@dataclass(frozen=True)
class Span:
    """Neighbouring layers: the first and the last, both None for all; and which they are."""

    first: int | None
    last: int | None
    layers: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class JudgedLists:
    """Judged lists of one kind of a model, ordered by layer; arrays have a row per list.

    `annotations` says how many each list has; `values` has a column per measure.
    """

    list_id: Integers
    layer: Integers
    annotations: Integers
    values: Floats

    @classmethod
    def of_frame(cls, lists: pd.DataFrame, measures: Sequence[str]) -> "JudgedLists":
        """Take those of the lists that have an annotation."""
        judged = lists[lists["annotations"] > 0].sort_values(["layer", "list_id"])
        return cls(
            judged["list_id"].to_numpy(),
            judged["layer"].to_numpy(dtype=np.int64),
            judged["annotations"].to_numpy(dtype=np.int64),
            judged[list(measures)].to_numpy(dtype=np.float64),
        )

    def within(self, span: Span) -> Marks:
        """The lists of these layers."""
        return np.isin(self.layer, span.layers)

    def of(self, span: Span) -> "JudgedLists":
        """The lists of these layers alone."""
        rows = self.within(span)
        return JudgedLists(
            self.list_id[rows], self.layer[rows], self.annotations[rows], self.values[rows]
        )

    def sizes(self, span: Span) -> Integers:
        """How many lists each layer has."""
        return np.bincount(self.stratum(span), minlength=len(span.layers))

    def stratum(self, span: Span) -> Integers:
        """Each list's layer among those of the span, which it lies in."""
        return np.searchsorted(np.array(span.layers, dtype=np.int64), self.layer)

    def without(self, span: Span) -> list[int]:
        """Layers without a list."""
        held = set(self.layer.tolist())
        return [layer for layer in span.layers if layer not in held]

    def strata(self, span: Span, population: Floats) -> Strata:
        """A stratum per layer, with its number of vectors."""
        layers = np.array(span.layers, dtype=np.int64)
        return Strata(
            group=np.zeros(len(layers), dtype=np.int64),
            layer=layers,
            size=self.sizes(span),
            population=population,
            chosen=np.zeros(len(layers), dtype=np.bool_),
        )

    def sample(self, span: Span, strata: Strata, weights: Floats) -> Sample:
        """The lists, all of which lie in the span, as a sample with the layers' weights."""
        return Sample(self.values, self.stratum(span), weights, strata.population, strata.pools)


def layer_groups(lists: Sequence[int], *, least: int = LEAST_LISTS) -> list[tuple[int, ...]]:
    """The smallest equal groups of neighbouring layers that have `least` lists each.

    Parameters
    ----------
    lists
        How many lists each layer has, in the order of layers.
    least
        Lists that each group must have.

    Returns
    -------
    list
        The places of each group's layers in `lists`. Groups differ by one layer at most. None
        where every layer has enough lists alone, or where only all layers together have them.

    Examples
    --------
    >>> layer_groups([10, 10, 10, 10, 10, 10])
    [(0, 1, 2), (3, 4, 5)]
    >>> layer_groups([30, 40]), layer_groups([5, 5])
    ([], [])
    """
    if min(lists, default=least) >= least:
        return []
    for number in range(len(lists) - 1, 1, -1):
        groups = np.array_split(np.arange(len(lists)), number)
        if all(sum(lists[n] for n in group) >= least for group in groups):
            return [tuple(group.tolist()) for group in groups]
    return []


def layer_words(layers: Sequence[int]) -> str:
    """Layers in words.

    Examples
    --------
    >>> layer_words([3]), layer_words([3, 5, 7])
    ('layer 3', 'layers 3, 5, 7')
    """
    return f"layer{'s' * (len(layers) > 1)} {', '.join(map(str, layers))}"


def near_bounds(values: Floats, *, share: bool) -> str:
    """The reason if too few lists are away from a bound, else ""."""
    if int((values > 0).sum()) < LEAST_AWAY:
        return f"no interval: fewer than {LEAST_AWAY} lists are above 0"
    if share and int((values < 1).sum()) < LEAST_AWAY:
        return f"no interval: fewer than {LEAST_AWAY} lists are below 1"
    return ""
