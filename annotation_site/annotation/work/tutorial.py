"""The tutorial: the paper's worked example, to annotate and compare. Nothing is stored."""

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
from annotation_site.annotation.lists.side_by_side import Comparison, annotations_compare
from annotation_site.annotation.lists.tokens import ListToken
from annotation_site.annotation.studies.plans import DEFAULT_CATEGORIES
from annotation_site.errors import InvalidAnnotation

EXAMPLE = Path(__file__).with_name("tutorial.json")
MIN_TOKENS = 4  # the paper's
LONGEST_ANNOTATION = 200_000  # characters of JSON


@dataclass(frozen=True)
class Example:
    """The example list and the paper's annotation of it (Geva et al. 2022, appendix A.2)."""

    tokens: tuple[ListToken, ...]
    answer: Annotation

    @property
    def rules(self) -> Rules:
        """The rules of the example, by the paper's choices."""
        return Rules(len(self.tokens), DEFAULT_CATEGORIES, several_patterns_per_token=False)


@dataclass(frozen=True)
class Side:
    """One annotation's figures. `in_patterns` counts tokens, `counted` those that count."""

    in_patterns: int
    counted: int
    coverage: float


@dataclass(frozen=True)
class TutorialComparison(Comparison):
    """The comparison with coverage; without the person's annotation, only the paper's."""

    theirs: Side
    yours: Side | None


@cache
def example() -> Example:
    """Read the worked example from its file."""
    data = json.loads(EXAMPLE.read_text(encoding="utf-8"))
    tokens = tuple(
        # Of the file, as telling stop words by their spelling takes a second to load.
        ListToken(
            row["rank"],
            row["text"],
            row["gloss"],
            row.get("is_stopword", False),
            [("", row["gloss"])] if row["gloss"] else [],
        )
        for row in data["tokens"]
    )
    patterns = tuple(
        AnnotatedPattern(
            number=pattern["number"],
            description=pattern["description"],
            category=pattern["category"],
            stopwords=False,  # the paper's table flags neither
            ranks=tuple(t["rank"] for t in data["tokens"] if t["pattern"] == pattern["number"]),
        )
        for pattern in data["patterns"]
    )
    return Example(tokens, Annotation(patterns, no_pattern=False, comment=""))


def tutorial_page() -> dict[str, Any]:
    """The example as the annotation page's JSON; without addresses to save or submit to."""
    tokens = example().tokens
    return {
        "list": {
            "id": "tutorial",
            "position": 1,
            "total": 1,
            "state": "in progress",
            "submitted_version": 0,
            "tokens": [[token.display, token.gloss] for token in tokens],
            "senses": [token.senses for token in tokens],
            "stopwords": [token.rank for token in tokens if token.is_stopword],
        },
        "study": {
            "title": "",
            "categories": DEFAULT_CATEGORIES,
            "min_tokens": MIN_TOKENS,
            "several_patterns_per_token": False,
            "show_glosses": True,
            "highlight_spellings": False,
            "open": True,
            "skipped_goes_on": False,
        },
        "urls": {"page": reverse("annotation:tutorial"), "previous": None, "skip": None},
    }


def annotation_read(text: str) -> Annotation:
    """Read an annotation of the example from JSON. Raises InvalidAnnotation for anything else."""
    try:
        data = json.loads(text[:LONGEST_ANNOTATION])
    except (ValueError, RecursionError) as error:
        raise InvalidAnnotation(
            _("The annotation did not arrive whole. Go back to the tutorial and try again.")
        ) from error
    return annotation_parse(data, example().rules)


def compare(yours: Annotation | None) -> TutorialComparison:
    """Compare a person's annotation with the paper's."""
    theirs = example().answer
    found = annotations_compare(example().tokens, theirs, yours, min_tokens=MIN_TOKENS)
    return TutorialComparison(
        **vars(found), theirs=_side(theirs), yours=_side(yours) if yours else None
    )


def _side(answer: Annotation) -> Side:
    """Coverage as the results compute it, for this one annotation."""
    length = len(example().tokens)
    flags = {token.rank: token.is_stopword for token in example().tokens}
    coverage = coverage_of_annotation(
        [(p.ranks, _flag(p, flags)) for p in answer.patterns], length=length, min_tokens=MIN_TOKENS
    )
    ranks = {rank for pattern in answer.patterns for rank in pattern.ranks}
    return Side(len(ranks), round(coverage * length), coverage)


def _flag(pattern: AnnotatedPattern, flags: dict[int, bool]) -> bool:
    proposed = pattern.proposed_stopwords(flags)
    return proposed if pattern.stopwords is None else pattern.stopwords
