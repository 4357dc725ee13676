"""A model is judged before it is queued as an extraction of it would judge it."""

import json
import shutil
from collections.abc import Callable

import pytest
import torch
from safetensors.torch import load_file, save_file

from ffn_extract.architectures import ModelWeights, family_of
from ffn_extract.checkpoints.find import find_checkpoint
from ffn_extract.checkpoints.outline import outline_of_folder
from ffn_extract.errors import FFNExtractError
from ffn_extract.estimate import estimate
from ffn_extract.model_sizes import sizes_of
from ffn_extract.options import ExtractOptions
from tests.ffn_extract.tiny_models import edit_config

FILE = "model.safetensors"
Tensors = dict[str, torch.Tensor]
FAMILIES = ("llama", "gpt_neox", "gpt2", "bert", "t5", "qwen3_moe", "stablelm")


def _renamed(prefix: str) -> Callable[[Tensors], Tensors]:
    return lambda tensors: {prefix + name: tensor for name, tensor in tensors.items()}


def _without(*parts: str) -> Callable[[Tensors], Tensors]:
    return lambda tensors: {
        name: tensor for name, tensor in tensors.items() if not any(part in name for part in parts)
    }


def _with(name: str) -> Callable[[Tensors], Tensors]:
    return lambda tensors: {**tensors, **{f"{n}{name}": torch.ones(2) for n in _stems(tensors)}}


def _stems(tensors: Tensors) -> list[str]:
    return [name.removesuffix("weight") for name in tensors if name.endswith(".weight")]


EDITS = {
    "as it is": lambda tensors: tensors,
    "compiled": _renamed("_orig_mod."),
    "parallel": _renamed("module."),
    "wrapped twice": _renamed("module._orig_mod."),
    "without a head": _without("lm_head", "embed_out"),
    "without embeddings": _without("embed", "wte", "shared"),
    "first layer alone": _without(".1."),
    "second layer alone": _without(".0."),
    "an adapter inside": _with("lora_A.default.weight"),
    "quantised": _with("weight_scale_inv"),
    "masked": _with("weight_mask"),
}
OPTIONS = (
    {},
    {"allow_fewer_layers": True},
    {"unembedding_tensor": "model.embed_tokens.weight"},
)


def changed(folder, tmp_path, edit):
    copy = shutil.copytree(folder, tmp_path / "copy")
    save_file({n: t.contiguous() for n, t in edit(load_file(folder / FILE)).items()}, copy / FILE)
    return copy


def judged_by_extraction(folder, options):
    checkpoint = find_checkpoint(str(folder))
    found = family_of(checkpoint.config, options, {})
    weights = ModelWeights(
        found.architecture,
        found.config,
        checkpoint.tensors,
        unembedding=options.unembedding_tensor,
        allow_fewer_layers=options.allow_fewer_layers,
    )
    size = weights.dimensions
    values = tuple(weights.n_values(layer) for layer in range(size.n_layers))
    return size.d_model, size.vocab_size, values, weights.signed


def judged_before(folder, options):
    sizes = sizes_of(outline_of_folder(folder), options)
    return sizes.d_model, sizes.vocab_size, sizes.values, sizes.signed


def outcome(judge, folder, options):
    try:
        return judge(folder, options)
    except FFNExtractError as error:
        text = str(error)
        # Of several tensors that are refused for one reason, either may be named.
        kinds = (one for one in ("The weights are stored quantised", "Beside") if one in text)
        return next(kinds, text)


@pytest.mark.parametrize("edit", EDITS)
@pytest.mark.parametrize("family", FAMILIES)
def test_the_site_judges_a_checkpoint_as_extraction_does(tiny_model, tmp_path, family, edit):
    folder = changed(tiny_model(family), tmp_path, EDITS[edit])
    for given in OPTIONS:
        options = ExtractOptions(kinds=("value",), glosses=(), **given)
        before = outcome(judged_before, folder, options)
        assert before == outcome(judged_by_extraction, folder, options)


@pytest.mark.parametrize("said", [1, 3])
@pytest.mark.parametrize("family", ["llama", "gpt2", "qwen3_moe"])
def test_layers_that_config_and_file_count_differently_are_told_before(
    tiny_model, tmp_path, family, said
):
    folder = changed(tiny_model(family), tmp_path, lambda tensors: tensors)
    key = "n_layer" if family == "gpt2" else "num_hidden_layers"
    edit_config(folder, **{key: said})
    for allow in (False, True):
        options = ExtractOptions(kinds=("value",), glosses=(), allow_fewer_layers=allow)
        before = outcome(judged_before, folder, options)
        assert before == outcome(judged_by_extraction, folder, options)
        assert isinstance(before, tuple) is allow


def test_the_text_part_of_a_multimodal_model_is_measured(tiny_model, tmp_path):
    folder = changed(tiny_model("llama"), tmp_path, _renamed("language_model."))
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({"model_type": "llava", "text_config": config}))
    options = ExtractOptions(kinds=("value",), glosses=())
    assert judged_before(folder, options) == judged_by_extraction(folder, options)


def test_layers_that_are_not_read_have_no_lists_in_the_estimate(tiny_model, tmp_path):
    folder = changed(tiny_model("llama"), tmp_path, _without(".0."))
    options = ExtractOptions(
        kinds=("value", "random"), per_layer=4, glosses=(), allow_fewer_layers=True
    )
    assert estimate(outline_of_folder(folder), options).lists == 8


@pytest.mark.parametrize("name", ["adapter_config.json", "adapter_model.safetensors"])
def test_an_adapter_beside_the_model_is_refused_before_it_is_queued(tiny_model, tmp_path, name):
    folder = changed(tiny_model("gpt2"), tmp_path, lambda tensors: tensors)
    (folder / name).write_text("{}")
    with pytest.raises(FFNExtractError, match=r"merge_and_unload\(\)"):
        outline_of_folder(folder)


def test_a_pointer_and_another_format_are_named_before_a_model_is_queued(tiny_model, tmp_path):
    folder = changed(tiny_model("gpt2"), tmp_path, lambda tensors: tensors)
    (folder / FILE).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
    with pytest.raises(FFNExtractError, match="git lfs pull"):
        outline_of_folder(folder)
    (folder / FILE).rename(folder / "model.onnx")
    with pytest.raises(FFNExtractError, match=r"model\.onnx is an ONNX graph"):
        outline_of_folder(folder)
