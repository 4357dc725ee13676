"""Tables of estimates for all value vectors of a model, by layers, measure and proxy.

The definitions are in ``docs/estimates.md``; the estimator is in
`annotation_site.analysis.estimates.estimator`. All intervals are conditional on the annotators.
"""

import re
from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from annotation_site.analysis.estimates.lists import Span
from annotation_site.analysis.estimates.models import (
    VALUE,
    EstimatedModel,
    EstimateInput,
    Part,
)
from annotation_site.analysis.strata import ONE_ANNOTATOR, WHOLE_RANGE, joined
from annotation_site.analysis.stratified import cut_bounds, half_widths

ESTIMATE_COLUMNS: dict[str, str] = {
    "model": "object",
    "layer_from": "Int64",
    "layer_to": "Int64",
    "measure": "object",
    "proxy": "object",
    "value": "float64",
    "low": "float64",
    "high": "float64",
    "lists": "int64",
    "vectors": "Int64",
    "correlation": "float64",
    "coefficient": "float64",
    "relative_width": "float64",
    "degrees_of_freedom": "float64",
    "warning": "object",
}
DIFFERENCE_COLUMNS: dict[str, str] = {
    "first": "object",
    "second": "object",
    "proxy": "object",
    "layer_from": "Int64",
    "layer_to": "Int64",
    "measure": "object",
    "difference": "float64",
    "low": "float64",
    "high": "float64",
    "lists_first": "int64",
    "lists_second": "int64",
    "warning": "object",
}

OUTSIDE = "the estimate lies outside of what is possible"


def estimates_table(given: EstimateInput) -> pd.DataFrame:
    """Estimate each measure's mean over all value vectors of a model, and of parts of its layers.

    Parameters
    ----------
    given
        Judged lists, measures, sizes of populations and proxies.

    Returns
    -------
    DataFrame
        One row per model, proxy (empty: the classical estimate, which uses none), group of layers
        and measure, in this order: ``model``, ``layer_from`` and ``layer_to`` (both included; both
        missing: all layers), ``measure``, ``proxy``, ``value``, ``low``, ``high`` (95%, cut at 0,
        and at 1 for shares), ``lists`` (judged), ``vectors`` (of the population), ``correlation``
        (of proxy and people within layers), ``coefficient`` (λ), ``relative_width`` (of the
        interval before it is cut, 1 is that of the classical one), ``degrees_of_freedom``,
        ``warning``. Where a model or a proxy allows no estimate, the rows of all layers alone say
        why. Groups of neighbouring layers stand below the layers where a layer has too few lists
        for an interval.
    """
    rows: list[dict[str, Any]] = []
    for model in given.models:
        for proxy in ("", *model.proxies):
            for span in model.spans(proxy):
                rows += _estimates(given, model, proxy, span)
    return _frame(rows, ESTIMATE_COLUMNS)


def _estimates(
    given: EstimateInput, model: EstimatedModel, proxy: str, span: Span
) -> Iterator[dict[str, Any]]:
    part, classical = model.part(span, proxy), model.part(span, "")
    alone = _alone(given, [(model.name, VALUE, layer) for layer in span.layers])
    for column, measure in enumerate(given.measures):
        most = np.inf if measure in given.counts else 1.0
        value, half = part.value[column], part.half[column]
        low, high = cut_bounds(value, half, least=0.0, most=most)
        nothing = WHOLE_RANGE if (low, high) == (0.0, 1.0) and half > 0 and most == 1.0 else ""
        outside = OUTSIDE if value < 0 or value > most else ""
        other = classical.half[column]
        yield {
            "model": model.name,
            "layer_from": span.first,
            "layer_to": span.last,
            "measure": measure,
            "proxy": proxy,
            "value": value,
            "low": low,
            "high": high,
            "lists": part.lists,
            "vectors": part.vectors,
            "correlation": part.correlation[column],
            "coefficient": part.coefficient[column],
            "relative_width": half / other if proxy and other > 0 else np.nan,
            "degrees_of_freedom": part.freedom if np.isfinite(half) else np.nan,
            "warning": joined([nothing, part.reasons[column], outside, alone, *part.warnings]),
        }


def estimate_differences_table(given: EstimateInput) -> pd.DataFrame:
    """Estimate differences of value vectors from their control, and between models.

    Parameters
    ----------
    given
        As for `estimates_table`.

    Returns
    -------
    DataFrame
        One row per pair, proxy, group of layers and measure: ``first`` and ``second`` (model and
        kind), ``proxy``, ``layer_from``, ``layer_to``, ``measure``, ``difference``, ``low``,
        ``high`` (95%), ``lists_first``, ``lists_second``, ``warning``. Controls are draws
        from infinitely many, so the proxy and the finite population correction are those of the
        value vectors alone; the layers have the same weights on both sides. Models are compared
        over all their layers.

    Notes
    -----
    The two sides are independent samples: their variances add up, and the degrees of freedom are
    Satterthwaite's. Two extractions of one model are not, so they have no interval.
    """
    rows: list[dict[str, Any]] = []
    models = given.models
    for model in models:
        if not model.has_control:
            continue
        for proxy in ("", *model.proxies):
            for span in model.spans(proxy):
                rows += _differences(
                    given,
                    (model.part(span, proxy), model.control(span)),
                    [
                        (model.name, VALUE, span.layers),
                        (model.name, model.control_kind, span.layers),
                    ],
                    proxy,
                    span,
                )
    for one, other in combinations(models, 2):
        for proxy in dict.fromkeys(("", *one.proxies, *other.proxies)):
            rows += _differences(
                given,
                (one.part(one.whole, proxy), other.part(other.whole, proxy)),
                [(model.name, VALUE, model.whole.layers) for model in (one, other)],
                proxy,
                Span(None, None, ()),
            )
    return _frame(rows, DIFFERENCE_COLUMNS)


PAIRED = "no interval: two extractions of one model can have lists of the same vectors"
_EXTRACTION = re.compile(r" \(\S+, extraction \d+\)$")  # after the name of a model with several


def _are_paired(first: str, second: str) -> bool:
    """Whether two names are of extractions of one model, whose samples are not independent."""
    names = {_EXTRACTION.sub("", name) for name in (first, second)}
    return first != second and len(names) == 1


def _differences(
    given: EstimateInput,
    sides: tuple[Part, Part],
    of: Sequence[tuple[str, str, Sequence[int]]],
    proxy: str,
    span: Span,
) -> Iterator[dict[str, Any]]:
    first, second = sides
    alone = _alone(given, [(model, kind, layer) for model, kind, layers in of for layer in layers])
    paired = _are_paired(of[0][0], of[1][0])
    freedom = np.array([first.freedom, second.freedom])
    with np.errstate(invalid="ignore"):
        half = half_widths(np.stack([first.variance, second.variance]), freedom)
    for column, measure in enumerate(given.measures):
        most = np.inf if measure in given.counts else 1.0
        difference = first.value[column] - second.value[column]
        known = np.isfinite([first.half[column], second.half[column]]).all() and not paired
        width = float(half[column]) if known else np.nan
        low, high = cut_bounds(difference, width, least=-most, most=most)
        reasons = [PAIRED if paired else "", first.reasons[column], second.reasons[column]]
        yield {
            **dict(
                zip(("first", "second"), (f"{model}: {kind}" for model, kind, _ in of), strict=True)
            ),
            "proxy": proxy,
            "layer_from": span.first,
            "layer_to": span.last,
            "measure": measure,
            "difference": difference,
            "low": low,
            "high": high,
            "lists_first": first.lists,
            "lists_second": second.lists,
            "warning": joined([*reasons, alone, *first.warnings, *second.warnings]),
        }


def _alone(given: EstimateInput, places: Sequence[tuple[str, str, int]]) -> str:
    """The warning if one person annotated all lists of these models, kinds and layers."""
    people = set().union(*(given.annotators.get(place, frozenset()) for place in places))
    return ONE_ANNOTATOR if len(people) == 1 else ""


def _frame(rows: Sequence[dict[str, Any]], columns: dict[str, str]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=list(columns))
    return frame.astype(columns)
