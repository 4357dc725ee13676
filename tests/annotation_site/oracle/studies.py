"""Studies of made-up answers, and what tables are made from."""

from dataclasses import replace
from typing import Any

from annotation_site.exports import EXPORT_FORMATS, Table, labels_jsonl
from annotation_site.results.files.archive import study_lists
from annotation_site.results.files.archive_annotations import LIST_COLUMNS
from annotation_site.results.files.labels_export import annotation_records
from annotation_site.results.snapshots.computation import table_request
from annotation_site.results.tables.dataframes import annotations_of
from annotation_site.results.tables.filters import Filters
from annotation_site.results.tables.request import TableRequest
from tests.annotation_site.oracle.records import Choice, Study, read
from tests.annotation_site.oracle.shapes import Made

RESAMPLES = 20  # what is drawn at random is looked at elsewhere


def study_of(made: Made, **chosen: Any) -> Study:
    """The study as the oracle knows it: from what is exported."""
    table = Table("lists", LIST_COLUMNS, list(study_lists(made.study)))
    lists = b"".join(EXPORT_FORMATS["csv"].write(table)).decode()
    labels = [labels_jsonl.line_of(one).decode() for one in annotation_records(made.study)]
    return read(
        lists, labels, categories=made.shape.categories, populations=made.populations,
        choice=Choice(**{"min_tokens": made.shape.least, **chosen}),
    )  # fmt: skip


def request_of(made: Made, **chosen: Any) -> TableRequest:
    """What the product computes its tables from, with few resamples."""
    filters = Filters(**{"min_tokens": made.shape.least, **chosen})
    request, _ = table_request(made.study, annotations_of(made.study), filters)
    return replace(request, resamples=RESAMPLES, machines=None)
