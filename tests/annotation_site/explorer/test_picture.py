"""The picture of a model: shares by layer, over the studies that a reader may count."""

import pytest
from django.core.cache import cache
from django.urls import reverse

from annotation_site.accounts.models import Role
from annotation_site.annotation.models import Study
from annotation_site.explorer import shares
from annotation_site.explorer.picture import model_picture
from tests.annotation_site.explorer.places import annotate, lists_of, value_study
from tests.annotation_site.factories import (
    UserFactory,
    answer,
    client_of,
    make_extraction,
    pattern,
    researcher_of,
    submit,
    text_of,
)

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _nothing_kept():
    cache.clear()


@pytest.fixture
def extraction():
    """Two layers with two values each."""
    return make_extraction(layers=2, per_layer=2, kinds=("value",))


@pytest.fixture
def reader():
    return UserFactory(role=Role.RESEARCHER)


def url_of(extraction):
    return reverse("explorer:picture", args=[extraction.public_id])


def closed(study):
    Study.objects.filter(pk=study.pk).update(state="closed")
    return study


def coverage(picture):
    return [(bar.lists, bar.people, bar.coverage) for bar in picture.layers]


def test_a_layer_is_the_mean_of_its_lists_each_the_mean_of_its_people(extraction, reader):
    extraction.model.vocabulary = "word"  # such a model alone has names
    extraction.model.save()
    people = [UserFactory() for _ in range(2)]
    study = value_study(
        extraction,
        people=people,
        lists_per_layer=2,
        categories=["names", "semantic", "syntactic"],
    )
    of_layer = [item for item in lists_of(study) if item.vector.layer == 0]
    rows = [list(item.assignments.order_by("pk")) for item in of_layer]
    submit(rows[0][0], answer(
        pattern(1, [*range(1, 7)], category="semantic"),
        pattern(2, [*range(7, 11)], category="names"),
        pattern(3, [12, 13, 14], category="semantic"),  # too few to count
    ))  # fmt: skip
    submit(rows[0][1], answer())
    submit(rows[1][0], answer(
        pattern(1, [*range(1, 16)], category="syntactic"),
        pattern(2, [*range(16, 22)], category="semantic", stopwords=True),
    ))  # fmt: skip
    picture = model_picture(extraction, researcher_of(study))
    assert [band.name for band in picture.bands] == ["semantic", "syntactic", "names", ""]
    assert coverage(picture) == [
        (2, 2, pytest.approx((10 / 30 / 2 + 15 / 30) / 2)),
        (0, 0, None),
    ]
    pieces = picture.layers[0].pieces
    assert [piece.share for piece in pieces] == pytest.approx([0.05, 0.25, 1 / 30, 0.1])
    assert [(piece.y, piece.height) for piece in pieces] == [
        (95.0, 5.0), (70.0, 25.0), (66.67, 3.33), (56.67, 10.0),
    ]  # fmt: skip
    assert model_picture(extraction, reader).layers == []


def test_each_study_counts_by_its_own_rules_and_a_vector_in_two_is_one_list(extraction, reader):
    strict = value_study(extraction, lists_per_layer=2, annotators_per_list=1, min_tokens=5)
    loose = value_study(extraction, lists_per_layer=2, annotators_per_list=1, title="Loose")
    annotate(strict)  # four tokens, which are too few there
    annotate(loose)
    closed(strict)
    assert coverage(model_picture(extraction, reader))[0] == (2, pytest.approx(1, abs=1), 0.0)
    closed(loose)
    picture = model_picture(extraction, reader)
    assert [bar.lists for bar in picture.layers] == [2, 2]
    assert picture.layers[0].coverage == pytest.approx(4 / 30 / 2)
    assert picture.lists == 4
    assert [study.title for study in picture.studies] == ["Of values", "Loose"]
    assert [study.slug for study in picture.studies] == ["", ""]


def test_an_unfinished_study_counts_for_those_who_run_it_alone(extraction, reader):
    study = value_study(extraction)
    client = client_of(reader)
    before = text_of(client.get(url_of(extraction)))
    assert "No annotations to show yet" in before
    assert reverse("annotation:new") in before
    annotate(study)
    assert client.get(url_of(extraction)).content.decode().count("bars") == 0
    own = text_of(client_of(researcher_of(study)).get(url_of(extraction)))
    assert "unfinished; you see it because you run it" in own
    assert "Layer 0: 13.3% of the top tokens of 1 list<" in own
    assert (
        f"{reverse('explorer:vectors', args=[extraction.public_id])}?kind=value&amp;layer=1" in own
    )
    sent = client.get(reverse("api:picture", args=[extraction.public_id])).json()
    assert sent == {"lists": 0, "layers": [], "studies": []}
    closed(study)
    sent = client.get(reverse("api:picture", args=[extraction.public_id])).json()
    assert (sent["lists"], sent["studies"]) == (
        2, [{"title": "Of values", "made_up": False, "is_finished": True}],
    )  # fmt: skip
    assert sent["layers"][0]["shares"][0] == {
        "category": "semantic", "share": pytest.approx(4 / 30),
    }  # fmt: skip


def test_hidden_lists_are_in_no_share_and_no_count(extraction):
    person = UserFactory(role=Role.RESEARCHER)
    finished = value_study(extraction, lists_per_layer=2)
    annotate(finished)
    closed(finished)
    assert model_picture(extraction, person).lists == 4
    study = value_study(extraction, people=[person], title="Open")
    assert len(lists_of(study)) == 2
    assert model_picture(extraction, person).lists == 2
    admin = UserFactory(role=Role.ADMIN)
    own = value_study(extraction, people=[admin], team_may_annotate=True, title="Own")
    annotate(own)
    assert model_picture(extraction, admin).lists == 2  # an admin runs it, and annotates in it


def test_shares_are_computed_again_only_when_an_annotation_changes(extraction, reader, monkeypatch):
    study = value_study(extraction)
    annotate(study)
    closed(study)
    real, computed = shares.shares_by_layer, []

    def counted(*args, **kwargs):
        computed.append(args)
        return real(*args, **kwargs)

    monkeypatch.setattr(shares, "shares_by_layer", counted)
    for _ in range(2):
        model_picture(extraction, reader)
    assert len(computed) == 1
    Study.objects.filter(pk=study.pk).update(state="open")
    item = lists_of(study)[0]
    submit(item.assignments.order_by("pk").first(), answer(pattern(1, [*range(1, 31)])))
    closed(study)
    picture = model_picture(extraction, reader)
    assert len(computed) == 2
    assert max(bar.coverage for bar in picture.layers) == pytest.approx((1 + 4 / 30) / 2)


def test_without_annotations_another_extraction_of_the_model_is_named(extraction, reader):
    other = make_extraction(layers=2, per_layer=2, kinds=("value",), model=extraction.model)
    study = value_study(other)
    client = client_of(reader)
    assert url_of(other) not in text_of(client.get(url_of(extraction)))
    annotate(study)
    assert url_of(other) not in text_of(client.get(url_of(extraction)))
    closed(study)
    assert url_of(other) in text_of(client.get(url_of(extraction)))


def test_made_up_annotations_are_marked(extraction, reader, monkeypatch):
    monkeypatch.setattr(Study._meta.get_field("made_up"), "_get_default", lambda: True)
    study = value_study(extraction)
    annotate(study)
    closed(study)
    assert text_of(client_of(reader).get(url_of(extraction))).count("made-up annotations") == 2
