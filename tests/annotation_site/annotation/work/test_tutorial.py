"""The tutorial: the paper's worked example, and how an answer differs from it."""

import json

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from annotation_site.analysis.stopwords import is_stopword
from annotation_site.annotation.lists.annotation_format import annotation_parse
from annotation_site.annotation.work import tutorial
from annotation_site.errors import InvalidAnnotation
from tests.annotation_site.factories import UserFactory, answer, client_of, pattern

FRONT = [r for r in range(1, 31) if r not in (9, 19, 21, 23, 26, 28)]


def compared(*patterns):
    return tutorial.compare(annotation_parse(answer(*patterns), tutorial.example().rules))


def texts(tokens):
    return [token.display for token in tokens]


def test_the_papers_pattern_of_three_tokens_is_left_out_of_its_coverage():
    comparison = tutorial.compare(None)
    assert comparison.theirs == tutorial.Side(in_patterns=27, counted=24, coverage=24 / 30)
    assert [p.description for p in comparison.too_small] == ["naming"]
    assert (comparison.yours, comparison.length, comparison.min_tokens) == (None, 30, 4)


def test_the_papers_own_answer_agrees_on_every_token_whatever_its_numbers():
    comparison = compared(pattern(1, [9, 26, 28]), pattern(2, FRONT))
    assert comparison.agreeing == 30
    assert comparison.yours == comparison.theirs
    assert [(p.theirs.number, p.yours.number) for p in comparison.pairs] == [(1, 2), (2, 1)]


def test_each_pattern_is_set_beside_the_one_that_shares_most():
    comparison = compared(
        pattern(1, [9, 28, 19]), pattern(2, [1, 2, 3, 26, 23]), pattern(3, [21]), pattern(4, [4, 5])
    )
    front, naming, *alone = comparison.pairs
    assert texts(front.both) == ["front", "ahead", "forward"]
    assert texts(front.only_yours) == ["chin", "surname"]
    assert len(front.only_theirs) == 21
    assert (texts(naming.both), texts(naming.only_theirs)) == (["Name", "name"], ["surname"])
    assert texts(naming.only_yours) == ["hind"]
    assert [(p.theirs, texts(p.only_yours)) for p in alone] == [
        (None, ["Etymology"]),
        (None, ["preceded", "Before"]),
    ]
    assert comparison.agreeing == 3 + 2  # every free token of the paper's is in a pattern here
    assert comparison.yours.in_patterns == 11
    assert comparison.yours.counted == 5  # only pattern 2 has four tokens


def test_a_pattern_that_shares_nothing_stands_alone():
    (front, naming, mine) = compared(pattern(1, [19, 21, 23])).pairs
    assert (front.yours, naming.yours, mine.theirs) == (None, None, None)
    assert texts(mine.only_yours) == ["hind", "Etymology", "chin"]


def test_a_flagged_pattern_is_not_in_the_headline():
    assert compared(pattern(1, FRONT, stopwords=True)).yours.counted == 0
    assert compared(pattern(1, FRONT)).yours.counted == 24  # not proposed: few are stop words


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, json.dumps({"patterns": []})])
def test_what_is_no_answer_is_refused(text):
    with pytest.raises(InvalidAnnotation):
        tutorial.annotation_read(text)


@pytest.mark.django_db
def test_comparing_writes_nothing():
    client = client_of(UserFactory())
    body = {"annotation": json.dumps(answer(pattern(1, [9, 26, 28], description="<b>names</b>")))}
    with CaptureQueriesContext(connection) as queries:
        response = client.post("/tutorial/comparison/", body)
    assert response.status_code == 200
    page = response.content.decode()
    assert "coverage is 24 of 30" in page
    assert "&lt;b&gt;names&lt;/b&gt;" in page
    # The request is counted as every form that is sent; nothing else is written.
    asked = [q["sql"] for q in queries if "requestcount" not in q["sql"]]
    assert {sql.split()[0] for sql in asked} <= {"SELECT", "BEGIN", "SAVEPOINT", "RELEASE"}


@pytest.mark.django_db
def test_an_answer_that_breaks_a_rule_says_which():
    response = client_of(UserFactory()).post("/tutorial/comparison/", {"annotation": "{}"})
    assert response.status_code == 422
    assert "no list of patterns" in response.content.decode()


def test_the_examples_stop_words_are_those_that_lists_have():
    for token in tutorial.example().entries:
        assert token.is_stopword == is_stopword(token.display), token
