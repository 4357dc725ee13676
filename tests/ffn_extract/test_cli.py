"""The command line as people use it: in a process of its own."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from ffn_extract import __version__
from ffn_extract.architectures import ARCHITECTURES
from ffn_extract.bundle import open_bundle
from ffn_extract.cli import main
from ffn_extract.cli_options import PerLayer
from ffn_extract.names import folder_name
from ffn_extract.options import KINDS, OPTIONS, ExtractOptions, flag_of
from ffn_extract.pipeline import extract
from ffn_extract.target_lock import locked
from tests.ffn_extract.fresh_process import run_module
from tests.ffn_extract.tiny_models import SENTENCES, edit_config

ROOT = Path(__file__).resolve().parents[2]


def run(*arguments, **environment):
    return run_module("ffn_extract", *arguments, environment={**os.environ, **environment})


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
        "random_grain": "dimension", "drop_special": True, "bottom": True, "glosses": [],
    }  # fmt: skip
    assert {key: manifest.parameters[key] for key in expected} == expected
    assert "Run the model over the corpus" in ended.stderr
    assert "Warning" not in ended.stderr
    note = "Note: --random-grain has no effect here: --kinds has no random vectors."
    assert note in ended.stderr.splitlines()


def test_inspect_prints_the_lists(demo_bundle):
    ended = run("inspect", demo_bundle.path, "--layer", 2, "--kind", "update", "--limit", 3)
    lines = ended.stdout.splitlines()
    assert lines[0].startswith("demo (bert): 6 layers × 1536 value vectors, d_model 384")
    assert lines[5] == f"digest {demo_bundle.manifest.digest}"
    heads = [line for line in lines if line.startswith("layer ")]
    assert [head.split("  ")[:2] for head in heads] == [
        ["layer 2", f"update {i}"] for i in (0, 1, 2)
    ]
    assert lines[-1] == "3 of 10 lists; --limit 0 shows all, --layer, --index and --kind choose."
    assert max(map(len, lines)) <= 100


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--layer", 6), "--layer must be from 0 to 5, not 6."),
        (("--index", -1), "--index must be at least 0, not -1."),
        (("--index", 1536, "--kind", "value"), "--index must be from 0 to 1535, not 1536."),
        (
            ("--index", 11, "--layer", 0, "--kind", "random"),
            "The bundle has no list with kind random and layer 0 and index 11. Leave one of these "
            "out.",
        ),
    ],
)
def test_inspect_refuses_what_a_bundle_cannot_have(demo_bundle, arguments, sentence):
    assert refused(run("inspect", demo_bundle.path, *arguments)) == f"Error: {sentence}"


def test_inspect_refuses_a_folder_that_is_no_bundle(tmp_path):
    assert "is not a complete bundle" in refused(run("inspect", tmp_path))


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
    assert "name the FFN's value matrix" in sentence
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


@pytest.mark.parametrize("name", main.commands)
def test_no_command_has_an_option_twice(name):
    flags = [flag for one in main.commands[name].params for flag in (*one.opts, one.name)]
    assert len(set(flags)) == len(flags) - sum(
        one.param_type_name == "argument" for one in main.commands[name].params
    )


def test_bad_options_are_told_all_at_once(tmp_path):
    ended = run("extract", tmp_path, "--out", tmp_path / "out", "--kinds", "keys", "--top-k", 0)
    assert refused(ended) == (
        f"Error: --kinds has no keys; it knows: {', '.join(KINDS)}. "
        "--top-k must be a whole number from 1 to 1000, not 0."
    )


def test_architectures_lists_every_family():
    lines = run("architectures").stdout.splitlines()
    assert [line.split()[0] for line in lines] == sorted(ARCHITECTURES)


def test_formats_prints_a_row_for_every_family():
    rows = run("formats").stdout.partition("\n\n")[2].splitlines()
    assert [row.split()[1] for row in rows[2:]] == sorted(ARCHITECTURES)


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


def test_inspect_shows_one_vector_with_its_glosses(small_bundle):
    ended = run("inspect", small_bundle, "--layer", 1, "--index", 2, "--kind", "value", "--glosses")
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.splitlines()[-10:] == [
        "layer 1  value 2  norm 1.5",
        "  top    +3.000 … +1.000",
        "       1  +3.000  token1",
        "       2  +2.000  token2  a domestic animal (wordnet)",
        "       3  +1.000  token3",
        "  bottom -3.000 … -2.000",
        "       1  -3.000  token4",
        "       2  -2.000  token5",
        "       3  -2.000  token6",
        "",
    ]


def test_inspect_gives_every_list_as_json_and_csv(small_bundle):
    stored = json.loads(run("inspect", small_bundle, "--format", "json").stdout)
    assert stored["matching"] == len(stored["lists"]) == 12
    assert stored["lists"][3] == {
        "kind": "update", "layer": 0, "index": 0, "norm": 1.5, "context": "a text",
        "context_position": 1, "context_token": "text",
        "top": [{"rank": n, "token_id": n, "token": f"token{n}", "score": 4.0 - n}
                for n in (1, 2, 3)],
        "bottom": [{"rank": n - 3, "token_id": n, "token": f"token{n}", "score": score}
                   for n, score in ((4, -3.0), (5, -2.0), (6, -2.0))],
    }  # fmt: skip
    lines = run("inspect", small_bundle, "--format", "csv", "--limit", 1).stdout.splitlines()
    assert lines[:2] == [
        "kind,layer,index,norm,side,rank,token_id,token,score,context,context_position,"
        "context_token",
        "value,0,0,1.5,top,1,1,token1,3.0,,,",
    ]
    assert len(lines) == 7


def test_inspect_says_how_to_get_a_vector_that_a_sample_lacks(small_bundle):
    assert refused(run("inspect", small_bundle, "--layer", 1, "--index", 7)) == (
        "Error: The bundle has no list with layer 1 and index 7: it holds some of the value "
        "vectors (per_layer None). Extract those that you want with --vectors LAYER:INDEX."
    )


@pytest.mark.parametrize("word", ["all", "ALL", "All"])
def test_all_is_understood_in_any_case(word):
    assert PerLayer().convert(word, None, None) == "all"


def test_help_shows_choices_in_groups_with_an_example():
    shown = CliRunner().invoke(main, ["extract", "--help"]).output
    headings = [line[:-1] for line in shown.splitlines() if re.fullmatch(r"[A-Z][\w ]+:", line)]
    assert headings == [
        "Output", "Which vectors", "Projection", "Texts that the model reads",
        "Glosses", "Families that are not known", "Model and machine", "Options", "Example",
    ]  # fmt: skip
    for choices in ("[raw|fold|norm]", "[dimension|layer|model]", "[row|col]", "[layer|rms]"):
        assert choices in shown
    assert "N|all" in shown
    typed = {one for one in re.findall(r"--[a-z-]+", shown) if not one.endswith("-")}
    assert {flag_of(name) for name in OPTIONS} | {"--vectors-file"} <= typed
    (example,) = [line for line in shown.splitlines() if line.startswith("  python -m ffn_extract")]
    assert "extract gpt2 --out" in example


def test_the_version_is_the_projects():
    command = [sys.executable, "-m", "ffn_extract", "--version"]
    assert (
        subprocess.run(command, capture_output=True, text=True, check=True).stdout
        == f"ffn_extract, version {__version__}\n"
    )


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("film-reviews/model", "film-reviews"), ("film-reviews/hf/Model_Files", "film-reviews"),
        ("film-reviews", "film-reviews"), ("ours/checkpoint-500", "checkpoint-500"),
        ("hub/models--openai--gpt2/snapshots/" + "a" * 40, "openai/gpt2"),
    ],
)  # fmt: skip
def test_a_folder_that_is_called_as_any_other_goes_by_the_one_around_it(path, name):
    assert folder_name(Path("/somewhere") / path) == name


def test_a_folders_name_that_no_bundle_can_hold_is_refused_before_the_work(tiny_model, tmp_path):
    folder = shutil.copytree(tiny_model("gpt2"), tmp_path / "a\x1bb")
    ended = run(
        "extract", folder, "--out", tmp_path / "out", "--kinds", "value", "--glosses", "none"
    )
    assert refused(ended) == (
        "Error: The model's name 'a\\x1bb' has the invisible character U+001B; a name is printable "
        "text. Give another with --name."
    )


def test_a_revision_of_a_folder_is_said_to_have_no_effect(tiny_model, tmp_path):
    digests = []
    for revision in ((), ("--revision", "main")):
        out = tmp_path / str(len(revision))
        ended = run(
            "extract", tiny_model("gpt2"), "--out", out, "--kinds", "value", "--glosses", "none",
            *revision,
        )  # fmt: skip
        digests.append(open_bundle(out).manifest.digest)
    assert digests[0] == digests[1]
    assert "is a folder: --revision has no effect." in ended.stderr
