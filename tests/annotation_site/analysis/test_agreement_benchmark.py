"""The benchmark compares like with like; how fast it is, it says itself."""

import pytest

from annotation_site.analysis.agreement.registry import AGREEMENT_MEASURES
from benchmarks.agreement import intervals, ours, tables, theirs, triples
from benchmarks.coverage import frames_of


def test_nltk_gives_the_same_values_on_the_benchmark_s_data() -> None:
    labels = frames_of(40)
    assert ours(labels) == pytest.approx(theirs(*triples(labels)), abs=1e-9)


def test_every_interval_of_the_benchmark_is_made_and_ordered() -> None:
    labels = frames_of(80)
    whole = intervals(labels, tables(labels), 20)[0]
    assert set(whole["measure"]) == set(AGREEMENT_MEASURES)
    assert whole["low"].notna().all()
    assert (whole["low"] <= whole["high"]).all()
