"""Every family against the real module of a tiny random model: weights, norm, unembedding."""

import shutil

import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from ffn_extract.architectures import (
    ARCHITECTURES,
    ModelWeights,
    architecture_of,
    registry,
)
from ffn_extract.checkpoints import find_checkpoint
from ffn_extract.errors import ArchitectureError, CheckpointError
from tests.ffn_extract.conftest import FAMILIES, edit_config

CAUSAL = sorted(set(FAMILIES) - {"bert"})


def weights_of(folder) -> ModelWeights:
    checkpoint = find_checkpoint(str(folder))
    architecture = architecture_of(checkpoint.config)
    return ModelWeights(architecture, checkpoint.config, checkpoint.tensors)


def seen_by_hooks(folder, weights, layer):
    """The coefficients m, the FFN update o and the value module's bias on a random text."""
    model = transformers.AutoModel.from_pretrained(folder, attn_implementation="eager").eval()
    module = model.get_submodule(weights.architecture.value_module.format(layer=layer))
    seen = []
    handle = module.register_forward_hook(
        lambda _, inputs, output: seen.append((inputs[0], output))
    )
    with torch.inference_mode():
        model(input_ids=torch.tensor([[3, 5, 8, 4]]))
    handle.remove()
    ((coefficients, update),) = seen
    bias = getattr(module, "bias", None)
    return coefficients[0], update[0], 0 if bias is None else bias.detach()


def test_every_family_is_tested():
    assert set(FAMILIES) == set(ARCHITECTURES)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("layer", [0, 1])
def test_the_ffn_output_is_the_sum_of_coefficients_times_values(tiny_model, family, layer):
    weights = weights_of(tiny_model(family))
    coefficients, update, bias = seen_by_hooks(tiny_model(family), weights, layer)
    d_ff, d_model = weights.dimensions.d_ff, weights.dimensions.d_model
    values = weights.value_rows(layer, 0, d_ff)
    assert values.shape == (d_ff, d_model)
    torch.testing.assert_close(coefficients @ values + bias, update)


@pytest.mark.parametrize("family", FAMILIES)
def test_keys_belong_to_the_coefficients(tiny_model, family):
    """The coefficient's sign or size follows key·x, where x is what the FFN's first matrix sees."""
    weights = weights_of(tiny_model(family))
    model = transformers.AutoModel.from_pretrained(tiny_model(family)).eval()
    name = weights.architecture.key.name.format(layer=1).removesuffix(".weight")
    module = model.get_submodule(name)
    seen = []
    module.register_forward_hook(lambda _, inputs, output: seen.append((inputs[0], output)))
    with torch.inference_mode():
        model(input_ids=torch.tensor([[3, 5, 8, 4]]))
    ((x, before_activation),) = seen
    keys = weights.key_rows(1, 0, weights.dimensions.d_ff)
    bias = module.bias if getattr(module, "bias", None) is not None else 0
    torch.testing.assert_close(x @ keys.T + bias, before_activation)


@pytest.mark.parametrize("family", CAUSAL)
def test_unembedding_and_norm_give_the_models_own_logits(tiny_model, family):
    weights = weights_of(tiny_model(family))
    model = transformers.AutoModelForCausalLM.from_pretrained(tiny_model(family)).eval()
    ids = torch.tensor([[3, 5, 8, 4]])
    last: list[torch.Tensor] = []
    norm = {"gpt2": "transformer.ln_f", "llama": "model.norm"}[family]
    model.get_submodule(norm).register_forward_pre_hook(lambda _, inputs: last.append(inputs[0]))
    with torch.inference_mode():
        logits = model(input_ids=ids).logits[0]
    n_layers = weights.dimensions.n_layers
    normed = weights.norm(n_layers - 1).normed(last[0][0].to(torch.float64).numpy())
    unembedding = weights.unembedding.rows(0, weights.dimensions.vocab_size)
    rebuilt = torch.from_numpy(normed) @ unembedding.to(torch.float64).T
    torch.testing.assert_close(rebuilt.to(torch.float32), logits, rtol=1e-4, atol=1e-4)


def test_berts_norm_is_each_layers_own(tiny_model):
    weights = weights_of(tiny_model("bert"))
    stored = load_file(tiny_model("bert") / "model.safetensors")
    for layer in (0, 1):
        name = f"bert.encoder.layer.{layer}.output.LayerNorm.weight"
        np.testing.assert_array_equal(weights.norm(layer).gain, stored[name].numpy())


def test_old_names_of_norms_are_read(tiny_model, tmp_path):
    folder = copied(tiny_model("bert"), tmp_path)
    rename(folder, lambda n: n.replace(".weight", ".gamma") if "LayerNorm" in n else n)
    rename(folder, lambda n: n.replace(".bias", ".beta") if "LayerNorm" in n else n)
    new, old = weights_of(tiny_model("bert")).norm(1), weights_of(folder).norm(1)
    np.testing.assert_array_equal(new.gain, old.gain)
    np.testing.assert_array_equal(new.bias, old.bias)


@pytest.mark.parametrize(("family", "prefix"), [("gpt2", "transformer."), ("bert", "bert.")])
def test_files_without_the_models_prefix_are_read(tiny_model, tmp_path, family, prefix):
    folder = copied(tiny_model(family), tmp_path)
    rename(folder, lambda name: name.removeprefix(prefix))
    a, b = weights_of(tiny_model(family)), weights_of(folder)
    torch.testing.assert_close(a.value_rows(1, 0, 5), b.value_rows(1, 0, 5), rtol=0, atol=0)
    torch.testing.assert_close(a.unembedding.rows(0, 9), b.unembedding.rows(0, 9), rtol=0, atol=0)


def test_a_head_in_the_file_is_the_unembedding(tiny_model, tmp_path):
    assert weights_of(tiny_model("llama")).unembedding.name == "lm_head.weight"
    folder = copied(tiny_model("llama"), tmp_path)
    tensors = load_file(folder / "model.safetensors")
    del tensors["lm_head.weight"]
    save_file(tensors, folder / "model.safetensors")
    assert weights_of(folder).unembedding.name == "model.embed_tokens.weight"


@pytest.mark.parametrize(
    ("family", "config", "signed"),
    [
        ("gpt2", {}, True), ("gpt2", {"activation_function": "relu"}, False),
        ("bert", {"hidden_act": "relu"}, False), ("llama", {"hidden_act": "relu"}, True),
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
        ("gpt2", {"model_type": "rwkv"}, "'rwkv'.* is not known; known are bert, gpt2, llama"),
        ("gpt2", {"model_type": None}, "give the names of three tensors .* row i or column i"),
    ],
)
def test_weights_that_do_not_fit_the_family_are_refused(
    tiny_model, tmp_path, family, config, sentence
):
    folder = copied(tiny_model(family), tmp_path)
    edit_config(folder, **config)
    with pytest.raises(ArchitectureError, match=sentence):
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


def copied(folder, tmp_path):
    return shutil.copytree(folder, tmp_path / "copy")


def rename(folder, change) -> None:
    """Rename the tensors of a model's file."""
    tensors = load_file(folder / "model.safetensors")
    save_file({change(name): t for name, t in tensors.items()}, folder / "model.safetensors")
