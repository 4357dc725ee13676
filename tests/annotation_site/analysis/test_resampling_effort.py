"""Intervals cost what is shown of them: no row is resampled for nothing, nothing is drawn twice."""

from dataclasses import replace

import pytest

from annotation_site.analysis import intervals
from annotation_site.analysis.agreement.measure import Measure, Statistics
from annotation_site.analysis.agreement.registry import AGREEMENT_MEASURES
from annotation_site.analysis.agreement.resampling import _BLOCK
from annotation_site.analysis.agreement.tables import agreement_tables, measure_agreement
from benchmarks.coverage import LAYERS, frames_of

RESAMPLES = 2 * _BLOCK
KINDS = 3


@pytest.fixture
def agreement():
    """36 layers of a kind with three lists each; `agreement.calls` counts how often the one
    measure is computed from sums."""
    of = AGREEMENT_MEASURES["percent_agreement_concept"]
    calls: list[int] = []

    def counting(answers) -> Statistics:
        statistics = of.function(answers)

        def value(sums):
            calls.append(1)
            return statistics.value(sums)

        return replace(statistics, value=value)

    measure: Measure = replace(of, function=counting)
    found = measure_agreement(
        frames_of(LAYERS * KINDS * 3), min_tokens=4, measures={of.name: measure}
    )
    return found, calls


@pytest.mark.parametrize(
    ("by", "groups"), [((), 1), (("kind",), KINDS), (("model", "kind", "layer"), 0)]
)
def test_only_rows_that_get_an_interval_are_resampled(agreement, by, groups):
    """A layer with three lists gets none."""
    found, calls = agreement
    (table,) = agreement_tables(found, by=[by], resamples=RESAMPLES)
    assert table["low"].notna().sum() == groups
    # One call for the values of all groups, then one for each group and block of resamples.
    assert len(calls) == 1 + groups * RESAMPLES // _BLOCK


def test_lists_are_drawn_once_for_all_tables(agreement):
    found, _ = agreement
    intervals._kept_counts.cache_clear()
    for _ in range(3):
        agreement_tables(found, by=[(), ("kind",)], resamples=RESAMPLES, seed=5)
    drawn = intervals._kept_counts.cache_info()
    assert (drawn.misses, drawn.hits) == (LAYERS * KINDS, 2 * LAYERS * KINDS)


def test_draws_that_are_kept_are_those_that_would_be_drawn_again(monkeypatch):
    def weights():
        rows = [range(7), range(1), range(4)]
        return [
            one.tolist()
            for block in intervals.drawn_weights(rows, resamples=5, seed=3, block=2)
            for one in block
        ]

    kept = weights()
    monkeypatch.setattr(intervals, "_FEW", 0)
    assert weights() == kept
