"""Looking through an extraction's lists, by layer and by token."""

import pytest

from annotation_site.accounts.models import Role
from annotation_site.corpus.browsing import PER_PAGE, vectors_page
from annotation_site.corpus.models import Token
from tests.annotation_site.factories import UserFactory, client_of, make_extraction, text_of

pytestmark = pytest.mark.django_db


def places(page):
    return [(v.vector.kind, v.vector.layer, v.vector.index) for v in page.vectors]


def test_a_layer_shows_its_vectors_in_order():
    extraction = make_extraction(layers=2, per_layer=2)
    page = vectors_page(extraction, kind="value", layer=1)
    assert places(page) == [("value", 1, 0), ("value", 1, 1)]
    assert [token.display for token in page.vectors[0].top][:2] == ["word2", "word3"]


def test_the_page_begins_with_value_vectors_and_says_how_many_there_are(monkeypatch):
    monkeypatch.setattr("annotation_site.corpus.browsing.MOST_COUNTED", 1)
    extraction = make_extraction(layers=1, per_layer=2, kinds=("random", "value"))
    extraction.counts = {"vectors": 4, "kinds": {"random": 2, "value": 2}}
    extraction.save()
    admin = client_of(UserFactory(role=Role.ADMIN))
    url = f"/models/{extraction.public_id}/vectors/"
    page = text_of(admin.get(url))
    assert page.count("<h2") == page.count('value vectors <a class="number"') == 2
    assert '<p role="status">2 lists</p>' in page
    assert '<p role="status">4 lists</p>' in text_of(admin.get(url, {"kind": ""}))
    assert "More than 1,000 lists" in text_of(admin.get(url, {"layer": 0}))


def test_a_list_without_a_vector_is_shown_without_its_numbers():
    extraction = make_extraction(layers=1, per_layer=1, kinds=("value", "shuffled"))
    extraction.vectors.filter(kind="shuffled").update(norm=None, scores=None)
    admin = client_of(UserFactory(role=Role.ADMIN))
    page = admin.get(f"/models/{extraction.public_id}/vectors/").content.decode()
    assert page.count(", norm ") == 1
    assert "shuffled tokens" in page
    sent = admin.get(f"/api/extractions/{extraction.public_id}/vectors", {"kind": "shuffled"})
    assert [one["norm"] for one in sent.json()["results"]] == [None]


def test_a_word_finds_every_vector_that_lists_it_and_no_other():
    extraction = make_extraction(layers=4, per_layer=10)
    make_extraction(layers=4, per_layer=10)  # another one's lists are not found
    expected = {(v.kind, v.layer, v.index) for v in extraction.vectors.all() if 7 in v.token_ids}
    found = []
    number = 1
    while True:
        page = vectors_page(extraction, word="WORD7", number=number)
        found += places(page)
        wanted = [[t.display for t in v.top if t.wanted] for v in page.vectors]
        assert all(one == ["word7"] for one in wanted)
        if not page.has_next:
            break
        number += 1
    assert number > 1
    assert len(found) == len(set(found)) == page.count
    assert set(found) == expected


def test_a_word_finds_the_piece_within_a_word_too_and_a_piece_only_itself():
    extraction = make_extraction()
    extraction.tokens.filter(token_id=3).update(display="king")
    extraction.tokens.filter(token_id=50).update(display="⋯King")
    holding = {3: set(), 50: set()}
    for vector in extraction.vectors.all():
        for token_id in holding:
            if token_id in vector.token_ids:
                holding[token_id].add((vector.kind, vector.layer, vector.index))
    assert set(places(vectors_page(extraction, word="king"))) == holding[3] | holding[50]
    assert set(places(vectors_page(extraction, word="⋯king"))) == holding[50]
    assert vectors_page(extraction, word="queen").count == 0


@pytest.mark.parametrize("word", ["Écoles", "écoles"])
def test_a_word_beyond_ascii_is_found_by_its_spelling_and_in_small_letters(word):
    extraction = make_extraction()
    extraction.tokens.filter(token_id=3).update(display=word)
    expected = {(v.kind, v.layer, v.index) for v in extraction.vectors.all() if 3 in v.token_ids}
    assert set(places(vectors_page(extraction, word=word))) == expected != set()


def test_pages_cost_the_same_few_queries_whatever_they_show(django_assert_num_queries):
    extraction = make_extraction(layers=2, per_layer=PER_PAGE)
    with django_assert_num_queries(3):  # the count, the vectors, their tokens
        vectors_page(extraction, kind="value")
    with django_assert_num_queries(4):  # and the tokens that are spelled so
        vectors_page(extraction, word="word7")


def test_the_page_escapes_what_a_hostile_vocabulary_holds():
    extraction = make_extraction()
    Token.objects.filter(extraction=extraction, token_id=1).update(display="<script>x</script>")
    admin = client_of(UserFactory(role=Role.ADMIN))
    url = f"/models/{extraction.public_id}/vectors/"
    page = admin.get(url, {"token": "<script>x</script>"}).content.decode()
    assert "<script>x" not in page
    assert "&lt;script&gt;x" in page


@pytest.mark.parametrize(
    "query", [{"layer": "-1"}, {"layer": "x"}, {"kind": "secret"}, {"page": "0"}]
)
def test_a_filter_that_cannot_be_says_so(query):
    extraction = make_extraction()
    admin = client_of(UserFactory(role=Role.ADMIN))
    response = admin.get(f"/models/{extraction.public_id}/vectors/", query)
    assert response.status_code == 422
    assert response.context["form"].errors.keys() == query.keys()
