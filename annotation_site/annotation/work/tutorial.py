"""The tutorial: a worked example to annotate and compare. Nothing is stored.

Of top tokens it is the paper's example; of trigger prefixes one that was written for it, as the
paper prints no whole list.
"""

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from django.urls import reverse
from django.utils.translation import gettext as _

from annotation_site.analysis.one_annotation import coverage_of_annotation
from annotation_site.annotation.lists.annotation_format import (
    AnnotatedPattern,
    Annotation,
    Rules,
    annotation_parse,
)
from annotation_site.annotation.lists.entries import ListEntry
from annotation_site.annotation.lists.page import entries_json
from annotation_site.annotation.lists.side_by_side import Comparison, annotations_compare
from annotation_site.annotation.models import Study
from annotation_site.annotation.studies.plans import PROTOCOLS, Protocol
from annotation_site.errors import InvalidAnnotation

Source = Study.ListSource
FILES = {
    Source.TOP_TOKENS.value: Path(__file__).with_name("tutorial.json"),
    Source.TRIGGER_PREFIXES.value: Path(__file__).with_name("tutorial_prefixes.json"),
}
LONGEST_ANNOTATION = 200_000  # characters of JSON


@dataclass(frozen=True)
class Example:
    """An example list and its annotation: of top tokens the paper's (Geva et al. 2022, appendix
    A.2).
    """

    source: str
    entries: tuple[ListEntry, ...]
    answer: Annotation

    @property
    def protocol(self) -> Protocol:
        """The rules of the paper that the list is from."""
        return PROTOCOLS[self.source]

    @property
    def rules(self) -> Rules:
        """The rules of the example, by the paper's choices."""
        protocol = self.protocol
        return Rules(
            len(self.entries),
            protocol.every_category,
            protocol.several_patterns_per_token,
            self.source,
        )


@dataclass(frozen=True)
class Side:
    """One annotation's figures. `in_patterns` counts entries, `counted` those that count."""

    in_patterns: int
    counted: int
    coverage: float


@dataclass(frozen=True)
class TutorialComparison(Comparison):
    """The comparison with coverage; without the person's annotation, only the example's."""

    theirs: Side
    yours: Side | None


@cache
def example(source: str = Source.TOP_TOKENS) -> Example:
    """Read the worked example of a kind of list from its file."""
    data = json.loads(FILES[source].read_text(encoding="utf-8"))
    entries = tuple(_entry(row) for row in data["entries"])
    patterns = tuple(
        AnnotatedPattern(
            number=pattern["number"],
            description=pattern["description"],
            category=pattern["category"],
            stopwords=False,  # the paper's table flags neither
            ranks=tuple(
                row["rank"] for row in data["entries"] if pattern["number"] in row["patterns"]
            ),
        )
        for pattern in data["patterns"]
    )
    return Example(source, entries, Annotation(patterns, no_pattern=False, comment=""))


def _entry(row: dict[str, Any]) -> ListEntry:
    gloss = row.get("gloss", "")
    return ListEntry(
        row["rank"],
        row["text"],
        gloss,
        # Of the file, as telling stop words by their spelling takes a second to load.
        row.get("is_stopword", False),
        [("", gloss)] if gloss else [],
        row.get("before"),
    )


def tutorial_page(source: str = Source.TOP_TOKENS) -> dict[str, Any]:
    """The example as the annotation page's JSON; without addresses to save or submit to."""
    shown = example(source)
    is_tokens = source == Source.TOP_TOKENS
    page = reverse("annotation:tutorial")
    return {
        "list": {
            "id": "tutorial" if is_tokens else "tutorial-prefixes",
            "position": 1,
            "total": 1,
            "state": "in progress",
            "submitted_version": 0,
            **entries_json(shown.entries),
        },
        "study": {
            "title": "",
            "list_source": source,
            "categories": shown.protocol.every_category,
            "min_tokens": shown.protocol.min_tokens,
            "several_patterns_per_token": shown.protocol.several_patterns_per_token,
            "show_glosses": is_tokens,
            "highlight_spellings": False,
            "open": True,
            "skipped_goes_on": False,
        },
        "urls": {"page": page, "previous": None, "skip": None},
    }


def annotation_read(text: str, source: str = Source.TOP_TOKENS) -> Annotation:
    """Read an annotation of an example from JSON. Raises InvalidAnnotation for anything else."""
    try:
        data = json.loads(text[:LONGEST_ANNOTATION])
    except (ValueError, RecursionError) as error:
        raise InvalidAnnotation(
            _("The annotation did not arrive whole. Go back to the tutorial and try again.")
        ) from error
    return annotation_parse(data, example(source).rules)


def compare(yours: Annotation | None, source: str = Source.TOP_TOKENS) -> TutorialComparison:
    """Compare a person's annotation with that of the example."""
    shown = example(source)
    found = annotations_compare(
        shown.entries, shown.answer, yours, min_tokens=shown.protocol.min_tokens
    )
    theirs = _side(shown, shown.answer)
    return TutorialComparison(
        **vars(found), theirs=theirs, yours=_side(shown, yours) if yours else None
    )


def _side(shown: Example, answer: Annotation) -> Side:
    """Coverage as the results compute it, for this one annotation."""
    length = len(shown.entries)
    flags = {entry.rank: entry.is_stopword for entry in shown.entries}
    coverage = coverage_of_annotation(
        [(p.ranks, _flag(p, flags)) for p in answer.patterns],
        length=length,
        min_tokens=shown.protocol.min_tokens,
    )
    ranks = {rank for pattern in answer.patterns for rank in pattern.ranks}
    return Side(len(ranks), round(coverage * length), coverage)


def _flag(pattern: AnnotatedPattern, flags: dict[int, bool]) -> bool:
    proposed = pattern.proposed_stopwords(flags)
    return proposed if pattern.stopwords is None else pattern.stopwords
