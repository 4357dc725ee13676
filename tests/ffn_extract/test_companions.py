"""Nothing that carries a matrix's name is left out in silence: adapters, scales, masks."""

import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from ffn_extract.architectures import ARCHITECTURES, ModelWeights, architecture_of
from ffn_extract.architectures.companions import companions_of, quantisation_of
from ffn_extract.checkpoints.find import find_checkpoint
from ffn_extract.errors import ArchitectureError, FFNExtractError
from tests.ffn_extract.tiny_families import TINY_FAMILIES

FILE = "model.safetensors"
ADAPTERS = (
    ("lora_A.default.weight", "lora_B.default.weight"),
    ("lora_A.weight", "lora_B.weight"),
    ("lora_magnitude_vector.default.weight",),
    ("ia3_l.default",),
    ("hada_w1_a.default", "hada_w2_b.default"),
    ("lokr_w1.default",),
    ("oft_R.default.weight",),
    ("vera_lambda_d.default",),
)
CHANGES = ("weight_mask", "weight_g", "quantizer.amax", "parametrizations.weight.0.scale", "alpha")


def weights_of(folder) -> ModelWeights:
    checkpoint = find_checkpoint(str(folder))
    family = architecture_of(checkpoint.config)
    return ModelWeights(family, checkpoint.config, checkpoint.tensors)


def value_tensors(folder) -> list[str]:
    """The value matrices in a folder, by their names on disk."""
    family = architecture_of(find_checkpoint(str(folder)).config)
    ends = {
        ffn.value.name.format(layer=layer, expert=expert)
        for ffn in family.ffns
        for layer in range(2)
        for expert in range(2)
    }
    return sorted(name for name in load_file(folder / FILE) if name.endswith(tuple(ends)))


def with_tensors(folder, tmp_path, added, renamed=()):
    copy = shutil.copytree(folder, tmp_path / "copy", dirs_exist_ok=True)
    tensors = load_file(folder / FILE)
    for old, new in renamed:
        tensors[new] = tensors.pop(old)
    save_file({**tensors, **{name: torch.ones(2, 2) for name in added}}, copy / FILE)
    return copy


def beside(name: str, part: str) -> str:
    return f"{name.removesuffix('.weight')}.{part}"


@pytest.mark.parametrize("family", sorted(set(TINY_FAMILIES) & set(ARCHITECTURES)))
def test_an_adapter_in_the_models_own_file_is_refused_in_every_family(tiny_model, tmp_path, family):
    folder = tiny_model(family)
    last = value_tensors(folder)[-1]
    weights_of(folder)
    for parts in ADAPTERS:
        copy = with_tensors(folder, tmp_path, [beside(last, part) for part in parts])
        with pytest.raises(ArchitectureError, match=r"adapter .* merge_and_unload\(\)"):
            weights_of(copy)


@pytest.mark.parametrize("family", ["gpt2", "llama", "bert", "t5"])
def test_a_layer_that_an_adapter_wraps_is_refused_with_the_same_way_out(
    tiny_model, tmp_path, family
):
    folder = tiny_model(family)
    last = value_tensors(folder)[-1]
    copy = with_tensors(
        folder,
        tmp_path,
        [beside(last, "lora_A.weight")],
        [(last, beside(last, "base_layer.weight"))],
    )
    with pytest.raises(ArchitectureError, match=r"adapter .* merge_and_unload\(\)"):
        weights_of(copy)


@pytest.mark.parametrize("part", CHANGES)
@pytest.mark.parametrize("family", ["gpt2", "llama", "bert", "gpt_neox"])
def test_what_stands_beside_a_value_matrix_and_is_not_known_is_refused(
    tiny_model, tmp_path, family, part
):
    folder = tiny_model(family)
    last = value_tensors(folder)[-1]
    copy = with_tensors(folder, tmp_path, [beside(last, part)])
    with pytest.raises(ArchitectureError, match=f"Beside .* the weights have .*{part}"):
        weights_of(copy)


@pytest.mark.parametrize("family", ["llama", "bert", "qwen3_moe"])
@pytest.mark.parametrize("scale", ["weight_scale_inv", "weight_scale", "SCB", "weight_scales"])
def test_scales_are_found_beside_any_matrix_of_a_layer(tiny_model, tmp_path, family, scale):
    folder = tiny_model(family)
    for name in value_tensors(folder):
        copy = with_tensors(folder, tmp_path, [beside(name, scale)])
        with pytest.raises(ArchitectureError, match="stored quantised"):
            weights_of(copy)


@pytest.mark.parametrize(
    ("parts", "title"),
    [
        (("codes", "codebooks", "scales"), "AQLM"),
        (("weight", "weight_scale"), "BitNet"),
        (("weight", "weight_scale_inv"), "fp8 with block scales"),
        (("blocks", "scales"), "MXFP4"),
        (("qweight", "qzeros", "scales"), "GPTQ or AWQ"),
    ],
)
@pytest.mark.parametrize("family", ["llama", "qwen3_moe", "gpt_neox"])
def test_a_quantised_matrix_is_refused_by_the_formats_name(
    tiny_model, tmp_path, family, parts, title
):
    folder = tiny_model(family)
    copy = shutil.copytree(folder, tmp_path / "copy")
    tensors = load_file(folder / FILE)
    for name in value_tensors(folder):
        del tensors[name]
        for part in parts:
            tensors[beside(name, part)] = torch.ones(4, 1, dtype=torch.uint8)
    save_file(tensors, copy / FILE)
    with pytest.raises(FFNExtractError, match=rf"stored quantised \(.*{title}"):
        weights_of(copy)


def test_a_head_that_is_quantised_is_not_replaced_by_the_embeddings(tiny_model, tmp_path):
    folder = tiny_model("llama")
    copy = with_tensors(
        folder, tmp_path, ["lm_head.qzeros"], [("lm_head.weight", "lm_head.qweight")]
    )
    for said in (True, False, None):
        config = find_checkpoint(str(copy)).config
        config["tie_word_embeddings"] = said
        tensors = find_checkpoint(str(copy)).tensors
        with pytest.raises(ArchitectureError, match=r"stored quantised \(GPTQ or AWQ"):
            ModelWeights(architecture_of(config), config, tensors)


def test_a_bias_is_no_companion_and_other_layers_are_not():
    names = frozenset(
        ("a.w.weight", "a.w.bias", "a.w2.scales", "b.experts.down", "b.experts.down_bias", "b.x.y")
    )
    assert companions_of("a.w.weight", names) == []
    assert companions_of("b.experts.down", names) == []
    assert companions_of("a.w2.weight", names) == ["a.w2.scales"]
    assert quantisation_of("a.w2.weight", names) == ("MXFP4", "a.w2.scales")
