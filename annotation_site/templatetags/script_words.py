"""Template tag: the script with the words of the page's other scripts."""

from django import template
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import get_language

from annotation_site.annotation.lists import script_words as words

register = template.Library()


@register.simple_tag
def script_words() -> SafeString:
    """A script element for the language of the request; nothing in English.

    It is no module and is not deferred, so it has run before any module does.
    """
    language = get_language() or ""
    found = words.script_words(language)
    if found is None:
        return SafeString("")
    url = reverse("annotation:script_words", args=[language, found.version])
    return format_html('<script src="{}"></script>', url)
