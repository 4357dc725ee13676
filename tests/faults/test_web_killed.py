"""The web server is killed again and again while people work: what it acknowledged is there.

And `serve`, its parent: it starts again what was killed.

Ten kills; `make crash` makes it 200 (the variable CRASHES), on SQLite and where TEST_DATABASE_URL
names one on PostgreSQL.
"""

import http.client
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from urllib.parse import urlsplit

import pytest

from annotation_site.serving import NICENESS
from tests.e2e.annotators import Annotator, people_of
from tests.e2e.site import ROOT, Site, wait_for
from tests.faults.bookkeeping import at_work, require_nothing_lost_or_double
from tests.faults.running_site import children

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("faults-web")]
CRASHES = int(os.environ.get("CRASHES", "10"))
PEOPLE = 4


@pytest.mark.long
def test_nothing_acknowledged_is_lost_and_nothing_counts_twice(stopped_site: Site):
    site = stopped_site
    site.prepare()
    people = people_of(site, PEOPLE, lists_per_layer=5)
    site.start_web()
    annotators = [Annotator(("127.0.0.1", site.port), session) for session, *_ in people]
    rng, cut_off = random.Random(0), Counter[str]()
    with at_work(annotators, people):
        for number in range(CRASHES):
            if number % 2 == 0:  # else people on a slow machine never get beyond their first page
                wait_for_a_change(annotators)
            time.sleep(rng.uniform(0.02, 0.4))
            cut_off.update(annotator.asking for annotator in annotators if annotator.asking)
            site.kill()
            site.start_web()

    stored = require_nothing_lost_or_double(site, annotators)
    assert cut_off["draft"] + cut_off["submit"] >= CRASHES / 2  # else nothing was put to the test
    print(
        f"{CRASHES} kills cut off {dict(cut_off)}; "
        f"{sum(a.acknowledged for a in annotators)} changes acknowledged, {stored} "
        f"submissions, {sum(a.retries for a in annotators)} requests repeated"
    )


def test_serve_starts_again_what_was_killed_and_says_so(stopped_site: Site):
    """Each of its three servers alone; people reach the site all the time."""
    site = stopped_site
    site.start()
    wait_for(lambda: len(children(site)) == 3, site.said)
    own = os.getpriority(os.PRIO_PROCESS, 0)
    after = min(own + NICENESS, 19)  # workers let pages go first, as far as there is a first
    wait_for(lambda: ranks(site) == [own, after, after], lambda: str(ranks(site)))
    for pid, title in zip(
        children(site), ("web server", "worker for extractions", "worker for results"), strict=True
    ):
        os.kill(pid, signal.SIGKILL)
        said = f"The {title} was ended by SIGKILL. It is started again; nothing that was saved"
        wait_for(lambda said=said: said in site.log.read_text(), site.said)
        connection = http.client.HTTPConnection(urlsplit(site.address).netloc, timeout=90)
        connection.request("HEAD", "/login/")  # nothing is refused: requests wait
        assert connection.getresponse().status == 200
        connection.close()
    assert site.stop() == 0


def test_serve_gives_up_where_a_server_cannot_run(stopped_site: Site):
    """What stays so is no reason to start again for ever."""
    site = stopped_site
    site.environment["GUNICORN_CMD_ARGS"] = "--config nothing.py"
    with site.log.open("ab") as log:
        ended = subprocess.run(
            [sys.executable, "manage.py", "serve", "--port", "8350"],
            cwd=ROOT, env=site.environment, stdout=log, stderr=log, timeout=300, check=False,
        )  # fmt: skip
    assert ended.returncode > 0
    assert "again and again, so all stops here" in site.log.read_text()


def wait_for_a_change(annotators: list[Annotator]) -> None:
    before = sum(annotator.acknowledged for annotator in annotators)
    wait_for(lambda: sum(a.acknowledged for a in annotators) > before, pause=0.01)


def ranks(site: Site) -> list[int]:
    """How nice each of them is; a process has its parent's rank until it takes its own."""
    return [os.getpriority(os.PRIO_PROCESS, pid) for pid in children(site)]
