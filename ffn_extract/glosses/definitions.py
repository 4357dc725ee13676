"""WordNet's glosses as stored, cleaned for a reader: the definition without examples and notes.

A stored gloss is a definition, then often examples in quotation marks, each with or without its
author, and notes on usage: 'of an obscure nature; "the new insurance policy is written without
cryptic or mysterious terms"; "a deep dark secret"; …; "mystifying behavior"- Rachel Carson'. The
rules, in their order:

1. A parenthesis that holds a quotation is dropped.
2. The text ends at the first quotation mark, which drops examples, their authors and what follows
   them. Where that mark only closes a quotation, the clause before it is the example.
3. What introduced the example goes with it: "as in", "e.g.", "especially in the phrase".
4. Notes on words are dropped: parentheses and clauses that cite a word (`go'), and parentheses on
   number, form and register ("often plural", "used informally").
5. Citations that are left get typographic quotation marks; marks of punctuation that separate
   nothing, and doubled spaces, are dropped.
"""

import re

_QUOTED_NOTE = re.compile(r'\([^()"]*"[^()]*\)')
_CLOSING_QUOTE = re.compile(r'(?<=\S)"(?!\w)')
_LEAD_IN = re.compile(
    r"[\s,;:]*\b(?:(?:especially |as )?in the (?:phrase|expression)|as in(?: e\.g\.)?|e\.g\.?)$"
)
_CITING_NOTE = re.compile(r"\([^()]*`[^()]*\)")
_HOW_OFTEN = r"(?:(?:often|usually|sometimes|frequently|always|also|chiefly|now|only|not) )*"
_CITING_CLAUSE = re.compile(
    rf"(?<=\S)\s*[;:]\s*(?:{_HOW_OFTEN}(?:followed by|preceded by|used with) )?`[^;]*"
)
_USE = (
    r"(?:plural|informal(?:ly)?(?: usage)?|colloquial(?:ly)?|ironically|in (?:the )?plural"
    r"|in (?:the )?combinations?|used (?:only )?(?:informally|colloquially|ironically|figuratively"
    r"|postpositively|as (?:a )?combining form|as a modifier|in (?:the )?(?:plural|combinations?)"
    r"|with)|(?:postpositive|prenominal|predicative))"
)
_USAGE_NOTE = re.compile(rf"\({_HOW_OFTEN}{_USE}\b[^()]*\)")
_USAGE_CLAUSE = re.compile(rf"^{_HOW_OFTEN}{_USE}\s*[;:]\s*")
_CITATION = re.compile(r"`([^`]+?)'(?!\w)")
_NEEDLESS = (
    (re.compile(r"\s+"), " "),
    (re.compile(r"\( | \)"), lambda found: found[0].strip()),
    (re.compile(r" +(?=[,;:)]|\.(?!\w))"), ""),
    (re.compile(r"[,;:]+(?=[;:])|(?<=[;:]),+"), ""),
)


def clean(stored: str) -> str:
    """The definition in a stored gloss, for a reader; empty if it has none."""
    text = _QUOTED_NOTE.sub("", stored)
    text = _CITING_NOTE.sub("", _LEAD_IN.sub("", _before_examples(text).rstrip(" ,;:")))
    text = _USAGE_CLAUSE.sub("", _USAGE_NOTE.sub("", _CITING_CLAUSE.sub("", text)).lstrip())
    text = _CITATION.sub(r"‘\1’", text).replace("`", "‘")
    for needless, instead in _NEEDLESS:
        text = needless.sub(instead, text)
    return _balanced(text).strip(" ,;:-")


def _before_examples(text: str) -> str:
    """The text before the first quotation mark, and before the quotation that it closes."""
    at = text.find('"')
    if at < 0:
        return text
    definition = text[:at]
    if _CLOSING_QUOTE.match(text, at):
        definition = definition.rpartition(";")[0] or definition
    return definition


def _balanced(text: str) -> str:
    """The text up to a parenthesis that is never closed, without those that were never opened."""
    kept: list[str] = []
    opened: list[int] = []
    for character in text:
        if character == "(":
            opened.append(len(kept))
        elif character == ")":
            if not opened:
                continue
            opened.pop()
        kept.append(character)
    return "".join(kept[: opened[0]] if opened else kept)


_DEBRIS = re.compile(
    r"[\"`]|\s\s|\s[,;:)]|\s\.(?!\w)|[,;:]\s*[,;:]|[,;]\s*-|^[\s,;:.-]|[\s,;:-]$|\(\s*\)"
    r"|\b(?:as in|e\.g\.?|in the phrase|in the expression)$"
)


def has_debris(text: str) -> bool:
    """Whether a gloss holds remains of quotations, notes on usage or stray punctuation."""
    return (
        bool(_DEBRIS.search(text) or _USAGE_NOTE.search(text) or _USAGE_CLAUSE.search(text))
        or _balanced(text) != text
    )
