"""Ten annotators and the workers at once, for ten seconds: nothing is lost, nothing fails.

`make load` is the same with fifty people, for two minutes.
"""

import pytest

from benchmarks.load import MOST_GROWTH, load
from tests.e2e.site import Site

pytestmark = [pytest.mark.e2e, pytest.mark.long, pytest.mark.xdist_group("e2e")]
PEOPLE = 10


def test_a_site_at_work_loses_nothing_and_its_web_server_stays_as_large(stopped_site: Site):
    found = load(stopped_site, people=PEOPLE, seconds=10, think=0.5, labels=3000)
    assert found.wrong == []  # no error of the server, nothing lost, nothing stored twice
    assert found.submissions >= PEOPLE
    assert all(len(times) >= PEOPLE for times in found.times.values())
    assert all(count["ready"] >= 2 for count in found.work.values())
    assert found.growth("web") < MOST_GROWTH
