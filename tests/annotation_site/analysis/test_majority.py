"""The majority annotation of a list."""

import itertools

from annotation_site.analysis.majority import GivenPattern, majority_patterns

CATEGORIES = ("semantic", "syntactic")


def given(ranks, category="semantic", description="", *, stopwords=False):
    return GivenPattern(tuple(ranks), category, description, stopwords)


def test_one_person_is_a_majority():
    one = [given((1, 2, 3, 4), description="birds"), given((5, 6, 7, 8), "syntactic")]
    assert majority_patterns([one], CATEGORIES) == one


def test_of_two_people_it_takes_both():
    one, two = given((1, 2, 3, 4, 5)), given((3, 4, 5, 6))
    assert majority_patterns([[one], [two]]) == [given((3, 4, 5))]
    assert majority_patterns([[one], []]) == []
    assert majority_patterns([[one], [given((10, 11, 12, 13))]]) == []


def test_of_three_people_two_decide_on_patterns_tokens_category_and_flag():
    people = [
        [given((1, 2, 3, 4), "syntactic", stopwords=True)],
        [given((2, 3, 4, 5), "semantic", stopwords=True), given((20, 21, 22, 23))],
        [given((4, 5, 6, 7), "semantic")],
    ]
    found = majority_patterns(people, CATEGORIES)
    assert found == [given((2, 3, 4, 5), "semantic", stopwords=True)]


def test_equally_frequent_categories_are_decided_by_the_studys_order():
    people = [[given((1, 2, 3, 4), "syntactic")], [given((1, 2, 3, 4), "semantic")]]
    assert majority_patterns(people, CATEGORIES)[0].category == "semantic"
    assert majority_patterns(people, CATEGORIES[::-1])[0].category == "syntactic"


def test_the_description_is_one_persons_whose_pattern_is_nearest():
    people = [
        [given(range(1, 11), description="everything")],
        [given((1, 2, 3, 4), description="four birds")],
        [given((1, 2, 3, 4, 5))],
    ]
    (found,) = majority_patterns(people)
    assert (found.ranks, found.description) == ((1, 2, 3, 4, 5), "four birds")


def test_the_order_of_people_does_not_matter():
    people = [
        [given((1, 2, 3, 4), description="a"), given((8, 9, 10, 11), description="c")],
        [given((3, 4, 5, 6), description="b"), given((8, 9, 10), "syntactic", "d")],
        [given((1, 2, 3, 9, 10), description="e")],
    ]
    found = [majority_patterns(order, CATEGORIES) for order in itertools.permutations(people)]
    assert all(one == found[0] for one in found)


def test_nobody_and_no_pattern():
    assert majority_patterns([]) == []
    assert majority_patterns([[], [], []]) == []
