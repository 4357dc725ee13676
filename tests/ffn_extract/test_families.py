"""Every family against the real modules of a tiny random model: FFN, norm, unembedding, names."""

import dataclasses
import shutil
from functools import cache

import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from transformers.activations import ACT2FN

from ffn_extract.architectures import ARCHITECTURES, ModelWeights, architecture_of
from ffn_extract.checkpoints import find_checkpoint
from tests.ffn_extract.tiny_families import CAUSAL, ENCODERS, TINY_FAMILIES

IDS = torch.tensor([[3, 5, 8, 4, 9]])
BOTH_LAYERS = pytest.mark.parametrize("layer", [0, 1])
BERT_LIKE = pytest.mark.parametrize("family", ENCODERS)


def weights_of(folder) -> ModelWeights:
    checkpoint = find_checkpoint(str(folder))
    return ModelWeights(architecture_of(checkpoint.config), checkpoint.config, checkpoint.tensors)


@cache
def base_model(folder):
    """The model as updates are read from it."""
    return transformers.AutoModel.from_pretrained(folder, attn_implementation="eager").eval()


def seen(model, *names):
    """The first input and the output of modules on a random text, without the batch's axis.

    They are copies, because some families add to an output in place.
    """
    found = {}
    handles = [
        model.get_submodule(name).register_forward_hook(
            lambda _, inputs, output, name=name: found.update(
                {name: tuple(tensor.flatten(0, -2).clone() for tensor in (inputs[0], output))}
            )
        )
        for name in names
    ]
    with torch.inference_mode():
        model(input_ids=IDS)
    for handle in handles:
        handle.remove()
    return [found[name] for name in names]


def bias_of(model, name):
    bias = getattr(model.get_submodule(name), "bias", None)
    return torch.zeros(()) if bias is None else bias.detach()


def test_every_family_is_tested():
    assert {name.split("-")[0] for name in TINY_FAMILIES} == set(ARCHITECTURES)


@BOTH_LAYERS
@pytest.mark.parametrize("family", TINY_FAMILIES)
def test_the_ffn_output_is_the_sum_of_coefficients_times_values(tiny_model, family, layer):
    weights, model = weights_of(tiny_model(family)), base_model(tiny_model(family))
    name = weights.architecture.value_module.format(layer=layer)
    ((coefficients, update),) = seen(model, name)
    d_ff, d_model = weights.n_values(layer), weights.dimensions.d_model
    values = weights.value_rows(layer, 0, d_ff)
    assert values.shape == (d_ff, d_model)
    torch.testing.assert_close(coefficients @ values + bias_of(model, name), update)
    torch.testing.assert_close(weights.value_rows(layer, 5, 9), values[5:9], rtol=0, atol=0)


@pytest.mark.parametrize("family", TINY_FAMILIES)
def test_keys_belong_to_the_coefficients(tiny_model, family):
    """Keys times the FFN's input give what the activation sees; in gated FFNs, with their partners,
    the coefficients themselves."""
    weights, model = weights_of(tiny_model(family)), base_model(tiny_model(family))
    d_ff = weights.dimensions.d_ff
    ffn = weights.architecture.ffns[0]
    key_module = ffn.key.name.format(layer=1).removesuffix(".weight")
    (x, before), (coefficients, _) = seen(
        model, key_module, weights.architecture.value_module.format(layer=1)
    )
    by_keys = x @ weights.key_rows(1, 0, d_ff).T + bias_of(model, key_module)
    torch.testing.assert_close(by_keys, before[:, :d_ff])
    if ffn.up is not None:
        config = model.config
        act = getattr(config, "hidden_activation", None) or config.hidden_act
        product = ACT2FN[act](by_keys) * (x @ weights.up_rows(1, 0, d_ff).T)
        torch.testing.assert_close(product, coefficients)


@pytest.mark.parametrize("family", CAUSAL)
def test_unembedding_and_norm_give_the_models_own_logits(tiny_model, family):
    """With the head's bias, scale and cap, which a projection leaves out."""
    weights, tiny = weights_of(tiny_model(family)), TINY_FAMILIES[family]
    model = tiny.head.from_pretrained(tiny_model(family)).eval()
    last = []
    norm = model.get_submodule(tiny.final_norm)
    norm.register_forward_pre_hook(lambda _, inputs: last.append(inputs[0]))
    with torch.inference_mode():
        logits = model(input_ids=IDS).logits[0]
    # The last hidden state has the last FFN's norm behind it.
    final_norm = dataclasses.replace(weights.norm(1), gain_after_ffn=None)
    normed = final_norm.normed(last[0][0].to(torch.float64).numpy())
    rows = weights.unembedding.rows(0, weights.dimensions.vocab_size).to(torch.float64)
    rebuilt = torch.from_numpy(weights.before_unembedding(normed)) @ rows.T
    rebuilt = rebuilt * (getattr(model.config, "logit_scale", None) or 1) + bias_of_head(model)
    if cap := getattr(model.config, "final_logit_softcapping", None):
        rebuilt = cap * torch.tanh(rebuilt / cap)
    torch.testing.assert_close(rebuilt.to(torch.float32), logits, rtol=1e-4, atol=1e-4)


def bias_of_head(model):
    bias = model.get_output_embeddings().bias
    return 0 if bias is None else bias.detach()


@BOTH_LAYERS
@pytest.mark.parametrize("family", [*ENCODERS, "opt-350m"])
def test_where_blocks_end_in_a_norm_it_is_each_layers_own(tiny_model, family, layer):
    weights, model = weights_of(tiny_model(family)), base_model(tiny_model(family))
    name = TINY_FAMILIES[family].final_norm.replace(
        "model.decoder.layers.1", f"decoder.layers.{layer}"
    )
    ((x, normed),) = seen(model, name.format(layer=layer))
    rebuilt = weights.norm(layer).normed(x.to(torch.float64).numpy())
    torch.testing.assert_close(torch.from_numpy(rebuilt).to(torch.float32), normed)


@BOTH_LAYERS
@pytest.mark.parametrize("family", ["gemma2", "gemma3_text", "olmo2"])
def test_the_norm_after_the_ffn_is_applied_first(tiny_model, family, layer):
    weights, model = weights_of(tiny_model(family)), base_model(tiny_model(family))
    ((update, after),) = seen(model, f"layers.{layer}.post_feedforward_layernorm")
    norm = weights.norm(layer)
    x = update.to(torch.float64)
    mean_square = (x**2).mean(-1, keepdim=True) + model.config.rms_norm_eps
    rebuilt = x * mean_square**-0.5 * torch.from_numpy(norm.gain_after_ffn)
    torch.testing.assert_close(rebuilt.to(torch.float32), after)
    np.testing.assert_allclose(
        norm.folded(x.numpy()), norm.gain * norm.gain_after_ffn * x.numpy(), rtol=1e-12
    )


@BERT_LIKE
def test_an_encoder_is_projected_onto_its_embeddings(tiny_model, family):
    weights, model = weights_of(tiny_model(family)), base_model(tiny_model(family))
    rows = weights.unembedding.rows(0, weights.dimensions.vocab_size)
    torch.testing.assert_close(rows, model.get_input_embeddings().weight.data, rtol=0, atol=0)


def test_narrow_embeddings_are_reached_through_the_generators_dense(tiny_model):
    folder = tiny_model("electra-narrow")
    model = transformers.ElectraForMaskedLM.from_pretrained(folder)
    vectors = torch.randn(3, 16, dtype=torch.float64)
    narrowed = weights_of(folder).before_unembedding(vectors.numpy())
    expected = vectors @ model.generator_predictions.dense.weight.data.to(torch.float64).T
    np.testing.assert_allclose(narrowed, expected, rtol=1e-12)


@pytest.mark.parametrize("family", TINY_FAMILIES)
def test_files_without_the_models_prefix_are_read(tiny_model, tmp_path, family):
    prefix = ARCHITECTURES[family.split("-")[0]].prefixes[0]
    folder = copied(tiny_model(family), tmp_path)
    assert rename(folder, lambda name: name.removeprefix(prefix)) or not prefix
    same_content(weights_of(tiny_model(family)), weights_of(folder))


@BERT_LIKE
def test_old_names_of_norms_are_read(tiny_model, tmp_path, family):
    folder = copied(tiny_model(family), tmp_path)
    norms = ("LayerNorm", "layer_norm")
    rename(folder, lambda n: n.replace(".weight", ".gamma") if any(m in n for m in norms) else n)
    rename(folder, lambda n: n.replace(".bias", ".beta") if any(m in n for m in norms) else n)
    same_content(weights_of(tiny_model(family)), weights_of(folder))


def same_content(a: ModelWeights, b: ModelWeights) -> None:
    assert a.dimensions == b.dimensions
    for rows in ("key_rows", "value_rows"):
        torch.testing.assert_close(
            getattr(a, rows)(1, 0, 9), getattr(b, rows)(1, 0, 9), rtol=0, atol=0
        )
    torch.testing.assert_close(a.unembedding.rows(0, 9), b.unembedding.rows(0, 9), rtol=0, atol=0)
    np.testing.assert_equal(a.norm(1).gain, b.norm(1).gain)
    np.testing.assert_equal(a.norm(1).bias, b.norm(1).bias)


def copied(folder, tmp_path):
    return shutil.copytree(folder, tmp_path / "copy")


def rename(folder, change) -> bool:
    """Rename the tensors of a model's file; whether any name changed."""
    tensors = load_file(folder / "model.safetensors")
    renamed = {change(name): tensor for name, tensor in tensors.items()}
    save_file(renamed, folder / "model.safetensors")
    return set(renamed) != set(tensors)
