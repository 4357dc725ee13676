"""A small labelled study, and its coverage worked out by hand."""

import csv
import io
from fractions import Fraction

import pytest

from annotation_site.annotation.models import Assignment, Membership
from tests.annotation_site.annotation.answering import submit
from tests.annotation_site.factories import (
    answer,
    client_of,
    make_extraction,
    make_study,
    pattern,
)


def labelled_study():
    """Lists V0, V1, R0, R1 (kind and layer), judged by A and B; B has not judged R1."""
    study = make_study(
        extraction=make_extraction(layers=2, per_layer=1, kinds=("value", "random")),
        lists_per_layer=1,
        categories=("semantic", "syntactic"),
        title="By hand",
    )
    first, second = (m.pk for m in study.memberships.filter(role="annotator").order_by("pk"))
    answers = {
        (first, "value", 0): answer(
            pattern(1, [1, 2, 3, 4, 5, 6]), pattern(2, [7, 8, 9, 10], category="syntactic")
        ),
        (second, "value", 0): answer(pattern(1, list(range(1, 9))), pattern(2, [20, 21, 22])),
        (first, "value", 1): answer(),
        (second, "value", 1): answer(
            pattern(1, list(range(1, 13)), category="syntactic", stopwords=True)
        ),
        (first, "random", 0): answer(pattern(1, [1, 2, 3])),
        (second, "random", 0): answer(),
        (first, "random", 1): answer(
            pattern(1, [1, 2, 3, 4]), pattern(2, [5, 6, 7, 8, 9], category="syntactic")
        ),
    }
    for (person, kind, layer), content in answers.items():
        submit(
            Assignment.objects.get(
                membership=person, item__vector__kind=kind, item__vector__layer=layer
            ),
            content,
        )
    return study


# coverage, with stopwords, semantic, syntactic: of 30 tokens, mean over people, then over lists.
# V0: A covers 6 + 4 tokens, B covers 8 (its second pattern has 3 tokens, below the minimum of 4)
# V1: A says no pattern; B's only pattern is flagged: 12 tokens count with stopwords only
# R0: A's only pattern is below the minimum; B says no pattern
# R1: A alone covers 4 + 5
BY_HAND = {
    ("value", "0"): (Fraction(9, 30), Fraction(9, 30), Fraction(7, 30), Fraction(2, 30)),
    ("value", "1"): (0, Fraction(6, 30), 0, 0),
    ("value", ""): (Fraction(9, 60), Fraction(15, 60), Fraction(7, 60), Fraction(2, 60)),
    ("random", "0"): (0, 0, 0, 0),
    ("random", "1"): (Fraction(9, 30), Fraction(9, 30), Fraction(4, 30), Fraction(5, 30)),
    ("random", ""): (Fraction(9, 60), Fraction(9, 60), Fraction(4, 60), Fraction(5, 60)),
}
COUNTS = {  # lists in all, judged, annotations, "no pattern" answers; concepts per list
    ("value", "0"): (1, 1, 2, 0, 1.5, 1.5),
    ("value", "1"): (1, 1, 2, 1, 0, 0.5),
    ("value", ""): (2, 2, 4, 1, 0.75, 1),
    ("random", "0"): (1, 1, 2, 1, 0, 0),
    ("random", "1"): (1, 1, 1, 0, 2, 2),
    ("random", ""): (2, 2, 3, 1, 1, 1),
}


def assert_is_the_calculation_by_hand(content: bytes) -> None:
    rows = list(csv.DictReader(io.StringIO(content.decode())))
    assert [(row["kind"], row["layer"]) for row in rows] == [
        ("value", ""), ("random", ""),
        ("value", "0"), ("value", "1"), ("random", "0"), ("random", "1"),
    ]  # fmt: skip
    for row in rows:
        key = (row["kind"], row["layer"])
        shares = ("coverage", "coverage_with_stopwords", "semantic", "syntactic")
        assert [float(row[name]) for name in shares] == pytest.approx(
            [float(share) for share in BY_HAND[key]], abs=1e-12
        ), key
        counts = (
            "lists_total", "lists", "annotations", "no_pattern",
            "concepts_per_list", "concepts_per_list_with_stopwords",
        )  # fmt: skip
        assert tuple(float(row[name]) for name in counts) == COUNTS[key], key


def researcher_client(study):
    return client_of(study.memberships.get(role=Membership.Role.RESEARCHER).user)
