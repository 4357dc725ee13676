"""Remove deleted content from the files of an SQLite database.

SQLite writes zeros over it (`PRAGMA secure_delete` in the settings), but first into its log, whose
older pages stay until the log is copied into the database and cut. PostgreSQL keeps what was
deleted until it vacuums, and its log for as long as it is told to; docs/deploying.md says so.
"""

import logging

from django.db import connection, transaction

log = logging.getLogger(__name__)


def leave_nothing_behind() -> None:
    """After the commit, remove changed and deleted content from old pages and the log."""
    # What was erased stays erased where this fails, so the request must not.
    transaction.on_commit(log_empty, robust=True)


def log_empty() -> None:
    """Checkpoint and truncate SQLite's log; report if a reader prevents it."""
    if connection.vendor != "sqlite" or connection.in_atomic_block:
        return
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        busy, _, _ = cursor.fetchone()
    if busy:
        log.warning(
            "The database's log could not be emptied, because something reads from it for long; "
            "`manage.py tidy` and the daily tidying up try again"
        )
