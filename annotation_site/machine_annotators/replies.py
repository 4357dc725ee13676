"""Reading a language model's reply: strictly, by one rule. Pure.

The whole reply is one JSON object, or that object alone in one Markdown code fence. Its keys are
`patterns` and `no_pattern`; those of a pattern are `description`, `category` and `ranks`. Anything
else is malformed. A reply is never repaired.
"""

import json
import re
import unicodedata
from typing import Any, NoReturn

from django.utils import translation

from annotation_site.annotation.lists.annotation_format import (
    MOST_PATTERNS,
    Annotation,
    Rules,
    annotation_parse,
)
from annotation_site.errors import InvalidAnnotation

REPLY_MOST = 100_000
"""Characters of a reply that is read. 30 patterns with the longest descriptions have fewer."""
REASON_MOST = 300
_QUOTED_MOST = 60
_DEPTH = 4  # object, patterns, pattern, ranks
_FENCE = re.compile(r"```(?:json)?[ \t]*\r?\n(.*?)\r?\n?```", re.DOTALL | re.IGNORECASE)
# Texts, or brackets outside of them. A text that does not end takes the rest: linear in any case.
_BRACKETS = re.compile(r'"(?:[^"\\]|\\.)*+"?|[\[{]|[\]}]', re.DOTALL)
_WHITESPACE = " \t\r\n"
_KEYS = {"patterns", "no_pattern"}
_PATTERN_KEYS = {"description", "category", "ranks"}
_MOST_DIGITS = 9


class ReplyMalformed(Exception):
    """A reply that is no annotation; its text is the reason, in English, at most 300 characters."""

    def __init__(self, reason: str) -> None:
        self.reason = reason if len(reason) <= REASON_MOST else f"{reason[: REASON_MOST - 1]}…"
        super().__init__(self.reason)


def reply_read(text: str, rules: Rules) -> Annotation:
    """The annotation in a reply, by the rules of the study. Raises ReplyMalformed."""
    if len(text) > REPLY_MOST:
        raise ReplyMalformed(f"It is longer than {REPLY_MOST:,} characters.")
    stripped = text.strip(_WHITESPACE)
    if not stripped:
        raise ReplyMalformed("It is empty.")
    fenced = _FENCE.fullmatch(stripped)
    data = _loaded(fenced[1].strip(_WHITESPACE) if fenced else stripped)
    _require_keys(data, _KEYS, "The object")
    described = {**data, "patterns": _patterns(data["patterns"]), "comment": ""}
    if not isinstance(data["no_pattern"], bool):
        raise ReplyMalformed("no_pattern must be true or false.")
    if not described["patterns"] and not data["no_pattern"]:
        raise ReplyMalformed("It has no pattern, and no_pattern is false. One of them is wrong.")
    if described["patterns"] and data["no_pattern"]:
        raise ReplyMalformed("It has patterns, and no_pattern is true. One of them is wrong.")
    try:
        with translation.override("en"):
            return annotation_parse(described, rules)
    except InvalidAnnotation as error:
        with translation.override("en"):
            raise ReplyMalformed(error.message) from None


def _loaded(text: str) -> dict[str, Any]:
    if not text.startswith("{"):
        raise ReplyMalformed(f"It is not one JSON object: it begins with {_shown(text)}.")
    _require_shallow(text)
    try:
        data, end = _DECODER.raw_decode(text)
    except json.JSONDecodeError as error:
        near = _shown(text[error.pos :]) if error.pos < len(text) else "its end"
        raise ReplyMalformed(
            f"It is not valid JSON: {error.msg.rstrip('.')}, at character {error.pos + 1}, {near}."
        ) from None
    if end != len(text):
        raise ReplyMalformed(f"There is text after the JSON object: {_shown(text[end:].strip())}.")
    return dict(data)


def _require_shallow(text: str) -> None:
    """Refuse nesting before it is parsed, which would need the stack."""
    depth = 0
    for found in _BRACKETS.finditer(text):
        depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(found[0], 0)
        if depth > _DEPTH:
            raise ReplyMalformed(f"It is nested deeper than {_DEPTH} levels.")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ReplyMalformed(f"The key {_shown(key)} is there twice in one object.")
        found[key] = value
    return found


def _whole(digits: str) -> int:
    if len(digits) > _MOST_DIGITS:
        raise ReplyMalformed(f"The number {_shown(digits)} is no rank.")
    return int(digits)


def _no_constant(name: str) -> NoReturn:
    raise ReplyMalformed(f"{name} is not valid JSON.")


_DECODER = json.JSONDecoder(object_pairs_hook=_once, parse_int=_whole, parse_constant=_no_constant)


def _patterns(data: Any) -> list[dict[str, Any]]:
    if not isinstance(data, list):
        raise ReplyMalformed("patterns must be a list.")
    if len(data) > MOST_PATTERNS:
        raise ReplyMalformed(f"It has {len(data):,} patterns; at most {MOST_PATTERNS} are read.")
    return [_pattern(one, number) for number, one in enumerate(data, 1)]


def _pattern(data: Any, number: int) -> dict[str, Any]:
    _require_keys(data, _PATTERN_KEYS, f"Pattern {number}")
    description = data["description"]
    if not isinstance(description, str) or not description.strip():
        raise ReplyMalformed(f"Pattern {number} has no description.")
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in description):
        raise ReplyMalformed(f"The description of pattern {number} has a control character.")
    return {"number": number, "stopwords": None, **data}


def _require_keys(data: Any, keys: set[str], what: str) -> None:
    if not isinstance(data, dict):
        raise ReplyMalformed(f"{what} must be a JSON object.")
    for key in sorted(keys - data.keys()):
        raise ReplyMalformed(f"{what} has no key “{key}”.")
    for key in sorted(data.keys() - keys):
        raise ReplyMalformed(f"{what} has a key {_shown(key)}, which is not part of the format.")


def _shown(text: str) -> str:
    """The beginning of a text of the reply, as Python quotes it, at most 60 characters."""
    whole = ascii(text[: _QUOTED_MOST + 1])
    return whole if len(whole) <= _QUOTED_MOST else f"{whole[: _QUOTED_MOST - 2]}…{whole[0]}"
