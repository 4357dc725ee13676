"""Values of stored tables for pages: cells with intervals, and missing values with reasons."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from annotation_site.analysis import written
from annotation_site.analysis.written import MISSING
from annotation_site.corpus.models import Kind
from annotation_site.results.pages.remarks import remark

Row = Mapping[str, Any]
Write = Callable[[float | None], str]
ALL_MODELS = _("All models")


@dataclass(frozen=True)
class Cell:
    """Content of a cell: the number, its interval beside it, a remark below, and a link."""

    text: str = MISSING
    between: str = ""
    remark: str = ""
    href: str = ""
    aside: str = ""


def between(low: float | None, high: float | None, write: Write) -> str:
    """An interval: "44.7 to 53.5%", with the unit behind its end alone; empty without one."""
    if low is None or high is None:
        return ""
    ends = {"low": write(low).rstrip("%"), "high": write(high)}
    return gettext("%(low)s to %(high)s") % ends


def valued(row: Row, write: Write, name: str = "value", *, ends: Write | None = None) -> Cell:
    """A value with its interval; a missing one with its reason, if known."""
    missing = "" if row.get(name) is not None else remark(row.get("undefined"))
    interval = between(row.get("low"), row.get("high"), ends or write)
    return Cell(write(row.get(name)), interval, missing)


def by_chance(row: Row) -> str:
    """The chance level of a row of agreement, in words; empty where it has none."""
    if row.get("chance") is None:
        return ""
    return gettext("by chance %(value)s") % {"value": written.decimal(row["chance"])}


def agreed(row: Row) -> Cell:
    """A value of agreement with its interval, and below it what chance would give."""
    cell = valued(row, written.decimal)
    return replace(cell, remark=cell.remark or by_chance(row))


def words(text: Any, href: str = "", aside: str = "") -> Cell:
    return Cell(str(text), href=href, aside=aside)


def number(value: int | None, of: int | None = None) -> Cell:
    """A count; with `of`, which part of how many."""
    if value is None or of is None or value == of:
        return Cell(written.count(value))
    return Cell(written.count(value), aside=gettext("of %(n)s") % {"n": written.count(of)})


def lists_words(count: int) -> str:
    return ngettext("%(n)s list", "%(n)s lists", count) % {"n": written.count(count)}


def part_of_lists(lists: int, total: int) -> str:
    """How many of a row's lists its number rests on: "119 of 120 lists", "120 lists"."""
    if lists == total:
        return lists_words(total)
    said = {"n": written.count(lists), "total": written.count(total)}
    return ngettext("%(n)s of %(total)s list", "%(n)s of %(total)s lists", total) % said


def kind_name(kind: str) -> str:
    return str(Kind(kind).label)


def kind_heading(kind: str) -> str:
    """The kind as the beginning of a line."""
    name = kind_name(kind)
    return name[:1].upper() + name[1:]


def minus_control(kinds: tuple[str, str]) -> str:
    """The name of a kind's difference from its control."""
    if kinds[0] == Kind.KEY:
        return gettext("Keys minus random keys")
    if kinds[1] == Kind.RANDOM:
        return gettext("Value minus random")
    return gettext("Value minus %(control)s") % {"control": kind_name(kinds[1])}


def model_name(model: str | None) -> str:
    """A model's name; rows without one are of all models together."""
    return str(ALL_MODELS) if model is None else model


def group_name(row: Row) -> str:
    """Model, kind, layer and category of a row, as far as present."""
    parts = [model_name(row["model"])] if "model" in row else []
    if row.get("kind"):
        parts.append(kind_name(row["kind"]))
    if row.get("layer") is not None:
        parts.append(gettext("layer %(n)s") % {"n": row["layer"]})
    if row.get("category"):
        parts.append(str(row["category"]))
    return ", ".join(parts)


def translated(text: Any) -> str:
    """A message that a worker stored, in the language of the page."""
    return gettext(text) if text else ""


def duration(seconds: float | None) -> str:
    """0.42 → 0.4 s; 45 → 45 s; 150 → 2 min 30 s; 4000 → 1 h 7 min."""
    if seconds is None:
        return MISSING
    if seconds < 9.95 and seconds != round(seconds):
        return gettext("%(n)s s") % {"n": f"{seconds:.1f}"}
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        parts = ((minutes, gettext("%(n)s min")), (rest, gettext("%(n)s s")))
    else:
        hours, minutes = divmod(round(seconds / 60), 60)
        parts = ((hours, gettext("%(n)s h")), (minutes, gettext("%(n)s min")))
    said = " ".join(unit % {"n": written.count(n)} for n, unit in parts if n)
    return said or gettext("%(n)s s") % {"n": "0"}
