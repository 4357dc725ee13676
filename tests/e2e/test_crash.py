"""The web server is killed again and again while people work: what it acknowledged is there.

Ten kills; `make crash` makes it 200 (the variable CRASHES), on SQLite and where TEST_DATABASE_URL
names one on PostgreSQL.
"""

import itertools
import os
import random
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.annotation_site.factories import answer, pattern
from tests.e2e.annotators import Annotator, people_of
from tests.e2e.site import Site

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("e2e")]
CRASHES = int(os.environ.get("CRASHES", "10"))
PEOPLE = 4


def work(annotator: Annotator, lists: list[str], done: threading.Event) -> None:
    """Label list after list, and begin again where there are no more, until told to stop."""
    numbers = itertools.count(1)
    for list_id in itertools.cycle(lists):
        own = annotator.open(list_id)
        for _ in range(3):  # keystrokes
            annotator.save(own, answer(pattern(1, [1, 2], description=f"draft {next(numbers)}")))
        following = annotator.submit(
            own, answer(pattern(1, [1, 2, 3, 4], description=f"answer {next(numbers)}"))
        )
        if following:
            annotator.meet(following)
        if done.is_set():
            return


def test_nothing_acknowledged_is_lost_and_nothing_counts_twice(stopped_site: Site):
    site = stopped_site
    site.prepare()
    people = people_of(site, PEOPLE, lists_per_layer=5)
    site.start_web()
    annotators = [Annotator(("127.0.0.1", site.port), session) for session, *_ in people]
    rng, done, cut_off = random.Random(0), threading.Event(), Counter[str]()
    with ThreadPoolExecutor(PEOPLE) as pool:
        working = [
            pool.submit(work, annotator, lists, done)
            for annotator, (_, *lists) in zip(annotators, people, strict=True)
        ]
        for _ in range(CRASHES):
            time.sleep(rng.uniform(0.02, 0.4))
            cut_off.update(annotator.asking for annotator in annotators if annotator.asking)
            site.kill()
            site.start_web()
        done.set()
        for session in working:
            session.result()

    # Every page shows the last draft or answer that was acknowledged.
    for annotator in annotators:
        for list_id in list(annotator.lists):
            annotator.open(list_id)
    stored = site.query(
        "list(Revision.objects.order_by('assignment', 'version').values_list("
        "'assignment__public_id', 'version', 'key', 'snapshot__answer'))"
    )
    by_list: dict[str, list] = {}
    for list_id, version, key, said in stored:
        by_list.setdefault(list_id, []).append((version, key, said))
    expected = {
        own.id: [(n, key, said) for n, (key, said) in enumerate(own.submissions, 1)]
        for annotator in annotators
        for own in annotator.lists.values()
        if own.submissions
    }
    assert by_list == expected
    counting = site.query(
        "list(Pattern.objects.values_list('assignment__public_id', 'description'))"
    )
    last = [(own_id, s[-1][2]["patterns"][0]["description"]) for own_id, s in expected.items()]
    assert sorted(map(tuple, counting)) == sorted(last)
    assert cut_off["draft"] + cut_off["submit"] >= CRASHES / 2  # else nothing was put to the test
    print(
        f"{CRASHES} kills cut off {dict(cut_off)}; "
        f"{sum(a.acknowledged for a in annotators)} changes acknowledged, {len(stored)} "
        f"submissions, {sum(a.retries for a in annotators)} requests repeated"
    )
