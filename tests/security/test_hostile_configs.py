"""What strangers write into a model's JSON files: bounded by size, depth and value."""

import itertools
import json
import os
import tracemalloc
from contextlib import suppress
from types import SimpleNamespace

import pytest

from annotation_site.accounts.models import Role
from ffn_extract.checkpoints.find import Checkpoint
from ffn_extract.checkpoints.model_files import MOST_BYTES, MOST_SHARDS, require_small, shard_names
from ffn_extract.checkpoints.other_formats import require_no_adapter
from ffn_extract.checkpoints.outline import Outline, outline_of_folder, outline_on_hub
from ffn_extract.errors import LONGEST_SENTENCE, CheckpointError, FFNExtractError
from ffn_extract.estimate import estimate
from ffn_extract.json_files import MOST_CONFIG_BYTES, MOST_DEPTH, parse_json, read_json
from ffn_extract.limits import MOST_EXPERTS, MOST_LAYERS, MOST_VOCABULARY, MOST_WIDTH
from ffn_extract.options import ExtractOptions
from ffn_extract.tokenizer_files import open_tokenizer
from tests.annotation_site.factories import UserFactory, client_of

CONFIG = {
    "model_type": "llama", "hidden_size": 8, "intermediate_size": 16, "num_hidden_layers": 2,
    "vocab_size": 50, "hidden_act": "silu",
}  # fmt: skip
NESTED = {"a": 1}
for _ in range(MOST_DEPTH):
    NESTED = {"a": NESTED}

# What cannot be read at all, and what it is called.
FILES = {
    "a device": (lambda path: path.symlink_to("/dev/zero"), "not a regular file"),
    "a pipe": (os.mkfifo, "not a regular file"),
    "a folder": (lambda path: path.mkdir(), "Is a directory"),
    "too large": (
        lambda path: path.write_bytes(b" " * (MOST_CONFIG_BYTES + 1)),
        "larger than 1,048,576 bytes",
    ),
    "nested until Python stops": (lambda path: path.write_text("[" * 100_000), "nested too deep"),
    "nested deeper than anybody needs": (
        lambda path: path.write_text(json.dumps(NESTED)), "nested too deep",
    ),
    "no JSON": (lambda path: path.write_text("{"), ""),
    "no UTF-8": (lambda path: path.write_bytes(b"\xff\xfe"), ""),
    "a number of 5,000 digits": (lambda path: path.write_text("1" * 5_000), ""),
}  # fmt: skip


@pytest.fixture
def model(tmp_path, settings):
    """A folder with a config.json that `write` makes, among the site's models."""
    settings.MODELS_DIR = tmp_path
    folder = tmp_path / "hostile"
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(b"\2\0\0\0\0\0\0\0{}")
    return folder


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_no_small_json_is_refused_in_little_memory(tmp_path, name):
    make, sentence = FILES[name]
    make(tmp_path / "x.json")
    tracemalloc.start()
    try:
        with pytest.raises((ValueError, IsADirectoryError)) as refused:
            read_json(tmp_path / "x.json")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 20 * MOST_CONFIG_BYTES
    assert sentence in str(refused.value)


@pytest.mark.django_db
@pytest.mark.parametrize("name", FILES)
def test_the_estimate_answers_a_hostile_config_with_a_sentence(model, name):
    FILES[name][0](model / "config.json")
    admin = client_of(UserFactory(role=Role.ADMIN))
    answer = admin.post("/api/estimates", {"model": "hostile"}, content_type="application/json")
    assert answer.status_code == 422
    sentence = answer.json()["error"]["message"]
    assert "config.json" in sentence
    assert len(sentence) <= LONGEST_SENTENCE + 1
    page = admin.post("/models/enqueue/", {"model": "hostile"})
    assert page.status_code in (200, 302, 404, 422)


def in_place(folder, name):
    (folder / "config.json").write_text(json.dumps(CONFIG))
    return folder / name


# Every file of a model that is read as JSON, and what reads it.
READERS = {
    "config.json": lambda folder: outline_of_folder(folder),
    "config.json of an extraction": lambda folder: Checkpoint(folder, "x", None).config,
    "model.safetensors.index.json": lambda folder: shard_names(
        folder / "model.safetensors.index.json"
    ),
    "tokenizer.json": open_tokenizer,
    "tokenizer_config.json": open_tokenizer,
    "generation_config.json": open_tokenizer,
    "special_tokens_map.json": open_tokenizer,
}


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("file", ["a device", "a pipe", "nested until Python stops"])
def test_every_json_file_of_a_model_is_read_with_bounds(tmp_path, name, file):
    (tmp_path / "vocab.txt").write_text("[UNK]\n")
    path = tmp_path / name.split()[0]
    FILES[file][0](path)
    if not path.is_file() and name == "tokenizer.json":
        (tmp_path / "vocab.txt").rename(tmp_path / "vocab.json")
    if name.startswith(("generation", "special")) and file.startswith("nested"):
        pytest.skip("transformers reads these two, or not; it is asked below.")
    with pytest.raises(CheckpointError):
        READERS[name](tmp_path)


def test_an_adapters_config_cannot_hold_up_its_refusal(tmp_path):
    os.mkfifo(tmp_path / "adapter_config.json")
    with pytest.raises(CheckpointError, match="holds an adapter"):
        require_no_adapter(["adapter_config.json"], "x", tmp_path)


def test_an_index_of_too_many_shards_is_refused(tmp_path):
    index = tmp_path / "model.safetensors.index.json"
    names = {f"t{n}": f"{n}.safetensors" for n in range(MOST_SHARDS + 1)}
    index.write_text(json.dumps({"weight_map": names}))
    with pytest.raises(CheckpointError, match="names 10,001 files; at most 10,000"):
        shard_names(index)


BOUNDS = {
    "num_hidden_layers": MOST_LAYERS, "hidden_size": MOST_WIDTH, "intermediate_size": MOST_WIDTH,
    "vocab_size": MOST_VOCABULARY,
}  # fmt: skip


@pytest.mark.parametrize("key", BOUNDS)
@pytest.mark.parametrize("beyond", [1, 10**9, 10**4_000], ids=["one", "many", "digits"])
def test_a_size_beyond_any_model_is_refused_before_anything_is_counted(key, beyond):
    options = ExtractOptions(glosses=(), kinds=("value",), per_layer=1)
    estimate(Outline({**CONFIG, key: BOUNDS[key]}), options)
    with pytest.raises(FFNExtractError, match=f"{key} as more than {BOUNDS[key]:,}, the most"):
        estimate(Outline({**CONFIG, key: BOUNDS[key] + beyond}), options)


def test_so_is_a_number_of_experts():
    config = {
        **CONFIG, "model_type": "mixtral", "num_local_experts": MOST_EXPERTS + 1,
    }  # fmt: skip
    with pytest.raises(FFNExtractError, match="num_local_experts as more than 10,000, the most"):
        estimate(Outline(config), ExtractOptions(glosses=(), kinds=("value",), per_layer=1))


@pytest.mark.parametrize("number", ["10000", "99999", "9" * 9, "9" * 5_000])
def test_a_layer_that_only_a_tensors_name_has_takes_no_memory(number):
    """A name of a tensor says its layer, which no config bounds."""
    names = ("gate_proj", "up_proj", "down_proj")
    shapes = {f"model.layers.{n}.mlp.{one}.weight": (8, 8) for n in (0, 1) for one in names}
    shapes |= {"model.embed_tokens.weight": (50, 8), "lm_head.weight": (50, 8)}
    shapes |= {"model.norm.weight": (8,), f"model.layers.{number}.mlp.down_proj.weight": (8, 8)}
    options = ExtractOptions(glosses=(), kinds=("value",), per_layer=1, allow_fewer_layers=True)
    outline = Outline({**CONFIG, "intermediate_size": 8}, shapes)
    if len(number) > 6:  # no layer's number
        assert estimate(outline, options).lists == 2
        return
    with pytest.raises(FFNExtractError, match="A tensor's name gives it to layer"):
        estimate(outline, options)


ODD = [None, True, -1, 0, 1.5, 1e999, float("nan"), "", "x" * 1_000_000, [], {}, [[]], {"a": {}}]


def test_no_entry_of_a_config_is_more_than_a_sentence():
    """Every entry of every family's config in every wrong type: refused or used, never a bug."""
    options = ExtractOptions(glosses=(), kinds=("value",), per_layer=1)
    more = {"text_config": {"model_type": "llama"}, "quantization_config": {"quant_method": "x"}}
    keys = {**CONFIG, **more, "tie_word_embeddings": False, "n_inner": 3, "architectures": ["x"]}
    for family, key, value in itertools.product(("llama", "gpt2", "t5", "mixtral"), keys, ODD):
        config = {
            **keys,
            "num_local_experts": 2,
            "n_embd": 8,
            "n_layer": 2,
            "d_model": 8,
            "d_ff": 8,
        }
        with suppress(FFNExtractError):
            estimate(Outline({**config, "model_type": family, key: value}), options)


def test_a_sentence_that_quotes_a_strangers_file_is_cut():
    config = {**CONFIG, "model_type": "x" * 1_000_000}
    with pytest.raises(FFNExtractError) as refused:
        estimate(Outline(config), ExtractOptions())
    assert len(str(refused.value)) == LONGEST_SENTENCE + 1


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json"])
def test_a_file_too_large_for_its_name_is_not_even_fetched_from_the_hub(name):
    sizes = {"config.json": 600, "model.safetensors": 10**12, name: MOST_BYTES[name] + 1}
    with pytest.raises(CheckpointError, match=f"{name} of someone/x has .* bytes on the hub"):
        require_small("someone/x", sizes)


def test_a_hostile_config_on_the_hub_is_a_sentence(monkeypatch, tmp_path):
    """Typing the id of somebody's model is enough to have its config read."""
    import huggingface_hub

    files = [
        SimpleNamespace(rfilename=name, size=10) for name in ("config.json", "model.safetensors")
    ]
    info = SimpleNamespace(siblings=files)
    (tmp_path / "config.json").write_text("[" * 100_000)
    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", lambda *_, **__: info)
    monkeypatch.setattr(
        huggingface_hub, "hf_hub_download", lambda *_, **__: str(tmp_path / "config.json")
    )
    with pytest.raises(
        CheckpointError, match=r"config\.json of a/b is no valid JSON: it is nested"
    ):
        outline_on_hub("a/b", None, 1.0)
    files[0].size = MOST_CONFIG_BYTES + 1
    with pytest.raises(CheckpointError, match="at most 1,048,576 are read"):
        outline_on_hub("a/b", None, 1.0)


def test_json_as_deep_as_allowed_is_read():
    assert parse_json(b"[" * MOST_DEPTH + b"]" * MOST_DEPTH)
    with pytest.raises(ValueError, match="nested too deep"):
        parse_json(b"[" * (MOST_DEPTH + 1) + b"]" * (MOST_DEPTH + 1))
