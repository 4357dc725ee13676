"""An answer is read as a whole, and refused with a sentence that says what to change."""

import pytest

from annotation_site.annotation.lists.annotation_format import Rules, annotation_parse
from annotation_site.bounds import ANSWER
from annotation_site.errors import InvalidAnnotation
from tests.annotation_site.factories import answer, pattern

RULES = Rules(30, ("semantic", "syntactic"), several_patterns_per_token=False)


def test_an_answer_survives_the_way_through_json():
    data = answer(pattern(1, [1, 2]), pattern(2, [30], stopwords=True), comment="fine")
    assert annotation_parse(data, RULES).to_json() == data


def test_no_pattern_is_an_answer():
    assert annotation_parse(answer(), RULES).no_pattern is True


def test_a_pattern_below_the_minimum_is_kept():
    assert annotation_parse(answer(pattern(1, [7])), RULES).patterns[0].ranks == (7,)


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (None, "no list of patterns"),
        ([], "no list of patterns"),
        ({"patterns": {}}, "no list of patterns"),
        ({"patterns": [], "no_pattern": False}, "at least one pattern"),
        ({"patterns": [], "no_pattern": "yes"}, "at least one pattern"),
        ({**answer(pattern(1, [1])), "no_pattern": True}, "but there are patterns"),
        (answer(pattern(2, [1])), "Number the patterns 1, 2, 3"),
        (answer(pattern(True, [1])), "Number the patterns 1, 2, 3"),
        (answer(pattern(1, [1]), pattern(1, [2])), "Number the patterns 1, 2, 3"),
        ({"patterns": ["x"], "no_pattern": False}, "malformed"),
        (answer(pattern(1, [1], category=None)), "needs a category"),
        (answer(pattern(1, [1], category="names")), "needs a category"),
        (answer(pattern(1, [1], category=["semantic"])), "needs a category"),
        (answer(pattern(1, [1], stopwords=1)), "stopwords flag"),
        (answer(pattern(1, [])), "has no token"),
        (answer(pattern(1, None)), "has no token"),
        (answer(pattern(1, [0])), "ranks 1 to 30"),
        (answer(pattern(1, [31])), "ranks 1 to 30"),
        (answer(pattern(1, [1, 1])), "has a token twice"),
        (answer(pattern(1, ["1"])), "whole numbers"),
        (answer(pattern(1, [True])), "whole numbers"),
        (answer(pattern(1, [1.5])), "whole numbers"),
        (answer(pattern(1, [1, 2]), pattern(2, [2])), "Rank 2 is in patterns 1 and 2"),
        (answer(pattern(1, [1], description=None)), "whole characters"),
        (answer(pattern(1, [1], description="a\0b")), "whole characters"),
        (answer(pattern(1, [1], description="\ud83d")), "whole characters"),
        (answer(pattern(1, [1]), comment="x" * (ANSWER + 1)), "from 2001 to 2000 characters"),
        (answer(*(pattern(n, [1]) for n in range(1, 32))), "at most 30 patterns"),
    ],
)
def test_a_broken_rule_is_named(data, sentence):
    with pytest.raises(InvalidAnnotation, match=sentence):
        annotation_parse(data, RULES)


def test_a_study_can_allow_several_patterns_per_token():
    rules = Rules(30, ("semantic",), several_patterns_per_token=True)
    parsed = annotation_parse(answer(pattern(1, [1, 2]), pattern(2, [2, 3])), rules)
    assert [p.ranks for p in parsed.patterns] == [(1, 2), (2, 3)]
