"""The command line as people use it: in a process of its own."""

import os
import shutil
import subprocess
import sys

import pytest

from ffn_extract.architectures import ARCHITECTURES
from ffn_extract.bundle import open_bundle
from ffn_extract.options import ExtractOptions
from ffn_extract.pipeline import extract
from ffn_extract.target_lock import locked
from tests.ffn_extract.conftest import SENTENCES, edit_config


def run(*arguments, **environment):
    return subprocess.run(
        [sys.executable, "-m", "ffn_extract", *map(str, arguments)],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=300,
    )


def refused(ended) -> str:
    """The one sentence on standard error of a command that exited with 1."""
    assert ended.returncode == 1, ended
    assert "Traceback" not in ended.stderr
    (line,) = [line for line in ended.stderr.splitlines() if line.startswith("Error: ")]
    return line


def test_extract_writes_a_bundle_and_says_its_digest(tiny_model, tmp_path):
    out = tmp_path / "out"
    ended = run(
        "extract", tiny_model("gpt2"), "--out", out, "--kinds", "update,value", "--per-layer", 3,
        "--top-k", 7, "--seed", 5, "--projection", "fold", "--random-grain", "layer",
        "--corpus", SENTENCES, "--glosses", "none", "--drop-special", "--device", "cpu",
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    manifest = open_bundle(out).manifest
    assert ended.stdout.splitlines()[-1] == f"digest {manifest.digest}"
    expected = {
        "kinds": ["value", "update"], "per_layer": 3, "top_k": 7, "seed": 5, "projection": "fold",
        "random_grain": "layer", "drop_special": True, "bottom": True, "glosses": [],
    }  # fmt: skip
    assert {key: manifest.parameters[key] for key in expected} == expected
    assert "Run the model over the corpus" in ended.stderr
    assert "Warning" not in ended.stderr


def test_inspect_prints_the_lists(demo_bundle):
    ended = run("inspect", demo_bundle.path, "--layer", 2, "--kind", "update", "--limit", 3)
    lines = ended.stdout.splitlines()
    assert lines[0].startswith("demo (bert): 6 layers × 1536 value vectors, d_model 384")
    assert lines[4] == f"digest {demo_bundle.manifest.digest}"
    heads = [line for line in lines if line.startswith("layer ")]
    assert [head.split("  ")[:2] for head in heads] == [
        ["layer 2", f"update {i}"] for i in (0, 1, 2)
    ]
    assert lines[-1] == "3 of 10 lists; --limit 0 shows all, --layer and --kind choose."
    assert max(map(len, lines)) <= 100


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--layer", 6), "layer must be from 0 to 5, not 6."),
        (("--kind", "key"), "kind must be one of value, random, update, not 'key'."),
    ],
)
def test_inspect_refuses_what_a_bundle_cannot_have(demo_bundle, arguments, sentence):
    assert refused(run("inspect", demo_bundle.path, *arguments)) == f"Error: {sentence}"


def test_inspect_refuses_a_folder_that_is_no_bundle(tmp_path):
    assert "is no complete bundle" in refused(run("inspect", tmp_path))


def test_a_hub_that_cannot_be_reached_names_both_ways_out(tmp_path):
    ended = run(
        "extract", "gpt2", "--out", tmp_path / "out",
        HF_ENDPOINT="http://127.0.0.1:9", HF_HOME=str(tmp_path / "cache"),
    )  # fmt: skip
    sentence = refused(ended)
    assert "Either give a local folder" in sentence
    assert "or connect (HF_HOME" in sentence
    assert not (tmp_path / "out").exists()


def test_an_unknown_family_is_told_what_to_give(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    edit_config(tmp_path, model_type="rwkv")
    sentence = refused(run("extract", tmp_path, "--out", tmp_path / "out"))
    assert "names of three tensors" in sentence
    assert "docs/extending.md" in sentence


def test_a_family_that_is_not_known_is_read_by_its_tensors_names(tiny_model, tmp_path):
    """GPT-2 under a name that nobody knows gives GPT-2's value lists."""
    folder = shutil.copytree(tiny_model("gpt2"), tmp_path / "model")
    edit_config(folder, model_type="rwkv")
    common = ("--kinds", "value,random", "--per-layer", 3, "--glosses", "none", "--name", "it")
    tensors = (
        "--value-tensor", "transformer.h.{layer}.mlp.c_proj.weight",
        "--key-tensor", "transformer.h.{layer}.mlp.c_fc.weight",
        "--unembedding-tensor", "transformer.wte.weight",
    )  # fmt: skip
    ended = run(
        "extract", folder, "--out", tmp_path / "a", *common, *tensors, "--orientation", "row"
    )
    assert ended.returncode == 0, ended.stderr
    options = ExtractOptions(kinds=("value", "random"), per_layer=3, glosses=(), name="it")
    extract(str(tiny_model("gpt2")), tmp_path / "b", options)
    given, known = open_bundle(tmp_path / "a"), open_bundle(tmp_path / "b")
    assert given.manifest.model.model_type == "rwkv"
    assert given.manifest.parameters["tensors"] == {
        "value_tensor": tensors[1], "key_tensor": tensors[3], "unembedding_tensor": tensors[5],
        "orientation": "row",
    }  # fmt: skip
    assert list(given.iter_vectors()) == list(known.iter_vectors())


def test_bad_options_are_told_all_at_once(tmp_path):
    ended = run("extract", tmp_path, "--out", tmp_path / "out", "--kinds", "key", "--top-k", 0)
    assert refused(ended) == (
        "Error: kinds has no key; it knows: value, random, update. "
        "top_k must be a whole number from 1 to 1000, not 0."
    )


def test_architectures_lists_every_family():
    lines = run("architectures").stdout.splitlines()
    assert [line.split()[0] for line in lines] == sorted(ARCHITECTURES)


def test_fetch_wordnet_prints_where_it_is(wordnet):
    ended = run("fetch-wordnet")
    assert ended.stdout.strip() == str(wordnet)


def test_a_second_run_into_the_same_target_is_refused_while_the_first_runs(tiny_model, tmp_path):
    arguments = (
        "extract", tiny_model("gpt2"), "--out", tmp_path / "out", "--kinds", "value",
        "--glosses", "none", "--top-k", 5,
    )  # fmt: skip
    with locked(tmp_path / "out"):
        assert "Another process is extracting into" in refused(run(*arguments))
        assert run(*arguments[:3], tmp_path / "other", *arguments[4:]).returncode == 0
    assert run(*arguments).returncode == 0
    assert sorted(os.listdir(tmp_path)) == ["other", "out"]
