"""Cache of responses of slow gloss sources, shared by every run on this machine.

One SQLite file. Each answer is committed before the next question, so an interrupted run loses
none; several processes may read and write at once. The journal is SQLite's default and not WAL,
because the data folder may lie on a network file system.
"""

import sqlite3
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ffn_extract.errors import GlossError
from ffn_extract.glosses.gloss import Gloss

FILE = "glosses-1.sqlite3"  # the number is the table's version: a program reads its own only
BUSY_SECONDS = 30.0
_TABLE = """
CREATE TABLE IF NOT EXISTS answers (
    source TEXT NOT NULL,
    version TEXT NOT NULL,
    surface TEXT NOT NULL,
    gloss TEXT,
    gloss_source TEXT,
    lemma TEXT,
    stored_at REAL NOT NULL,
    PRIMARY KEY (source, version, surface)
) WITHOUT ROWID
"""


@dataclass(frozen=True)
class Answer:
    """A source's response about a word: a gloss, or None if it does not know the word."""

    gloss: Gloss | None
    seconds_old: float


class GlossCache:
    """Cache of the responses of one version of one source.

    Raises
    ------
    GlossError
        By every method, when the file cannot be read or written; the message names it.
    """

    def __init__(
        self, path: Path, source: str, version: str, now: Callable[[], float] = time.time
    ) -> None:
        self._path = path
        self._key = (source, version)
        self._now = now
        with self._sentences():
            path.parent.mkdir(parents=True, exist_ok=True)
            # Each statement is its own transaction. Whatever thread collects the garbage closes it.
            self._connection = sqlite3.connect(
                path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
            weakref.finalize(self, self._connection.close)
            self._connection.execute(_TABLE)

    def get(self, surface: str) -> Answer | None:
        """The stored response about a word, or None if there is none."""
        with self._sentences():
            row = self._connection.execute(
                "SELECT gloss, gloss_source, lemma, stored_at FROM answers"
                " WHERE source = ? AND version = ? AND surface = ?",
                (*self._key, surface),
            ).fetchone()
        if row is None:
            return None
        text, source, lemma, stored_at = row
        gloss = None if text is None else Gloss(text, source, lemma)
        return Answer(gloss, max(0.0, self._now() - stored_at))

    def put(self, surface: str, gloss: Gloss | None) -> None:
        """Store a response for good; it replaces an older one."""
        fields = (gloss.text, gloss.source, gloss.lemma) if gloss else (None, None, None)
        with self._sentences():
            self._connection.execute(
                "INSERT OR REPLACE INTO answers VALUES (?, ?, ?, ?, ?, ?, ?)",
                (*self._key, surface, *fields, self._now()),
            )

    @contextmanager
    def _sentences(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise GlossError(
                f"The gloss cache {self._path} cannot be used: {error}. Make its folder writable "
                "(FFN_DATA_DIR names another), or delete the file to start with an empty one."
            ) from error
