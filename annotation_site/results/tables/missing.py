"""Lists without an annotation: skipped, or opened and not submitted."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pandas as pd
from django.db.models import OuterRef, Q, Subquery

from annotation_site.analysis.annotation_frames import typed_frame
from annotation_site.analysis.missing import MISSING_COLUMNS
from annotation_site.annotation.models import Assignment, Revision, Study
from annotation_site.exports.annotation_records import moment_text
from annotation_site.results.pseudonyms import pseudonyms_of
from annotation_site.results.tables.dataframes import StudyAnnotations
from annotation_site.results.tables.filters import Filters

State = Assignment.State
Purpose = Assignment.Purpose


def skip_rows(study: Study) -> Iterator[tuple[Any, ...]]:
    """Rows of `SKIP_COLUMNS`, with ids of items in place of lists' numbers, in a fixed order."""
    codes = pseudonyms_of(study)
    skips = Revision.objects.filter(assignment=OuterRef("pk"), snapshot__state=State.SKIPPED)
    opened = Q(state__in=(State.EXPIRED, State.WITHDRAWN), opened_at__isnull=False)
    found = (
        Assignment.objects.filter(opened | Q(state=State.SKIPPED), item__study=study)
        .annotate(skipped_at=Subquery(skips.order_by("-version").values("created_at")[:1]))
        .values_list(
            "item_id", "membership__user_id", "purpose", "state", "opened_at", "skipped_at",
            "skip_reason",
        )
    )  # fmt: skip
    rows = []
    for item, user, purpose, state, opened_at, skipped_at, reason in found:
        if state == State.WITHDRAWN:
            rows.append((item, "", purpose, state, "", "", ""))
        elif user in codes:
            at = skipped_at if state == State.SKIPPED else None
            said = reason if state == State.SKIPPED else ""
            rows.append((item, codes[user], purpose, state, _text(opened_at), _text(at), said))
    yield from sorted(rows)


def missing_frame(study: Study, answers: StudyAnnotations, filters: Filters) -> pd.DataFrame:
    """The input of `missing_table`, for the people and days of a filter.

    A skip's day is when it was skipped, that of a list that expired when it was opened.
    """
    lists = set(answers.chosen_lists(filters)["list_id"])
    rows = [
        (item, person, state, reason)
        for item, person, purpose, state, opened, skipped, reason in skip_rows(study)
        if item in lists
        and purpose == Purpose.ANNOTATION
        and (filters.people is None or person in filters.people)
        and filters.takes_day((skipped or opened)[:10])
    ]
    unblinded = answers.of(Purpose.ANNOTATION)
    unblinded = unblinded[unblinded["unblinded"] & ~unblinded["surplus"]]
    columns = unblinded[["list_id", "annotator", "submitted_at"]]
    rows += [
        (item, person, "unblinded", "")
        for item, person, at in columns.itertuples(index=False, name=None)
        if item in lists
        and (filters.people is None or person in filters.people)
        and filters.takes_day(_text(at)[:10])
    ]
    return typed_frame(rows, MISSING_COLUMNS)


def _text(moment: datetime | None) -> str:
    return moment_text(moment.astimezone(UTC)) if moment else ""
