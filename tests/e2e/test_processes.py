"""What the processes of a site load, and the memory that they take, as `serve` runs them."""

import json
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.annotators import ANSWER
from benchmarks.start import processes_of, resident
from tests.e2e.annotators import Annotator, people_of
from tests.e2e.loaded import MAY_LOAD, packages_of
from tests.e2e.site import Site, wait_for

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="asks /proc")
MB = 1_000_000
# The web server's parent answers no page: it loads what the others share, its libraries too.
MOST = {"web": 120 * MB, "web parent": 135 * MB, "worker": 150 * MB}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A site as `serve` runs it, after an annotator's first pages. On SQLite."""
    site = Site(tmp_path_factory.mktemp("site") / "var", models=False)
    site.environment |= {
        "TOLD": str(site.folder), "PYTHONPATH": str(Path(__file__).parent / "told"),
    }  # fmt: skip
    site.prepare()
    ((session, *lists),) = people_of(site, 1, lists_per_layer=2)
    site.start()
    try:
        person = Annotator(("127.0.0.1", int(site.address.rpartition(":")[2])), session)
        for path in ("/", "/hours/", "/tutorial/"):
            assert person.persist("GET", path)[0] == 200
        own = person.open(lists[0])
        person.save(own, ANSWER)
        person.submit(own, ANSWER)
        person.close()
        # A worker beats when it is ready, and its children are there.
        wait_for(lambda: site.rows("SELECT count(*) FROM workers_worker") == [(2,)], site.said)
        yield site
    finally:
        site.stop()


def loaded(site: Site, process: int) -> set[str]:
    """The packages that a process says it has loaded."""
    path = site.folder / f"{process}.json"
    path.unlink(missing_ok=True)
    os.kill(process, signal.SIGRTMIN)
    wait_for(path.exists, site.said, pause=0.02)
    return packages_of(json.loads(path.read_text()))


def test_each_process_loads_what_it_may(site):
    found = processes_of(site)
    count = {kind: len(processes) for kind, processes in found.items()}
    assert count == {"serve": 1, "web parent": 1, "web": 2, "worker": 5}
    for kind, processes in found.items():
        more = {name for process in processes for name in loaded(site, process)} - MAY_LOAD[kind]
        assert not more, f"{kind}: a new one belongs into tests/e2e/loaded.py, or is loaded late"


def test_processes_are_small(site):
    for kind, most in MOST.items():
        sizes = [resident(process).total for process in processes_of(site)[kind]]
        assert max(sizes) <= most, (kind, sizes)
