"""Words that nothing may change: what people typed, names, codes.

Browsers translate pages, some of them unasked; `translate="no"` keeps an element out of it, and the
class is for tools that know only that.
"""

from django.utils.html import format_html
from django.utils.safestring import SafeString

ATTRIBUTES = {"translate": "no", "class": "notranslate"}


def exact(words: object) -> SafeString:
    """Words inside a sentence, as an element of their own."""
    return format_html('<bdi class="notranslate" translate="no">{}</bdi>', words)
