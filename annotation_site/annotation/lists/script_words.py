"""Sentences of the annotation page's scripts in another language than English."""

import hashlib
import json
from dataclasses import dataclass
from functools import cache

from django.conf import settings
from django.utils.translation.trans_real import DjangoTranslation
from django.views.i18n import JavaScriptCatalog

COUNTED = 101  # the forms of plurals are told for 0 … 100


@dataclass(frozen=True)
class ScriptWords:
    """A script that gives gettext.js its catalogue, and a version that changes with it."""

    version: str
    script: str


@cache
def script_words(language: str) -> ScriptWords | None:
    """The words of a language; None for English, which needs none, and for an unknown language.

    `messages` holds a text, or a list of plural forms, per English sentence; `plural` the number
    of the form for 0, 1, 2, …, the last one for all above, so that the browser need not evaluate
    the catalogue's formula.
    """
    if language == settings.LANGUAGE_CODE or language not in dict(settings.LANGUAGES):
        return None
    reader = JavaScriptCatalog()
    reader.translation = DjangoTranslation(
        language, domain="djangojs", localedirs=[str(path) for path in settings.LOCALE_PATHS]
    )
    plural = [reader.translation.plural(n) for n in range(COUNTED)]
    while len(plural) > 1 and plural[-1] == plural[-2]:
        plural.pop()
    catalogue = {"messages": reader.get_catalog(), "plural": plural}
    compact = json.dumps(catalogue, separators=(",", ":"), ensure_ascii=False)
    script = f"globalThis.catalogue={compact};\n"
    return ScriptWords(hashlib.sha256(script.encode()).hexdigest()[:16], script)
