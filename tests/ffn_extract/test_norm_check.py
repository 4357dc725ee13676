"""How much the norm changes the top tokens: table, figure, parameters."""

import csv
import dataclasses
import json
import shutil
import struct
import sys

import numpy as np
import pytest
from click.testing import CliRunner
from safetensors.numpy import load_file, save_file

from ffn_extract.bundle import open_bundle
from ffn_extract.cli import main
from ffn_extract.errors import FFNExtractError, OptionError
from ffn_extract.norm_check import (
    FIGURE_FILE,
    PARAMETERS_FILE,
    TABLE_FILE,
    Row,
    compare_norm,
    intersection_over_union,
    table_csv,
)
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
    rows = compare_norm(str(tiny_model(family)), tmp_path / "out", TINY)
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
        main, ["compare-norm", str(demo_model), "--out", str(out), "--per-layer", "10"]
    )
    assert ended.exit_code == 0, ended.output
    with (out / TABLE_FILE).open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 12
    assert {row["vectors"] for row in rows} == {"10"}
    means = {(row["layer"], row["kind"]): float(row["mean_iou"]) for row in rows}
    assert 0.6 < means["0", "value"] < 0.95
    assert all(0 < mean < 1 for mean in means.values())
    assert f"    0   {means['0', 'value']:.3f}   {means['0', 'random']:.3f}" in ended.output
    figure = (out / FIGURE_FILE).read_bytes()
    assert figure.startswith(b"\x89PNG")
    assert min(struct.unpack(">II", figure[16:24])) > 400
    stored = json.loads((out / PARAMETERS_FILE).read_text())
    assert stored["parameters"] == {
        "kinds": ["value", "random"], "projections": ["raw", "norm"], "per_layer": 10, "top_k": 30,
        "seed": 0, "random_grain": "dimension", "drop_special": False,
    }  # fmt: skip
    assert stored["model"]["model_type"] == "bert"
    assert str(demo_model) not in json.dumps(stored)


def test_another_run_gives_the_same_table_and_figure(tiny_model, tmp_path):
    for name in ("one", "two"):
        compare_norm(str(tiny_model("gpt2")), tmp_path / name, TINY)
    for name in (TABLE_FILE, FIGURE_FILE):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_the_table_is_a_line_per_layer_and_kind():
    rows = [Row(0, "value", 10, 0.5, 0.25, 0.0, 1.0), Row(0, "random", 10, 0.125, 0.0, 0.1, 0.2)]
    assert table_csv(rows) == (
        "layer,kind,vectors,mean_iou,std_iou,min_iou,max_iou\n"
        "0,value,10,0.5,0.25,0.0,1.0\n"
        "0,random,10,0.125,0.0,0.1,0.2\n"
    )


def test_without_matplotlib_the_table_is_written_and_it_is_said_why_there_is_no_figure(
    tiny_model, tmp_path, monkeypatch
):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    out = tmp_path / "out"
    ended = CliRunner().invoke(
        main,
        ["compare-norm", str(tiny_model("llama")), "--out", str(out), "--per-layer", "3"],
    )
    assert ended.exit_code == 0, ended.output
    assert sorted(path.name for path in out.iterdir()) == [TABLE_FILE, PARAMETERS_FILE]
    assert "No figure was drawn: matplotlib is not installed" in ended.stderr


def test_a_folder_that_holds_a_comparison_is_not_overwritten(tiny_model, tmp_path):
    compare_norm(str(tiny_model("bert")), tmp_path, TINY)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(OptionError, match=r"holds a comparison already\. Give another folder"):
        compare_norm(str(tiny_model("bert")), tmp_path, dataclasses.replace(TINY, seed=1))
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_folder_that_cannot_be_written_is_named(tiny_model, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OptionError, match="Cannot write to"):
        compare_norm(str(tiny_model("bert")), tmp_path / "file" / "out", TINY)


def test_a_model_without_a_norm_is_refused_before_the_work(tiny_model, tmp_path):
    folder = shutil.copytree(tiny_model("gpt2"), tmp_path / "model")
    tensors = load_file(folder / "model.safetensors")
    kept = {name: tensor for name, tensor in tensors.items() if "ln_f" not in name}
    save_file(kept, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(FFNExtractError, match=r"has no ln_f\.weight"):
        compare_norm(str(folder), tmp_path / "out", TINY)
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
