"""The benchmark of the server runs, and what it measures stays within very wide limits."""

import statistics

import pytest

from benchmarks.annotators import PEOPLE, measure

pytestmark = [pytest.mark.e2e, pytest.mark.long, pytest.mark.xdist_group("e2e")]


def test_annotators_are_not_slower_by_an_order_of_magnitude():
    times = measure(1)
    assert all(len(measured) >= PEOPLE for measured in times.values())
    assert all(statistics.median(measured) < 2000 for measured in times.values())
