"""The fixture that tests of several packages begin with."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.site import Site, database_of_its_own


@pytest.fixture
def stopped_site(tmp_path: Path) -> Iterator[Site]:
    """A site with a database and nobody in it, whose servers are not running."""
    site = Site(tmp_path / "var")
    with database_of_its_own(site.environment):
        site.prepare()
        yield site
        if site.process is not None and site.process.poll() is None:
            site.stop()
