"""The messages that a catalogue can have: makemessages' way over the site, and of its libraries."""

import ast
import gettext
import re
from functools import cache
from pathlib import Path

import allauth
import django
import rest_framework
from django.conf import settings

from tests.annotation_site.translatable import BLOCK, TAG, sentences

MSGID = re.compile(r'^msgid ("[^\n]*"(?:\n"[^\n]*")*)', re.MULTILINE)
IN_TAG = re.compile(r"""\b_\((?:"([^"]+)"|'([^']+)')\)""")
MARKS = re.compile(r"(?:u?n?p?gettext(?:_lazy|_noop)?|_)")


def _name(call: ast.Call) -> str:
    return call.func.id if isinstance(call.func, ast.Name) else getattr(call.func, "attr", "")


def marked(text: str) -> set[str]:
    """The literals that calls of gettext's functions begin with in a module."""
    found = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Call) and MARKS.fullmatch(_name(node)):
            for one in node.args:
                if not (isinstance(one, ast.Constant) and isinstance(one.value, str)):
                    break
                found.add(one.value)
    return found


@cache
def of_libraries() -> frozenset[str]:
    """What libraries ask to be translated: their English catalogues; of one, its German one."""
    found: set[str] = set()
    for library in (django, allauth):
        for path in Path(library.__file__).parent.rglob("locale/en/LC_MESSAGES/django.po"):
            texts = MSGID.findall(path.read_text())
            found |= {"".join(map(ast.literal_eval, text.splitlines())) for text in texts}
    with (Path(rest_framework.__file__).parent / "locale/de/LC_MESSAGES/django.mo").open(
        "rb"
    ) as of:
        keys = vars(gettext.GNUTranslations(of))["_catalog"]
    return frozenset(found | {key if isinstance(key, str) else key[0] for key in keys})


@cache
def collected() -> frozenset[str]:
    """Every message of the site's modules and templates, and of the libraries."""
    site = Path(settings.BASE_DIR) / "annotation_site"
    modules = set().union(*(marked(path.read_text()) for path in site.rglob("*.py")))
    pairs = sentences("templates", ".html", TAG, BLOCK, IN_TAG)
    pairs |= sentences("templates", ".txt", TAG, BLOCK)
    texts = {one for pair in pairs for one in pair if one}
    escaped = {re.sub(r"%(?!\(\w+\)s)", "%%", one) for one in texts}
    languages = {name for _, name in settings.LANGUAGES}  # each in itself
    return frozenset(modules | texts | escaped | languages | {""} | of_libraries())
