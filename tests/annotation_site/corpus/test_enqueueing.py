"""What an admin may ask for, what it will take, and what cannot work and says so."""

import re
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone
from safetensors.numpy import load_file, save_file

from annotation_site.accounts.models import Role
from annotation_site.corpus import extraction_runs, forecasts, services
from annotation_site.corpus.forms import EnqueueForm
from annotation_site.corpus.locations import local_models
from annotation_site.corpus.models import Extraction, TriggerPrefixes, Vector
from annotation_site.errors import Invalid
from annotation_site.management.commands.enqueue_model import Command
from ffn_extract.checkpoints.outline import Outline
from ffn_extract.estimate import DEFAULT_RATE
from ffn_extract.options import OPTIONS, ExtractOptions
from tests.annotation_site.corpus.forms import GPT2, form
from tests.annotation_site.factories import (
    LanguageModelFactory,
    UserFactory,
    client_of,
    make_extraction,
    make_study,
)
from tests.ffn_extract.tiny_gguf import write_gguf

pytestmark = pytest.mark.django_db
State = Extraction.State
URL = "/models/enqueue/"


@pytest.fixture
def admin():
    return client_of(UserFactory(role=Role.ADMIN))


@pytest.fixture(autouse=True)
def folders(settings, tmp_path):
    """Folders of this test's own, and no hub."""
    for name in ("MODELS_DIR", "CORPORA_DIR", "BUNDLES_DIR"):
        setattr(settings, name, tmp_path / name)
        (tmp_path / name).mkdir()
    return settings


@pytest.fixture
def hub(monkeypatch):
    """What the hub answers: an outline, an error, or None for silence."""

    def answer(said):
        monkeypatch.setattr(forecasts, "outline_on_hub", lambda *_: said)

    answer(None)
    return answer


def model_folder(folders, tiny_model, family="bert"):
    """A copy of a tiny model that a test may damage."""
    folder = folders.MODELS_DIR / "tiny"
    folder.mkdir()
    for path in tiny_model(family).iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    return folder


EVERY_OPTION = {
    "kinds": ("value", "random", "update", "key"),
    "keys_of": "values",
    "workers": 2,
    "per_layer": 3,
    "drawn_per_layer": 2,
    "top_k": 7,
    "seed": 5,
    "projection": "norm",
    "random_grain": "model",
    "corpus": "mine.jsonl",
    "corpus_field": "body",
    "split_sentences": True,
    "glosses": ("wikipedia",),
    "drop_special": True,
    "through_head": True,
    "value_statistics": True,
    "device": "cuda:1",
    "revision": "v1.0",
    "gguf_file": "model-Q4_0.gguf",
    "name": "another name",
    "value_tensor": "l.{layer}.{expert}.v",
    "key_tensor": "l.{layer}.{expert}.k",
    "unembedding_tensor": "e",
    "orientation": "row",
    "projection_tensor": "p",
    "norm_gain_tensor": "n.{layer}.g",
    "norm_kind": "layer",
    "norm_bias_tensor": "n.{layer}.b",
    "norm_offset": 1.0,
    "norm_epsilon": 0.001,
    "norm_after_ffn_tensor": "n.{layer}.after",
    "allow_fewer_layers": True,
}


CHOSEN = {**EVERY_OPTION, "per_layer": 10, "vectors": ("0:7", "14:518")}


@pytest.mark.parametrize("wanted", [EVERY_OPTION, CHOSEN], ids=["sampled", "chosen"])
def test_form_command_and_api_set_every_option_that_extraction_has(admin, folders, hub, wanted):
    assert set(CHOSEN) == set(OPTIONS)
    (folders.CORPORA_DIR / "mine.jsonl").write_text("{}")
    posted = {k: ",".join(v) if k in ("glosses", "vectors") else v for k, v in wanted.items()}
    response = admin.post(URL, {**posted, "model": "gpt2", "extent": "sample"})
    assert response.status_code == 302, response.content.decode()
    command = ["gpt2"]
    for option, value in wanted.items():
        flag = "--" + option.replace("_", "-")
        text = ",".join(value) if isinstance(value, tuple) else str(value)
        command += [flag] if value is True else [flag, text]
    call_command("enqueue_model", *command)
    sent = {"model": "gpt2", **wanted}
    reply = admin.post("/api/extractions", sent, content_type="application/json")
    assert reply.status_code == 201, reply.json()
    by_api, by_command, by_form = Extraction.objects.all()
    assert ExtractOptions.from_json(by_form.parameters) == ExtractOptions.from_json(wanted)
    assert by_api.parameters == by_command.parameters == by_form.parameters


def test_the_few_options_that_matter_come_first(admin):
    shown = admin.get(URL).content.decode()
    first, _, more = shown.partition("<summary>More options</summary>")
    for name in ("model", "kinds", "per_layer", "glosses", "seed"):
        assert f'name="{name}"' in first
    for name in ("top_k", "through_head", "value_tensor", "corpus"):
        assert f'name="{name}"' in more
    assert " open>" not in first
    wrong = admin.post(URL, form(top_k=0)).content.decode()
    assert '<details class="card" open>' in wrong


@pytest.mark.parametrize(
    ("changes", "field", "sentence"),
    [
        (
            {"value_tensor": "x"},
            "value_tensor",
            "Value tensor needs Unembedding tensor and Orientation too",
        ),
        (
            {"value_tensor": "v", "key_tensor": "k.{layer}", "unembedding_tensor": "e",
             "orientation": "row"},
            "key_tensor",
            "Key tensor must have the same braces as Value tensor",
        ),
        ({"vectors": "1:2, 3-4"}, "vectors", "Chosen value vectors has '3-4'"),
        (
            {"vectors": "1:2", "extent": "all"},
            "vectors",
            "Chosen value vectors chooses value vectors, and Vectors per layer all takes",
        ),
        ({"name": "a\u202eb"}, "name", "Name in the bundle has the invisible character U+202E"),
        ({"device": "abacus"}, "device", "Device must be auto, cpu"),
        ({"top_k": 1001}, "top_k", "less than or equal to 1000"),
        ({"corpus": "../secret.txt"}, "corpus", "Select a valid choice"),
        ({"orientation": "upwards"}, "orientation", "Select a valid choice"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_at_its_field_and_nothing_is_queued(
    admin, hub, changes, field, sentence
):
    for button in ({}, {"estimate": "1"}):
        response = admin.post(URL, form(**changes, **button))
        assert response.status_code == 422
        assert sentence in " ".join(response.context["form"].errors[field])
    assert Extraction.objects.count() == 0


def test_html_in_every_field_is_only_text(admin, hub):
    nasty = "<img src=x onerror=alert(1)>"
    for name, field in EnqueueForm.base_fields.items():
        for button in ({}, {"estimate": "1"}):
            wrong = [nasty] if name == "kinds" else nasty
            response = admin.post(URL, form(**{name: wrong}, **button))
            if field.__class__.__name__ != "BooleanField" and response.status_code != 302:
                assert nasty not in response.content.decode(), name
    services.extraction_enqueue(
        model_source="gpt2", options=ExtractOptions(name=nasty, corpus_field=nasty, revision=nasty)
    )
    found = Extraction.objects.latest("pk")
    services.extraction_fail(
        extraction=services.extraction_claim(extraction_id=found.pk), reason=nasty
    )
    for url in ("/models/", f"/models/{found.public_id}/", f"/models/{found.public_id}/progress/"):
        shown = admin.get(url).content.decode()
        assert nasty not in shown
    assert "&lt;img src=x" in shown
    log = admin.get(f"/models/{found.public_id}/log.txt")
    assert log["Content-Type"] == "text/plain; charset=utf-8"
    assert log["X-Content-Type-Options"] == "nosniff"


def test_an_estimate_is_shown_before_anything_is_queued(admin, hub):
    hub(Outline(GPT2, {}, 548_000_000, 551_000_000))
    response = admin.post(URL, form(extent="all", kinds=["value"], estimate="1"))
    found = response.context["forecast"].estimate
    assert found.lists == 12 * 4 * 768
    shown = response.content.decode()
    assert "36,864" in shown
    assert re.search(r"<dd>\d+ min</dd>", shown)
    assert "Nothing is queued yet." in shown
    assert "because no extraction has run on this site yet" in shown
    assert 'name="per_layer" value="3"' in shown  # what was filled in stays
    assert Extraction.objects.count() == 0


def test_a_model_that_nobody_can_measure_yet_says_so_and_can_be_queued(admin, hub, capsys):
    shown = admin.post(URL, form(estimate="1")).content.decode()
    assert "the hub did not say that it has one" in shown
    assert "Enqueue anyway" in shown
    call_command("enqueue_model", "gpt2", "--estimate")
    assert "not known until" in capsys.readouterr().out
    assert Extraction.objects.count() == 0
    assert admin.post(URL, form()).status_code == 302


def test_too_little_disk_or_memory_is_warned_of(admin, hub, monkeypatch):
    hub(Outline(GPT2, {}, 548_000_000, 551_000_000))
    for room in ("_free_disk", "free_bytes"):  # whatever else this machine does
        monkeypatch.setattr(forecasts, room, lambda: 10**12)
    assert "which may be too little" not in admin.post(URL, form(estimate="1")).content.decode()
    monkeypatch.setattr(forecasts, "_free_disk", lambda: 600_000_000)
    monkeypatch.setattr(forecasts, "free_bytes", lambda: 700_000_000)
    shown = admin.post(URL, form(estimate="1")).content.decode()
    assert shown.count("which may be too little") == 2
    assert "Make room first" in shown


def test_the_rate_is_that_of_earlier_extractions_of_this_site():
    assert forecasts.measured_rate() is None
    model = LanguageModelFactory(d_model=100, vocab_size=1000)
    common = {"model": model, "finished_at": timezone.now(), "counts": {"vectors": 600}}
    for seconds in (2.0, 3.0, 6.0):
        make_extraction(**common, environment={"seconds": {"projection": seconds}})
    make_extraction(**common, environment={"seconds": {"projection": 0.1}})  # too short to tell
    make_extraction(**common, environment={"seconds": {"projection": 600.0}}, imported=True)
    make_extraction(**common, environment={"seconds": {"projection": 600.0}}, uploaded=True)
    assert forecasts.measured_rate() == 600 * 1000 * 100 / 3.0


def test_the_rate_of_an_extraction_of_layers_is_that_of_one_worker():
    model = LanguageModelFactory(d_model=100, vocab_size=1000)
    extraction = make_extraction(model=model, counts={"vectors": 600}, environment={"seconds": {}})
    now = timezone.now()
    for layer in range(2):
        extraction.layers.create(
            layer=layer, total=300, started_at=now, finished_at=now + timedelta(seconds=4)
        )
    extraction.layers.create(layer=2, total=300, state="done")  # by an earlier run
    assert forecasts.measured_rate() == 600 * 1000 * 100 / 8
    assert DEFAULT_RATE > 0


@pytest.mark.parametrize(
    "source",
    ["/etc", "../models", "tiny/../../etc", "~/x", "..", "tiny/sub/deeper", "C:\\models", "a\nb"],
)
def test_a_folder_outside_the_models_folder_is_no_model(admin, source):
    for button in ({}, {"estimate": "1"}):
        response = admin.post(URL, form(model=source, **button))
        assert response.status_code == 422
        assert "is not the name of a model" in response.content.decode()
    for arguments in ((), ("--estimate",)):
        with pytest.raises(CommandError, match="is not the name of a model"):
            call_command("enqueue_model", source, *arguments)
    assert Extraction.objects.count() == 0


@pytest.mark.parametrize("name", ["/etc/passwd", "../x.txt", "none.txt", ".hidden"])
def test_texts_outside_their_folder_are_refused(folders, name):
    (folders.CORPORA_DIR.parent / "x.txt").write_text("text")
    (folders.CORPORA_DIR / ".hidden").write_text("text")
    with pytest.raises(Invalid, match="There are no texts"):
        services.extraction_enqueue(model_source="gpt2", options=ExtractOptions(corpus=name))
    assert Extraction.objects.count() == 0


def test_a_folder_that_cannot_be_read_is_refused_before_it_is_queued(
    admin,
    folders,
    tiny_model,
):
    weights = model_folder(folders, tiny_model) / "model.safetensors"
    whole = weights.read_bytes()
    headless = {n: t for n, t in load_file(weights).items() if "word_embeddings" not in n}
    save_file(headless, weights)
    without_head = weights.read_bytes()
    for content, sentence in (
        (b"", "model.safetensors is empty. Copy the model again."),
        (whole[:100], "not a complete safetensors file"),
        (without_head, "The weights have no"),
    ):
        weights.write_bytes(content)
        for button in ({}, {"estimate": "1"}):
            response = admin.post(URL, form(model="tiny", **button))
            assert response.status_code == 422
            assert sentence in response.content.decode()
    assert Extraction.objects.count() == 0
    weights.write_bytes(whole)
    assert admin.post(URL, form(model="tiny", estimate="1")).context["forecast"].estimate


def test_weights_that_are_no_numbers_end_with_a_sentence_and_nothing_half_done(
    folders,
    tiny_model,
):
    weights = model_folder(folders, tiny_model) / "model.safetensors"
    tensors = load_file(weights)
    name = next(n for n in tensors if n.endswith("layer.1.output.dense.weight"))
    tensors[name][0, 0] = np.nan
    save_file(tensors, weights)
    options = ExtractOptions(kinds=("value",), per_layer=24, top_k=5, glosses=())
    extraction = services.extraction_enqueue(model_source="tiny", options=options)
    extraction_runs.extraction_work(extraction_id=extraction.pk)
    extraction.refresh_from_db()
    assert extraction.state == State.FAILED
    assert "not finite numbers (NaN or infinite)" in extraction.error
    assert extraction.log.order_by("-pk").first().text == f"Failed: {extraction.error}"
    assert Vector.objects.count() == 0
    assert not services.bundle_path(extraction).exists()


def test_keys_are_enqueued_with_a_corpus_and_the_page_shows_what_was_read(
    admin, folders, tiny_model
):
    model_folder(folders, tiny_model, "llama")
    (folders.CORPORA_DIR / "mine.txt").write_text("the cat sat\na mat\nthe cat\nthe\n")
    posted = form(model="tiny", kinds=["value", "key", "random-key"], per_layer=3)
    posted |= {"keys_of": "values", "corpus": "mine.txt", "workers": 1, "glosses": "none"}
    assert admin.post(URL, posted).status_code == 302
    extraction = Extraction.objects.get()
    extraction_runs.extraction_work(extraction_id=extraction.pk)
    extraction.refresh_from_db()
    assert (extraction.state, extraction.error) == (State.READY, "")
    places = {
        kind: set(Vector.objects.filter(kind=kind).values_list("layer", "index"))
        for kind in ("value", "key")
    }
    assert places["value"] == places["key"]
    assert len(places["key"]) == 6
    prefixes = TriggerPrefixes.objects.filter(extraction=extraction)
    total = sum(len(one.prefixes) for one in prefixes)
    assert set(prefixes.values_list("kind", flat=True)) == {"key", "random-key"}
    counts = extraction.counts["keys"]
    page = " ".join(admin.get(f"/models/{extraction.public_id}/").content.decode().split())
    assert f"<dt>Trigger prefixes</dt><dd>{total}</dd>" in page
    for kind, label in (("key", "key vectors"), ("random-key", "random key vectors")):
        never, short = counts[kind]["never_active"], counts[kind]["short"]
        assert never + short == 6
        assert f"{label}: {never} never active, {short} with fewer than 25 prefixes" in page
    assert "4 read; 0 cut at 32 tokens; position 0 left out in 4; 1 without a prefix" in page
    listed = admin.get(f"/models/{extraction.public_id}/vectors/", {"kind": "key"})
    assert listed.status_code == 200


def test_an_extraction_that_a_study_uses_is_not_deleted_and_the_study_is_named(admin):
    study = make_study(title="Concepts <b>& co</b>")
    extraction = study.items.first().vector.extraction
    response = admin.post(f"/models/{extraction.public_id}/delete/")
    assert response.status_code == 422
    assert "“Concepts &lt;b&gt;&amp; co&lt;/b&gt;”" in response.content.decode()
    extraction.refresh_from_db()
    assert extraction.state == State.READY


def test_the_command_says_what_it_would_take(folders, tiny_model, capsys):
    model_folder(folders, tiny_model)
    call_command("enqueue_model", "tiny", "--estimate", "--kinds", "value", "--per-layer", "5")
    assert re.fullmatch(
        r"About \d+ seconds of one worker, 0\.\d GB of memory and 0\.\d\d GB of disk, for 10 "
        r"lists\.\n",
        capsys.readouterr().out,
    )
    assert Extraction.objects.count() == 0
    assert "estimate" in Command().create_parser("manage.py", "enqueue_model").format_help()


def test_vectors_that_a_model_does_not_have_are_refused_before_it_is_queued(
    admin, folders, tiny_model
):  # fmt: skip
    model_folder(folders, tiny_model)
    for text, said in (
        ("2:0", "the model has 2 layers, 0 to 1"),
        ("1:24", "layer 1 has 24 value vectors, 0 to 23"),
    ):
        shown = admin.post(URL, form(model="tiny", vectors=text)).content.decode()
        assert f"has {text}, and {said}" in shown
        with pytest.raises(CommandError, match=said):
            call_command("enqueue_model", "tiny", "--vectors", text)
        with pytest.raises(CommandError, match=said):
            call_command("enqueue_model", "tiny", "--vectors", text, "--estimate")
    with pytest.raises(CommandError, match="--per-layer is 25, and layer 0 has 24 value vectors"):
        call_command("enqueue_model", "tiny", "--per-layer", "25")
    assert not Extraction.objects.exists()


def test_what_has_no_effect_is_said_where_the_extraction_is_followed(
    folders, tiny_model, capsys
):  # fmt: skip
    model_folder(folders, tiny_model)
    call_command(
        "enqueue_model", "tiny", "--kinds", "value", "--random-grain", "model", "--revision", "v1"
    )
    assert "Note: --random-grain has no effect here" in capsys.readouterr().err
    queued = Extraction.objects.get()
    assert queued.parameters["random_grain"] == "dimension"
    assert queued.parameters["revision"] is None
    (line,) = queued.log.all()
    assert "random_grain has no effect here" in line.text
    assert "revision has no effect here: tiny is a folder." in line.text


def test_a_gguf_file_is_a_model_by_itself_and_in_a_folder(admin, folders, tiny_model):
    path = folders.MODELS_DIR / "tiny.gguf"
    write_gguf(path, tiny_model("llama"))
    inner = folders.MODELS_DIR / "several"
    inner.mkdir()
    for name in ("a.gguf", "b.gguf"):
        (inner / name).write_bytes(path.read_bytes())
    assert local_models() == ["several", "tiny.gguf"]
    options = ExtractOptions(kinds=("value",), per_layer=2)
    forecast = forecasts.extraction_forecast(model_source="tiny.gguf", options=options)
    assert forecast.estimate is not None
    with pytest.raises(Invalid, match=r"2 GGUF models: a\.gguf, b\.gguf"):
        forecasts.extraction_forecast(model_source="several", options=options)
    named = replace(options, gguf_file="b.gguf")
    same = forecasts.extraction_forecast(model_source="several", options=named)
    assert same.estimate is not None
    assert same.estimate.lists == forecast.estimate.lists == 4
    (inner / "b.gguf").write_bytes(path.read_bytes()[:1_000])
    with pytest.raises(Invalid, match=r"b\.gguf is no whole GGUF file"):
        forecasts.extraction_forecast(model_source="several", options=named)
    posted = {"model": "tiny.gguf", "kinds": ["value"], "per_layer": 2, "extent": "sample"}
    response = admin.post(URL, {**form(), **posted})
    assert response.status_code == 302, response.content.decode()
