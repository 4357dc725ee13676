"""The pages on which an admin enqueues a model and sees how far it is."""

import pytest
from django.utils import timezone

from annotation_site.accounts.models import Role
from annotation_site.corpus import services
from annotation_site.corpus.models import Extraction
from annotation_site.workers.models import Worker
from ffn_extract.options import ExtractOptions
from tests.annotation_site.factories import UserFactory, client_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def admin():
    return client_of(UserFactory(role=Role.ADMIN))


def form(**changes):
    return {
        "model": "gpt2",
        "revision": "",
        "kinds": ["value", "random"],
        "per_layer": 3,
        "seed": 7,
        "projection": "raw",
        "random_grain": "layer",
        "glosses": "none",
        **changes,
    }


def page(client, extraction):
    return client.get(f"/models/{extraction.public_id}/").content.decode()


def test_a_form_becomes_a_queued_extraction_with_its_options(admin):
    response = admin.post("/models/enqueue/", form())
    extraction = Extraction.objects.get()
    assert response.url == f"/models/{extraction.public_id}/"
    assert (extraction.state, extraction.model_source) == ("queued", "gpt2")
    assert ExtractOptions.from_json(extraction.parameters) == ExtractOptions(
        kinds=("value", "random"), per_layer=3, seed=7, random_grain="layer", glosses=()
    )


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"model": "/etc"}, "no model&#x27;s name"),
        ({"model": ""}, "This field is required"),
        ({"kinds": []}, "This field is required"),
        ({"per_layer": 0}, "greater than or equal to 1"),
        ({"seed": -1}, "greater than or equal to 0"),
        ({"projection": "sideways"}, "not one of the available choices"),
    ],
)
def test_a_form_that_cannot_work_says_why_and_queues_nothing(admin, changes, sentence):
    response = admin.post("/models/enqueue/", form(**changes))
    assert response.status_code == 422
    assert sentence in response.content.decode()
    assert Extraction.objects.count() == 0


def test_a_worker_that_is_down_is_said_on_the_page(admin):
    extraction = services.extraction_enqueue(model_source="gpt2", options=ExtractOptions())
    assert "No worker is running" in page(admin, extraction)
    assert "No worker is running" in admin.get("/models/").content.decode()
    Worker.objects.create(name="w", seen_at=timezone.now())
    assert "No worker is running" not in page(admin, extraction)


def test_the_page_shows_each_step_and_how_far_it_is(admin):
    extraction = services.extraction_enqueue(model_source="gpt2", options=ExtractOptions())
    claimed = services.extraction_claim(extraction_id=extraction.pk)
    services.extraction_report(
        extraction=claimed, step="projection", step_done=1200, step_total=9216
    )
    shown = page(admin, extraction)
    assert "1,200 of 9,216" in shown
    assert shown.count("step-done") > 0
    assert shown.count("step-running") == 1
    assert "every 1s" in shown


def test_a_failure_shows_its_reason_and_a_way_on(admin):
    extraction = services.extraction_enqueue(model_source="gpt2", options=ExtractOptions())
    claimed = services.extraction_claim(extraction_id=extraction.pk)
    services.extraction_fail(extraction=claimed, reason="The hub <cannot> be reached.")
    shown = page(admin, extraction)
    assert "The hub &lt;cannot&gt; be reached." in shown
    assert "Try again" in shown
    assert "every 1s" not in shown
    admin.post(f"/models/{extraction.public_id}/retry/")
    extraction.refresh_from_db()
    assert extraction.state == "queued"


def test_the_list_is_sent_again_only_when_it_changed(admin):
    first = admin.get("/models/")
    url = f"/models/?have={first.context['shown']}"
    htmx = {"HX-Request": "true"}
    assert admin.get(url, headers=htmx).status_code == 204
    services.extraction_enqueue(model_source="gpt2", options=ExtractOptions())
    assert admin.get(url, headers=htmx).status_code == 200
