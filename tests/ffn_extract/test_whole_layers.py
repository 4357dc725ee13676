"""Every value vector: layer by layer, whatever comes between two runs."""

import dataclasses
import os
import signal
import subprocess
import sys

import pytest
import torch

from ffn_extract import run
from ffn_extract.bundle import BundleError
from ffn_extract.options import ExtractOptions
from ffn_extract.pipeline import extract, open_run
from ffn_extract.progress import Steps, ignore
from ffn_extract.whole_layers import LayeredExtraction
from tests.ffn_extract.small_bundles import rows_of
from tests.ffn_extract.tiny_models import SENTENCES

D_FF, LAYERS, DRAWN = 24, 2, 3
EVERY = ExtractOptions(
    per_layer="all", drawn_per_layer=DRAWN, top_k=5, corpus=str(SENTENCES), glosses=(), name="tiny"
)
PER_LAYER = D_FF + 2 * DRAWN


class Stopped(Exception):
    """Somebody pressed Ctrl-C."""


def stop_at(done):
    """Raise at the first sign that more than `done` vectors are projected."""

    def report(progress):
        if progress.step == "projection" and progress.done > done:
            raise Stopped

    return report


@pytest.fixture
def model(tiny_model):
    return str(tiny_model("bert"))


@pytest.fixture
def uninterrupted(model, tmp_path):
    return extract(model, tmp_path / "reference" / "out", EVERY)


def test_every_value_vector_has_the_lists_that_sampling_gives_it(model, tmp_path, uninterrupted):
    sampled = dataclasses.replace(EVERY, per_layer=D_FF)
    extract(model, tmp_path / "sampled", sampled)
    assert rows_of(tmp_path / "sampled") == rows_of(tmp_path / "reference" / "out")
    assert uninterrupted.counts.kinds == {
        "value": LAYERS * D_FF, "random": LAYERS * DRAWN, "update": LAYERS * DRAWN
    }  # fmt: skip
    assert uninterrupted.parameters["per_layer"] == "all"
    assert uninterrupted.parameters["drawn_per_layer"] == DRAWN
    assert os.listdir(tmp_path / "reference") == ["out"]


@pytest.mark.parametrize("grain", ["dimension", "model"])
@pytest.mark.parametrize("done", [0, PER_LAYER, PER_LAYER + D_FF])
def test_a_stopped_run_goes_on_at_the_unfinished_layer(model, tmp_path, grain, done):
    options = dataclasses.replace(EVERY, random_grain=grain)
    reference = extract(model, tmp_path / "reference", options)
    with pytest.raises(Stopped):
        extract(model, tmp_path / "out", options, stop_at(done))
    assert not (tmp_path / "out").exists()
    seen = []
    manifest = extract(model, tmp_path / "out", options, seen.append)
    first = [progress for progress in seen if progress.step == "projection"][1]
    assert (first.done, first.before) == (done // PER_LAYER * PER_LAYER,) * 2
    assert manifest.digest == reference.digest
    assert sorted(os.listdir(tmp_path)) == ["out", "reference"]


def test_a_run_stopped_after_the_last_layer_projects_nothing_again(model, tmp_path, uninterrupted):
    def stop(progress):
        if progress.step == "bundle":
            raise Stopped

    with pytest.raises(Stopped):
        extract(model, tmp_path / "out", EVERY, stop)
    steps = set()
    manifest = extract(model, tmp_path / "out", EVERY, lambda progress: steps.add(progress.step))
    assert not steps & {"random", "updates"}
    assert manifest.digest == uninterrupted.digest


def test_a_killed_process_ends_in_the_same_digest(model, tmp_path, uninterrupted):
    code = f"""
import os, signal, sys
from ffn_extract.options import ExtractOptions
from ffn_extract.pipeline import extract
def kill(progress):
    if progress.step == "projection" and progress.done > {PER_LAYER}:
        os.kill(os.getpid(), signal.SIGKILL)
options = ExtractOptions.from_json({EVERY.to_json()!r})
extract(sys.argv[1], __import__("pathlib").Path(sys.argv[2]), options, kill)
"""
    ended = subprocess.run([sys.executable, "-c", code, model, tmp_path / "out"], check=False)
    assert ended.returncode == -signal.SIGKILL
    (folder,) = tmp_path.glob(".out.*.parts")
    assert "layer-00000.parquet" in os.listdir(folder)
    assert extract(model, tmp_path / "out", EVERY).digest == uninterrupted.digest
    assert not folder.exists()


@pytest.mark.parametrize(("threads", "batch"), [(1, 1 << 22), (2, 16 * 7)])
def test_threads_and_batches_make_no_difference(
    model, tmp_path, uninterrupted, monkeypatch, threads, batch
):
    monkeypatch.setattr("ffn_extract.vectors.BATCH_ELEMENTS", batch)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        assert extract(model, tmp_path / "out", EVERY).digest == uninterrupted.digest
    finally:
        torch.set_num_threads(before)


def test_layers_of_another_extraction_are_not_taken(model, tmp_path, uninterrupted):
    with pytest.raises(Stopped):
        extract(model, tmp_path / "out", dataclasses.replace(EVERY, top_k=4), stop_at(PER_LAYER))
    assert extract(model, tmp_path / "out", EVERY).digest == uninterrupted.digest


def test_a_damaged_layer_is_named_with_its_remedy(model, tmp_path):
    with pytest.raises(Stopped):
        extract(model, tmp_path / "out", EVERY, stop_at(PER_LAYER))
    (part,) = tmp_path.glob(".out.*.parts/layer-00000.parquet")
    part.write_bytes(b"PAR1 and nothing else")
    with pytest.raises(BundleError, match=r"remove the folder .*\.parts and run again"):
        extract(model, tmp_path / "out", EVERY)


def opened(model, out, options=EVERY):
    """The same extraction as another process would open it."""
    return LayeredExtraction(open_run(model, out, options, Steps(ignore)))


@pytest.mark.parametrize("grain", ["dimension", "model"])
def test_layers_done_by_several_in_any_order_make_the_same_bundle(
    model, tmp_path, monkeypatch, grain
):
    options = dataclasses.replace(EVERY, random_grain=grain)
    reference = extract(model, tmp_path / "reference", options)
    passes = []
    measure = run.moments_of_model
    monkeypatch.setattr(run, "moments_of_model", lambda *given: passes.append(1) or measure(*given))
    first, second = (opened(model, tmp_path / "out", options) for _ in range(2))
    assert not second.begun
    first.begin()
    assert second.begun
    counted = {0: [], 1: []}
    for layered, layer in ((second, 1), (first, 0), (first, 1)):
        layered.layer(layer, Steps(ignore), counted[layer].append)
    assert [counts[-1] for counts in counted.values()] == list(first.sizes) == [PER_LAYER] * 2
    assert second.unfinished() == []
    assert second.finish(Steps(ignore)).digest == reference.digest
    assert len(passes) == (2 if grain == "model" else 0)  # one for each process, not each layer
    assert sorted(os.listdir(tmp_path)) == ["out", "reference"]


def test_a_layer_of_a_run_that_others_finished_leaves_nothing(model, tmp_path):
    late = opened(model, tmp_path / "out")
    late.begin()
    opened(model, tmp_path / "out").every_layer(Steps(ignore))
    with pytest.raises(BundleError, match="Cannot write"):
        late.layer(0, Steps(ignore), lambda vectors: None)
    assert os.listdir(tmp_path) == ["out"]


def test_what_the_lists_depend_on_tells_other_machines_apart(model, tmp_path, monkeypatch):
    opened(model, tmp_path / "out").begin()
    monkeypatch.setattr("ffn_extract.whole_layers.packages", lambda: {"torch": "0"})
    other = opened(model, tmp_path / "out")
    assert other.inputs["packages"] == {"torch": "0"}
    assert not other.begun
