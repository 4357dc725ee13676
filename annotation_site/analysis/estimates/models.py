"""Each model's judged lists, layers and proxies, and what can be estimated of them.

The definitions, and the conditions of intervals, are in ``docs/estimates.md``.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pandas as pd

from annotation_site.analysis.controls import compared
from annotation_site.analysis.estimates.estimator import (
    Census,
    Estimate,
    classical_estimate,
    difference_estimate,
)
from annotation_site.analysis.estimates.lists import (
    LEAST_LISTS,
    JudgedLists,
    Span,
    layer_groups,
    layer_words,
    near_bounds,
)
from annotation_site.analysis.estimates.proxies import Proxies
from annotation_site.analysis.strata import (
    ALL_VECTORS,
    NO_SPREAD,
    NOTHING_KNOWN,
    Floats,
    Populations,
    Strata,
    too_near,
)

VALUE = "value"

NOTICEABLE = 0.02
"""Share of a layer's vectors from which the finite population correction narrows an interval by 1%,
so that its absence is said."""

ADJUDICATED_ALONE = "adjudicated lists alone are taken, which are no random sample of vectors"
MACHINES_COUNTED = (
    "machine annotators are counted as people, and all vectors are estimated from people alone"
)
CHOSEN = "vectors were chosen, not drawn at random, so they say nothing of the others"
CONSTANT = "the proxy is the same for all annotated lists of a layer"
TOO_FEW_TO_FIT = "too few lists to fit a proxy: annotate more"
FEW_OF_PART = (
    "fewer than 30 lists of these layers to fit a proxy: annotate more, or take neighbouring "
    "layers together"
)
PEOPLE_ALONE = "all vectors were taken: the interval is of the disagreement of people alone"
LEFT_OFF = (
    "no list has two annotators, so the interval has no finite population correction and is wider "
    "than it need be"
)
EXACT = "the proxy gives all annotated lists exactly, so that the interval has no width"


@dataclass(frozen=True, eq=False)
class EstimateInput:
    """Input of the tables of estimates.

    Attributes
    ----------
    lists
        One row per list with ``list_id``, ``model``, ``kind``, ``layer``, ``annotations`` (how
        many) and the measures, as `list_coverage` gives it.
    annotations
        One row per annotation of lists that have two or more, with ``list_id`` and the measures.
    measures
        What to estimate; a list has a value in all of them or in none.
    counts
        Which measures are no shares, and so have no largest value.
    populations
        How many value vectors each layer has, and which were chosen.
    proxies
        None where there are none.
    annotators
        The people of each model, kind and layer.
    intervals
        Whether intervals are wanted.
    no_sample
        Why the lists are no random sample of their layers; empty if they are one.
    """

    lists: pd.DataFrame
    annotations: pd.DataFrame
    measures: Sequence[str]
    counts: Collection[str] = ()
    populations: Populations = NOTHING_KNOWN
    proxies: Proxies | None = None
    annotators: Mapping[tuple[str, str, int | None], frozenset[object]] = field(
        default_factory=dict
    )
    intervals: bool = True
    no_sample: str = ""

    @cached_property
    def models(self) -> "list[EstimatedModel]":
        """The models with value lists, by name."""
        values = self.lists[self.lists["kind"] == VALUE]
        return [EstimatedModel(str(name), self) for name in sorted(values["model"].unique())]


@dataclass(frozen=True, eq=False)
class Part:
    """Estimates of all measures over some layers; arrays have an entry per measure.

    `half` is NaN where there is no interval, as `reasons` says; `warnings` are about all measures.
    """

    lists: int
    vectors: int | None
    value: Floats
    half: Floats
    variance: Floats
    freedom: float
    coefficient: Floats
    correlation: Floats
    reasons: Sequence[str]
    warnings: Sequence[str] = ()


@dataclass(frozen=True, eq=False)
class _Known:
    """A proxy of the judged lists, shape (lists, 1), and its mean in each layer."""

    values: Floats
    means: Mapping[int, float]


class EstimatedModel:
    """One model's value lists and their control, as far as people judged them."""

    def __init__(self, name: str, given: EstimateInput) -> None:
        self.name = name
        self.given = given
        of_model = given.lists[given.lists["model"] == name]
        self._values = JudgedLists.of_frame(of_model[of_model["kind"] == VALUE], given.measures)
        _, self.control_kind = compared([VALUE, *of_model["kind"].unique()])
        of_control = of_model[of_model["kind"] == self.control_kind]
        self._control = JudgedLists.of_frame(of_control, given.measures)
        self.has_control = bool(len(of_control))
        sizes = given.populations.sizes
        self.sizes = {
            x: n for (model, kind, x), n in sizes.items() if (model, kind) == (name, VALUE)
        }
        layers = {*self.sizes, *of_model[of_model["kind"] == VALUE]["layer"].tolist()}
        self.layers = tuple(sorted(int(layer) for layer in layers))
        self.whole = Span(None, None, self.layers)
        self._parts: dict[tuple[Span, str], Part] = {}
        self._controls: dict[Span, Part] = {}

    @cached_property
    def refusal(self) -> str:
        """Why nothing can be estimated of this model, or ""."""
        if self.given.no_sample:
            return self.given.no_sample
        if (self.name, VALUE) in self.given.populations.chosen:
            return CHOSEN
        if unknown := [layer for layer in self.layers if layer not in self.sizes]:
            return f"the number of vectors of {layer_words(unknown)} is not known"
        return ""

    @cached_property
    def proxies(self) -> dict[str, _Known | str]:
        """Each proxy's numbers, or why they cannot be used."""
        given = self.given.proxies
        if given is None:
            return {}
        return {name: self._proxy(given, name) for name in given.titles}

    def _proxy(self, given: Proxies, name: str) -> _Known | str:
        if name in given.missing:
            return f"{given.missing[name].rstrip('.')}"
        census = given.census
        census = census[(census["proxy"] == name) & (census["model"] == self.name)]
        vectors = dict(zip(census["layer"].tolist(), census["vectors"].tolist(), strict=True))
        for layer in self.layers:
            has, size = vectors.get(layer, 0), self.sizes.get(layer, 0)
            if has != size:
                return (
                    f"the proxy is known of {has:,} of {size:,} vectors of layer "
                    f"{layer}, and must be known of all: compute it again"
                )
        values = given.values[given.values["proxy"] == name].set_index("list_id")["value"]
        of_lists = values.reindex(self._values.list_id).to_numpy(dtype=np.float64)
        if lacking := int(np.isnan(of_lists).sum()):
            lists = "list" if lacking == 1 else "lists"
            return f"the proxy is not known of {lacking:,} annotated {lists}: compute it again"
        means = dict(zip(census["layer"].tolist(), census["mean"].tolist(), strict=True))
        return _Known(of_lists[:, None], means)

    def spans(self, proxy: str = "") -> list[Span]:
        """All layers, each layer, and groups of neighbouring layers where a layer has few lists.

        All layers alone where nothing is estimated.
        """
        if self.refusal or isinstance(self.proxies.get(proxy), str):
            return [self.whole]
        counts = [int((self._values.layer == layer).sum()) for layer in self.layers]
        groups = [tuple(self.layers[n] for n in group) for group in layer_groups(counts)]
        each = [(layer,) for layer in self.layers]
        return [self.whole, *(Span(part[0], part[-1], part) for part in [*each, *groups])]

    def part(self, span: Span, proxy: str) -> Part:
        """The estimates of some layers; without a proxy the classical ones."""
        if (span, proxy) not in self._parts:
            self._parts[span, proxy] = self._part(span, proxy)
        return self._parts[span, proxy]

    def _part(self, span: Span, proxy: str) -> Part:
        lists = self._values.of(span)
        known = self.proxies[proxy] if proxy else ""
        refusal = self.refusal or (known if isinstance(known, str) else "")
        if refusal:
            return self._none(span, lists, refusal)
        if empty := lists.without(span):
            return self._none(span, lists, _no_list(empty))
        population = np.array([self.sizes[layer] for layer in span.layers], dtype=np.float64)
        disagreement = self._disagreement(lists, span)
        corrected = population
        if disagreement is None and not (lists.sizes(span) >= population).all():
            corrected = np.full(len(population), np.inf)
        strata = lists.strata(span, corrected)
        sample = lists.sample(span, strata, population / population.sum())
        if isinstance(known, _Known) and span != self.whole and len(lists.values) < LEAST_LISTS:
            return self._none(span, lists, FEW_OF_PART)  # their λ would follow single lists
        if strata.whole.all() or not isinstance(known, _Known):
            found = classical_estimate(sample, disagreement=disagreement)
        else:
            means = np.array([[known.means[layer]] for layer in span.layers])
            values = known.values[self._values.within(span)]
            found = difference_estimate(sample, values, Census(means), disagreement=disagreement)
            if found.freedom < 1:
                return self._none(span, lists, TOO_FEW_TO_FIT)
            if np.isnan(found.coefficient).all():
                return self._none(span, lists, CONSTANT)
        return self._judged(span, lists, strata, found, disagreement)

    def _judged(
        self,
        span: Span,
        lists: JudgedLists,
        strata: Strata,
        found: Estimate,
        disagreement: Floats | None,
    ) -> Part:
        """The part with its intervals, as far as the conditions allow, and its warnings."""
        rows = ~strata.whole
        warnings: list[str] = []
        freedom = found.freedom
        if not rows.any():
            freedom = int((lists.annotations - 1).sum())
            reason = ALL_VECTORS if disagreement is None else ""
            warnings = [] if disagreement is None else [PEOPLE_ALONE]
            varying = lists.values
        else:
            reason, warnings = strata.judged(rows)
            varying = lists.values[rows[lists.stratum(span)]]
            taken = lists.sizes(span) / np.array([self.sizes[layer] for layer in span.layers])
            if disagreement is None and taken.max() > NOTICEABLE:
                warnings = [*warnings, LEFT_OFF]
        if not self.given.intervals:
            nothing = np.full(len(self.given.measures), np.nan)
            return self._of(span, lists, found, nothing, [""] * len(nothing), (), freedom)
        if len(varying) < LEAST_LISTS:
            reason, warnings = _few(span, self.layers), []
        shown = Estimate(found.value, found.variance, found.coefficient, found.correlation, freedom)
        half = shown.half_widths()
        reasons = []
        for column, measure in enumerate(self.given.measures):
            why = reason or near_bounds(varying[:, column], share=measure not in self.given.counts)
            if why:
                half[column] = np.nan
            elif half[column] <= 1e-12:
                why = NO_SPREAD if np.isnan(found.coefficient[column]) else EXACT
            reasons.append(why)
        return self._of(span, lists, found, half, reasons, warnings, freedom)

    def _of(
        self,
        span: Span,
        lists: JudgedLists,
        found: Estimate,
        half: Floats,
        reasons: Sequence[str],
        warnings: Sequence[str],
        freedom: float,
    ) -> Part:
        return Part(
            len(lists.values),
            self._vectors(span),
            found.value,
            half,
            found.variance,
            freedom,
            found.coefficient,
            found.correlation,
            reasons,
            warnings,
        )

    def _none(self, span: Span, lists: JudgedLists, reason: str) -> Part:
        nothing = np.full(len(self.given.measures), np.nan)
        return Part(
            len(lists.values),
            self._vectors(span),
            value=nothing,
            half=nothing,
            variance=nothing,
            freedom=np.nan,
            coefficient=nothing,
            correlation=nothing,
            reasons=[f"no estimate: {reason}"] * len(nothing),
        )

    def _vectors(self, span: Span) -> int | None:
        known = [self.sizes.get(layer) for layer in span.layers]
        return None if None in known else sum(size or 0 for size in known)

    def _disagreement(self, lists: JudgedLists, span: Span) -> Floats | None:
        """The part of each layer's variance that is disagreement of a list's people.

        The variance of people within lists, over all lists of the model with two or more, divided
        by each list's number of people: shape (strata, measures). None where no list has two.
        """
        if self._within is None:
            return None
        inverse = np.bincount(lists.stratum(span), 1 / lists.annotations) / lists.sizes(span)
        return np.asarray(inverse[:, None] * self._within)

    @cached_property
    def _within(self) -> Floats | None:
        """The variance of people within lists, by measure."""
        rows = self.given.annotations
        rows = rows[rows["list_id"].isin(self._values.list_id)]
        values = rows[list(self.given.measures)].to_numpy(dtype=np.float64)
        _, number = np.unique(rows["list_id"].to_numpy(), return_inverse=True)
        size = np.bincount(number)
        freedom = int((size - 1).sum()) if len(size) else 0
        if not freedom:
            return None
        sums = np.zeros((len(size), values.shape[1]))
        np.add.at(sums, number, values)
        away = values - (sums / size[:, None])[number]
        return np.asarray((away**2).sum(axis=0) / freedom)

    def control(self, span: Span) -> Part:
        """The control's means with the layers' weights: a sample from infinitely many vectors."""
        if span not in self._controls:
            self._controls[span] = self._control_part(span)
        return self._controls[span]

    def _control_part(self, span: Span) -> Part:
        lists = self._control.of(span)
        if self.refusal:
            return self._none(span, lists, self.refusal)
        if empty := lists.without(span):
            return self._none(span, lists, _no_list(empty, "the control"))
        weights = np.array([self.sizes[layer] for layer in span.layers], dtype=np.float64)
        strata = lists.strata(span, np.full(len(weights), np.inf))
        sample = lists.sample(span, strata, weights / weights.sum())
        found = classical_estimate(sample)
        reason, warnings = strata.judged(np.ones(len(strata), dtype=np.bool_))
        if not self.given.intervals:
            reason, warnings = "", []
        half = found.half_widths() if self.given.intervals else np.full(len(found.value), np.nan)
        reasons = []
        for column, measure in enumerate(self.given.measures):
            why = reason
            if not reason and self.given.intervals and len(span.layers) == 1:
                most = np.inf if measure in self.given.counts else 1.0
                why = too_near(lists.values[:, column], most=most)
            if why:
                half[column] = np.nan
            reasons.append(why)
        return self._of(span, lists, found, half, reasons, warnings, found.freedom)


def _no_list(layers: Sequence[int], kind: str = "value vectors") -> str:
    has = "has" if len(layers) == 1 else "have"
    return (
        f"{layer_words(layers)} {has} no annotated list of {kind}: annotate a list of each "
        "layer, or take layers that have one"
    )


def _few(span: Span, layers: Sequence[int]) -> str:
    if span.layers == tuple(layers):
        return f"no interval: fewer than {LEAST_LISTS} lists: annotate more"
    return (
        f"no interval: fewer than {LEAST_LISTS} lists: annotate more, or take neighbouring layers "
        "together"
    )
