"""A crowd of which three in ten drop out: no slot is lost, none is given out too often, and the
payment table accounts for everybody.
"""

import os
from collections import Counter

import pytest
from django.db import connection
from django.db.models import Count
from django.test.utils import CaptureQueriesContext

from annotation_site.annotation.crowd.models import CrowdParticipant
from annotation_site.annotation.crowd.payment import counts_by_state, payments
from annotation_site.annotation.models import Assignment, Membership
from tests.annotation_site.annotation.crowd.crowds import LISTS_EACH, Crowd, K

pytestmark = pytest.mark.django_db
PEOPLE = int(os.environ.get("CROWD", "60"))  # `make crowd` simulates 1,000


@pytest.fixture(autouse=True)
def _many_from_one_address(settings):
    settings.ACCOUNT_RATE_LIMITS = {**settings.ACCOUNT_RATE_LIMITS, "open_link": "100000/m/ip"}


def simulate(people: int, monkeypatch) -> Crowd:
    crowd = Crowd(people, monkeypatch, dropout=0.3)
    crowd.run()
    study = crowd.study
    given = Assignment.objects.filter(item__study=study, purpose="annotation")
    held = given.filter(state__in=Assignment.LIVE, surplus=False)
    per_list = Counter(dict(held.values_list("item").annotate(n=Count("pk"))))
    lists = list(study.items.values_list("pk", flat=True))
    assert Counter(per_list[item] for item in lists) == {K: len(lists)}  # none lost, none too many
    assert set(held.values_list("state", flat=True)) == {"submitted"}
    twice = given.values("item", "membership__user").annotate(n=Count("pk")).filter(n__gt=1)
    assert not twice.exists()
    most = given.values("membership").annotate(n=Count("pk")).order_by("-n")[0]["n"]
    assert most == LISTS_EACH
    rows = payments(study)
    assert {row.pseudonym: row.state for row in rows} == crowd.outcomes
    assert len(rows) == CrowdParticipant.objects.count() == crowd.people
    assert sum(counts_by_state(rows).values()) == crowd.people
    assert {row.pseudonym: row.code for row in rows if row.code} == crowd.codes
    assert set(crowd.codes.values()) == {"CODE-1"}
    done = sum(row.work.done for row in rows)
    surplus = given.filter(state="submitted", surplus=True).count()
    withdrawn = Membership.objects.filter(study=study, withdrawn_at__isnull=False)
    assert done == K * len(lists) + surplus
    assert withdrawn.count() == list(crowd.outcomes.values()).count("left")
    assert all(row.sentence.endswith(".") for row in rows)
    return crowd


def test_a_crowd_loses_nothing_and_everybody_is_accounted_for(monkeypatch):
    crowd = simulate(PEOPLE, monkeypatch)
    assert set(crowd.outcomes.values()) == {"complete", "left", "away", "failed check"}
    with CaptureQueriesContext(connection) as queries:
        payments(crowd.study)
    # participants, work, annotators, recent annotations, their revisions, the study's median
    assert len(queries) <= 6
