"""The lists that a search finds, as a table and as a file."""

from collections.abc import Iterator

from annotation_site.accounts.models import User
from annotation_site.downloads import Download, require_format, table_as_file
from annotation_site.explorer.search.finding import (
    MOST_ROWS,
    Found,
    FoundVector,
    VectorSearch,
    rows_in_chunks,
    vectors_found,
)
from annotation_site.exports import EXPORT_FORMATS, Table
from annotation_site.exports.table import Column, Row

NAME = "lists"
COLUMNS = (
    Column("extraction_id", "text"), Column("extraction", "text"), Column("model", "text"),
    Column("kind", "text"), Column("layer", "number"), Column("index", "number"),
    Column("rank", "number"), Column("score", "number"), Column("tokens", "text"),
    Column("found_tokens", "text"), Column("people", "number"), Column("categories", "text"),
    Column("descriptions", "text"), Column("coverage", "number"),
    Column("made_up", "number"),
)  # fmt: skip


def found_file(search: VectorSearch, user: User, extension: str) -> Download:
    """The lists that a search finds, as a file in one of the formats of tables.

    At most MOST_ROWS rows; the name of a file with fewer than were found says so. Raises NotFound
    for another format, and Invalid as `vectors_found`.
    """
    require_format(EXPORT_FORMATS, extension)
    found = vectors_found(search, user)
    name = f"{NAME}-first-{MOST_ROWS}-of-{len(found)}" if found.is_cut else NAME
    return table_as_file(found_table(found, user), name=name, extension=extension)


def found_table(found: Found, user: User) -> Table:
    """The rows of a file. `made_up` is 1 where some annotations are those of no people."""
    return Table(NAME, COLUMNS, _rows(found, user))


def _rows(found: Found, user: User) -> Iterator[Row]:
    for row in rows_in_chunks(found, user):
        yield _cells(row)


def _cells(row: FoundVector) -> Row:
    labels, vector = row.labels, row.vector
    return (
        str(row.extraction.public_id),
        str(row.extraction),
        str(row.extraction.model),
        vector.kind,
        vector.layer,
        vector.index,
        row.rank,
        row.score,
        " ".join(token.display for token in row.top),
        " ".join(token.display for token in (*row.top, *row.further) if token.wanted),
        labels.people,
        "; ".join(labels.categories),
        "; ".join(one.text for one in labels.descriptions if one.text),
        labels.share,
        int(labels.is_made_up),
    )
