"""What a declaration makes of files: names, shapes, refusals. Families: test_families.py."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from ffn_extract.architectures import (
    ARCHITECTURES,
    ModelWeights,
    architecture_of,
    given_family,
    registry,
)
from ffn_extract.checkpoints.find import find_checkpoint
from ffn_extract.errors import ArchitectureError, CheckpointError
from ffn_extract.options import ExtractOptions
from tests.ffn_extract.tiny_models import copied, edit_config


def weights_of(folder) -> ModelWeights:
    checkpoint = find_checkpoint(str(folder))
    architecture = architecture_of(checkpoint.config)
    return ModelWeights(architecture, checkpoint.config, checkpoint.tensors)


def test_berts_norm_is_each_layers_own(tiny_model):
    weights = weights_of(tiny_model("bert"))
    stored = load_file(tiny_model("bert") / "model.safetensors")
    for layer in (0, 1):
        name = f"bert.encoder.layer.{layer}.output.LayerNorm.weight"
        np.testing.assert_array_equal(weights.norm(layer).gain, stored[name].numpy())


def test_a_head_in_the_file_is_the_unembedding(tiny_model, tmp_path):
    assert weights_of(tiny_model("llama")).unembedding.name == "lm_head.weight"
    folder = copied(tiny_model("llama"), tmp_path)
    tensors = load_file(folder / "model.safetensors")
    del tensors["lm_head.weight"]
    save_file(tensors, folder / "model.safetensors")
    edit_config(folder, tie_word_embeddings=True)
    assert weights_of(folder).unembedding.name == "model.embed_tokens.weight"


@pytest.mark.parametrize(
    ("family", "config", "signed"),
    [
        ("gpt2", {}, True), ("gpt2", {"activation_function": "relu"}, False),
        ("bert", {"hidden_act": "relu"}, False), ("llama", {"hidden_act": "relu"}, True),
        ("opt", {}, False), ("falcon", {}, True), ("bloom", {}, True),
        ("t5", {}, False), ("t5+gated", {}, True), ("mixtral", {"hidden_act": "relu"}, True),
    ],
)  # fmt: skip
def test_a_bottom_exists_where_coefficients_can_be_negative(
    tiny_model, tmp_path, family, config, signed
):
    folder = copied(tiny_model(family), tmp_path)
    edit_config(folder, **config)
    assert weights_of(folder).signed is signed


@pytest.mark.parametrize(
    ("family", "config", "sentence"),
    [
        ("gpt2", {"n_inner": 48}, r"c_fc.weight has shape \(16, 64\); .* has \(16, 48\)"),
        ("bert", {"intermediate_size": 25}, r"has shape \(24, 16\); .* has \(25, 16\)"),
        ("bert", {"hidden_size": 8}, r"word_embeddings.weight has shape .* d_model = 8"),
        ("llama", {"num_hidden_layers": 3}, "have no model.layers.2.mlp.gate_proj.weight"),
        ("llama", {"num_hidden_layers": None}, "must give num_hidden_layers as a whole number"),
        ("gpt2", {"model_type": "llama"}, "have no model.embed_tokens.weight or embed_tokens"),
        ("gpt2", {"model_type": "rwkv"}, "'rwkv'.* is not known.* tensors MODEL"),
        ("gpt2", {"model_type": "mamba2"}, "A mamba2 model has no FFN"),
        (
            "gpt2",
            {"model_type": None},
            "name the FFN's value matrix .* row i or column i .* --value-tensor",
        ),
    ],
)
def test_weights_that_do_not_fit_the_family_are_refused(
    tiny_model, tmp_path, family, config, sentence
):
    folder = copied(tiny_model(family), tmp_path)
    edit_config(folder, **config)
    with pytest.raises(ArchitectureError, match=sentence):
        weights_of(folder)


GIVEN = {
    "value_tensor": "transformer.h.{layer}.mlp.c_proj.weight",
    "key_tensor": "transformer.h.{layer}.mlp.c_fc.weight",
    "unembedding_tensor": "transformer.wte.weight",
    "orientation": "row",
}


def given(folder, **changed) -> ModelWeights:
    files = find_checkpoint(str(folder)).tensors
    shapes = {name: files.shape(name) for name in files.names}
    family = given_family({}, ExtractOptions(**{**GIVEN, **changed}), shapes)
    return ModelWeights(family.architecture, family.config, files)


def test_names_alone_are_enough_for_a_family_that_is_not_known(tiny_model):
    weights, known = given(tiny_model("gpt2")), weights_of(tiny_model("gpt2"))
    assert weights.dimensions == known.dimensions
    torch.testing.assert_close(weights.value_rows(1, 0, 9), known.value_rows(1, 0, 9))
    torch.testing.assert_close(weights.key_rows(1, 0, 9), known.key_rows(1, 0, 9))


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        (
            {"orientation": "col"},
            r"c_proj.weight has shape \(64, 16\): with orientation col .* Give --orientation row",
        ),
        ({"value_tensor": "h.{layer}.fc2"}, r"have no h.\{layer\}.fc2"),
        ({"key_tensor": "h.{layer}.fc1"}, r"have no h.\{layer\}.fc1"),
        ({"unembedding_tensor": "head"}, "have no head"),
        (
            {"unembedding_tensor": "transformer.ln_f.bias"},
            "should be a matrix with a row for each token",
        ),
    ],
)
def test_names_that_do_not_fit_the_file_are_refused(tiny_model, changed, sentence):
    with pytest.raises(ArchitectureError, match=sentence):
        given(tiny_model("gpt2"), **changed)


def test_what_an_old_config_leaves_out_is_the_familys_own(tiny_model, tmp_path):
    folder = copied(tiny_model("opt"), tmp_path)
    path = folder / "config.json"
    config = json.loads(path.read_text())
    del config["activation_function"]
    path.write_text(json.dumps(config))
    assert weights_of(folder).signed is False


def test_a_discriminator_with_narrow_embeddings_is_refused(tiny_model, tmp_path):
    folder = copied(tiny_model("electra+narrow"), tmp_path)
    tensors = load_file(folder / "model.safetensors")
    del tensors["generator_predictions.dense.weight"]
    save_file(tensors, folder / "model.safetensors")
    with pytest.raises(ArchitectureError, match="electra model whose embeddings have 8 entries"):
        weights_of(folder)


def test_a_missing_expert_is_refused(tiny_model, tmp_path):
    folder = copied(tiny_model("qwen2_moe"), tmp_path)
    edit_config(folder, num_experts=5)
    with pytest.raises(ArchitectureError, match=r"have no model.layers.1.mlp.experts.4.gate_proj"):
        weights_of(folder)


def test_a_transposed_value_matrix_is_refused(tiny_model, tmp_path):
    folder = copied(tiny_model("gpt2"), tmp_path)
    tensors = load_file(folder / "model.safetensors")
    name = "transformer.h.1.mlp.c_proj.weight"
    tensors[name] = tensors[name].T.contiguous()
    save_file(tensors, folder / "model.safetensors")
    with pytest.raises(ArchitectureError, match=r"c_proj.weight has shape \(16, 64\)"):
        weights_of(folder)


def test_values_that_are_not_finite_are_refused(tiny_model, tmp_path):
    folder = copied(tiny_model("gpt2"), tmp_path)
    tensors = load_file(folder / "model.safetensors")
    tensors["transformer.h.1.mlp.c_proj.weight"][3, 2] = torch.nan
    save_file(tensors, folder / "model.safetensors")
    with pytest.raises(CheckpointError, match=r"c_proj.weight holds values that are not finite"):
        weights_of(folder).value_rows(1, 0, 64)


def test_a_family_cannot_be_declared_twice():
    with pytest.raises(ArchitectureError, match="gpt2 is declared twice"):
        registry(ARCHITECTURES["gpt2"], ARCHITECTURES["bert"], ARCHITECTURES["gpt2"])


def rename(folder, change) -> None:
    """Rename the tensors of a model's file."""
    tensors = load_file(folder / "model.safetensors")
    save_file({change(name): t for name, t in tensors.items()}, folder / "model.safetensors")
