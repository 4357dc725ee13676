"""Numbers of results as people read them; a missing value is a dash, never a zero."""

from django import template

register = template.Library()
MISSING = "–"


@register.filter
def percent(share: float | None) -> str:
    """0.367 → 36.7%."""
    return MISSING if share is None else f"{share:.1%}"


@register.filter
def decimals(value: float | None) -> str:
    """1.234 → 1.23."""
    return MISSING if value is None else f"{value:.2f}"
