"""The measurement `norm`: how much the norm changes the top tokens."""

import csv
import dataclasses
import json
import shutil

import numpy as np
import pytest
from click.testing import CliRunner
from safetensors.numpy import load_file, save_file

from ffn_extract.bundle import open_bundle
from ffn_extract.cli import main
from ffn_extract.errors import FFNExtractError
from ffn_extract.measurements.options import MeasureOptions
from ffn_extract.measurements.run import measure
from ffn_extract.norm_check import compare_norm, intersection_over_union
from ffn_extract.norms import Norm
from ffn_extract.options import ExtractOptions
from ffn_extract.pipeline import extract
from tests.ffn_extract.tiny_models import TOKENIZERS

TINY = ExtractOptions(("value", "random"), per_layer=6, top_k=5, glosses=(), name="tiny")


def lists_of(folder):
    rows = [row for rows in open_bundle(folder).iter_vectors() for row in rows]
    return {(row.kind, row.layer, row.index): set(row.token_ids) for row in rows}


@pytest.mark.parametrize(
    ("first", "second", "overlap"),
    [
        ([1, 2, 3], [3, 2, 1], 1),
        ([1, 2, 3], [4, 5, 6], 0),
        ([1, 2, 3], [3, 4, 2], 1 / 2),
        ([1, 2, 3, 4], [9, 8, 7, 1], 1 / 7),
    ],
)
def test_the_overlap_is_the_shared_tokens_over_all_tokens(first, second, overlap):
    assert intersection_over_union(np.array([first]), np.array([second])).tolist() == [overlap]


@pytest.mark.parametrize("family", TOKENIZERS)
def test_the_table_compares_the_lists_that_extractions_write(tiny_model, tmp_path, family):
    lists = []
    for mode in ("raw", "norm"):
        extract(
            str(tiny_model(family)), tmp_path / mode, dataclasses.replace(TINY, projection=mode)
        )
        lists.append(lists_of(tmp_path / mode))
    overlaps: dict[tuple[int, str], list[float]] = {}
    for (kind, layer, index), ids in lists[0].items():
        other = lists[1][kind, layer, index]
        overlaps.setdefault((layer, kind), []).append(len(ids & other) / len(ids | other))
    rows = compare_norm(str(tiny_model(family)), TINY).rows
    assert [(row.layer, row.kind) for row in rows] == [
        (0, "value"), (0, "random"), (1, "value"), (1, "random"),
    ]  # fmt: skip
    for row in rows:
        expected = np.array(overlaps[row.layer, row.kind])
        found = [row.vectors, row.mean_iou, row.std_iou, row.min_iou, row.max_iou]
        wanted = [6, expected.mean(), expected.std(), expected.min(), expected.max()]
        assert found == pytest.approx(wanted, abs=1e-6)


def test_the_demo_model_keeps_most_of_its_top_tokens(demo_model, tmp_path):
    out = tmp_path / "out"
    ended = CliRunner().invoke(
        main, ["measure", "norm", str(demo_model), "--out", str(out), "--per-layer", "10"]
    )
    assert ended.exit_code == 0, ended.output
    with (out / "norm.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 12
    assert {row["vectors"] for row in rows} == {"10"}
    means = {(row["layer"], row["kind"]): float(row["mean_iou"]) for row in rows}
    assert 0.6 < means["0", "value"] < 0.95
    assert all(0 < mean < 1 for mean in means.values())
    mean = sum(value for (_, kind), value in means.items() if kind == "value") / 6
    assert f"over 6 layers: {mean:.3f} for value vectors" in ended.output
    assert (out / "norm.svg").read_text().startswith("<?xml")
    assert (out / "norm.pdf").read_bytes().startswith(b"%PDF")
    stored = json.loads((out / "manifest.json").read_text())
    assert stored["parameters"] == {
        "kinds": ["value", "random"], "projections": ["raw", "norm"], "per_layer": 10, "top_k": 30,
        "seed": 0, "random_grain": "dimension", "drop_special": False,
    }  # fmt: skip
    assert stored["model"]["model_type"] == "bert"
    assert str(demo_model) not in json.dumps(stored)


def test_another_run_gives_the_same_table_in_the_columns_of_compare_norm(tiny_model, tmp_path):
    for name in ("one", "two"):
        measure(["norm"], tiny_model("gpt2"), tmp_path / name, MeasureOptions(model=TINY))
    for name in ("norm.csv", "norm.parquet", "norm.svg", "README.md"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    lines = (tmp_path / "one" / "norm.csv").read_text().splitlines()
    assert lines[0] == "layer,kind,vectors,mean_iou,std_iou,min_iou,max_iou"
    assert [line.split(",")[:3] for line in lines[1:]] == [
        ["0", "value", "6"], ["0", "random", "6"], ["1", "value", "6"], ["1", "random", "6"],
    ]  # fmt: skip


def test_a_folder_that_cannot_be_written_is_named(tiny_model, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(FFNExtractError, match="Cannot write to"):
        measure(["norm"], tiny_model("bert"), tmp_path / "file" / "out", MeasureOptions(model=TINY))


def test_a_model_without_a_norm_is_refused_before_the_work(tiny_model, tmp_path):
    folder = shutil.copytree(tiny_model("gpt2"), tmp_path / "model")
    tensors = load_file(folder / "model.safetensors")
    kept = {name: tensor for name, tensor in tensors.items() if "ln_f" not in name}
    save_file(kept, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(FFNExtractError, match=r"has no ln_f\.weight"):
        measure(["norm"], folder, tmp_path / "out", MeasureOptions(model=TINY))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("kind", ["layer", "rms"])
@pytest.mark.parametrize("bias", [0.0, 0.7])
def test_scores_of_norm_are_those_of_fold_scaled_plus_those_of_the_bias(kind, bias):
    """E·Norm(v) = E·fold(v) / sqrt(var + ε) + E·β, so the lists differ only where β is not 0."""
    random = np.random.default_rng(1)
    embedding, vectors = random.standard_normal((200, 12)), random.standard_normal((5, 12))
    beta = bias * random.standard_normal(12)
    norm = Norm(kind, random.standard_normal(12), beta, 1e-3)
    centred = vectors - vectors.mean(axis=1, keepdims=True) if kind == "layer" else vectors
    deviation = np.sqrt((centred**2).mean(axis=1) + 1e-3)
    folded, normed = (f(vectors) @ embedding.T for f in (norm.folded, norm.normed))
    np.testing.assert_allclose(
        normed, folded / deviation[:, None] + embedding @ beta, rtol=1e-10, atol=1e-12
    )
    same = np.array_equal(np.argsort(-folded, axis=1)[:, :30], np.argsort(-normed, axis=1)[:, :30])
    assert same is (bias == 0)
