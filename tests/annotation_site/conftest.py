"""What several folders of tests share; and the log, which refuses to be emptied, can be.

A test that commits ends so on SQLite.
"""

from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from annotation_site.accounts.models import AuditEntry
from annotation_site.workers import claims
from annotation_site.workers.models import Worker
from tests.annotation_site.world import store, world, world_stored  # noqa: F401

WAKING = (
    "corpus.services",
    "corpus.importing",
    "corpus.extraction_runs",
    "measurements.services",
    "traces.services",
    "proxies.services",
    "machine_annotators.services",
    "machine_annotators.exchanges",
    "results.snapshots.services",
    "results.files.jobs",
    "public.services",
)
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


@pytest.fixture(autouse=True, scope="session")
def _only_what_is_filled_is_emptied() -> Iterator[None]:
    """After a committing test. PostgreSQL takes half a second to truncate all tables."""
    operations = connection.ops
    real = operations.sql_flush

    def sql_flush(style: Any, tables: list[str], **_: Any) -> list[str]:
        asked = " UNION ALL ".join(
            f"SELECT '{table}' WHERE EXISTS (SELECT 1 FROM {operations.quote_name(table)})"
            for table in tables
        )
        with connection.cursor() as cursor:
            cursor.execute(asked)
            filled = {table for (table,) in cursor.fetchall()}
        log = AuditEntry._meta.db_table  # which refuses to be deleted from, and nothing refers to
        return [
            f"{'TRUNCATE' if table == log else 'DELETE FROM'} {operations.quote_name(table)};"
            for table in filled
        ]

    if connection.vendor == "postgresql":
        operations.sql_flush = sql_flush  # type: ignore[method-assign]
    yield
    operations.sql_flush = real  # type: ignore[method-assign]


@pytest.fixture
def messages(db: None, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """What is sent to workers, (task, id): one worker lives, with places enough for results."""
    sent: list[tuple[str, int]] = []
    Worker.objects.create(name="m:1:a", seen_at=timezone.now(), extracts=True, tasks_at_once=1_000)
    monkeypatch.setattr(claims, "send", lambda task, pk: sent.append((task.split(".")[-1], pk)))
    # Sent at once: most tests end before their transaction commits.
    monkeypatch.setattr(claims, "wake", claims._wake)
    for module in WAKING:
        monkeypatch.setattr(f"annotation_site.{module}.wake", claims._wake)
    return sent


@pytest.fixture
def bundles(settings: Any, tmp_path: Path) -> Path:
    """A folder of the test's own for what is uploaded."""
    settings.BUNDLES_DIR = tmp_path / "bundles"
    return settings.BUNDLES_DIR


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """A bundle that was made elsewhere."""
    from tests.annotation_site.corpus.bundles import make_bundle

    return make_bundle(tmp_path / "made")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, None, None]:
    """Put the trigger back, after the flush."""
    yield
    if RESTORE in item.stash:
        item.stash[RESTORE]()
