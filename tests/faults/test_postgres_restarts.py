"""PostgreSQL is stopped and started again, and crashes, while people submit."""

import http.client
from operator import lt

import pytest

from annotation_site.errors import UNAVAILABLE
from tests.e2e.annotators import Annotator, people_of
from tests.e2e.site import Site, wait_for
from tests.faults.bookkeeping import at_work, require_nothing_lost_or_double
from tests.faults.marks import ONCE

pytestmark = [pytest.mark.xdist_group("faults-services"), ONCE]
PEOPLE = 3


@pytest.fixture
def site(tmp_path, postgres):
    site = Site(tmp_path / "var", models=False)
    site.environment["DATABASE_URL"] = postgres.url
    site.run("from annotation_site.serving import prepare; prepare()")
    yield site
    site.kill()


def test_people_are_told_to_wait_and_nothing_is_lost_or_counted_twice(site, postgres):
    people = people_of(site, PEOPLE, lists_per_layer=5)
    site.start_web()
    annotators = [Annotator(("127.0.0.1", site.port), session) for session, *_ in people]
    with at_work(annotators, people):
        for mode in ("fast", "immediate"):
            wait_for_more(annotators)
            told = [annotator.told_to_wait for annotator in annotators]
            postgres.stop(mode)
            wait_for(lambda told=told: all(map(lt, told, [a.told_to_wait for a in annotators])))
            require_sentences(site)
            postgres.start()
            wait_for_more(annotators)
    require_nothing_lost_or_double(site, annotators)


def require_sentences(site: Site) -> None:
    """While the database is away pages and the API say so, and ask to come again."""
    for path, media_type in (("/", "text/html"), ("/api/me", "application/json")):
        connection = http.client.HTTPConnection("127.0.0.1", site.port, timeout=90)
        connection.request("GET", path, headers={"Cookie": "sessionid=" + "a" * 32})
        response = connection.getresponse()
        assert (response.status, response.headers.get_content_type()) == (503, media_type)
        assert response.headers["Retry-After"] == "5"
        assert str(UNAVAILABLE) in response.read().decode()
        connection.close()


def wait_for_more(annotators: list[Annotator]) -> None:
    """Until people go on: by themselves, as their pages do."""
    enough = sum(annotator.acknowledged for annotator in annotators) + 2 * PEOPLE
    wait_for(
        lambda: sum(annotator.acknowledged for annotator in annotators) >= enough,
        lambda: "Nobody could go on.",
        pause=0.05,
    )
