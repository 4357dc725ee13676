"""What the tests of faults break: a site, its workers, and servers of the tests' own."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.site import Site
from tests.e2e.stopped_site import stopped_site  # noqa: F401
from tests.faults.cluster import Cluster
from tests.faults.servers import Broker, Postgres


@pytest.fixture
def cluster(stopped_site: Site) -> Iterator[Cluster]:  # noqa: F811
    cluster = Cluster(stopped_site)
    yield cluster
    cluster.stop()


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    broker = Broker(tmp_path)
    broker.start()
    yield broker
    broker.kill()


@pytest.fixture
def postgres() -> Iterator[Postgres]:
    # Not in pytest's folder: that one is closed to the user whom PostgreSQL runs as.
    with tempfile.TemporaryDirectory(prefix="ffn-concepts-postgres-") as folder:
        postgres = Postgres(Path(folder))
        postgres.start()
        yield postgres
        postgres.stop("immediate")
