"""Missing annotations on the results page."""

from collections.abc import Mapping, Sequence
from typing import Any

from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from annotation_site.results.pages.cells import Cell, PageTable, group_name, number, words

Row = Mapping[str, Any]
_LEFT = ("unblinded", "skipped", "expired", "withdrawn", "not_given")
_COLUMNS = {
    "lists": _("Lists"),
    "slots": _("Asked for"),
    "annotations": _("Given"),
    "not_given": _("Not given yet"),
    "skipped": _("Skipped"),
    "expired": _("Not submitted in time"),
    "unblinded": _("Not blind"),
    "withdrawn": _("Opened by people who withdrew"),
}


def missing(rows: Sequence[Row], *, layers: bool) -> PageTable | None:
    """Table of missing annotations of all layers together or of each; None if there are none."""
    shown = [row for row in rows if (row["layer"] is not None) == layers]
    if not any(row[name] for row in shown for name in _LEFT):
        return None
    # A filter by people or days takes a part of the annotations: empty places say nothing then.
    names = [n for n in _COLUMNS if any(row[n] is not None for row in shown)]
    body = [[words(group_name(row)), *(_cell(row, name) for name in names)] for row in shown]
    return PageTable(
        "missing",
        gettext("Missing annotations, by layer") if layers else gettext("Missing annotations"),
        [gettext("Lists of"), *(str(_COLUMNS[name]) for name in names)],
        body,
        gettext(
            "People seldom skip lists at random. If one kind of vector loses more than another, a "
            "difference between the two may come from that. Another person annotates a skipped "
            "list, so skips are not counted in “Not given yet”."
        ),
    )


def _cell(row: Row, name: str) -> Cell:
    if name != "skipped":
        return number(row[name])
    return Cell(f"{row[name]:,}", remark=row["skip_reasons"])
