"""The log refuses to be emptied, which is what ends a test that commits on SQLite."""

from collections.abc import Callable, Generator, Iterator
from typing import Any

import pytest
from django.db import connection
from hypothesis import HealthCheck, settings

from annotation_site.accounts.models import AuditEntry

# As Hypothesis has it by itself where CI is set: how long an example takes tells nothing about
# the code on a machine that does other things, too.
settings.register_profile(
    "any machine", settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("any machine")
TRIGGER = "audit_entry_no_DELETE"
RESTORE = pytest.StashKey[Callable[[], None]]()


@pytest.fixture(autouse=True)
def _log_can_be_emptied(request: pytest.FixtureRequest, django_db_blocker: Any) -> Iterator[None]:
    """Lift the trigger against deleting before the flush that follows a committing test."""
    yield
    marker = request.node.get_closest_marker("django_db")
    commits = marker is not None and marker.kwargs.get("transaction", False)
    if connection.vendor != "sqlite" or not commits:  # elsewhere TRUNCATE empties tables
        return
    with connection.cursor() as cursor:
        cursor.execute("SELECT sql FROM sqlite_master WHERE name = %s", [TRIGGER])
        (sql,) = cursor.fetchone()
        cursor.execute(f"DROP TRIGGER {TRIGGER}")

    def restore() -> None:
        with django_db_blocker.unblock(), connection.cursor() as cursor:
            if AuditEntry._meta.db_table in connection.introspection.table_names():
                cursor.execute(sql)  # unless this was the last test, and the database is gone

    request.node.stash[RESTORE] = restore


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, None, None]:
    """Put the trigger back, after the flush."""
    yield
    if RESTORE in item.stash:
        item.stash[RESTORE]()
