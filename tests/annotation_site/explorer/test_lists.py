"""The list browser for the team, and the explorer's first page."""

import re

import pytest
from django.core.cache import cache
from django.urls import reverse

from annotation_site.accounts.models import Role
from annotation_site.annotation.models import Study
from annotation_site.explorer import landing
from annotation_site.explorer.lists import lists_page
from tests.annotation_site.explorer.places import annotate, body, lists_of, value_study
from tests.annotation_site.factories import UserFactory, client_of, make_extraction, text_of

pytestmark = pytest.mark.django_db
LEFT_OUT = "list of this extraction is left out"


@pytest.fixture
def extraction():
    """A layer with three neurons and a random vector each: value 0 to 2, key 0 to 2."""
    extraction = make_extraction(layers=1, per_layer=3, kinds=("value", "key", "random"))
    extraction.counts = {"vectors": 9, "kinds": {"value": 3, "key": 3, "random": 3}}
    extraction.save()
    return extraction


def places(page):
    return [(one.vector.kind, one.vector.index) for one in page.vectors]


def url_of(extraction):
    return reverse("explorer:vectors", args=[extraction.public_id])


@pytest.mark.parametrize("role", [Role.RESEARCHER, Role.ADMIN])
def test_the_team_browses_lists_without_those_that_they_annotate(extraction, role):
    person = UserFactory(role=role)
    client = client_of(person)
    study = value_study(extraction, people=[person], team_may_annotate=True)
    index = lists_of(study)[0].vector.index
    left = [n for n in range(3) if n != index]
    page = lists_page(extraction, user=person, kind="value")
    assert places(page) == [("value", n) for n in left]
    assert (page.count, page.total, page.left_out) == (2, 2, 2)  # the value and the key
    every = lists_page(extraction, user=person)
    assert (every.count, every.total) == (7, 7)
    assert ("key", index) not in places(every)
    assert ("random", index) in places(every)  # of another place than the neuron
    shown = text_of(client.get(url_of(extraction), {"kind": "value"}))
    assert '<p role="status">2 lists</p>' in shown
    assert "2 lists of this extraction are left out everywhere here" in shown
    sent = client.get(reverse("api:vectors", args=[extraction.public_id]), {"kind": "value"}).json()
    assert (sent["count"], sent["left_out"]) == (2, 2)
    assert [one["index"] for one in sent["results"]] == left
    Study.objects.filter(pk=study.pk).update(state="closed")
    shown = text_of(client.get(url_of(extraction), {"kind": "value"}))
    assert '<p role="status">3 lists</p>' in shown
    assert "left out" not in shown


def test_what_is_said_to_be_left_out_tells_not_which_lists(extraction):
    """The sentence is the same whatever is searched for, also where nothing is hidden."""
    person = UserFactory(role=Role.RESEARCHER)
    study = value_study(extraction, people=[person])
    hidden = lists_of(study)[0].vector
    said = {
        re.search(r"<p[^>]*>([^<]*left out everywhere[^<]*)<", text_of(response))[1]
        for query in (
            {"kind": "value"},
            {"kind": "random"},
            {"layer": 0},
            {"layer": 1},
            {"token": f"word{hidden.token_ids[0]}"},
            {"token": "nothing"},
        )
        for response in [client_of(person).get(url_of(extraction), query)]
    }
    assert len(said) == 1


def test_others_see_all_lists_with_and_without_a_studys_annotations(extraction):
    reader = client_of(UserFactory(role=Role.RESEARCHER))
    study = value_study(extraction)
    addresses = [
        url_of(extraction),
        reverse("explorer:explore"),
        reverse("explorer:picture", args=[extraction.public_id]),
        reverse("explorer:token", args=[extraction.public_id, 3]),
        reverse("api:vectors", args=[extraction.public_id]),
        reverse("api:picture", args=[extraction.public_id]),
        reverse("api:vocabulary_token", args=[extraction.public_id, 3]),
    ]
    before = [body(reader.get(url)) for url in addresses]
    assert '<p role="status">3 lists</p>' in " ".join(before[0].split())
    annotate(study)
    for state in ("open", "paused", "pilot"):
        cache.clear()
        Study.objects.filter(pk=study.pk).update(state=state)
        assert [body(reader.get(url)) for url in addresses] == before


def test_the_first_page_has_every_model_with_numbers_that_the_reader_may_count(extraction):
    person = UserFactory(role=Role.RESEARCHER)
    study = value_study(extraction, people=[person], lists_per_layer=2, annotators_per_list=1)
    annotate(study)
    other = UserFactory(role=Role.RESEARCHER)
    admin = UserFactory(role=Role.ADMIN)  # who runs every study

    def numbers(user):
        one = landing.landing_page(user, None).models[0]
        return one.lists, one.annotated

    assert numbers(other) == (9, 0)
    assert numbers(admin) == (9, 2)
    assert numbers(person) == (5, 0)  # two neurons are hidden, with value and key
    Study.objects.filter(pk=study.pk).update(state="closed")
    assert numbers(other) == numbers(person) == (9, 2)
    shown = text_of(client_of(other).get("/explore/"))
    assert url_of(extraction) in shown
    assert "<dt>lists with annotations</dt><dd>2</dd>" in shown
    assert ">Explore</a>" in shown


def test_search_sets_and_traces_are_offered(extraction):
    shown = text_of(client_of(UserFactory(role=Role.RESEARCHER)).get("/explore/"))
    for part in ('action="/explore/search/"', 'href="/explore/sets/"', 'href="/traces/"'):
        assert part in shown


def test_an_empty_site_says_what_to_do():
    shown = text_of(client_of(UserFactory(role=Role.ADMIN)).get("/explore/"))
    assert "No models yet" in shown
    assert reverse("corpus:enqueue") in shown
    shown = text_of(client_of(UserFactory(role=Role.RESEARCHER)).get("/explore/"))
    assert "Only admins enqueue extractions. Ask one." in shown


def test_annotators_have_no_way_into_the_explorer():
    client = client_of(UserFactory())
    assert "/explore/" not in text_of(client.get("/"))
    assert client.get("/explore/").status_code == 403


def test_the_first_page_costs_the_same_queries_whatever_the_number_of_models(
    django_assert_max_num_queries,
):
    user = UserFactory(role=Role.RESEARCHER)
    for _ in range(5):
        make_extraction(layers=1, per_layer=1).model.save()
    # the count, the extractions, what is hidden, the lists with annotations; and of bundles
    # without counts their own
    with django_assert_max_num_queries(4 + 5):
        landing.landing_page(user, None)


def test_a_word_leads_to_the_pages_of_the_tokens_that_read_it(extraction):
    client = client_of(UserFactory(role=Role.RESEARCHER))
    extraction.tokens.filter(token_id=50).update(display="⋯word7")
    pages = [reverse("explorer:token", args=[extraction.public_id, n]) for n in (7, 50)]
    found = text_of(client.get(url_of(extraction), {"token": "WORD7"}))
    assert all(f'href="{page}"' in found for page in pages)
    assert "/tokens/" not in text_of(client.get(url_of(extraction)))
    one = text_of(client.get(pages[1]))
    assert f'href="{url_of(extraction)}?token=%E2%8B%AFword7"' in one
