"""Sets of vectors: made from searches and typed places, changed, and seen by each as they may."""

import csv
import io
import json
import re

import pytest
from django.template.loader import render_to_string
from django.urls import reverse

from annotation_site.accounts.models import AuditEntry, Role
from annotation_site.annotation.models import Study
from annotation_site.corpus import vector_sets
from annotation_site.corpus.models import LanguageModel, VectorSet
from annotation_site.corpus.vector_sets import (
    places_typed,
    set_places,
    vector_set_change,
    vector_set_make,
)
from annotation_site.errors import Invalid, NotAllowed, SiteError
from annotation_site.explorer.sets.members import sets_to_extend
from tests.annotation_site.factories import (
    LanguageModelFactory,
    UserFactory,
    client_of,
    make_extraction,
    make_study,
    make_vector_set,
    text_of,
)

pytestmark = pytest.mark.django_db
SETS = "/explore/sets/"


@pytest.fixture
def person():
    return UserFactory(role=Role.RESEARCHER)


@pytest.fixture
def client(person):
    return client_of(person)


@pytest.fixture
def extraction():
    return make_extraction(layers=2, per_layer=3, kinds=("value", "random"))


def save(client, *ticked, search="kind=value", title="A set", what="all"):
    sent = {"search": search, "title": title, "what": what, "place": list(ticked)}
    return client.post(f"{SETS}new/", sent)


def blind_in(study):
    """A researcher who annotates in somebody's study."""
    user = UserFactory(role=Role.RESEARCHER)
    study.memberships.create(user=user, role="annotator", consent_version=0)
    return user


@pytest.mark.parametrize(
    ("typed", "places"),
    [
        ("14:518", [(14, 518)]),
        ("1:2, 3:4\n5:6 7:8", [(1, 2), (3, 4), (5, 6), (7, 8)]),
        ("# a comment\n1:2 # why\n\n", [(1, 2)]),
        ("\ufeff".strip("\ufeff") + "0:0,0:0", [(0, 0), (0, 0)]),
        ("", []),
    ],
)
def test_typed_places(typed, places):
    assert places_typed(typed) == places


@pytest.mark.parametrize(
    "word", ["1.2", "-1:2", "1:-2", "1:", ":", "a:b", "1:2:3", "１:２", "1:2;3:4"]
)
def test_what_is_no_place_is_named_with_its_line(word):
    with pytest.raises(Invalid, match=r"Line 2: “.+” is no vector\. Write LAYER:INDEX"):
        places_typed(f"0:0\n{word}")


def test_a_set_of_typed_vectors(client, person, extraction):
    response = client.post(
        f"{SETS}new/",
        {"title": " Runs  of words ", "note": "All.", "model": extraction.model_id,
         "places": "1:2\n0:1, 1:2"},
    )  # fmt: skip
    made = VectorSet.objects.get()
    assert response["Location"] == f"{SETS}{made.public_id}/"
    assert (made.title, made.note, made.created_by) == ("Runs of words", "All.", person)
    assert set_places(made) == [(0, 1), (1, 2)]
    page = text_of(client.get(response["Location"]))
    assert "2 vectors of" in page
    neuron = reverse("explorer:neuron", args=[extraction.public_id, 1, 2])
    assert f'href="{neuron}"' in page
    assert "word5" in page
    entry = AuditEntry.objects.get(action="vector_set_made")
    assert (entry.actor, entry.details) == (person.public_id, {"vectors": 2})


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"title": ""}, "This field is required"),
        ({"title": "x" * 201}, "at most 200 characters"),
        ({"title": "TAKEN"}, "Another set is called “TAKEN”"),
        ({"note": "x" * 2001}, "at most 2000 characters"),
        ({"places": ""}, "The set has no vector"),
        ({"places": "9:0"}, "has no vector 9:0. Choose a layer of 0 to 1"),
        ({"places": "0:16"}, "has no vector 0:16"),
        ({"places": "0:x"}, "Line 1: “0:x” is no vector"),
        ({"places": "0:1," * 60_000}, "more vectors than a set can have"),
        ({"model": "7777"}, "Select a valid choice"),
    ],
)
def test_a_set_that_cannot_be_is_refused_with_a_sentence(client, extraction, changes, sentence):
    make_vector_set(title="Taken")
    given = {"title": "A set", "model": extraction.model_id, "places": "0:0"}
    response = client.post(f"{SETS}new/", {**given, **changes})
    assert response.status_code == 422
    assert sentence in text_of(response)
    assert VectorSet.objects.count() == 1


def test_a_set_has_a_bounded_number_of_vectors(monkeypatch, person):
    monkeypatch.setattr(vector_sets, "MOST_PLACES", 3)
    model = LanguageModelFactory()
    with pytest.raises(Invalid, match="at most 3 vectors, and this would have 4"):
        vector_set_make(title="x", model=model, places=[(0, n) for n in range(4)], by=person)


def test_everything_that_a_search_finds_is_a_set(client, extraction):
    save(client, search="tokens=word1")
    assert set_places(VectorSet.objects.get()) == [(0, 0), (0, 1)]
    page = text_of(save(client, search="tokens=word7", title="Other kinds too"))
    page = text_of(client.get(SETS))
    assert "Other kinds too" in page


def test_lists_of_other_kinds_are_left_out_and_the_page_says_so(client, extraction):
    response = save(client, search="layer_from=0")
    assert VectorSet.objects.get().members == [[layer, n] for layer in (0, 1) for n in range(3)]
    assert "6 lists of other kinds are left out" in text_of(client.get(response["Location"]))


def test_ticked_lists_are_a_set(client, extraction):
    ticked = [f"{extraction.public_id} 1:0", f"{extraction.public_id} 0:2"]
    save(client, *ticked, what="ticked")
    assert VectorSet.objects.get().members == [[0, 2], [1, 0]]


@pytest.mark.parametrize(
    ("ticked", "sentence"),
    [
        ([], "Tick the lists that the set is to have"),
        (["x 1:0"], "Tick lists of the table"),
        (["00000000-0000-0000-0000-000000000000 1:0"], "None of these lists is of a value vector"),
        (["{} 99:0"], "has no vector 99:0"),
        (["{} 0"], "Tick lists of the table"),
    ],
)
def test_ticks_that_are_none_are_refused(client, extraction, ticked, sentence):
    told = [one.format(extraction.public_id) for one in ticked]
    response = save(client, *told, what="ticked")
    assert response.status_code == 422
    assert sentence in text_of(response)


@pytest.mark.parametrize(
    ("search", "sentence"),
    [
        ("kind=random", "None of these lists is of a value vector"),
        ("kind=value&layer_from=-1", "greater than or equal to 0"),
        ("tokens=nothing", "None of these lists is of a value vector"),
    ],
)
def test_searches_that_give_no_set_are_refused(client, extraction, search, sentence):
    response = save(client, search=search)
    assert response.status_code == 422
    assert sentence in text_of(response)


def test_a_set_is_of_one_model(client, extraction):
    make_extraction(layers=1, per_layer=1, kinds=("value",))
    response = save(client)
    assert response.status_code == 422
    assert "These lists are of 2 models" in text_of(response)


def test_a_search_of_too_many_lists_gives_no_set(monkeypatch, client, extraction):
    monkeypatch.setattr("annotation_site.explorer.search.finding.MOST_ROWS", 5)
    response = save(client)
    assert response.status_code == 422
    assert "The search finds 6 lists" in text_of(response)


def test_its_maker_changes_renames_and_deletes_it(client, person, extraction):
    made = vector_set_make(title="One", model=extraction.model, places=[(0, 0)], by=person)
    page = f"{SETS}{made.public_id}/"
    client.post(f"{page}change/", {"title": "Two", "note": "n", "places": "1:1"})
    made.refresh_from_db()
    assert (made.title, made.note, made.members) == ("Two", "n", [[1, 1]])
    refused = client.post(f"{page}change/", {"title": "Two", "places": "1:1000000"})
    assert refused.status_code == 422
    assert "has no vector 1:1000000" in text_of(refused)
    client.post(f"{SETS}add/", {"vector_set": made.public_id, "places": "0:2"})
    made.refresh_from_db()
    assert made.members == [[0, 2], [1, 1]]
    client.post(f"{page}delete/")
    assert not VectorSet.objects.exists()
    actions = list(AuditEntry.objects.order_by("pk").values_list("action", flat=True))
    assert actions[-3:] == ["vector_set_changed", "vector_set_changed", "vector_set_deleted"]


def test_saving_what_is_there_logs_nothing(client, person, extraction):
    made = vector_set_make(title="One", model=extraction.model, places=[(0, 0)], by=person)
    client.post(f"{SETS}{made.public_id}/change/", {"title": "One", "note": "", "places": "0:0"})
    assert not AuditEntry.objects.filter(action="vector_set_changed").exists()


def test_another_researcher_reads_it_and_an_admin_changes_it(person, extraction):
    made = vector_set_make(title="One", model=extraction.model, places=[(0, 0)], by=person)
    page = f"{SETS}{made.public_id}/"
    other = client_of(UserFactory(role=Role.RESEARCHER))
    shown = text_of(other.get(page))
    assert "Only an admin and the person who made this set can change it" in shown
    assert "Delete this set" not in shown
    for name, sent in (("change", {"title": "x", "places": "0:1"}), ("delete", {})):
        refused = other.post(f"{page}{name}/", sent)
        assert refused.status_code == 403
    assert (
        other.post(f"{SETS}add/", {"vector_set": made.public_id, "places": "0:1"}).status_code
        == 403
    )
    admin = client_of(UserFactory(role=Role.ADMIN))
    admin.post(f"{page}change/", {"title": "Renamed", "places": "0:0"})
    made.refresh_from_db()
    assert made.title == "Renamed"


def test_the_set_of_somebody_who_is_erased_stays(person, extraction):
    made = vector_set_make(title="One", model=extraction.model, places=[(0, 0)], by=person)
    VectorSet.objects.update(created_by=None)
    page = text_of(client_of(UserFactory(role=Role.RESEARCHER)).get(f"{SETS}{made.public_id}/"))
    assert "One" in page
    with pytest.raises(NotAllowed):
        vector_set_change(vector_set=VectorSet.objects.get(), by=person, title="Two")


def test_members_that_a_reader_annotates_are_hidden_and_kept():
    extraction = make_extraction(layers=2, per_layer=2, kinds=("value",))
    study = make_study(extraction=extraction, kinds=("value",), lists_per_layer=1, annotators=2)
    held = study.items.select_related("vector").first().vector
    places = [(layer, index) for layer in (0, 1) for index in (0, 1)]
    blind = blind_in(study)
    hidden = {
        (item.vector.layer, item.vector.index) for item in study.items.select_related("vector")
    }
    made = vector_set_make(title="All", model=extraction.model, places=places, by=blind)
    client = client_of(blind)
    response = client.get(f"{SETS}{made.public_id}/")
    page = text_of(response)
    assert f"{len(hidden)} vectors of this set are hidden from you" in page
    assert f"{held.layer}:{held.index}" not in response.context["form"]["places"].value()
    assert f"set={held.layer}%3A{held.index}" not in page
    assert f'"number">{held.layer}.{held.index}<' not in page
    assert "All" in text_of(client.get(SETS))
    rows = csv.DictReader(
        io.StringIO(b"".join(client.get(f"{SETS}{made.public_id}/vectors.csv")).decode())
    )
    told = {(int(row["layer"]), int(row["index"])) for row in rows}
    assert told == set(places) - hidden
    answered = client.get(f"/api/sets/{made.public_id}").json()
    assert answered["hidden"] == len(hidden)
    assert set(answered["members"]) == {f"{a}:{b}" for a, b in set(places) - hidden}
    assert client.get("/api/sets").json()["results"][0]["vectors"] == len(places) - len(hidden)
    # What they type replaces what they see.
    client.post(f"{SETS}{made.public_id}/change/", {"title": "All", "note": "", "places": ""})
    made.refresh_from_db()
    assert set(set_places(made)) == hidden
    Study.objects.update(state=Study.State.CLOSED)
    assert "hidden from you" not in text_of(client.get(f"{SETS}{made.public_id}/"))


def test_a_search_never_gives_a_set_a_hidden_vector():
    extraction = make_extraction(layers=2, per_layer=2, kinds=("value",))
    study = make_study(extraction=extraction, kinds=("value",), lists_per_layer=1, annotators=2)
    hidden = {
        (item.vector.layer, item.vector.index) for item in study.items.select_related("vector")
    }
    client = client_of(blind_in(study))
    save(client)
    layer, index = min(hidden)
    save(client, f"{extraction.public_id} {layer}:{index}",
         f"{extraction.public_id} {layer}:{1 - index}", what="ticked", title="Ticked")  # fmt: skip
    for made in VectorSet.objects.all():
        assert not set(set_places(made)) & hidden


def test_a_member_without_a_list_says_so(client, person, extraction):
    made = vector_set_make(title="One", model=extraction.model, places=[(0, 9)], by=person)
    page = text_of(client.get(f"{SETS}{made.public_id}/"))
    assert "No extraction here has its list." in page


def test_a_set_page_by_page(monkeypatch, client, person):
    monkeypatch.setattr("annotation_site.explorer.sets.members.PER_PAGE", 2)
    model = LanguageModelFactory()
    made = vector_set_make(title="One", model=model, places=[(0, n) for n in range(5)], by=person)
    for number, rows in (("1", 2), ("3", 1), ("99", 1), ("-1", 2), ("x", 2), ("0", 2), ("²", 2)):
        page = text_of(client.get(f"{SETS}{made.public_id}/", {"page": number}))
        assert page.count('<th scope="row">') == rows, number


@pytest.mark.parametrize("extension", ["csv", "json", "md", "tex", "xlsx", "parquet"])
def test_every_format_of_tables(client, person, extraction, extension):
    made = vector_set_make(title="One", model=extraction.model, places=[(0, 0)], by=person)
    for url in (
        f"{SETS}{made.public_id}/vectors.{extension}",
        f"/explore/search/lists.{extension}?kind=value",
        f"/api/sets/{made.public_id}/vectors.{extension}",
        f"/api/vectors.{extension}?kind=value",
    ):
        response = client.get(url)
        assert response.status_code == 200, url
        assert len(b"".join(response)) > 50
        assert client.get(url.replace(f".{extension}", ".pdf")).status_code == 404


def test_sets_by_script(client, extraction):
    sent = {"title": "By script", "model": extraction.model_id, "members": ["1:1", "0:0"]}
    response = client.post("/api/sets", sent, content_type="application/json")
    assert response.status_code == 201
    made = response.json()
    assert (made["members"], made["hidden"], made["vectors"]) == (["0:0", "1:1"], 0, 2)
    url = f"/api/sets/{made['id']}"
    changed = client.patch(url, {"add": ["1:2"], "note": "n"}, content_type="application/json")
    assert (changed.json()["members"], changed.json()["note"]) == (["0:0", "1:1", "1:2"], "n")
    again = client.post("/api/sets", sent, content_type="application/json")
    assert (again.status_code, again.json()["error"]["code"]) == (422, "invalid")
    for places in (["x"], ["-1:0"], [], ["0:99999999999"], "0:0", [["0", "0"]]):
        refused = client.patch(url, {"members": places}, content_type="application/json")
        assert refused.status_code in (400, 422), places
    assert client.delete(url).status_code == 204
    assert not VectorSet.objects.exists()
    assert LanguageModel.objects.count() == 1


def test_the_search_by_script_gives_what_the_page_gives(client, extraction):
    told = client.get("/api/vectors", {"tokens": "word1 word2", "match": "all"}).json()
    assert (told["count"], told["next_page"], told["unknown"]) == (2, None, [])
    row = told["results"][0]
    assert (row["layer"], row["index"], row["rank"], row["score"]) == (0, 1, 1, 1.0)
    assert row["top"][0] == {"rank": 1, "display": "word1", "wanted": True}
    both = f"{extraction.public_id},{extraction.public_id}"
    assert client.get("/api/vectors", {"extractions": both}).json()["count"] == 12
    for asked in (
        {"extractions": "x"},
        {"layer_from": 3, "layer_to": 1},
        {"percent_from": "nan"},
        {"order": "score"},
        {"unknown": "1"},
        {"page": 0},
        {"tokens": " ".join(f"w{n}" for n in range(11))},
        {"extractions": "00000000-0000-0000-0000-000000000000"},
    ):
        assert client.get("/api/vectors", asked).status_code in (400, 422), asked


def test_a_site_without_models_or_sets_says_what_to_do(client):
    assert "No set was made yet" in text_of(client.get(SETS))
    assert "No model has lists yet" in text_of(client.get(f"{SETS}new/"))


def test_nothing_that_people_write_is_read_as_html(client, person, extraction):
    title = "<b>x</b>"
    made = vector_set_make(
        title=title, note=title, model=extraction.model, places=[(0, 0)], by=person
    )
    for url in (SETS, f"{SETS}{made.public_id}/"):
        assert title not in client.get(url).content.decode()
    file = client.get(f"{SETS}{made.public_id}/vectors.json")
    assert json.loads(b"".join(file))["rows"][0]["set"] == title
    assert re.fullmatch(
        r'attachment; filename="set-[0-9a-f-]{36}\.json"', file["Content-Disposition"]
    )


def test_the_small_form_offers_the_sets_that_a_person_may_extend(person, extraction):
    own = vector_set_make(title="Own", model=extraction.model, places=[(0, 0)], by=person)
    make_vector_set(extraction.model, title="Another's")
    make_vector_set(title="Of another model", created_by=person)
    assert sets_to_extend(person, extraction.model) == [own]
    assert len(sets_to_extend(UserFactory(role=Role.ADMIN), extraction.model)) == 2
    form = render_to_string(
        "explorer/_add_to_set.html", {"sets": [own], "layer": 1, "index": 2, "csrf_token": "x"}
    )
    assert 'name="places" value="1:2"' in form
    assert f'<option value="{own.public_id}">Own</option>' in form
    assert "<form" not in render_to_string("explorer/_add_to_set.html", {"sets": []})


def test_a_set_that_has_changed_since_its_page_was_opened_is_not_overwritten(extraction):
    person = UserFactory(role=Role.RESEARCHER)
    made = make_vector_set(extraction.model, members=[[0, 0], [0, 1]], created_by=person)
    client = client_of(person)
    page = f"{SETS}{made.public_id}/"
    as_of = client.get(page).context["form"]["as_of"].value()
    sent = {"title": made.title, "note": "A note", "places": "0:0, 0:1", "as_of": as_of}
    vector_sets.vector_set_change(vector_set=made, by=person, add=[(1, 1)])
    refused = client.post(f"{page}change/", sent)
    assert refused.status_code == 422
    assert "has changed since you opened its page" in text_of(refused)
    made.refresh_from_db()
    assert made.members == [[0, 0], [0, 1], [1, 1]]
    again = client.get(page).context["form"]["as_of"].value()
    assert client.post(f"{page}change/", sent | {"as_of": again}).status_code == 302


def test_sets_are_bounded(extraction, monkeypatch):
    person = UserFactory(role=Role.RESEARCHER)
    given = {"model": extraction.model, "places": [(0, 0)], "by": person}
    monkeypatch.setattr(vector_sets, "MOST_A_DAY", 1)
    vector_sets.vector_set_make(title="One", **given)
    with pytest.raises(SiteError, match="You have made 1 sets today"):
        vector_sets.vector_set_make(title="Two", **given)
    monkeypatch.setattr(vector_sets, "MOST_A_DAY", 10)
    monkeypatch.setattr(vector_sets, "MOST_SETS", 1)
    with pytest.raises(Invalid, match="The site has 1 sets"):
        vector_sets.vector_set_make(title="Two", **given)
