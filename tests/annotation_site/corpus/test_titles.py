"""What extractions are called: by default, by a person, and wherever one is chosen."""

import importlib
from types import SimpleNamespace

import pytest
from django.apps import apps
from django.db import IntegrityError, connection, transaction

from annotation_site.accounts.models import Role
from annotation_site.annotation.forms import StudyForm
from annotation_site.corpus import services
from annotation_site.corpus.models import Extraction
from annotation_site.corpus.titles import TitleTaken, extraction_create, title_of
from annotation_site.errors import Invalid
from ffn_extract.options import ExtractOptions
from tests.annotation_site.factories import UserFactory, client_of, make_extraction

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("options", "title"),
    [
        ({}, "minilm, 10 per layer"),
        ({"per_layer": 20, "seed": 7}, "minilm, 20 per layer, seed 7"),
        ({"per_layer": "all"}, "minilm, all value vectors"),
        ({"kinds": ["value", "random"]}, "minilm, 10 per layer, value and random"),
        ({"name": "Mini"}, "Mini, 10 per layer"),
        ({"vectors": ["0:1"], "kinds": ["value"]}, "minilm, 1 chosen vector, value"),
    ],
)
def test_a_default_title_says_what_sets_an_extraction_apart(options, title):
    assert title_of("somebody/minilm", ExtractOptions.from_json(options).to_json()) == title


@pytest.mark.parametrize("strange", [{}, {"kinds": 7, "seed": [1], "per_layer": {}, "name": 3}])
def test_a_bundle_made_elsewhere_gets_a_title_whatever_its_parameters_are(strange):
    assert title_of("m", strange)


def test_the_same_options_again_get_a_date_and_then_a_number():
    titles = [
        services.extraction_enqueue(model_source="gpt2", options=ExtractOptions()).title
        for _ in range(4)
    ]
    assert titles[0] == "gpt2, 10 per layer"
    assert titles[1].startswith("gpt2, 10 per layer, ")
    assert titles[2:] == [f"{titles[1]}, 2", f"{titles[1]}, 3"]
    shown = client_of(UserFactory(role=Role.ADMIN)).get("/models/").content.decode()
    assert all(f">{title}</bdi>" in shown for title in titles)


def test_a_title_is_unique_in_any_case():
    extraction_create(title="Twelve lists", model_source="m")
    with pytest.raises(TitleTaken, match="Another extraction is called “twelve LISTS”"):
        extraction_create(title="twelve LISTS", model_source="m")
    with pytest.raises(IntegrityError), transaction.atomic():
        Extraction.objects.create(title="TWELVE lists", model_source="m")


def test_an_admin_renames_an_extraction_and_a_researcher_chooses_it_by_that_name():
    admin = client_of(UserFactory(role=Role.ADMIN))
    extraction = make_extraction(title="gpt2, 2 per layer")
    url = f"/models/{extraction.public_id}/"
    assert admin.post(f"{url}rename/", {"title": "  Before   tuning "}).status_code == 302
    extraction.refresh_from_db()
    assert extraction.title == "Before tuning"
    assert "Renamed to “Before tuning”." in admin.get(url).content.decode()
    assert admin.post(f"{url}rename/", {"title": " "}).status_code == 422
    other = make_extraction(title="After tuning")
    assert admin.post(f"{url}rename/", {"title": "after tuning"}).status_code == 422
    form = StudyForm(by=UserFactory(role=Role.RESEARCHER))
    assert [str(label) for _, label in form.fields["extractions"].choices] == [
        other.title, "Before tuning",
    ]  # fmt: skip


def test_enqueueing_takes_a_name_and_refuses_one_that_is_taken():
    services.extraction_enqueue(model_source="gpt2", options=ExtractOptions(), title="Mine")
    with pytest.raises(Invalid, match="Choose another name"):
        services.extraction_enqueue(model_source="bert", options=ExtractOptions(), title="mine")
    assert Extraction.objects.count() == 1


def test_the_migration_gives_each_older_extraction_a_title_in_batches(monkeypatch):
    migration = importlib.import_module(
        "annotation_site.corpus.migrations.0009_titles_of_extractions"
    )
    monkeypatch.setattr(migration, "CHUNK", 2)
    parameters = ExtractOptions().to_json()
    Extraction.objects.bulk_create(
        Extraction(model_source="a/gpt2", parameters=parameters) for _ in range(5)
    )
    Extraction.objects.bulk_create([Extraction(model_source="gpt2", parameters={"seed": 3})])
    migration.give(apps, SimpleNamespace(connection=connection))
    titles = list(Extraction.objects.order_by("pk").values_list("title", flat=True))
    assert len(set(titles)) == 6
    assert titles[0] == title_of("a/gpt2", parameters)
    assert [title.count(", ") for title in titles] == [1, 2, 3, 3, 3, 1]
    assert titles[5] == "gpt2, seed 3"
