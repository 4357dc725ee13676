"""Template filters: a token as one sees it on a trace, and its numbers."""

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString

from annotation_site.traces.page import percent

register = template.Library()
register.filter("probability", percent)
_MARKS = "␣⋯"


@register.filter
def token(text: str) -> SafeString:
    """A token in `bdi`, with the sign of its leading space dimmed."""
    mark = text[:1] if text[:1] in _MARKS else ""
    if mark:
        return format_html(
            '<bdi class="notranslate" translate="no"><i>{}</i>{}</bdi>', mark, text[1:]
        )
    return format_html('<bdi class="notranslate" translate="no">{}</bdi>', text)


@register.filter
def signed(value: float) -> str:
    """A number with its sign, always written: +2.19, −0.67."""
    said = f"{value:+.2f}".replace("-", "−")
    return "0.00" if said[1:] == "0.00" else said
