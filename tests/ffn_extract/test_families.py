"""Every family against the real modules of a tiny random model: FFN, norm, unembedding, names."""

import dataclasses
from functools import cache

import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from transformers.activations import ACT2FN

from ffn_extract.architectures import ARCHITECTURES, ModelWeights
from ffn_extract.errors import ArchitectureError, CheckpointError
from tests.ffn_extract.tiny_families import (
    CAUSAL,
    ENCODERS,
    TINY_FAMILIES,
    WITH_EXPERTS,
    WITHOUT_EXPERTS,
)
from tests.ffn_extract.tiny_models import copied, edit_config, weights_of

IDS = torch.tensor([[3, 5, 8, 4, 9]])
BOTH_LAYERS = pytest.mark.parametrize("layer", [0, 1])
BERT_LIKE = pytest.mark.parametrize("family", ENCODERS)


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
                {name: tuple(tensor.flatten(0, -2).clone() for tensor in flat(inputs[0], output))}
            )
        )
        for name in names
    ]
    run(model)
    for handle in handles:
        handle.remove()
    return [found[name] for name in names]


def flat(x, output):
    return (x, *output) if isinstance(output, tuple) else (x, output)


def run(model):
    decoder = {"decoder_input_ids": IDS} if model.config.is_encoder_decoder else {}
    with torch.inference_mode():
        return model(input_ids=IDS, **decoder)


def bias_of(model, name):
    bias = getattr(model.get_submodule(name), "bias", None)
    return torch.zeros(()) if bias is None else bias.detach()


def test_every_family_is_tested():
    elsewhere = {"wikilm"}  # no model of transformers: test_wikilm.py
    assert {name.split("+")[0] for name in TINY_FAMILIES} | elsewhere == set(ARCHITECTURES)


@BOTH_LAYERS
@pytest.mark.parametrize("family", WITHOUT_EXPERTS)
def test_the_ffn_output_is_the_sum_of_coefficients_times_values(tiny_model, family, layer):
    weights, model = weights_of(tiny_model(family)), base_model(tiny_model(family))
    name = weights.architecture.value_module.format(layer=layer)
    ((coefficients, update),) = seen(model, name)
    d_ff, d_model = weights.n_values(layer), weights.dimensions.d_model
    values = weights.value_rows(layer, 0, d_ff)
    assert values.shape == (d_ff, d_model)
    torch.testing.assert_close(coefficients @ values + bias_of(model, name), update)
    torch.testing.assert_close(weights.value_rows(layer, 5, 9), values[5:9], rtol=0, atol=0)


@pytest.mark.parametrize("family", WITHOUT_EXPERTS)
def test_keys_belong_to_the_coefficients(tiny_model, family):
    """Keys times the FFN's input give what the activation sees; in gated FFNs, with their partners,
    the coefficients themselves."""
    weights, model = weights_of(tiny_model(family)), base_model(tiny_model(family))
    d_ff = weights.dimensions.d_ff
    ffns = weights.architecture.ffns
    ffn = ffns[1] if family == "t5" else ffns[0]
    key_module = ffn.key.name.format(layer=1).removesuffix(".weight")
    (x, before), (coefficients, _) = seen(
        model, key_module, weights.architecture.value_module.format(layer=1)
    )
    by_keys = x @ weights.key_rows(1, 0, d_ff).T + bias_of(model, key_module)
    torch.testing.assert_close(by_keys, before[:, :d_ff])
    if ffn.up is not None:
        config = model.config
        names = ("hidden_activation", "dense_act_fn", "hidden_act")
        act = next(act for name in names if (act := getattr(config, name, None)))
        product = ACT2FN[act](by_keys) * (x @ weights.up_rows(1, 0, d_ff).T)
        torch.testing.assert_close(product, coefficients)


def test_the_layers_of_albert_share_one_ffn(tiny_model, tmp_path):
    """Its last use in the model, whose vectors are read as those of layer 0."""
    weights, model = weights_of(tiny_model("albert")), base_model(tiny_model("albert"))
    assert weights.layers == (0,)
    module = "encoder.albert_layer_groups.0.albert_layers.0.ffn"
    (x, before), (coefficients, update) = seen(model, module, f"{module}_output")
    torch.testing.assert_close(x @ weights.key_rows(0, 0, 24).T + bias_of(model, module), before)
    rebuilt = coefficients @ weights.value_rows(0, 0, 24) + bias_of(model, f"{module}_output")
    torch.testing.assert_close(rebuilt, update)
    folder = copied(tiny_model("albert"), tmp_path)
    edit_config(folder, inner_group_num=2)
    with pytest.raises(
        ArchitectureError, match=r"inner_group_num as 2; .* albert are read where it is 1"
    ):
        weights_of(folder)


@BOTH_LAYERS
@pytest.mark.parametrize("family", WITH_EXPERTS)
def test_experts_give_the_sum_of_coefficients_times_values(tiny_model, family, layer):
    """A coefficient includes the router's weight, and 0 for experts that were not chosen."""
    weights, model = weights_of(tiny_model(family)), base_model(tiny_model(family))
    mlp = weights.architecture.value_module.format(layer=layer)
    ((x, update, *_),) = seen(model, mlp)
    n = weights.n_values(layer)
    keys, ups, values = (
        rows(layer, 0, n) for rows in (weights.key_rows, weights.up_rows, weights.value_rows)
    )
    assert values.shape == keys.shape == ups.shape == (n, weights.dimensions.d_model)
    module = model.get_submodule(mlp)
    if not hasattr(module, "experts"):  # a dense layer among others
        assert n == getattr(model.config, "intermediate_size_mlp", model.config.intermediate_size)
        torch.testing.assert_close((ACT2FN["silu"](x @ keys.T) * (x @ ups.T)) @ values, update)
        return
    router = next(name for name in ("router", "gate") if hasattr(module, name))
    if family == "llama4_text":  # the router's weight multiplies what an expert reads
        ((_, weight, _),) = seen(model, f"{mlp}.{router}")
        weight = torch.cat([weight, torch.ones(len(x), 1)], dim=1).repeat_interleave(24, dim=1)
        m = ACT2FN["silu"](weight * (x @ keys.T)) * (weight * (x @ ups.T))
        torch.testing.assert_close(m @ values, update)
        return
    ((_, _, scores, chosen),) = seen(model, f"{mlp}.{router}")
    routed = torch.zeros(len(x), 4).scatter(1, chosen, scores)
    rebuilt = coefficients_of_experts(module, x, keys, ups, routed) @ values
    if family == "gpt_oss":
        rebuilt += routed @ module.experts.down_proj_bias.detach()
    torch.testing.assert_close(rebuilt, update)
    # Pieces that cross the border between two experts are those of the whole.
    torch.testing.assert_close(weights.value_rows(layer, 7, 31), values[7:31], rtol=0, atol=0)


def coefficients_of_experts(module, x, keys, ups, routed):
    gate, up = x @ keys.T, x @ ups.T
    if hasattr(module.experts, "gate_up_proj_bias"):  # gpt_oss
        bias = module.experts.gate_up_proj_bias.detach()
        gate = (gate + bias[:, ::2].flatten()).clamp(max=module.experts.limit)
        up = (up + bias[:, 1::2].flatten()).clamp(-module.experts.limit, module.experts.limit)
        m = (up + 1) * gate * torch.sigmoid(gate * module.experts.alpha)
    else:
        m = ACT2FN["silu"](gate) * up
    d_ff = module.experts.down_proj.shape[1 if hasattr(module, "router") else 2]
    weight = routed.repeat_interleave(d_ff, dim=1)
    if hasattr(module, "shared_expert"):
        shared = torch.sigmoid(x @ module.shared_expert_gate.weight.detach().T)
        weight = torch.cat([weight, shared.expand(-1, m.shape[1] - weight.shape[1])], dim=1)
    if hasattr(module, "shared_experts"):  # without a gate
        weight = torch.nn.functional.pad(weight, (0, m.shape[1] - weight.shape[1]), value=1.0)
    return m * weight


def test_the_shared_expert_is_numbered_after_the_routed_ones(tiny_model):
    weights = weights_of(tiny_model("qwen2_moe"))
    stored = load_file(tiny_model("qwen2_moe") / "model.safetensors")
    assert [weights.n_values(layer) for layer in (0, 1)] == [24, 4 * 12 + 20]
    assert weights.dimensions.d_ff == 68
    for start, stop, name in ((24, 36, "experts.2"), (48, 68, "shared_expert")):
        expected = stored[f"model.layers.1.mlp.{name}.down_proj.weight"].T
        torch.testing.assert_close(weights.value_rows(1, start, stop), expected, rtol=0, atol=0)


def test_files_of_another_precision_than_floats_are_refused_with_the_way_out(tiny_model, tmp_path):
    folder = copied(tiny_model("gpt_oss"), tmp_path)
    rename(folder, lambda n: f"{n}_blocks" if n.endswith("_proj") else n)  # as MXFP4 is stored
    edit_config(folder, quantization_config={"quant_method": "mxfp4"})
    with pytest.raises(
        CheckpointError, match=r"quantised \(MXFP4\): .*down_proj is no stack .* dequantize\(\)"
    ):
        weights_of(folder)


@pytest.mark.parametrize("family", CAUSAL)
def test_unembedding_and_norm_give_the_models_own_logits(tiny_model, family):
    """With the head's bias, scale and cap, which a projection leaves out."""
    weights, tiny = weights_of(tiny_model(family)), TINY_FAMILIES[family]
    model = tiny.head.from_pretrained(tiny_model(family)).eval()
    last = []
    norm = model.get_submodule(tiny.final_norm)
    norm.register_forward_pre_hook(lambda _, inputs: last.append(inputs[0]))
    logits = run(model).logits[0]
    # The last hidden state has the last FFN's norm behind it.
    final_norm = dataclasses.replace(weights.norm(1), gain_after_ffn=None)
    normed = final_norm.normed(last[0][0].to(torch.float64).numpy())
    rows = weights.unembedding.rows(0, weights.dimensions.vocab_size).to(torch.float64)
    rebuilt = torch.from_numpy(weights.before_unembedding(normed)) @ rows.T
    if getattr(model.config, "scale_decoder_outputs", False):
        rebuilt = rebuilt * model.config.d_model**-0.5
    rebuilt = rebuilt / getattr(model.config, "logits_scaling", 1)
    rebuilt = rebuilt * (getattr(model.config, "logit_scale", None) or 1) + bias_of_head(model)
    if cap := getattr(model.config, "final_logit_softcapping", None):
        rebuilt = cap * torch.tanh(rebuilt / cap)
    torch.testing.assert_close(rebuilt.to(torch.float32), logits, rtol=1e-4, atol=1e-4)


def bias_of_head(model):
    bias = model.get_output_embeddings().bias
    return 0 if bias is None else bias.detach()


@BOTH_LAYERS
@pytest.mark.parametrize("family", [*ENCODERS, "opt+350m"])
def test_where_blocks_end_in_a_norm_it_is_each_layers_own(tiny_model, family, layer):
    weights, model = weights_of(tiny_model(family)), base_model(tiny_model(family))
    name = TINY_FAMILIES[family].final_norm.replace(
        "model.decoder.layers.1", f"decoder.layers.{layer}"
    )
    ((x, normed),) = seen(model, name.format(layer=layer))
    rebuilt = weights.norm(layer).normed(x.to(torch.float64).numpy())
    torch.testing.assert_close(torch.from_numpy(rebuilt).to(torch.float32), normed)


@BOTH_LAYERS
@pytest.mark.parametrize("family", ["exaone4", "gemma2", "gemma3_text", "glm4", "olmo2", "olmo3"])
def test_the_norm_after_the_ffn_is_applied_first(tiny_model, family, layer):
    weights, model = weights_of(tiny_model(family)), base_model(tiny_model(family))
    name = weights.architecture.after_ffn.gain[0].removesuffix(".weight").format(layer=layer)
    ((update, after),) = seen(model, name)
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
    folder = tiny_model("electra+narrow")
    model = transformers.ElectraForMaskedLM.from_pretrained(folder)
    vectors = torch.randn(3, 16, dtype=torch.float64)
    narrowed = weights_of(folder).before_unembedding(vectors.numpy())
    expected = vectors @ model.generator_predictions.dense.weight.data.to(torch.float64).T
    np.testing.assert_allclose(narrowed, expected, rtol=1e-12)


@pytest.mark.parametrize("family", TINY_FAMILIES)
def test_files_without_the_models_prefix_are_read(tiny_model, tmp_path, family):
    prefix = ARCHITECTURES[family.split("+")[0]].prefixes[0]
    folder = copied(tiny_model(family), tmp_path)
    assert rename(folder, lambda name: name.removeprefix(prefix)) or not prefix
    same_content(weights_of(tiny_model(family)), weights_of(folder))


@BERT_LIKE
def test_old_names_of_norms_are_read(tiny_model, tmp_path, family):
    folder = copied(tiny_model(family), tmp_path)
    norms = ("LayerNorm", "layer_norm")

    def older(name: str, new: str, old: str) -> str:
        return name.replace(new, old) if any(norm in name for norm in norms) else name

    assert rename(folder, lambda name: older(name, ".weight", ".gamma")) is (family != "modernbert")
    rename(folder, lambda name: older(name, ".bias", ".beta"))
    same_content(weights_of(tiny_model(family)), weights_of(folder))


def same_content(a: ModelWeights, b: ModelWeights) -> None:
    assert a.dimensions == b.dimensions
    layer = a.layers[-1]
    for rows in ("key_rows", "value_rows"):
        torch.testing.assert_close(
            getattr(a, rows)(layer, 0, 9), getattr(b, rows)(layer, 0, 9), rtol=0, atol=0
        )
    torch.testing.assert_close(a.unembedding.rows(0, 9), b.unembedding.rows(0, 9), rtol=0, atol=0)
    np.testing.assert_equal(a.norm(layer).gain, b.norm(layer).gain)
    np.testing.assert_equal(a.norm(layer).bias, b.norm(layer).bias)


def rename(folder, change) -> bool:
    """Rename the tensors of a model's file; whether any name changed."""
    tensors = load_file(folder / "model.safetensors")
    renamed = {change(name): tensor for name, tensor in tensors.items()}
    save_file(renamed, folder / "model.safetensors")
    return set(renamed) != set(tensors)
