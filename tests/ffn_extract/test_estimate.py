"""What an extraction takes is told before anything is read, and is about what it then takes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ffn_extract.architectures import ModelWeights, architecture_of
from ffn_extract.bundle import open_bundle
from ffn_extract.checkpoints.outline import Outline, outline_of_folder
from ffn_extract.checkpoints.tensor_files import open_tensors
from ffn_extract.errors import CheckpointError, FFNExtractError
from ffn_extract.estimate import estimate
from ffn_extract.model_sizes import sizes_of
from ffn_extract.options import FURTHER_CONTROLS, ExtractOptions
from ffn_extract.pipeline import extract
from tests.ffn_extract.hub_server import MODEL, Hub, served
from tests.ffn_extract.tiny_families import TINY_FAMILIES

NOWHERE = "http://127.0.0.1:9"
SAMPLE = ExtractOptions(kinds=("value", "random"), glosses=())


@pytest.mark.parametrize("family", sorted(TINY_FAMILIES))
def test_sizes_are_those_of_the_weights_in_every_family(tiny_model, family):
    folder = tiny_model(family)
    outline = outline_of_folder(folder)
    weights = ModelWeights(architecture_of(outline.config), outline.config, open_tensors(folder))
    for known in (outline, Outline(outline.config)):  # with tensors' shapes, and by config alone
        if known.shapes or architecture_of(outline.config).layers_keys:
            sizes = sizes_of(known, SAMPLE)
            assert sizes.n_layers == weights.dimensions.n_layers
            assert sizes.d_model == weights.dimensions.d_model
    sizes = sizes_of(outline, SAMPLE)
    assert sizes.signed == weights.signed
    assert sizes.vocab_size == weights.dimensions.vocab_size
    assert sizes.values == tuple(weights.n_values(layer) for layer in range(sizes.n_layers))


def test_a_family_that_is_not_known_is_measured_by_the_tensors_that_are_named(tiny_model):
    outline = outline_of_folder(tiny_model("llama"))
    unknown = Outline({"model_type": "unheard_of"}, outline.shapes, outline.weight_bytes)
    named = ExtractOptions(
        value_tensor="model.layers.{layer}.mlp.down_proj.weight",
        key_tensor="model.layers.{layer}.mlp.gate_proj.weight",
        unembedding_tensor="model.embed_tokens.weight",
        orientation="col",
    )
    assert sizes_of(unknown, named).values == sizes_of(outline, SAMPLE).values
    with pytest.raises(FFNExtractError, match="unheard_of"):
        sizes_of(unknown, SAMPLE)


def test_the_number_of_lists_is_the_bundles_and_the_disk_holds_it(tiny_model, tmp_path):
    folder = tiny_model("gpt2")
    for number, options in enumerate(
        (
            ExtractOptions(kinds=("value", "random"), per_layer=7, top_k=5, glosses=()),
            ExtractOptions(
                kinds=("value", "random"),
                per_layer="all",
                drawn_per_layer=3,
                top_k=5,
                glosses=(),
            ),
            ExtractOptions(
                kinds=("value", "random", *FURTHER_CONTROLS), drawn_per_layer=2, glosses=()
            ),
        )
    ):
        manifest = extract(str(folder), tmp_path / str(number), options)
        found = estimate(outline_of_folder(folder), options)
        assert found.lists == manifest.counts.vectors
        assert open_bundle(tmp_path / str(number)).manifest == manifest


# Not ru_maxrss: a new process inherits the peak of the one that started it, here of all tests.
PEAK = (
    "import json, re, sys; from pathlib import Path;"
    "from ffn_extract.options import ExtractOptions; from ffn_extract.pipeline import extract;"
    "extract(sys.argv[1], Path(sys.argv[2]), ExtractOptions.from_json(json.loads(sys.argv[3])));"
    "status = Path('/proc/self/status').read_text();"
    "print(int(re.search(r'VmHWM:\\s+(\\d+) kB', status)[1]) * 1024)"
)


@pytest.mark.skipif(sys.platform != "linux", reason="Other systems have no /proc.")
@pytest.mark.parametrize("per_layer", [10, "all"])
def test_memory_and_disk_are_within_a_factor_of_two_of_a_real_run(demo_model, tmp_path, per_layer):
    options = ExtractOptions(kinds=("value", "random"), per_layer=per_layer, glosses=())
    ended = subprocess.run(
        [sys.executable, "-c", PEAK, str(demo_model), str(tmp_path / "out"),
         json.dumps(options.to_json())],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    peak = int(ended.stdout.split()[-1])
    found = estimate(outline_of_folder(demo_model), options)
    assert 0.5 < found.memory_bytes / peak < 2
    bundle = sum(path.stat().st_size for path in (tmp_path / "out").iterdir())
    assert bundle < found.disk_bytes < 30 * bundle  # most of it is the database's


def test_a_running_model_and_every_vector_take_more_than_a_sample(demo_model):
    outline = outline_of_folder(demo_model)
    sample, running, every = (
        estimate(outline, options)
        for options in (
            SAMPLE,
            ExtractOptions(glosses=()),
            ExtractOptions(kinds=("value",), per_layer="all", glosses=()),
        )
    )
    assert sample.memory_bytes < running.memory_bytes
    assert sample.seconds < running.seconds
    assert sample.seconds < every.seconds
    assert sample.disk_bytes < every.disk_bytes
    assert every.products == 6 * 1536 * 30522 * 384
    fast = estimate(outline, SAMPLE, rate=1e15)
    assert fast.seconds < sample.seconds


def test_nothing_of_it_loads_torch(demo_model):
    code = (
        "import sys; from pathlib import Path; from ffn_extract.estimate import estimate;"
        "from ffn_extract.checkpoints.outline import outline_of_folder;"
        "from ffn_extract.options import ExtractOptions;"
        "estimate(outline_of_folder(Path(sys.argv[1])), ExtractOptions());"
        "sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    )
    assert (
        subprocess.run([sys.executable, "-c", code, str(demo_model)], check=False).returncode == 0
    )


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (lambda weights: weights.write_bytes(b""), "model.safetensors is empty"),
        (lambda weights: weights.write_bytes(b"\xff" * 100), "not a complete safetensors file"),
        (
            lambda weights: weights.write_bytes(weights.read_bytes()[:50]),
            "not a complete safetensors",
        ),
        (
            lambda weights: weights.write_bytes(b"\x02\0\0\0\0\0\0\0[]"),
            "not a complete safetensors file",
        ),
        (lambda weights: weights.unlink(), "has no weights"),
        (lambda weights: weights.with_name("config.json").unlink(), "no readable config.json"),
        (lambda weights: weights.with_name("config.json").write_text("{"), "no valid JSON"),
        (lambda weights: weights.with_name("config.json").write_text("[]"), "no JSON object"),
    ],
)
def test_what_is_missing_or_damaged_is_said(tiny_model, tmp_path, damage, sentence):
    folder = tmp_path / "model"
    folder.mkdir()
    for path in tiny_model("bert").iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    damage(folder / "model.safetensors")
    with pytest.raises(CheckpointError, match=sentence):
        outline_of_folder(folder)


OUTLINE = (
    "import sys; from ffn_extract.errors import FFNExtractError;"
    "from ffn_extract.checkpoints.outline import outline_on_hub\n"
    "try:\n"
    "    found = outline_on_hub(sys.argv[1], sys.argv[2] or None, 60)\n"
    "    print(found and (found.weight_bytes, found.to_fetch, found.config['model_type']))\n"
    "except FFNExtractError as error:\n"
    "    print('refused:', error)"
)


def on_hub(endpoint: str, cache: Path, model: str, revision: str = "") -> str:
    """What a fresh process learns: huggingface_hub reads its settings when it is imported."""
    environment = {**os.environ, "HF_ENDPOINT": endpoint, "HF_HOME": str(cache)}
    environment.update(HF_HUB_DISABLE_PROGRESS_BARS="1", HF_HUB_DISABLE_XET="1")
    ended = subprocess.run(
        [sys.executable, "-c", OUTLINE, model, revision],
        env=environment, capture_output=True, text=True, timeout=300, check=True,
    )  # fmt: skip
    return ended.stdout.strip()


def test_a_model_on_the_hub_is_measured_without_its_weights(tiny_model, tmp_path):
    files = {path.name: path.read_bytes() for path in tiny_model("llama").iterdir()}
    files |= {"pytorch_model.bin": b"other", "README.md": b"other"}
    weights = len(files["model.safetensors"])
    wanted = ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json")
    to_fetch = sum(len(files[name]) for name in wanted)
    with served(Hub(files)) as hub:
        said = on_hub(hub.address, tmp_path, MODEL)
        assert said == str((weights, to_fetch, "llama"))
        assert hub.fetched() == ["config.json"]
        said = on_hub(hub.address, tmp_path, "someone/else")
        assert said.startswith("refused: The hub has no model someone/else (or it is private")
        said = on_hub(hub.address, tmp_path, MODEL, "v9")
        assert said.startswith(f"refused: {MODEL} has no revision v9 on the hub.")
    assert on_hub(NOWHERE, tmp_path / "fresh", MODEL) == "None"
