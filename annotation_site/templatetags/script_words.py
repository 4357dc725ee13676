"""Template tag: translations for the page's scripts in the language of the request."""

import json
from functools import cache
from typing import Any

from django import template
from django.conf import settings
from django.utils.html import json_script
from django.utils.safestring import SafeString
from django.utils.translation import get_language
from django.utils.translation.trans_real import DjangoTranslation
from django.views.i18n import JavaScriptCatalog

register = template.Library()
COUNTED = 101  # the forms of plurals are told for 0 … 100


@register.simple_tag
def script_words() -> SafeString:
    """The catalogue for gettext.js as a data block; empty in English.

    `messages` holds a text, or a list of plural forms, per English sentence; `plural` the number
    of the form for 0, 1, 2, …, the last one for all above, so that the browser need not evaluate
    the catalogue's formula.
    """
    language = get_language() or settings.LANGUAGE_CODE
    if language == settings.LANGUAGE_CODE:
        return SafeString("")
    return json_script(_catalogue(language), "catalogue", encoder=_Compact)


class _Compact(json.JSONEncoder):
    """Without the spaces that only people need: the catalogue is a part of every page of a list."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options | {"separators": (",", ":"), "ensure_ascii": False})


@cache
def _catalogue(language: str) -> dict[str, Any]:
    reader = JavaScriptCatalog()
    reader.translation = DjangoTranslation(
        language, domain="djangojs", localedirs=[str(path) for path in settings.LOCALE_PATHS]
    )
    plural = [reader.translation.plural(n) for n in range(COUNTED)]
    while len(plural) > 1 and plural[-1] == plural[-2]:
        plural.pop()
    return {"messages": reader.get_catalog(), "plural": plural}
