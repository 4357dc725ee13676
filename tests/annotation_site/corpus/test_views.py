"""The pages on which an admin enqueues a model and sees how far it is."""

from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from annotation_site.accounts.models import Role
from annotation_site.corpus import services
from annotation_site.corpus.models import Extraction, ExtractionLayer
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
        "extent": "sample",
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


def test_all_value_vectors_can_be_chosen_with_the_number_of_the_others(admin):
    admin.post("/models/enqueue/", form(extent="all", per_layer=4))
    assert ExtractOptions.from_json(Extraction.objects.get().parameters) == ExtractOptions(
        kinds=("value", "random"),
        per_layer="all",
        drawn_per_layer=4,
        seed=7,
        random_grain="layer",
        glosses=(),
    )


def test_the_command_queues_what_the_form_can_and_nothing_that_cannot_work(capsys):
    call_command("enqueue_model", "gpt2", "--per-layer", "all", "--drawn-per-layer", "4")
    options = ExtractOptions.from_json(Extraction.objects.get().parameters)
    assert (options.per_layer, options.drawn_count) == ("all", 4)
    for wrong in (
        ("--per-layer", "none"),
        ("--per-layer", "0"),
        ("--per-layer", "all", "--kinds", "random"),
        ("--drawn-per-layer", "-1"),
    ):
        with pytest.raises(CommandError):
            call_command("enqueue_model", "gpt2", *wrong)
    assert Extraction.objects.count() == 1


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"model": "/etc"}, "no model&#x27;s name"),
        ({"model": ""}, "This field is required"),
        ({"kinds": []}, "This field is required"),
        ({"per_layer": 0}, "greater than or equal to 1"),
        ({"extent": "most"}, "not one of the available choices"),
        ({"extent": "all", "kinds": ["random"]}, "needs the kind value vectors"),
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


def cut(n_layers=100):
    """An extraction at its layers: a third done, two of them running, the rest waiting."""
    extraction = services.extraction_enqueue(
        model_source="gpt2", options=ExtractOptions(per_layer="all")
    )
    now = timezone.now()
    Extraction.objects.update(state="layers", step="projection")
    for layer in range(n_layers):
        state = "done" if layer < n_layers // 3 else "waiting"
        if layer - n_layers // 3 in (0, 1):
            state = "running"
        begun = state != "waiting"
        ExtractionLayer.objects.create(
            extraction=extraction, layer=layer, state=state, total=3082,
            done={"done": 3082, "running": 1541, "waiting": 0}[state],
            worker=f"node{layer % 2}:4711:abc" if begun else "", attempts=begun,
            started_at=now - timedelta(seconds=2) if begun else None,
            heartbeat_at=now if begun else None, finished_at=now if state == "done" else None,
        )  # fmt: skip
    return extraction


def test_the_page_shows_which_layers_are_done_by_whom_and_how_fast(
    admin, django_assert_max_num_queries
):
    extraction = cut()
    # session, person, extraction, layers, whether there is a manifest, log, workers
    with django_assert_max_num_queries(7):
        shown = page(admin, extraction)
    assert shown.count('class="layer-done"') == 33
    assert shown.count('class="layer-running"') == 2
    assert ">2 s · 1,541/s</span>" in shown
    assert shown.count('<bdi class="layer-detail">node0:4711</bdi>') == 18
    assert "50%" in shown
    assert "of 100 layers done" in shown
    assert "every 1s" in shown
    assert "abc" not in shown


def test_an_extraction_is_cancelled_tried_again_and_deleted_from_its_page(admin):
    extraction = cut()
    url = f"/models/{extraction.public_id}/"
    assert f'action="{url}cancel/"' in page(admin, extraction)
    assert f'action="{url}delete/"' not in page(admin, extraction)
    admin.post(url + "cancel/")
    shown = page(admin, extraction)
    assert "This extraction was cancelled." in shown
    assert f'action="{url}cancel/"' not in shown
    part = admin.get(url + "progress/").content.decode()
    assert 'hx-swap-oob="true"' in part
    assert f'action="{url}retry/"' in part
    assert admin.post(url + "retry/").url == url
    assert admin.post(url + "delete/").status_code == 422
    admin.post(url + "cancel/")
    assert admin.post(url + "delete/").url == "/models/"
    assert not Extraction.objects.exists()
