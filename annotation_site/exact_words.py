"""Mark words that page translation must not change: typed texts, names, codes.

Browsers translate pages, some of them unasked; `translate="no"` keeps an element out of it, and the
class is for tools that know only that.
"""

from django.utils.html import format_html
from django.utils.safestring import SafeString

ATTRIBUTES = {"translate": "no", "class": "notranslate"}


def exact(words: object) -> SafeString:
    """Wrap words in an element that page translation leaves alone."""
    return format_html('<bdi class="notranslate" translate="no">{}</bdi>', words)
