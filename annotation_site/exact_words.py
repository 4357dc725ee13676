"""Mark words that page translation must not change: typed texts, names, codes.

Browsers translate pages, some of them unasked; `translate="no"` keeps an element out of it, and the
class is for tools that know only that.
"""

from typing import Any

from django import forms
from django.utils.html import format_html
from django.utils.safestring import SafeString

ATTRIBUTES = {"translate": "no", "class": "notranslate"}


class NamesSelect(forms.Select):
    """A choice among names; that of no name, whose value is empty, is a word of the page."""

    def create_option(self, name: str, value: Any, *args: Any, **options: Any) -> dict[str, Any]:
        option = super().create_option(name, value, *args, **options)
        if value:
            option["attrs"].update(ATTRIBUTES)
        return option


def exact(words: object) -> SafeString:
    """Wrap words in an element that page translation leaves alone."""
    return format_html('<bdi class="notranslate" translate="no">{}</bdi>', words)
