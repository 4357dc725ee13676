"""The sentences that gettext's tools find in templates and scripts."""

import re
from pathlib import Path

from django.conf import settings

SITE = Path(settings.BASE_DIR) / "annotation_site"
TAG = re.compile(r"""\{% translate (?:"([^"]+)"|'([^']+)')""")
BLOCK = re.compile(
    r"\{% blocktranslate.*?%\}(.*?)(?:\{% plural %\}(.*?))?\{% endblocktranslate %\}"
)
CALL = re.compile(r"gettext\(\s*'((?:[^'\\]|\\.)*)'(?:,\s*'((?:[^'\\]|\\.)*)')?")


def sentences(folder: str, suffix: str, *patterns: re.Pattern[str]) -> set[tuple[str, str]]:
    """(singular, plural or "") of every sentence under a folder."""
    text = "".join(p.read_text() for p in sorted((SITE / folder).rglob(f"*{suffix}")))
    found = [match.groups() for pattern in patterns for match in pattern.finditer(text)]
    whole = set()
    for one, other in found:
        if suffix == ".html" and one is None:
            one, other = other, None
        as_msgid = [re.sub(r"\{\{ (\w+) \}\}", r"%(\1)s", part or "") for part in (one, other)]
        whole.add((as_msgid[0], as_msgid[1]))
    return whole
