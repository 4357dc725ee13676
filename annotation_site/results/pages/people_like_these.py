"""Intervals for people like the annotators, beside those conditional on these annotators."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from django.utils.translation import gettext, ngettext

from annotation_site.analysis import written
from annotation_site.results.pages.remarks import remark
from annotation_site.results.pages.values import Row, Write, between

TABLE = "people_intervals"
_NONE = "no interval for people like these: "
_CAUTION = "fewer than "


@dataclass(frozen=True)
class ForPeople:
    """The line of one value: its interval, or why it has none; both empty where neither is known.

    A value without any interval has its reason beside it already, and no line.
    """

    interval: str = ""
    why: str = ""

    @property
    def text(self) -> str:
        return self.interval or self.why


NOTHING = ForPeople()


def for_people(row: Row | None, write: Write) -> ForPeople:
    """The line of a row of `people_intervals`; None where the snapshot lacks it."""
    if row is None:
        return NOTHING
    warning = row["warning"] or ""
    said = between(row["low"], row["high"], write)
    if not said:
        first = warning.split("; ")[0]
        return ForPeople(why=remark(first) if first.startswith(_NONE) else "")
    counted = {"between": said, "n": written.count(row["people"])}
    text = (
        ngettext(
            "for people like these: %(between)s (%(n)s person)",
            "for people like these: %(between)s (%(n)s people)",
            row["people"],
        )
        % counted
    )
    cautions = [one for one in warning.split("; ") if one.endswith(" people")]
    few = [remark(one) for one in cautions if one.startswith(_CAUTION)]
    if few:
        text = gettext("%(interval)s; %(caution)s") % {"interval": text, "caution": few[0]}
    return ForPeople(interval=text)


def rows_by(rows: Iterable[Row]) -> Mapping[tuple[str, str | None, str | None, str], Row]:
    """Rows by what they are of, model, kind and measure."""
    return {(row["of"], row["model"], row["kind"], row["measure"]): row for row in rows}


def common_reason(lines: Sequence[ForPeople]) -> str:
    """The reason that all values share, which is then said once; else empty."""
    reasons = {one.why for one in lines}
    return lines[0].why if lines and len(reasons) == 1 else ""
