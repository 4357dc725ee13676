"""PostgreSQL is stopped and started again, and crashes, while people submit."""

import http.client
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from annotation_site.errors import UNAVAILABLE
from tests.e2e.annotators import Annotator, people_of
from tests.e2e.site import Site
from tests.faults.bookkeeping import require_nothing_lost_or_double, work
from tests.faults.marks import ONCE

pytestmark = [pytest.mark.xdist_group("faults-services"), ONCE]
PEOPLE = 3
AWAY_SECONDS = 1.5


@pytest.fixture
def site(tmp_path, postgres):
    site = Site(tmp_path / "var", models=False)
    site.environment["DATABASE_URL"] = postgres.url
    site.prepare()
    yield site
    site.kill()


def test_people_are_told_to_wait_and_nothing_is_lost_or_counted_twice(site, postgres):
    people = people_of(site, PEOPLE, lists_per_layer=5)
    site.start_web()
    annotators = [Annotator(("127.0.0.1", site.port), session) for session, *_ in people]
    done = threading.Event()
    with ThreadPoolExecutor(PEOPLE) as pool:
        working = [
            pool.submit(work, annotator, lists, done)
            for annotator, (_, *lists) in zip(annotators, people, strict=True)
        ]
        for mode in ("fast", "immediate"):
            time.sleep(1)
            before = sum(annotator.acknowledged for annotator in annotators)
            postgres.stop(mode)
            time.sleep(AWAY_SECONDS)
            require_sentences(site)
            postgres.start()
            wait_for_more(annotators, before)
        done.set()
        for session in working:
            session.result()
    assert sum(annotator.told_to_wait for annotator in annotators) >= PEOPLE
    require_nothing_lost_or_double(site, annotators)


def require_sentences(site: Site) -> None:
    """While the database is away pages and the API say so, and ask to come again."""
    for path, media_type in (("/", "text/html"), ("/api/me", "application/json")):
        connection = http.client.HTTPConnection("127.0.0.1", site.port, timeout=30)
        connection.request("GET", path, headers={"Cookie": "sessionid=" + "a" * 32})
        response = connection.getresponse()
        assert (response.status, response.headers.get_content_type()) == (503, media_type)
        assert response.headers["Retry-After"] == "5"
        assert UNAVAILABLE in response.read().decode()
        connection.close()


def wait_for_more(annotators: list[Annotator], before: int) -> None:
    """Until people go on: by themselves, as their pages do."""
    deadline = time.monotonic() + 60
    while sum(annotator.acknowledged for annotator in annotators) < before + 2 * PEOPLE:
        assert time.monotonic() < deadline, "Nobody could go on after the database was back."
        time.sleep(0.05)
