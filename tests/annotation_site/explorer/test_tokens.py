"""The page of a token, and vectors that share most tokens with one."""

import pytest
from django.urls import reverse

from annotation_site.accounts.models import Role
from annotation_site.annotation.lists.hidden import Hidden, hidden_from
from annotation_site.annotation.models import Study
from annotation_site.corpus.models import Token
from annotation_site.explorer.similar import similar_vectors
from annotation_site.explorer.tokens import BEST, token_page
from tests.annotation_site.explorer.places import lists_of, value_study
from tests.annotation_site.factories import UserFactory, client_of, make_extraction, text_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def extraction():
    """Two layers with eight values; the n-th has the tokens n to n + 29, and 99 down to 70."""
    extraction = make_extraction(layers=2, per_layer=8, kinds=("value",))
    for n, vector in enumerate(extraction.vectors.order_by("layer", "index")):
        vector.bottom_token_ids = [99 - n - r for r in range(3)]
        vector.bottom_scores = [-2.0 + r / 2 for r in range(3)]
        vector.save()
    return extraction


def url_of(extraction, token_id=10):
    return reverse("explorer:token", args=[extraction.public_id, token_id])


def page_of(extraction, user=None, token_id=10):
    token = Token.objects.get(extraction=extraction, token_id=token_id)
    return token_page(token, user or UserFactory(role=Role.RESEARCHER))


def places(layer):
    return [(one.layer, one.index, one.rank) for one in layer.best]


def test_a_token_shows_the_vectors_in_which_it_ranks_best_layer_by_layer(extraction):
    page = page_of(extraction)
    first, second = page.highest.layers
    assert (first.count, second.count, page.highest.count) == (8, 3, 11)
    assert places(first) == [(0, n, 11 - n) for n in range(7, 7 - BEST, -1)]
    assert first.more == 3
    assert places(second) == [(1, 2, 1), (1, 1, 2), (1, 0, 3)]
    assert page.highest.first == second.best[0]
    assert (second.best[0].score, second.best[2].score) == pytest.approx((1.0, 0.98))
    assert (first.width, second.width) == (60, 22)
    low = page_of(extraction, token_id=96).lowest
    assert [(layer.count, layer.width) for layer in low.layers] == [(3, 60), (0, 0)]
    assert places(low.layers[0]) == [(0, 3, 1), (0, 2, 2), (0, 1, 3)]
    assert low.layers[0].best[0].score == -2.0


def test_digits_of_other_tokens_are_not_the_token(extraction):
    extraction.vectors.update(token_ids=[10, 110, 21])
    assert page_of(extraction, token_id=1).highest.count == 0
    assert page_of(extraction, token_id=21).highest.count == 16


def test_the_page_has_its_senses_and_leads_to_neurons(extraction):
    client = client_of(UserFactory(role=Role.RESEARCHER))
    shown = text_of(client.get(url_of(extraction)))
    assert "the meaning of 10" in shown
    assert reverse("explorer:neuron", args=[extraction.public_id, 1, 2]) in shown
    assert "number 1, 1.00" in shown
    Token.objects.filter(extraction=extraction, token_id=10).update(
        gloss_source="wordnet",
        senses=[{"part": "noun", "gloss": "a first sense", "lemma": "x", "count": 3}],
    )
    assert "a first sense" in text_of(client.get(url_of(extraction)))
    neuron = text_of(client.get(reverse("explorer:neuron", args=[extraction.public_id, 0, 0])))
    for token_id in (*range(30), 99, 98, 97):
        assert f'href="{url_of(extraction, token_id)}"' in neuron


def test_lists_that_the_reader_annotates_are_in_no_row_and_no_count(extraction):
    person = UserFactory(role=Role.RESEARCHER)
    study = value_study(extraction, people=[person])
    hidden = {(item.vector.layer, item.vector.index) for item in lists_of(study)}
    page = page_of(extraction, person, 14)
    seen = {(one.layer, one.index) for layer in page.highest.layers for one in layer.best}
    assert not hidden & seen
    everybody = page_of(extraction, None, 14)
    assert page.highest.count == everybody.highest.count - len(hidden)
    same = make_extraction(layers=2, per_layer=8, kinds=("value",), model=extraction.model)
    assert page_of(same, person, 14).highest.count == page.highest.count
    Study.objects.filter(pk=study.pk).update(state="closed")
    assert page_of(extraction, person, 14).highest.count == everybody.highest.count


def test_an_unknown_token_and_a_missing_side_say_what_to_do(extraction):
    client = client_of(UserFactory(role=Role.RESEARCHER))
    for token_id in (100, 10**30):
        response = client.get(url_of(extraction, token_id))
        assert response.status_code == 404
        assert "Choose a number of 0 to 99" in text_of(response)
    Token.objects.filter(extraction=extraction, token_id=60).delete()
    response = client.get(url_of(extraction, 60))
    assert response.status_code == 404
    assert "Token number 60 is in none of the lists of this extraction." in text_of(response)
    assert (
        client.get(reverse("api:vocabulary_token", args=[extraction.public_id, 60])).json()[
            "error"
        ]["code"]
        == "not_found"
    )
    assert "of no value vector here" in text_of(client.get(url_of(extraction, 80)))
    extraction.vectors.update(bottom_token_ids=None)
    assert "did not keep the lowest-scoring tokens" in text_of(client.get(url_of(extraction)))
    extraction.vectors.update(kind="random")
    assert "no lists of value vectors" in text_of(client.get(url_of(extraction)))


def test_the_api_gives_the_same(extraction):
    client = client_of(UserFactory(role=Role.RESEARCHER))
    sent = client.get(reverse("api:vocabulary_token", args=[extraction.public_id, 99])).json()
    assert sent["display"] == "word99"
    assert sent["senses"] == [{"part": "", "gloss": "the meaning of 99"}]
    assert sent["highest"]["count"] == 0
    assert sent["lowest"]["layers"][0] == {
        "layer": 0,
        "count": 1,
        "best": [{"layer": 0, "index": 0, "rank": 1, "score": -2.0}],
    }


def similar_of(extraction, hidden=None, layer=0, index=0):
    vector = extraction.vectors.get(layer=layer, index=index)
    displays = [f"word{n}" for n in vector.token_ids]
    return similar_vectors(vector, displays, hidden or Hidden())


def test_similar_vectors_share_most_tokens_the_lower_layer_and_index_first(extraction):
    found = similar_of(extraction)
    assert [(one.layer, one.index, one.count) for one in found] == [
        *((0, n, 30 - n) for n in range(1, 8)), (1, 0, 22), (1, 1, 21), (1, 2, 20),
    ]  # fmt: skip
    assert [token.display for token in found[-1].shared] == [f"word{n}" for n in range(10, 30)]
    extraction.vectors.filter(layer=0).exclude(index=0).update(token_ids=[*range(27, 57)])
    found = similar_of(extraction)
    assert [(one.layer, one.index, one.count) for one in found[-2:]] == [(0, 1, 3), (0, 2, 3)]
    extraction.vectors.exclude(layer=0, index=0).update(token_ids=[0, 1, *range(57, 85)])
    assert similar_of(extraction) == []  # two are no likeness


def test_similar_vectors_leave_out_hidden_ones_and_other_extractions(extraction):
    person = UserFactory(role=Role.RESEARCHER)
    make_extraction(layers=2, per_layer=8, kinds=("value",), model=extraction.model)
    study = value_study(extraction, people=[person])
    hidden = {(item.vector.layer, item.vector.index) for item in lists_of(study)}
    layer, index = next((n, m) for n in range(2) for m in range(8) if (n, m) not in hidden)
    found = similar_of(extraction, hidden_from(person), layer, index)
    assert len(found) == 10
    assert not hidden & {(one.layer, one.index) for one in found}
    client = client_of(person)
    shown = text_of(
        client.get(reverse("explorer:neuron", args=[extraction.public_id, layer, index]))
    )
    assert shown.count("of 30 shared") == 10
    for place in hidden:
        address = reverse("explorer:neuron", args=[extraction.public_id, *place])
        assert address not in shown.split("Similar vectors")[1]
    sent = client.get(reverse("api:neuron", args=[extraction.public_id, layer, index])).json()
    assert [(one["layer"], one["index"]) for one in sent["similar"]] == [
        (one.layer, one.index) for one in found
    ]


def test_machine_annotators_stand_apart_from_people(extraction):
    words = ["running", "walking", "talking", "singing", "eating"]
    for n, word in enumerate(words):
        Token.objects.filter(extraction=extraction, token_id=n).update(display=word)
    client = client_of(UserFactory(role=Role.RESEARCHER))
    shown = text_of(client.get(reverse("explorer:neuron", args=[extraction.public_id, 0, 0])))
    people, programs = shown.split("What machine annotators propose")
    assert "shared affixes" not in people
    assert '<section class="by-one machine" aria-label="Machine: shared affixes">' in programs
    assert "1, 2, 3, 4, 5" in programs
    assert "Machine annotators never count among people." in programs
    assert "“Machine: shared hypernyms” needs WordNet" in programs


def test_a_page_costs_the_same_few_queries_whatever_it_shows(extraction, django_assert_num_queries):
    person = UserFactory(role=Role.RESEARCHER)
    value_study(extraction, people=[person])
    token = Token.objects.select_related("extraction__model").get(
        extraction=extraction, token_id=10
    )
    # what is hidden and its keys, both sides, the vectors with scores, and whether both sides are
    with django_assert_num_queries(6):
        token_page(token, person)
    everything = token_page(token, person)
    extraction.vectors.exclude(pk__in=extraction.vectors.values("pk")[:1]).update(token_ids=[5])
    with django_assert_num_queries(6):
        assert token_page(token, person).highest.count < everything.highest.count
