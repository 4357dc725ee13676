"""Template filters: stored values as people read them."""

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from typing import Any

from django import template
from django.forms import BoundField
from django.utils.formats import date_format
from django.utils.translation import gettext

from annotation_site.analysis import written
from annotation_site.corpus.models import Kind
from annotation_site.results.pages.remarks import remark
from annotation_site.results.pages.values import duration

register = template.Library()
register.filter(remark)
register.filter("percent", written.share)
register.filter("decimals", written.decimal)
register.filter(duration)


@register.filter
def moment(at: datetime, seconds: object = None) -> str:
    """29 Nov 2026, 13:32 UTC: the one format of the site, which a script shows in local time."""
    clock = "H:i:s" if seconds else "H:i"
    return f"{date_format(at.astimezone(UTC), f'j M Y, {clock}')} UTC"


@register.filter
def day(at: date) -> str:
    """29 Nov 2026, of a day without a time, or a moment of which only the day matters."""
    return date_format(at, "j M Y")


def _unit(figure: str, unit: str) -> str:
    return unit % {"n": figure}


@register.filter
def rough_duration(seconds: float) -> str:
    """An estimate: 42 → 42 s; 150 → 3 min; 4000 → 1 h 10 min; no more figures than are known."""
    if seconds < 90:
        return duration(max(1, round(seconds)))
    step = 60 if seconds < 3600 else 600
    return duration(round(seconds / step) * step)


@register.filter
def rough_bytes(size: int) -> str:
    """An estimate: 831299584 → 830 MB; two figures, no more than are known."""
    unit, name = (1e9, gettext("%(n)s GB")) if size >= 1e9 else (1e6, gettext("%(n)s MB"))
    amount = max(size / unit, 1)
    return _unit(f"{amount:.1f}" if amount < 10 else f"{float(f'{amount:.2g}'):,.0f}", name)


# The first that is named counts: most browsers also name those that they are like.
_BROWSERS = {
    "Edg": "Edge", "OPR": "Opera", "SamsungBrowser": "Samsung Internet", "Firefox": "Firefox",
    "FxiOS": "Firefox", "Chrome": "Chrome", "CriOS": "Chrome", "Safari": "Safari",
}  # fmt: skip
_SYSTEMS = {
    "Windows": "Windows", "Android": "Android", "iPhone": "iPhone", "iPad": "iPad",
    "Mac OS X": "macOS", "CrOS": "ChromeOS", "Linux": "Linux",
}  # fmt: skip


@register.filter
def browser(user_agent: str) -> str:
    """The names in what a browser says of itself: "Firefox, Windows"; else its first words."""
    found = [
        next((said for mark, said in names.items() if mark in user_agent), "")
        for names in (_BROWSERS, _SYSTEMS)
    ]
    return ", ".join(filter(None, found)) if found[0] else user_agent[:60]


@register.filter
def in_words(value: Any) -> str:
    """Format a parameter's JSON value as a line of text."""
    if value is None or value == []:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return ", ".join(
            f"{str(key).replace('_', ' ')} {in_words(item)}" for key, item in value.items()
        )
    if isinstance(value, list):
        return "; ".join(in_words(item) for item in value)
    return str(value)


@register.filter
def translated(message: str) -> str:
    """An English message that a worker stored, in the language of the page."""
    return gettext(message) if message else ""


@register.filter
def pairs(value: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """The keys and values of a dictionary; `.items` in a template would look up a key first."""
    return list(value.items())


@register.filter
def at(found: Mapping[str, Any], name: str) -> Any:
    """A dictionary's value under a name; None for a name that it lacks."""
    return found.get(name)


@register.filter
def any_at(fields: Iterable[BoundField], found: Mapping[str, Any]) -> bool:
    """Whether a dictionary has something under the name of one of these fields."""
    return any(field.name in found for field in fields)


@register.filter
def by_kind(counts: Mapping[str, int]) -> str:
    """Counts in the order of every table: 60 value, 60 random, 60 update."""
    return ", ".join(f"{counts[kind]:,} {kind}" for kind in Kind.values if kind in counts)
