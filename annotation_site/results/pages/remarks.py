"""Remarks below a table: warnings of ``docs/measures.md`` about its rows."""

import re
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from django.utils.translation import gettext, gettext_noop

ONE_ANNOTATOR = "one annotator alone: another may find other concepts"  # as analysis.strata has it
_NO_SIGNIFICANCE = "no significance is possible"
# What `analysis` says with numbers or other sentences in it; what it says without them is in
# `annotation_site/registry_words.py`. The first that fits is taken, and values hold no "; ".
_WITH_VALUES = (
    gettext_noop(
        "undefined, because no list has annotations of two people and of this machine annotator; "
        "at least %(few)s are needed."
    ),
    gettext_noop(
        "undefined, because only 1 list has annotations of two people and of this machine "
        "annotator; at least %(few)s are needed."
    ),
    gettext_noop(
        "undefined, because only %(n)s lists have annotations of two people and of this machine "
        "annotator; at least %(few)s are needed."
    ),
    gettext_noop(
        "undefined, because no list has annotations of a person and of this machine annotator; "
        "at least %(few)s are needed."
    ),
    gettext_noop(
        "undefined, because only 1 list has annotations of a person and of this machine "
        "annotator; at least %(few)s are needed."
    ),
    gettext_noop(
        "undefined, because only %(n)s lists have annotations of a person and of this machine "
        "annotator; at least %(few)s are needed."
    ),
    gettext_noop(
        "nobody has %(lists)s lists that two other people annotated and this machine annotator "
        "was asked about"
    ),
    gettext_noop(
        "this person has fewer than %(lists)s lists that two other people annotated and this "
        "machine annotator was asked about"
    ),
    gettext_noop("fewer than %(people)s people annotated"),
    gettext_noop("fewer than %(people)s people are tested"),
    gettext_noop(
        "1 person is left out: fewer than %(lists)s lists with two others and this machine "
        "annotator"
    ),
    gettext_noop(
        "%(n)s people are left out: fewer than %(lists)s lists with two others and this machine "
        "annotator"
    ),
    gettext_noop("undefined, because nothing can be compared (%(left_out)s)."),
    gettext_noop("undefined, because %(reason)s."),
    gettext_noop("fewer than %(people)s people share %(lists)s lists each"),
    gettext_noop("this person shares fewer than %(lists)s lists with the people compared"),
    gettext_noop(
        "undefined in %(undefined)s of %(resamples)s resamples, which the interval leaves out"
    ),
    gettext_noop(
        "%(n)s of %(total)s groups of kind and layer has one list and is pooled with the nearest "
        "layer of the same kind"
    ),
    gettext_noop(
        "%(n)s of %(total)s groups of kind and layer have one list and are pooled with the nearest "
        "layer of the same kind"
    ),
    gettext_noop("fewer than %(few)s lists in %(n)s of %(total)s groups of kind and layer"),
    gettext_noop("fewer than %(few)s lists of one layer"),
    gettext_noop("fewer than %(few)s lists"),
    gettext_noop("no interval: fewer than %(few)s lists of one layer"),
    gettext_noop("no interval: fewer than %(few)s lists of one layer are above %(bound)s"),
    gettext_noop("no interval: fewer than %(few)s lists of one layer are below %(bound)s"),
    gettext_noop("no estimate: %(reason)s"),
    gettext_noop(
        "layer %(layers)s has no annotated list of value vectors: annotate a list of each "
        "layer, or take layers that have one"
    ),
    gettext_noop(
        "layer %(layers)s has no annotated list of the control: annotate a list of each "
        "layer, or take layers that have one"
    ),
    gettext_noop(
        "layers %(layers)s have no annotated list of value vectors: annotate a list of each "
        "layer, or take layers that have one"
    ),
    gettext_noop(
        "layers %(layers)s have no annotated list of the control: annotate a list of each "
        "layer, or take layers that have one"
    ),
    gettext_noop("the number of vectors of layer %(layers)s is not known"),
    gettext_noop("the number of vectors of layers %(layers)s is not known"),
    gettext_noop(
        "the proxy is known of %(known)s of %(vectors)s vectors of layer %(layer)s, and must "
        "be known of all: compute it again"
    ),
    gettext_noop("the proxy is not known of %(n)s annotated list: compute it again"),
    gettext_noop("the proxy is not known of %(n)s annotated lists: compute it again"),
    gettext_noop(
        "no interval: fewer than %(few)s lists: annotate more, or take neighbouring layers together"
    ),
    gettext_noop("no interval: fewer than %(few)s lists: annotate more"),
    gettext_noop("no interval: fewer than %(few)s lists are above %(bound)s"),
    gettext_noop("no interval: fewer than %(few)s lists are below %(bound)s"),
    gettext_noop("no interval for people like these: 1 person, at least %(few)s are needed"),
    gettext_noop("no interval for people like these: %(n)s people, at least %(few)s are needed"),
    gettext_noop(
        "no interval for people like these: few people gave most of the annotations (they count "
        "like %(n)s people, at least %(few)s are needed)"
    ),
    gettext_noop("fewer than %(few)s people"),
    gettext_noop("%(n)s layer has judged lists of one kind alone and is left out"),
    gettext_noop("%(n)s layers have judged lists of one kind alone and are left out"),
    gettext_noop("no significance is possible: p cannot be below %(least)s, adjusted %(adjusted)s"),
    gettext_noop("no significance is possible: p cannot be below %(least)s"),
    gettext_noop("%(n)s of the %(unit)s: %(reason)s"),
)


@cache
def _patterns() -> list[tuple[str, re.Pattern[str]]]:
    """Each message of `_WITH_VALUES`, and what finds its values."""
    found = []
    for message in _WITH_VALUES:
        words = re.split(r"%\((\w+)\)s", message)
        words[::2] = map(re.escape, words[::2])
        words[1::2] = (f"(?P<{name}>.+)" for name in words[1::2])
        found.append((message, re.compile("".join(words))))
    return found


def remark(text: str | None) -> str:
    """A remark that a worker stored, part by part, in the language of the page."""
    if text and text.startswith("undefined, "):
        return _part(text)
    return "; ".join(map(_part, _parts(text)))


def _part(text: str) -> str:
    for message, pattern in _patterns():
        if found := pattern.fullmatch(text):
            return gettext(message) % {k: _value(v) for k, v in found.groupdict().items()}
    return gettext(text)


def _value(text: str) -> str:
    """Translate a value that is a remark itself, and leave figures as they are."""
    return remark(text) if re.search(r"[a-z]{2}", text) else text


def warnings_of(rows: Sequence[tuple[str, Mapping[str, Any]]]) -> list[str]:
    """Each warning once, with the names of its rows."""
    found: dict[str, list[str]] = {}
    for name, row in rows:
        for warning in _parts(row.get("warning")):
            # That no significance is possible stands beside the p-value.
            if not warning.startswith(_NO_SIGNIFICANCE):
                found.setdefault(warning, []).append(name)
    names = {name for name, _ in rows}
    return [
        gettext("%(rows)s: %(warning)s.")
        % {"rows": _about(about, names), "warning": remark(warning)}
        for warning, about in found.items()
    ]


def no_significance(row: Mapping[str, Any]) -> str:
    """The sentence that no significance is possible, if a row's warning says so."""
    said = (one for one in _parts(row.get("warning")) if one.startswith(_NO_SIGNIFICANCE))
    return remark(next(said, ""))


def one_annotator(row: Mapping[str, Any]) -> str:
    """The sentence that one person alone is behind a row, if its warning says so."""
    return remark(ONE_ANNOTATOR) if ONE_ANNOTATOR in _parts(row.get("warning")) else ""


def _parts(text: str | None) -> list[str]:
    return [one for one in (text or "").split("; ") if one]


def _about(about: Sequence[str], names: set[str]) -> str:
    """The rows a warning is about; what follows the same model stands behind it once."""
    if set(about) == names:
        return gettext("All rows")
    rest_of: dict[str, list[str]] = {}
    for name in dict.fromkeys(about):
        first, _, rest = name.partition(", ")
        rest_of.setdefault(first, []).append(rest)
    return "; ".join(
        f"{first} ({'; '.join(rest)})" if len(rest) > 1 else ", ".join(filter(None, (first, *rest)))
        for first, rest in rest_of.items()
    )
