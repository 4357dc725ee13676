"""The page of a neuron: what it shows, and to whom."""

import re

import pytest
from django.urls import reverse

from annotation_site.accounts.models import Role
from annotation_site.annotation.models import Study
from annotation_site.annotation.review.looks import look_record
from annotation_site.corpus.corpora import corpus_add
from annotation_site.corpus.models import Token, TriggerPrefixes, ValueStatistics
from annotation_site.explorer.agreement import Agreement, NextToken, agreement, next_token
from tests.annotation_site.factories import (
    UserFactory,
    answer,
    client_of,
    make_extraction,
    make_prefix_study,
    make_prefixes,
    make_study,
    pattern,
    researcher_of,
    submit,
    text_of,
)

pytestmark = pytest.mark.django_db
HELD = "An unfinished study that you do not run holds this list."
BLIND = "A list of this neuron belongs to an unfinished study in which you annotate."
ASKED = "You can still adjudicate this list blind"


def url_of(extraction, layer=0, index=0):
    return reverse("explorer:neuron", args=[extraction.public_id, layer, index])


def page(client, extraction, layer=0, index=0):
    response = client.get(url_of(extraction, layer, index))
    assert response.status_code == 200
    return text_of(response)


def body(response):
    """What a page holds; the CSRF token is drawn anew for every response."""
    return re.sub(r'name="csrfmiddlewaretoken" value="\w+"', "", response.content.decode())


@pytest.fixture
def reader():
    return client_of(UserFactory(role=Role.RESEARCHER))


@pytest.fixture
def extraction():
    """Two neurons with value and key; tokens 0 to 29 are the first one's, 1 to 30 the other's."""
    return make_extraction(layers=1, per_layer=2, kinds=("value", "key"))


def value_study(extraction, **changes):
    return make_study(
        extraction=extraction, kinds=("value",), lists_per_layer=1, title="Of values", **changes
    )


def list_of(study):
    return study.items.select_related("vector__extraction", "study").get()


def annotate(study, description="runs of words"):
    """Everybody's annotation of the study's list."""
    item = list_of(study)
    for n, row in enumerate(item.assignments.filter(purpose="annotation").order_by("pk")):
        submit(row, answer(pattern(1, [1, 2, 3, 4 + n], description=f"{description} {n}")))
    return item.vector


def test_the_page_shows_value_and_key_with_both_ends_and_their_numbers(extraction, reader):
    place = {"extraction": extraction, "layer": 0}
    for index, norm in ((0, 2.5), (1, 4.0), (2, 1.0)):
        ValueStatistics.objects.create(**place, index=index, norm=norm, skew=0.4, key_cosine=-0.2)
    extraction.vectors.filter(kind="value", index=0).update(
        bottom_token_ids=[99, 98], bottom_scores=[-2.0, -1.5]
    )
    TriggerPrefixes.objects.create(
        **place, kind="key", index=0, side="negative",
        prefixes=make_prefixes([50], coefficient=-19.0, copies=3),
    )  # fmt: skip
    Token.objects.filter(extraction=extraction, token_id=3).update(gloss="the meaning of 0")
    shown = page(reader, extraction)
    assert "neuron, layer 0 of 0 to 1, index 0" in shown
    assert "norm (number 2 of 3 in the layer)</dt><dd>2.50<" in shown
    assert "cosine of key and value</dt><dd>−0.20<" in shown
    assert (shown.count(">as 1<"), shown.count("the meaning of 0<")) == (1, 1)
    assert "lowest score</dt><dd>−2.00<" in shown
    assert "read of <mark>word2</mark>" in shown
    assert "Most negative coefficients" in shown
    assert ("−19.00" in shown, "3 copies" in shown) == (True, True)
    widths = [int(width) for width in re.findall(r'<rect width="(\d+)" height="5"', shown)]
    assert widths[0] == 23  # of 46: a score of 1, and the longest bar of the value is −2
    assert max(widths[32:57]) == 23  # of 9.5, and the longest bar of the key is −19
    assert 'rel="next"' in shown
    assert 'rel="prev"' not in shown
    assert "No study that has begun holds this list." in shown


def test_the_list_browser_and_a_list_of_a_study_lead_to_it(extraction):
    admin = client_of(UserFactory(role=Role.ADMIN))
    study = value_study(extraction)
    item = list_of(study)
    address = url_of(extraction, 0, item.vector.index)
    assert address in text_of(admin.get(f"/models/{extraction.public_id}/vectors/"))
    researcher = client_of(researcher_of(study))
    look_record(item=item, by=researcher_of(study))
    one = reverse("results:list", args=[study.slug, item.pk])
    assert address in text_of(researcher.get(one))
    item.vector.__class__.objects.filter(pk=item.vector_id).update(kind="random")
    assert "/neurons/" not in text_of(researcher.get(one))


@pytest.mark.parametrize("state", ["draft", "pilot", "open", "paused"])
def test_nobody_sees_a_neuron_while_annotating_a_list_of_it(extraction, state):
    people = [UserFactory(role=role) for role in (Role.RESEARCHER, Role.ADMIN)]
    study = value_study(extraction, people=people, team_may_annotate=True)
    other = make_extraction(layers=1, per_layer=2, kinds=("value",), model=extraction.model)
    index = list_of(study).vector.index
    Study.objects.filter(pk=study.pk).update(state=state)
    for person in people:
        client = client_of(person)
        refused = [client.get(url_of(one, 0, index)) for one in (extraction, other)]
        assert [response.status_code for response in refused] == [403, 403]
        assert body(refused[0]) == body(refused[1])
        assert BLIND in text_of(refused[0])
        assert client.get(url_of(extraction, 0, 1 - index)).status_code == 200
        api = reverse("api:neuron", args=[extraction.public_id, 0, index])
        assert client.get(api).status_code == 403
    Study.objects.filter(pk=study.pk).update(state="closed")
    assert [client_of(one).get(url_of(extraction, 0, index)).status_code for one in people] == [
        200, 200
    ]  # fmt: skip


def test_a_key_under_judgement_hides_the_whole_neuron():
    extraction = make_extraction(layers=1, per_layer=1, kinds=("value", "key", "random-key"))
    study = make_prefix_study(
        extraction=extraction, kinds=("key",), people=[UserFactory(role=Role.RESEARCHER)]
    )
    annotator = study.memberships.get(role="annotator").user
    assert client_of(annotator).get(url_of(extraction)).status_code == 403


def test_annotations_of_an_unfinished_study_change_no_byte_for_others(extraction, reader):
    study = value_study(extraction)
    index = list_of(study).vector.index
    before = reader.get(url_of(extraction, 0, index))
    assert HELD in text_of(before)
    annotate(study)
    for state in ("open", "paused", "pilot"):
        Study.objects.filter(pk=study.pk).update(state=state)
        assert body(reader.get(url_of(extraction, 0, index))) == body(before)
    admin = client_of(UserFactory(role=Role.ADMIN))  # who runs every study
    assert "runs of words 0" in page(admin, extraction, 0, index)


def test_those_who_run_a_study_see_names_and_marks_once_they_may_look(extraction):
    study = value_study(
        extraction, people=[UserFactory(username="ana"), UserFactory(username="ben")]
    )
    index = annotate(study).index
    researcher = researcher_of(study)
    client, item = client_of(researcher), list_of(study)
    asked = page(client, extraction, 0, index)
    assert ASKED in asked
    assert "runs of words" not in asked
    assert "ana" not in asked
    assert not item.looks.exists()
    look_record(item=item, by=researcher)
    shown = page(client, extraction, 0, index)
    assert ASKED not in shown
    for said in (">ana<", ">ben<", "runs of words 0", "runs of words 1"):
        assert said in shown
    assert len(re.findall(r'<td class="mark"><b class="chip" data-shape="1"', shown)) == 8


@pytest.mark.parametrize("made_up", [True, False])
def test_of_a_closed_study_others_see_annotations_without_names(
    extraction, reader, made_up, monkeypatch
):
    monkeypatch.setattr(Study._meta.get_field("made_up"), "_get_default", lambda: made_up)
    person = UserFactory(username="ana")
    study = value_study(extraction, people=[person], annotators_per_list=1)
    index = annotate(study).index
    Study.objects.filter(pk=study.pk).update(state="closed")
    shown = page(reader, extraction, 0, index)
    assert ("runs of words 0" in shown, "a person" in shown) == (True, True)
    assert not re.search(r"\bana\b", shown)
    assert ("made-up annotations" in shown) == made_up
    assert not list_of(study).looks.exists()  # only a look of those who run it counts


def test_annotations_of_triggers_stand_beside_the_triggers(reader):
    extraction = make_extraction(layers=1, per_layer=1, kinds=("value", "key"))
    study = make_prefix_study(extraction=extraction, kinds=("key",), annotators=1)
    annotate(study, "ends in a word")
    Study.objects.filter(pk=study.pk).update(state="closed")
    shown = page(reader, extraction)
    of_value, of_key = shown.split("Key: what triggers it")
    assert "ends in a word 0" in of_key
    assert of_key.count('<td class="mark"><b class="chip') == 4
    assert "No study that has begun holds this list." in of_value


def test_what_is_missing_says_what_to_do(reader):
    admin = client_of(UserFactory(role=Role.ADMIN))
    extraction = make_extraction(layers=1, per_layer=1, kinds=("value",))
    shown = page(admin, extraction)
    assert "This extraction has no keys. Enqueue one with the kind “key”" in shown
    assert reverse("corpus:enqueue") in shown
    assert "This cannot be known without trigger prefixes." in shown
    shown = page(reader, extraction, 1, 7)
    assert "This extraction does not have this value" in shown
    assert "Only admins enqueue extractions. Ask one." in shown
    keys = make_extraction(layers=1, per_layer=1, kinds=("key",), model=extraction.model)
    assert url_of(keys) in page(reader, extraction)  # another extraction of the model has them
    TriggerPrefixes.objects.filter(extraction=keys).delete()
    assert "The key is active at no prefix" in page(reader, keys)
    assert "This extraction took only some of the keys." in page(reader, keys, 1, 7)
    for place in ((2, 0), (0, 16), (0, 10**30)):
        response = reader.get(url_of(extraction, *place))
        assert response.status_code == 404
        assert "Choose a layer of 0 to 1 and an index of 0 to 15." in text_of(response)


def test_agreement_is_read_off_the_corpus_where_the_site_has_it(extraction, reader, tmp_path):
    assert "cannot be known from what is stored" in page(reader, extraction)
    text = "".join(
        f"Nobody had expected to read of word{n}{' word1 again' if n in (2, 3) else ''}\n"
        for n in range(30)
    )
    (tmp_path / "corpus.txt").write_text(text)
    corpus = corpus_add(name="Texts", licence="", path=tmp_path / "corpus.txt", by=UserFactory())
    extraction.parameters["corpus"] = corpus.reference
    extraction.save()
    Token.objects.filter(token_id=77).update(display="⋯ing")
    row = TriggerPrefixes.objects.get(extraction=extraction, index=0)
    row.prefixes = [{**one, "sentence": one["token_id"]} for one in row.prefixes]
    row.save()
    shown = page(reader, extraction)
    assert "The token after the first trigger is number 2 of the value's top tokens" in shown
    assert "2 of 2 known next tokens are among the value's top tokens (100.0%)." in shown
    assert '<span class="after"> word1 again</span>' in shown
    row.prefixes[3]["sentence"] = 4  # another sentence than the prefix's
    row.save()
    assert "cannot be known from what is stored" in page(reader, extraction)


def test_the_next_token_is_the_longest_at_the_end_of_a_word_or_it_is_not_known():
    tokens = ["graph", "⋯s", "␣(", "⋯graph", "⋯."]
    assert next_token(" graph theory", tokens) == NextToken(1)
    assert next_token("s of", tokens) == NextToken(2)
    assert next_token(" (a", tokens) == NextToken(3)
    assert next_token("graph", tokens) == NextToken(4)
    assert next_token(".", tokens) == NextToken(5)
    assert next_token(" theory", tokens) == NextToken(None)
    assert next_token(" graphical", tokens) == NextToken(None, is_known=False)
    assert next_token("...", tokens) == NextToken(None, is_known=False)
    found = agreement([" graph", "", " graphical", " theory"], tokens)
    assert found == Agreement(NextToken(1), triggers=3, known=2, within=1)
    assert (found.precision, found.unknown) == (0.5, 1)
    assert agreement([""], tokens) == Agreement(None, triggers=0, known=0, within=0)
    assert agreement([""], tokens).precision is None
