"""Quantised files against what another implementation made of the same bytes."""

import dataclasses
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers as t
from safetensors.torch import load_file, save_file

from ffn_extract.architectures import ARCHITECTURES, ModelWeights, architecture_of
from ffn_extract.architectures.formats import in_linear_layers
from ffn_extract.bundle import open_bundle
from ffn_extract.checkpoints.find import find_checkpoint
from ffn_extract.checkpoints.fingerprint import fingerprint
from ffn_extract.checkpoints.outline import outline_of_folder
from ffn_extract.checkpoints.tensor_files import open_tensors
from ffn_extract.errors import FFNExtractError
from ffn_extract.inspection import Wanted, describe
from ffn_extract.model_sizes import sizes_of
from ffn_extract.options import ExtractOptions
from ffn_extract.pipeline import extract
from ffn_extract.quantised_formats import bitsandbytes
from ffn_extract.quantised_formats.declared import FORMS, READ
from ffn_extract.quantised_formats.files import FORMATS, dequantised
from ffn_extract.running import UPDATES, load_model
from tests.ffn_extract.tiny_families import LLAMA, NARROW, TINY_FAMILIES, TinyFamily
from tests.ffn_extract.tiny_models import (
    BYTE_LEVEL,
    EXTRA_ROWS,
    SENTENCES,
    byte_level_tokenizer,
    edit_config,
)

FIXTURES = Path(__file__).resolve().parents[2] / "fixtures" / "quantised"
NAMES = sorted(path.stem for path in FIXTURES.glob("*.json"))
WHOLE = (
    "awq", "bitsandbytes-int8", "bitsandbytes-nf4-double", "compressed-fp8-channel",
    "compressed-packed-int4-zero-points", "fp8-blocks", "gptq-v1-4bit-reordered", "mxfp4",
)  # fmt: skip
"""Of each way to store numbers one whole model is extracted."""
DOWN = "model.layers.0.mlp.down_proj."
ALL = ExtractOptions(
    kinds=("value", "random", "update"), per_layer=8, top_k=10, glosses=(), name="tiny",
    corpus=str(SENTENCES),
)  # fmt: skip
VALUES = dataclasses.replace(ALL, kinds=("value",), corpus=ExtractOptions().corpus)
OF_SIZE = {"hidden_size": 32, "intermediate_size": 64}
TINY = {
    "llama": TinyFamily(t.LlamaForCausalLM, {**LLAMA, **OF_SIZE}, "model.norm"),
    "gpt_oss": TinyFamily(
        t.GptOssForCausalLM,
        {**NARROW, **OF_SIZE, "num_local_experts": 2, "num_experts_per_tok": 1},
        "model.norm",
    ),
}


def fixture(name):
    """A fixture's tensors as stored, their numbers, and its quantization_config."""
    tensors = load_file(FIXTURES / f"{name}.safetensors")
    stored, numbers = (
        {n.removeprefix(part): one for n, one in tensors.items() if n.startswith(part)}
        for part in ("stored.", "numbers.")
    )
    settings = json.loads((FIXTURES / f"{name}.json").read_text())["quantization_config"]
    return stored, numbers, settings


@pytest.fixture(scope="module")
def tiny_folders(tmp_path_factory):
    """A tiny model in whose first layer a fixture's matrices stand, quantised and plain."""
    made = {}

    def make(name):
        if name in made:
            return made[name]
        family = "gpt_oss" if name == "mxfp4" else "llama"
        folder = tmp_path_factory.mktemp(name)
        tokenizer = byte_level_tokenizer()
        model = TINY[family].build(tokenizer.get_vocab_size() + EXTRA_ROWS)
        model.save_pretrained(folder / "plain")
        t.PreTrainedTokenizerFast(tokenizer_object=tokenizer, **BYTE_LEVEL[1]).save_pretrained(
            folder / "plain"
        )
        stored, numbers, settings = fixture(name)
        tensors = load_file(folder / "plain" / "model.safetensors")
        assert numbers.keys() <= tensors.keys()
        plain = tensors | {n: one.to(torch.float32) for n, one in numbers.items()}
        save_file(plain, folder / "plain" / "model.safetensors")
        shutil.copytree(folder / "plain", folder / "quantised")
        left = {n: one for n, one in tensors.items() if n not in numbers}
        save_file({**left, **stored}, folder / "quantised" / "model.safetensors")
        edit_config(folder / "quantised", quantization_config=settings)
        made[name] = folder
        return folder

    return make


def copied(folder, tmp_path):
    return shutil.copytree(folder / "quantised", tmp_path / "copy")


def change(folder, edit):
    tensors = load_file(folder / "model.safetensors")
    save_file(edit(tensors), folder / "model.safetensors")


def weights_of(folder):
    checkpoint = find_checkpoint(str(folder))
    return ModelWeights(architecture_of(checkpoint.config), checkpoint.config, checkpoint.tensors)


def lists_of(path):
    bundle = open_bundle(path)
    return {(r.kind, r.layer, r.index): r for rows in bundle.iter_vectors() for r in rows}


def test_every_format_that_is_read_has_a_fixture():
    assert {fixture(name)[2]["quant_method"] for name in WHOLE} == set(FORMATS)
    assert set(READ) == set(FORMATS) == {fixture(name)[2]["quant_method"] for name in NAMES}
    for name in NAMES:
        for maker in json.loads((FIXTURES / f"{name}.json").read_text())["made_by"]:
            assert all(maker[key] for key in ("package", "version", "licence"))
            method = fixture(name)[2]["quant_method"]
            assert maker["package"] in FORMS[method].checked_with


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("form", ["model.safetensors", "pytorch_model.bin"])
def test_numbers_are_those_of_the_other_implementation(name, form, tmp_path, monkeypatch):
    stored, numbers, settings = fixture(name)
    save = save_file if form.endswith("s") else torch.save
    save(stored, tmp_path / form)
    monkeypatch.setattr(bitsandbytes, "_BLOCK_NUMBERS", 200)  # several blocks of rows
    files = dequantised(open_tensors(tmp_path), {"quantization_config": settings})
    assert files.names == numbers.keys()
    for tensor, expected in numbers.items():
        assert files.shape(tensor) == tuple(expected.shape)
        stack = expected.to(torch.float32)
        if stack.dim() == 3:
            assert torch.equal(files.rows(tensor, 0, 2), stack)
        for place in range(len(stack)) if stack.dim() == 3 else (None,):
            whole = stack if place is None else stack[place]
            rows, columns = whole.shape
            for start, stop in ((0, rows), (0, 1), (5, 19), (rows - 3, rows), (7, 7)):
                assert torch.equal(files.rows(tensor, start, stop, place), whole[start:stop])
            for start, stop in ((0, columns), (0, 1), (5, 19), (columns - 3, columns), (7, 7)):
                assert torch.equal(files.columns(tensor, start, stop, place), whole[:, start:stop])


@pytest.mark.parametrize("name", WHOLE)
def test_a_quantised_model_gives_the_lists_and_updates_of_its_numbers(name, tiny_folders, tmp_path):
    folder = tiny_folders(name)
    expected = extract(str(folder / "plain"), tmp_path / "plain", ALL)
    found = extract(str(folder / "quantised"), tmp_path / "quantised", ALL)
    before, after = lists_of(tmp_path / "plain"), lists_of(tmp_path / "quantised")
    assert before.keys() == after.keys()
    for place, row in before.items():
        assert after[place] == row
    assert found.model.fingerprint == expected.model.fingerprint
    files = find_checkpoint(str(folder / "quantised")).tensors
    again = fingerprint(files, files.names)
    assert again == fingerprint(find_checkpoint(str(folder / "plain")).tensors, files.names)
    assert expected.model.stored_as is None
    titles = found.model.stored_as
    (title,) = titles.keys() - {"float32"}
    assert all(tensor.startswith("model.layers.0.mlp.") for tensor in titles[title])
    assert f"stored as {', '.join(titles)}" in "\n".join(
        describe(Wanted(tmp_path / "quantised", limit=1))
    )


@pytest.mark.parametrize("name", WHOLE)
def test_value_lists_equal_a_float64_brute_force_over_the_other_implementations_numbers(
    name, tiny_folders, tmp_path
):
    folder = tiny_folders(name)
    options = dataclasses.replace(VALUES, per_layer="all")
    extract(str(folder / "quantised"), tmp_path / "out", options)
    unembedding = load_file(folder / "plain" / "model.safetensors")["lm_head.weight"].double()
    (values,) = (one for n, one in fixture(name)[1].items() if "down_proj" in n)
    values = values.flatten(0, 1) if values.dim() == 3 else values.T
    scores = values.double() @ unembedding[:-EXTRA_ROWS].T
    rows = [row for (_, layer, _), row in sorted(lists_of(tmp_path / "out").items()) if not layer]
    assert len(rows) == len(values)
    for row, own in zip(rows, scores.numpy(), strict=True):
        best = np.argsort(-own, kind="stable")[:10]
        assert row.token_ids == best.tolist()
        np.testing.assert_allclose(row.scores, own[best], atol=1e-4 * abs(own[best]).max())


@pytest.mark.parametrize("name", WHOLE)
def test_the_site_knows_the_sizes_of_a_quantised_model(name, tiny_folders):
    folder = tiny_folders(name)
    plain, quantised = (outline_of_folder(folder / one) for one in ("plain", "quantised"))
    assert sizes_of(quantised, VALUES) == sizes_of(plain, VALUES)
    assert quantised.parameters == pytest.approx(plain.parameters, rel=0.02)


def as_int8(tensors, names):
    """Tensors with some matrices in bitsandbytes' int8, and the numbers of these."""
    made, numbers = dict(tensors), {}
    for name in names:
        stem = name.removesuffix("weight")
        codes = torch.randint(-127, 128, tensors[name].shape, dtype=torch.int8)
        scales = torch.rand(len(codes)) + 0.5
        made |= {name: codes, f"{stem}SCB": scales}
        numbers[name] = codes.float() * scales[:, None] * 7.874015718698502e-3
    return made, numbers


@pytest.mark.parametrize("family", sorted(set(ARCHITECTURES) & set(TINY_FAMILIES)))
def test_a_familys_quantised_linear_layers_are_read_or_refused(tiny_model, tmp_path, family):
    declared = ARCHITECTURES[family]
    plain = weights_of(tiny_model(family))
    tensors = load_file(tiny_model(family) / "model.safetensors")
    ends = tuple(ffn.value.name.partition("{layer}")[2].rpartition("}")[2] for ffn in declared.ffns)
    ends = tuple(end or declared.ffns[0].value.name for end in ends)
    used = [n for n in plain.used_tensors() if n.endswith(ends) and tensors[n].dim() == 2]
    folder = shutil.copytree(tiny_model(family), tmp_path / "copy")
    edit_config(folder, quantization_config={"quant_method": "bitsandbytes"})
    if not in_linear_layers(declared):
        # As of a linear layer: (outputs, inputs), a matrix an expert.
        turned = {n: t.T.contiguous() for n, t in tensors.items() if n in used} or {
            n.replace("experts.", "experts.0.") + ".weight": t[0].T.contiguous()
            for n, t in tensors.items()
            if n.endswith("experts.down_proj")
        }
        left = {n: t for n, t in tensors.items() if not n.endswith(ends)}
        save_file(as_int8(left | turned, turned)[0], folder / "model.safetensors")
        with pytest.raises(FFNExtractError, match=r"has shape|The weights have no"):
            weights_of(folder)
        return
    assert used
    made, numbers = as_int8(tensors, used)
    save_file(made, folder / "model.safetensors")
    dequantised_one = shutil.copytree(tiny_model(family), tmp_path / "dequantised")
    save_file(tensors | numbers, dequantised_one / "model.safetensors")
    read, expected = weights_of(folder), weights_of(dequantised_one)
    assert read.dimensions == expected.dimensions
    for layer in read.layers:
        places = (layer, 0, read.n_values(layer))
        assert torch.equal(read.value_rows(*places), expected.value_rows(*places))
        assert not torch.equal(read.value_rows(*places), plain.value_rows(*places))
    if declared.value_module is not None:
        runs, also = (
            load_model(find_checkpoint(str(one)), UPDATES) for one in (folder, dequantised_one)
        )
        left = {n: one for n, one in runs.state_dict().items() if "pooler" not in n}
        assert left
        assert all(torch.equal(one, also.state_dict()[n]) for n, one in left.items())


SETTINGS = {
    "gptq-v1-4bit": [
        {"bits": 3}, {"bits": None}, {"checkpoint_format": "marlin"}, {"pack_dtype": "int8"},
    ],
    "awq": [{"bits": 8}, {"version": "gemv"}, {"version": None}],
    "fp8-blocks": [{"weight_block_size": [16, 8]}, {"weight_block_size": "16"},
                   {"weight_block_size": None}],
    "compressed-packed-int4": [
        {"format": "nvfp4-pack-quantized"}, {"config_groups": {}},
        {"transform_config": {"config_groups": {}, "x": 1}},
        {"sparsity_config": {"format": "sparse-24-bitmask"}},
        {"config_groups": {"a": {"weights": {"num_bits": 3, "strategy": "group",
                                             "group_size": 16}}}},
        {"config_groups": {"a": {"weights": {"num_bits": 4, "strategy": "group",
                                             "group_size": 32}}}},
        {"config_groups": {"a": {"weights": {"num_bits": 4, "strategy": "channel"}},
                           "b": {"weights": {"num_bits": 8, "strategy": "channel"}}}},
    ],
    "compressed-int8": [{"format": "float-quantized"}],
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "changed"), [(name, one) for name, some in SETTINGS.items() for one in some]
)
def test_settings_that_are_not_known_are_refused_by_the_formats_name(
    name, changed, tiny_folders, tmp_path
):
    folder = copied(tiny_folders(name), tmp_path)
    edit_config(folder, quantization_config={**fixture(name)[2], **changed})
    title = READ[fixture(name)[2]["quant_method"]]
    with pytest.raises(FFNExtractError, match=rf"quantised \({title}\): .*before it was quantised"):
        weights_of(folder)


DAMAGED = {
    "gptq-v1-4bit": ["scales", "qzeros"],
    "awq": ["scales", "qzeros"],
    "bitsandbytes-nf4-double": [
        "weight.absmax", "weight.quant_map", "weight.nested_absmax", "weight.nested_quant_map",
        "weight",
    ],
    "bitsandbytes-int8": ["weight"],
    "fp8-blocks": ["weight"],
    "compressed-packed-int4-zero-points": ["weight_packed", "weight_shape", "weight_zero_point"],
    "compressed-int8": ["weight"],
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "part"), [(name, part) for name, parts in DAMAGED.items() for part in parts]
)
def test_a_part_that_is_missing_or_of_another_size_is_refused(name, part, tiny_folders, tmp_path):
    folder = copied(tiny_folders(name), tmp_path)
    whole = load_file(folder / "model.safetensors")
    refused = r"stored quantised \("
    change(folder, lambda tensors: {n: one for n, one in tensors.items() if n != DOWN + part})
    with pytest.raises(FFNExtractError, match=refused):
        weights_of(folder)
    longer = torch.cat([whole[DOWN + part], whole[DOWN + part][:1]])
    save_file({**whole, DOWN + part: longer}, folder / "model.safetensors")
    with pytest.raises(FFNExtractError, match=refused):
        weights_of(folder)


@pytest.mark.parametrize("name", WHOLE)
def test_a_part_of_another_type_is_refused(name, tiny_folders, tmp_path):
    folder = copied(tiny_folders(name), tmp_path)
    whole = load_file(folder / "model.safetensors")
    for part in fixture(name)[0]:
        for other in (torch.bool, torch.float64, torch.int64):
            changed = whole[part] != 0 if other == torch.bool else whole[part].to(other)
            save_file({**whole, part: changed}, folder / "model.safetensors")
            try:
                weights = weights_of(folder)
                weights.value_rows(0, 0, 64)
            except FFNExtractError:
                continue
            # Scales, group numbers and sizes can be stored in several types.
            kinds = "scales|scale|SCB|g_idx|weight_format|weight_shape|scale_inv|absmax|quant_map"
            assert re.search(rf"({kinds}|quant_state\.\w+)$", part), part


@pytest.mark.parametrize("method", [["gptq"], {}, 4, None])
def test_a_method_that_is_no_word_is_no_format(method, tiny_folders, tmp_path):
    folder = copied(tiny_folders("awq"), tmp_path)
    edit_config(folder, quantization_config={"quant_method": method})
    with pytest.raises(FFNExtractError, match=r"stored quantised \(GPTQ or AWQ"):
        sizes_of(outline_of_folder(folder), VALUES)


def test_without_a_quantization_config_the_tensors_are_refused(tiny_folders, tmp_path):
    for name in WHOLE:
        folder = shutil.copytree(tiny_folders(name) / "quantised", tmp_path / name)
        edit_config(folder, quantization_config=None)
        with pytest.raises(FFNExtractError, match=r"stored quantised \(.*are awq, bitsandbytes"):
            weights_of(folder)


@pytest.mark.parametrize(
    ("method", "parts", "title"),
    [
        ("aqlm", ("codes", "codebooks"), "AQLM"),
        ("hqq", ("W_q", "meta"), "HQQ"),
        ("fbgemm_fp8", ("weight", "weight_scale"), "fp8"),
        ("bitnet", ("weight", "weight_scale"), "BitNet"),
        ("quanto", ("weight._data", "weight._scale"), "quanto"),
        ("eetq", ("weight", "weight_scales"), "EETQ"),
    ],
)
def test_a_format_that_is_not_read_is_refused_by_name(method, parts, title, tiny_folders, tmp_path):
    folder = copied(tiny_folders("awq"), tmp_path)
    edit_config(folder, quantization_config={"quant_method": method})
    odd = {DOWN + part: torch.ones(4, 4, dtype=torch.int8) for part in parts}
    change(folder, lambda ts: {n: x for n, x in ts.items() if not n.startswith(DOWN)} | odd)
    said = rf"quantised \(.*{title}.*config\.json names {method}.*call dequantize\(\)"
    with pytest.raises(FFNExtractError, match=said):
        weights_of(folder)


def test_reordered_groups_of_compressed_tensors_are_refused(tiny_folders, tmp_path):
    folder = copied(tiny_folders("compressed-packed-int4"), tmp_path)
    order = {DOWN + "weight_g_idx": torch.zeros(64, dtype=torch.int32)}
    change(folder, lambda tensors: tensors | order)
    with pytest.raises(FFNExtractError, match="reordered groups"):
        weights_of(folder)


def test_a_bias_that_the_family_does_not_have_refuses_updates_unless_it_is_zero(
    tiny_folders, tmp_path
):
    folder = copied(tiny_folders("gptq-v1-4bit"), tmp_path)
    updates = dataclasses.replace(ALL, kinds=("update",), per_layer=2)
    change(folder, lambda tensors: tensors | {DOWN + "bias": torch.zeros(32)})
    extract(str(folder), tmp_path / "zero", updates)
    change(folder, lambda tensors: tensors | {DOWN + "bias": torch.ones(32)})
    with pytest.raises(FFNExtractError, match=r"does not find .*down_proj\.bias"):
        extract(str(folder), tmp_path / "one", updates)
