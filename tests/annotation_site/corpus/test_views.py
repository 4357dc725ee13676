"""The pages on which an admin enqueues a model and sees how far it is."""

import json
import re
from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from annotation_site.accounts.models import Role
from annotation_site.corpus import log, services
from annotation_site.corpus.models import Extraction, ExtractionLayer, LanguageModel
from annotation_site.corpus.selectors import extractions
from annotation_site.exact_words import exact
from annotation_site.workers.models import Worker
from ffn_extract.options import ExtractOptions
from tests.annotation_site.corpus.forms import form
from tests.annotation_site.factories import UserFactory, client_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def admin():
    return client_of(UserFactory(role=Role.ADMIN))


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
        ({"model": "/etc"}, "is not the name of a model"),
        ({"model": ""}, "Choose a model or name one of the hub"),
        ({"kinds": []}, "This field is required"),
        ({"per_layer": 0}, "greater than or equal to 1"),
        ({"extent": "most"}, "not one of the available choices"),
        ({"extent": "all", "kinds": ["random"]}, "choose the kind value vectors too"),
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
    # session, person, extraction, layers, whether there is a manifest, log, workers; the time left:
    # unfinished extractions, pace, correction, layers, workers; unread notices
    with django_assert_max_num_queries(13):
        shown = page(admin, extraction)
    assert shown.count('class="layer-done"') == 33
    assert shown.count('class="layer-running"') == 2
    assert ">2 s · 1,541/s</span>" in shown
    worker = '<bdi class="notranslate layer-detail" translate="no">node0:4711</bdi>'
    assert shown.count(worker) == 18
    assert "50%" in shown
    assert "of 100 layers done" in shown
    assert "every 1s" in shown
    assert ":abc" not in shown


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


def at(seconds_ago):
    return timezone.now() - timedelta(seconds=seconds_ago)


def test_the_list_is_paged_and_filtered_in_few_queries(admin, django_assert_max_num_queries):
    for number in range(60):
        state = "failed" if number % 2 else "queued"
        Extraction.objects.create(model_source=f"model{number:02}", state=state)
    # session, person, number of extractions, those of the page, workers, what they do: whole
    # extractions and layers, what waits: extractions and layers
    with django_assert_max_num_queries(9):
        first = admin.get("/models/").content.decode()
    assert first.count('<th scope="row">') == 25
    assert "Page 1 of 3" in first
    assert "model59" in first
    assert "?page=2" in first
    assert admin.get("/models/?page=3").content.decode().count('<th scope="row">') == 10
    failed = admin.get("/models/?state=failed&page=2").content.decode()
    assert failed.count('<th scope="row">') == 5
    assert "model58" not in failed
    assert "?page=1&amp;state=failed" in failed
    assert "state=failed&amp;page=2" in failed  # where the page asks what is new
    assert "No extraction is in this state" in admin.get("/models/?state=ready").content.decode()
    assert admin.get("/models/?state=%3Cb%3E&page=x").status_code == 200


def test_the_list_says_what_came_with_an_archive_without_reading_it(
    admin, django_assert_max_num_queries
):
    for number in range(5):
        Extraction.objects.create(
            model_source=f"model{number}", state="ready", restored={"proxies": None}
        )
    Extraction.objects.create(model_source="own", state="ready")
    found = {one.model_source: one for one in extractions()}
    assert [one.is_restored for one in found.values()].count(True) == 5
    assert not found["own"].is_restored
    assert all("restored" in one.get_deferred_fields() for one in found.values())
    with django_assert_max_num_queries(9):  # as above: not one for each
        text = admin.get("/models/").content.decode()
    assert text.count("from a study’s archive") == 5


def test_the_page_shows_each_worker_and_what_it_does(admin):
    assert "No worker has run today." in admin.get("/models/").content.decode()
    for name, seen, extracts in (
        ("node0:4711:abc", 1, True),
        ("node1:4711:abc", 1, True),
        ("node2:17:abc", 600, True),
        ("node3:18:abc", 1, False),
        ("node4:19:abc", 1, True),
    ):
        Worker.objects.create(name=name, seen_at=at(seen), extracts=extracts)
    by_layer = cut(9).title
    whole = services.extraction_enqueue(model_source="bert", options=ExtractOptions())
    Extraction.objects.filter(pk=whole.pk).update(
        state="running", worker="node4:19:abc", step="projection", started_at=at(60)
    )
    services.extraction_enqueue(model_source="gpt2", options=ExtractOptions())
    shown = " ".join(admin.get("/models/").content.decode().split())
    assert shown.count(">alive<") == 4
    assert shown.count(">silent<") == 1
    assert f"{exact(by_layer)}</a>: Layer 3" in shown
    assert f"{exact(by_layer)}</a>: Layer 4" in shown
    assert f"{exact(whole.title)}</a>: Project every vector onto the vocabulary" in shown
    assert "Waiting for a worker: extractions 1, layers 4." in shown
    assert ":abc" not in shown
    assert "No worker is running" not in shown
    Worker.objects.update(seen_at=at(600))
    assert "No worker is running" in admin.get("/models/").content.decode()


def test_what_a_worker_does_makes_the_list_be_sent_again(admin):
    worker = Worker.objects.create(name="n:1:x", seen_at=timezone.now())
    have = admin.get("/models/").context["shown"]
    htmx = {"HX-Request": "true"}
    assert admin.get(f"/models/?have={have}", headers=htmx).status_code == 204
    Worker.objects.filter(pk=worker.pk).update(seen_at=at(600))
    assert admin.get(f"/models/?have={have}", headers=htmx).status_code == 200


def test_the_log_says_who_did_what_and_when(admin):
    ada = UserFactory(role=Role.ADMIN, username="ada")
    extraction = services.extraction_enqueue(
        model_source="gpt2", options=ExtractOptions(), requested_by=ada
    )
    claimed = services.extraction_claim(extraction_id=extraction.pk)
    services.extraction_report(extraction=claimed, step="vocabulary", step_done=0, step_total=1)
    services.extraction_report(extraction=claimed, step="vocabulary", step_done=1, step_total=1)
    client_of(ada).post(f"/models/{extraction.public_id}/cancel/")
    client_of(ada).post(f"/models/{extraction.public_id}/retry/")
    lines = [line.in_full for line in extraction.log.all()]
    worker = lines.pop(1)
    assert re.fullmatch(r"Taken by worker .+:\d+\.", worker)
    assert lines == [
        "Queued. (ada)", "Step: Read the vocabulary.", "Cancelled. (ada)", "Queued again. (ada)"
    ]  # fmt: skip
    text = admin.get(f"/models/{extraction.public_id}/log.txt").content.decode()
    assert [line.partition(" UTC  ")[2] for line in text.splitlines()] == [
        lines[0], worker, *lines[1:]
    ]  # fmt: skip
    assert "Queued again." in page(admin, extraction)


def test_the_log_keeps_the_newest_lines(admin, monkeypatch):
    monkeypatch.setattr(log, "MOST_LINES", 5)
    extraction = services.extraction_enqueue(model_source="gpt2", options=ExtractOptions())
    other = services.extraction_enqueue(model_source="gpt2", options=ExtractOptions())
    for number in range(20):
        log.log_add(extraction.pk, f"line {number}")
    assert list(extraction.log.values_list("text", flat=True)) == [
        f"line {number}" for number in range(15, 20)
    ]
    assert other.log.count() == 1


@pytest.mark.parametrize(
    ("notes", "sentence"),
    [
        ({"entries": 90}, "90 entries for 1,000 rows of the unembedding"),
        ({"words_marked_by": "ends"}, "marks only where a word ends"),
        ({"words_marked_by": "nothing"}, "does not mark words"),
        (None, ""),
    ],
)
def test_the_page_says_what_was_read_and_what_is_unusual(admin, notes, sentence):
    extraction = cut(2)
    Extraction.objects.update(
        state="ready",
        model=LanguageModel.objects.create(
            name="tiny", model_type="llama", n_layers=2, d_model=16, d_ff=24, vocab_size=1000,
            vocabulary="subword", weights_digest="0" * 64,
        ),
        environment={"gguf_files": ["tiny-Q8_0.gguf"]},
        manifest=json.dumps(
            {
                "model": {
                    "unembedding": {"tensors": ["lm_head.weight"], "chosen": "head"},
                    "layers_read": [1],
                },
                "parameters": {"tokenizer": notes} if notes else {},
            }
        ),
    )  # fmt: skip
    shown = page(admin, extraction)
    assert "lm_head.weight" in shown
    assert "1 of 2: 1" in shown
    assert "tiny-Q8_0.gguf" in shown
    assert sentence in shown
    assert ("tokenizer" in shown.lower()) is (notes is not None)
