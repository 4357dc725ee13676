"""Checkpoints as people save them: read, equal to a float64 brute force, or refused in words."""

import dataclasses
import json

import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file, save_model

from ffn_extract.architectures import ARCHITECTURES, ModelWeights, architecture_of
from ffn_extract.bundle import open_bundle
from ffn_extract.checkpoints.find import find_checkpoint
from ffn_extract.errors import ArchitectureError, CheckpointError, FFNExtractError
from ffn_extract.inspection import Wanted, describe
from ffn_extract.options import ExtractOptions
from ffn_extract.pipeline import extract
from tests.ffn_extract.tiny_families import SHARED, TINY_FAMILIES
from tests.ffn_extract.tiny_models import EXTRA_ROWS, copied, edit_config

VALUES = ExtractOptions(kinds=("value",), per_layer=6, top_k=5, glosses=(), name="tiny")
WITH_HEADS = sorted(name for name, family in ARCHITECTURES.items() if family.heads)
UNTIED = [name for name in WITH_HEADS if not ARCHITECTURES[name].tied_by_default]
TIED = [name for name in WITH_HEADS if ARCHITECTURES[name].tied_by_default]
FILE = "model.safetensors"


def weights_of(folder, **options) -> ModelWeights:
    checkpoint = find_checkpoint(str(folder))
    family = architecture_of(checkpoint.config)
    return ModelWeights(family, checkpoint.config, checkpoint.tensors, **options)


def change(folder, edit) -> None:
    tensors = load_file(folder / FILE)
    save_file(edit(tensors), folder / FILE)


def without(tensors, *endings):
    return {n: t for n, t in tensors.items() if not n.endswith(endings)}


def without_head(folder, family) -> None:
    heads = ARCHITECTURES[family].heads
    change(folder, lambda tensors: without(tensors, *heads))


def require_brute_force(folder, out, model, options=VALUES):
    """Every list equals the top of the model's own unembedding times the vector, in float64."""
    extract(str(folder), out, options)
    bundle, weights = open_bundle(out), weights_of(folder)
    output = model.get_output_embeddings().weight.detach().to(torch.float64).numpy()
    output = output[: len(output) - EXTRA_ROWS]  # rows that no token names are in no list
    rows = [row for batch in bundle.iter_vectors() for row in batch]
    assert len(rows) == 12
    for row in rows:
        vector = weights.value_rows(row.layer, row.index, row.index + 1)[0]
        scores = output @ vector.to(torch.float64).numpy()
        assert row.token_ids == np.argsort(-scores, kind="stable")[:5].tolist()
    return bundle.manifest


@pytest.mark.parametrize("family", WITH_HEADS)
def test_a_familys_default_is_that_of_its_config_class(family):
    default = transformers.CONFIG_MAPPING[family]().tie_word_embeddings
    assert ARCHITECTURES[family].tied_by_default is default


@pytest.mark.parametrize("said", [False, None])
@pytest.mark.parametrize("family", UNTIED)
def test_an_untied_model_without_its_head_is_refused(tiny_model, tmp_path, family, said):
    folder = copied(tiny_model(family), tmp_path)
    without_head(folder, family)
    edit_config(folder, tie_word_embeddings=said)
    with pytest.raises(ArchitectureError, match=r"have no head .* --unembedding-tensor"):
        weights_of(folder)


@pytest.mark.parametrize("family", TIED)
def test_a_tied_family_that_config_unties_is_refused_without_its_head(tiny_model, tmp_path, family):
    folder = copied(tiny_model(family), tmp_path)
    without_head(folder, family)
    edit_config(folder, tie_word_embeddings=False)
    with pytest.raises(ArchitectureError, match=r"tie_word_embeddings: false"):
        weights_of(folder)


@pytest.mark.parametrize(
    ("family", "said", "chosen"),
    [("llama", None, "head"), ("gpt2", None, "family"), ("gpt2", True, "config")],
)
def test_the_manifest_and_inspect_name_the_unembedding(tiny_model, tmp_path, family, said, chosen):
    folder = copied(tiny_model(family), tmp_path)
    config = json.loads((folder / "config.json").read_text())
    config.pop("tie_word_embeddings", None)
    known = {} if said is None else {"tie_word_embeddings": said}
    (folder / "config.json").write_text(json.dumps({**config, **known}))
    model = TINY_FAMILIES[family].head.from_pretrained(tiny_model(family))
    manifest = require_brute_force(folder, tmp_path / "out", model)
    assert manifest.model.unembedding.chosen == chosen
    shown = "\n".join(describe(Wanted(tmp_path / "out", limit=1)))
    assert f"unembedding {manifest.model.unembedding.tensors[0]}: " in shown


@pytest.mark.parametrize("family", ["llama", "gpt_neox", "phi3"])
def test_a_base_model_is_read_when_its_unembedding_is_named_alone(tiny_model, tmp_path, family):
    folder = copied(tiny_model(family), tmp_path)
    without_head(folder, family)
    name = next(n for n in load_file(folder / FILE) if "embed_" in n)
    extract(str(folder), tmp_path / "out", dataclasses.replace(VALUES, unembedding_tensor=name))
    unembedding = open_bundle(tmp_path / "out").manifest.model.unembedding
    assert (unembedding.tensors, unembedding.chosen) == ([name], "named")


WRAPPERS = ("_orig_mod.", "module.", "base_model.model.", "module._orig_mod.", "language_model.")


@pytest.mark.parametrize("wrapper", WRAPPERS)
@pytest.mark.parametrize("family", ["llama", "gpt2", "gpt_neox", "qwen3_moe"])
def test_tensors_behind_a_wrappers_prefix_are_read(tiny_model, tmp_path, family, wrapper):
    if family == "qwen3_moe":
        return check_wrapped_rows(tiny_model(family), tmp_path, wrapper)
    folder = copied(tiny_model(family), tmp_path)
    change(folder, lambda tensors: {wrapper + name: t for name, t in tensors.items()})
    model = TINY_FAMILIES[family].head.from_pretrained(tiny_model(family))
    require_brute_force(folder, tmp_path / "out", model)
    updates = dataclasses.replace(
        VALUES, kinds=("update",), per_layer=2, corpus=str(texts(tmp_path))
    )
    with pytest.raises(CheckpointError, match="cannot be run"):
        extract(str(folder), tmp_path / "updates", updates)


def check_wrapped_rows(plain, tmp_path, wrapper):
    folder = copied(plain, tmp_path)
    change(folder, lambda tensors: {wrapper + name: t for name, t in tensors.items()})
    for layer in (0, 1):
        read, expected = (weights_of(f).value_rows(layer, 0, 9) for f in (folder, plain))
        assert torch.equal(read, expected)


def texts(tmp_path):
    path = tmp_path / "texts.txt"
    path.write_text("the cat sat on a mat\nthe dogs saw the cat\na cat and a mat\n")
    return path


@pytest.mark.parametrize("family", ["llama", "gpt2", "gemma", "bloom"])
@pytest.mark.parametrize("metadata", [True, False])
def test_a_tied_model_stored_under_the_heads_name_alone_is_read(
    tiny_model, tmp_path, family, metadata
):
    folder = copied(tiny_model(family), tmp_path)
    config = {**TINY_FAMILIES[family].config, "tie_word_embeddings": True}
    rows = load_file(folder / FILE)[weights_of(folder).unembedding.name].shape[0]
    model = dataclasses.replace(TINY_FAMILIES[family], config=config).build(rows)
    edit_config(folder, tie_word_embeddings=True)
    if metadata:
        save_model(model, str(folder / FILE))
    else:
        embedding = ARCHITECTURES[family].embedding
        stored = without({n: t.clone() for n, t in model.state_dict().items()}, embedding)
        save_file(stored, folder / FILE)
    require_brute_force(folder, tmp_path / "out", model)


@pytest.mark.parametrize("keys", [("state_dict",), ("model",), ("module", "state_dict")])
def test_a_trainers_file_is_read(tiny_model, tmp_path, keys):
    folder = copied(tiny_model("llama"), tmp_path)
    content = load_file(folder / FILE)
    (folder / FILE).unlink()
    for key in reversed(keys):
        content = {key: content, "epoch": 3}
    torch.save(content, folder / "pytorch_model.bin")
    model = transformers.LlamaForCausalLM.from_pretrained(tiny_model("llama"))
    require_brute_force(folder, tmp_path / "out", model)


def layers_key(folder, family):
    config = json.loads((folder / "config.json").read_text())
    return next(k for k in ARCHITECTURES[family].layers_keys if config.get(k) is not None)


@pytest.mark.parametrize("family", sorted(set(ARCHITECTURES) - {"wikilm", *SHARED}))
@pytest.mark.parametrize("said", [1, 3])
def test_config_and_file_that_disagree_about_layers_are_refused(tiny_model, tmp_path, family, said):
    folder = copied(tiny_model(family), tmp_path)
    edit_config(folder, **{layers_key(folder, family): said})
    with pytest.raises(ArchitectureError, match="--allow-fewer-layers"):
        weights_of(folder)
    weights = weights_of(folder, allow_fewer_layers=True)
    assert (weights.layers, weights.dimensions.n_layers) == (
        ((0,), 2) if said == 1 else ((0, 1), 3)
    )


@pytest.mark.parametrize("per_layer", [4, "all"])
@pytest.mark.parametrize("gap", [0, 1])
def test_a_layer_keeps_its_number_where_others_are_missing(tiny_model, tmp_path, gap, per_layer):
    folder = copied(tiny_model("llama"), tmp_path)
    change(folder, lambda tensors: {n: t for n, t in tensors.items() if f".{gap}.mlp" not in n})
    options = dataclasses.replace(VALUES, kinds=("value", "random"), per_layer=per_layer)
    with pytest.raises(ArchitectureError, match=f"no model.layers.{gap}.mlp.* 1 of 2 layers"):
        extract(str(folder), tmp_path / "out", options)
    extract(str(folder), tmp_path / "out", dataclasses.replace(options, allow_fewer_layers=True))
    bundle = open_bundle(tmp_path / "out")
    assert {row.layer for batch in bundle.iter_vectors() for row in batch} == {1 - gap}
    assert (bundle.manifest.model.n_layers, bundle.manifest.model.layers_read) == (2, [1 - gap])
    shown = "\n".join(describe(Wanted(tmp_path / "out", limit=1)))
    assert "1 of 2 layers" in shown


@pytest.mark.parametrize("name", ["adapter_config.json", "adapter_model.safetensors"])
@pytest.mark.parametrize("alone", [True, False])
def test_an_adapter_is_refused_alone_and_beside_its_base(tiny_model, tmp_path, name, alone):
    folder = copied(tiny_model("gpt2"), tmp_path)
    if alone:
        (folder / FILE).unlink()
    (folder / name).write_text('{"peft_type": "LORA", "base_model_name_or_path": "gpt2"}')
    with pytest.raises(CheckpointError, match=r"adapter .* merge_and_unload"):
        find_checkpoint(str(folder))


def test_rows_that_no_token_names_may_hold_anything(tiny_model, tmp_path):
    folder = copied(tiny_model("llama"), tmp_path)
    change(folder, lambda tensors: {**tensors, "lm_head.weight": spoiled(tensors, -1)})
    model = transformers.LlamaForCausalLM.from_pretrained(tiny_model("llama"))
    require_brute_force(folder, tmp_path / "out", model)
    change(folder, lambda tensors: {**tensors, "lm_head.weight": spoiled(tensors, 7)})
    with pytest.raises(CheckpointError, match=r"lm_head.weight holds values that are not finite"):
        extract(str(folder), tmp_path / "other", VALUES)


def spoiled(tensors, row):
    tensor = tensors["lm_head.weight"].clone()
    tensor[row, 3] = torch.nan
    return tensor


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
@pytest.mark.parametrize("place", [(0, 5), (15, 23)])
def test_a_value_that_is_not_finite_is_found_also_where_no_sample_reads_it(
    tiny_model, tmp_path, value, place
):
    folder = copied(tiny_model("llama"), tmp_path)
    tensors = load_file(folder / FILE)
    tensors["model.layers.1.mlp.down_proj.weight"][place] = value
    save_file(tensors, folder / FILE)
    one = dataclasses.replace(VALUES, per_layer=1)
    for seed in range(3):
        with pytest.raises(CheckpointError, match=r"down_proj\.weight holds values"):
            extract(str(folder), tmp_path / "out", dataclasses.replace(one, seed=seed))


QUANTISED = {
    "bitsandbytes 4-bit": ("weight", "weight.absmax"), "bitsandbytes 8-bit": ("weight", "SCB"),
    "GPTQ or AWQ": ("qweight", "qzeros"), "HQQ": ("W_q", "meta"),
    "fp8 with block scales": ("weight", "weight_scale_inv"),
    "compressed-tensors": ("weight_packed", "weight_shape"),
}  # fmt: skip


@pytest.mark.parametrize("title", QUANTISED)
def test_quantised_weights_are_refused_by_the_formats_name(tiny_model, tmp_path, title):
    folder = copied(tiny_model("llama"), tmp_path)
    codes, scales = QUANTISED[title]
    tensors = load_file(folder / FILE)
    for layer in (0, 1):
        for matrix in ("gate_proj", "up_proj", "down_proj"):
            stem = f"model.layers.{layer}.mlp.{matrix}."
            del tensors[f"{stem}weight"]
            tensors[stem + codes] = torch.ones(24 * 8, 1, dtype=torch.uint8)
            tensors[stem + scales] = torch.ones(4)
    save_file(tensors, folder / FILE)
    with pytest.raises(ArchitectureError, match=rf"stored quantised \({title}"):
        weights_of(folder)


def test_plain_weights_beside_a_quantization_config_are_read_and_it_is_said(
    tiny_model, tmp_path, caplog
):
    folder = copied(tiny_model("llama"), tmp_path)
    edit_config(folder, quantization_config={"quant_method": "bitsandbytes"})
    weights_of(folder)
    assert "(bitsandbytes), but the tensors used are plain float32" in caplog.text


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("tf_model.h5", "is TensorFlow weights"),
        ("flax_model.msgpack", "is Flax weights"), ("model.onnx", "is an ONNX graph"),
        ("consolidated.00.pth", "original PyTorch weights"), ("weights.npz", "numpy arrays"),
        ("model.fp16.safetensors", "rename the file to model.safetensors"),
    ],
)  # fmt: skip
def test_other_formats_are_named_with_the_way_out(tiny_model, tmp_path, name, sentence):
    folder = copied(tiny_model("llama"), tmp_path)
    (folder / FILE).rename(folder / name)
    with pytest.raises(FFNExtractError, match=sentence):
        weights_of(folder)
    with pytest.raises(FFNExtractError, match=sentence):
        find_checkpoint(str(folder / name))


def test_a_pointer_in_the_place_of_weights_is_told(tiny_model, tmp_path):
    folder = copied(tiny_model("llama"), tmp_path)
    (folder / FILE).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
    with pytest.raises(CheckpointError, match="git lfs pull"):
        weights_of(folder)


@pytest.mark.parametrize("prefix", ["model.language_model.", "language_model.model."])
def test_the_text_part_of_a_multimodal_model_is_read(tiny_model, tmp_path, prefix):
    folder = copied(tiny_model("llama"), tmp_path)
    change(folder, lambda ts: {n.replace("model.", prefix, 1): t for n, t in ts.items()})
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({"model_type": "llava", "text_config": config}))
    model = transformers.LlamaForCausalLM.from_pretrained(tiny_model("llama"))
    manifest = require_brute_force(folder, tmp_path / "out", model)
    assert manifest.model.model_type == "llama"
