"""GGUF files against the models and arrays that they were made from."""

import dataclasses
import re
import shutil
import struct
import tracemalloc
from pathlib import Path

import gguf
import numpy as np
import pytest
import torch
from gguf import GGMLQuantizationType
from gguf.constants import GGML_QUANT_SIZES
from transformers.integrations.gguf.dequant import GGML_BLOCK, dequantize
from transformers.integrations.mxfp4 import convert_moe_packed_tensors

from ffn_extract import running
from ffn_extract.architectures import ModelWeights, architecture_of
from ffn_extract.architectures.in_gguf import MODEL_TYPES, RUN, WITH_EXPERTS
from ffn_extract.bundle import open_bundle
from ffn_extract.checkpoints.find import find_checkpoint
from ffn_extract.checkpoints.outline import outline_of_folder
from ffn_extract.errors import ArchitectureError, CheckpointError, FFNExtractError
from ffn_extract.gguf_format.head import (
    MAX_ENTRIES,
    MAX_HEAD_BYTES,
    MAX_SETTINGS,
    MAX_TENSORS,
    READABLE,
    TYPES,
    read_head,
)
from ffn_extract.listing import tensor_lines
from ffn_extract.model_sizes import sizes_of
from ffn_extract.options import ExtractOptions
from ffn_extract.pipeline import extract
from ffn_extract.vocabulary import open_vocabulary
from tests.ffn_extract.tiny_families import NARROW
from tests.ffn_extract.tiny_gguf import FAMILIES, write_gguf, write_tensors
from tests.ffn_extract.tiny_models import SENTENCES, edit_config

ROOT = Path(__file__).resolve().parents[2]
BY_TYPE = {title: number for number, (title, _, _) in TYPES.items()}
VALUES = ExtractOptions(kinds=("value", "random"), per_layer=5, top_k=10, glosses=())


@pytest.fixture
def tiny_gguf(tiny_model, tmp_path):
    """A tiny model of a family as a folder of transformers and as a GGUF file."""

    def make(family="llama", **settings):
        folder = tmp_path / family
        shutil.copytree(tiny_model(family), folder)
        if family in ("gemma2", "gemma3_text"):  # as in all their sizes but one
            edit_config(folder, query_pre_attn_scalar=NARROW["head_dim"])
        path = tmp_path / f"tiny-{family}.gguf"
        return folder, path, write_gguf(path, folder, **settings)

    return make


def weights_of(path) -> ModelWeights:
    checkpoint = find_checkpoint(str(path))
    return ModelWeights(architecture_of(checkpoint.config), checkpoint.config, checkpoint.tensors)


def lists_of(path):
    bundle = open_bundle(path)
    return {(r.kind, r.layer, r.index): r for rows in bundle.iter_vectors() for r in rows}


def test_every_family_that_is_read_is_tested():
    with_experts = {model_type: name for name, model_type in WITH_EXPERTS.items()}
    assert {name: model_type for model_type, name in MODEL_TYPES.items()} | with_experts == FAMILIES
    assert set(MODEL_TYPES.values()) >= RUN


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_a_family_gives_the_lists_of_the_model_it_was_made_from(tiny_gguf, tmp_path, family):
    folder, path, _ = tiny_gguf(family)
    for projection in ("raw", "norm"):
        options = dataclasses.replace(VALUES, projection=projection)
        extract(str(folder), tmp_path / f"{projection}-folder", options)
        extract(str(path), tmp_path / f"{projection}-gguf", options)
        expected = lists_of(tmp_path / f"{projection}-folder")
        found = lists_of(tmp_path / f"{projection}-gguf")
        assert expected.keys() == found.keys()
        for place, row in expected.items():
            largest = max(map(abs, row.scores + row.bottom_scores))
            assert found[place].token_ids == row.token_ids
            np.testing.assert_allclose(found[place].scores, row.scores, atol=1e-4 * largest)
    found, expected = (open_bundle(tmp_path / f"raw-{one}") for one in ("gguf", "folder"))
    assert list(found.iter_tokens()) == list(expected.iter_tokens())


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_keys_and_norms_are_the_models(tiny_gguf, family):
    folder, path, _ = tiny_gguf(family)
    expected, found = weights_of(folder), weights_of(path)
    d_ff = expected.dimensions.d_ff
    assert expected.dimensions == found.dimensions
    for layer in (0, 1):
        assert torch.equal(expected.key_rows(layer, 0, d_ff), found.key_rows(layer, 0, d_ff))
        before, after = expected.norm(layer), found.norm(layer)
        np.testing.assert_allclose(after.gain, before.gain, rtol=1e-6)
        assert (after.bias is None) == (before.bias is None)
        assert after.epsilon == pytest.approx(before.epsilon)
        assert (after.gain_after_ffn is None) == (before.gain_after_ffn is None)
        if before.gain_after_ffn is not None:
            np.testing.assert_allclose(after.gain_after_ffn, before.gain_after_ffn, rtol=1e-6)


UPDATES = ExtractOptions(
    kinds=("update",), per_layer=3, top_k=10, glosses=(), corpus=str(SENTENCES)
)


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_updates_are_those_of_the_model_or_refused(tiny_gguf, tmp_path, family):
    folder, path, _ = tiny_gguf(family)
    if family not in RUN:
        with pytest.raises(FFNExtractError, match="cannot be run, so it has no updates"):
            extract(str(path), tmp_path / "gguf", UPDATES)
        return
    extract(str(folder), tmp_path / "folder", UPDATES)
    extract(str(path), tmp_path / "gguf", UPDATES)
    expected, found = lists_of(tmp_path / "folder"), lists_of(tmp_path / "gguf")
    assert expected.keys() == found.keys()
    for place, row in expected.items():
        assert found[place].token_ids == row.token_ids
        assert (found[place].context, found[place].context_position) == (
            row.context, row.context_position,
        )  # fmt: skip
        np.testing.assert_allclose(found[place].scores, row.scores, rtol=1e-3, atol=1e-4)


def test_the_table_of_names_is_not_repeated_for_each_module(tiny_gguf, monkeypatch):
    _, path, _ = tiny_gguf("llama")
    asked, real = [], gguf.get_tensor_name_map
    monkeypatch.setattr(gguf, "get_tensor_name_map", lambda *a: asked.append(a) or real(*a))
    found = find_checkpoint(str(path))
    running.load_model(found, running.UPDATES)
    assert len(asked) == 2  # of SmolLM2's 400 modules: a minute


@pytest.mark.parametrize("family", ["falcon", "gemma2", "gpt2", "llama", "qwen2", "stablelm"])
def test_a_causal_model_of_a_gguf_file_gives_the_originals_logits(tiny_gguf, family):
    """With a head of its own, or tied to the embeddings."""
    folder, path, _ = tiny_gguf(family)
    logits = []
    for one in (folder, path):
        model = running.load_model(find_checkpoint(str(one)), running.MEASUREMENTS)
        with torch.inference_mode():
            logits.append(model(input_ids=torch.tensor([[3, 5, 8, 4]])).logits)
    torch.testing.assert_close(logits[1], logits[0], rtol=1e-4, atol=1e-4)


def test_the_table_of_types_is_the_librarys():
    theirs = {int(t): (t.name, *sizes) for t, sizes in GGML_QUANT_SIZES.items()}
    assert theirs == TYPES


def some_blocks(title: str, rows: int, width: int) -> np.ndarray:
    """Random blocks of a type as bytes, their 16-bit scales finite."""
    _, block, size = TYPES[BY_TYPE[title]]
    random = np.random.default_rng(0)
    stored = random.integers(0, 256, (rows * width // block, size), dtype=np.uint8)
    places = {
        "Q4_1": (0, 2), "Q5_1": (0, 2), "Q2_K": (80, 82), "Q3_K": (108,), "Q4_K": (0, 2),
        "Q5_K": (0, 2), "Q6_K": (208,),
    }.get(title, (0,))  # fmt: skip
    if title == "MXFP4":
        stored[:, 0] = random.integers(100, 150, len(stored))
        places = ()
    for place in places:
        scales = random.normal(size=len(stored)).astype(np.float16)
        stored[:, place : place + 2] = scales[:, None].view(np.uint8)
    return stored.reshape(rows, -1)


def five_bits(title: str, stored: np.ndarray) -> np.ndarray:
    """Q5_0 and Q5_1, number by number as their definition has it."""
    numbers = []
    for block in stored.reshape(-1, TYPES[BY_TYPE[title]][2]).tolist():
        half = lambda at, block=block: struct.unpack_from("<e", bytes(block), at)[0]  # noqa: E731
        start = 4 if title == "Q5_1" else 2
        high = int.from_bytes(bytes(block[start : start + 4]), "little")
        for i in range(32):
            low = block[start + 4 + i % 16] >> (4 if i >= 16 else 0) & 15
            number = low | (high >> i & 1) << 4
            scaled = np.float32(half(0)) * np.float32(number - (16 if title == "Q5_0" else 0))
            numbers.append(scaled + np.float32(half(2)) if title == "Q5_1" else scaled)
    return np.array(numbers, np.float32)


def mxfp4(stored: np.ndarray) -> np.ndarray:
    """MXFP4 as transformers reads it, where two neighbours share a byte, not numbers 16 apart."""
    blocks = torch.from_numpy(stored.reshape(-1, 17).copy())
    low, high = blocks[:, 1:] & 15, blocks[:, 1:] >> 4
    codes = torch.cat((low, high), 1)
    packed = (codes[:, 0::2] | codes[:, 1::2] << 4)[None, :, None]
    scales = blocks[None, :, :1]
    return convert_moe_packed_tensors(packed, scales, dtype=torch.float32)[0].T.numpy().ravel()


QUANTISED = sorted(READABLE - {"F32", "F16", "BF16"})


@pytest.mark.parametrize("title", QUANTISED)
def test_a_type_is_dequantised_as_two_implementations_do(tmp_path, title):
    """gguf's whole tensor, transformers' (or the definition), and ours by rows and columns."""
    stored = some_blocks(title, 40, 512)
    kind = GGMLQuantizationType[title]
    write_tensors(tmp_path / "t.gguf", {"a": stored}, {"a": kind})
    whole = gguf.dequantize(stored, kind)
    if BY_TYPE[title] in GGML_BLOCK:
        second = dequantize(torch.from_numpy(stored.ravel()), BY_TYPE[title]).numpy().ravel()
    else:
        second = mxfp4(stored) if title == "MXFP4" else five_bits(title, stored)
    np.testing.assert_allclose(whole.ravel(), second, rtol=2e-6, atol=1e-6)
    files = find_checkpoint(str(tmp_path / "t.gguf")).tensors
    assert files.shape("a") == (40, 512)
    assert files.dtype("a") == title
    np.testing.assert_array_equal(files.rows("a", 3, 9).numpy(), whole[3:9])
    for start, stop in ((0, 1), (31, 34), (255, 257), (300, 512)):
        np.testing.assert_array_equal(files.columns("a", start, stop), whole[:, start:stop])


@pytest.mark.parametrize("title", ["F32", "F16", "BF16"])
def test_plain_types_are_read_as_they_are(tmp_path, title):
    dtype = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}[title]
    plain = torch.randn(7, 512).to(dtype)
    stored = plain.view(torch.uint8).numpy()
    kind = GGMLQuantizationType[title]
    array = stored if title == "BF16" else stored.view({"F32": "f4", "F16": "f2"}[title])
    write_tensors(tmp_path / "t.gguf", {"a": array}, {"a": kind})
    files = find_checkpoint(str(tmp_path / "t.gguf")).tensors
    assert torch.equal(files.rows("a", 2, 6), plain[2:6])
    assert torch.equal(files.columns("a", 5, 9), plain[:, 5:9])
    assert files.dtype("a") == str(dtype).removeprefix("torch.")


def test_a_stack_of_matrices_is_read_matrix_by_matrix(tmp_path):
    stack = np.random.default_rng(0).normal(size=(3, 4, 32)).astype(np.float32)
    write_tensors(tmp_path / "t.gguf", {"a": stack}, {"a": GGMLQuantizationType.F32})
    files = find_checkpoint(str(tmp_path / "t.gguf")).tensors
    assert files.shape("a") == (3, 4, 32)
    np.testing.assert_array_equal(files.rows("a", 1, 3, 2), stack[2, 1:3])
    np.testing.assert_array_equal(files.columns("a", 5, 8, 1), stack[1, :, 5:8])
    np.testing.assert_array_equal(files.rows("a", 0, 2), stack[:2])


def test_the_manifest_names_the_type_of_each_tensor_used(tiny_gguf, tmp_path):
    folder, path, arrays = tiny_gguf("llama")
    rewrite(path, arrays, folder, {"blk.1.ffn_down.weight": GGMLQuantizationType.F16})
    manifest = extract(str(path), tmp_path / "out", VALUES)
    assert manifest.model.stored_as == {
        "F16": ["blk.1.ffn_down.weight"],
        "F32": ["blk.0.ffn_down.weight", "output.weight", "output_norm.weight"],
    }
    assert open_bundle(tmp_path / "out").manifest.model.stored_as == manifest.model.stored_as
    assert extract(str(path), tmp_path / "again", VALUES).digest == manifest.digest


def rewrite(path, arrays, folder, types):
    """The tiny model again, some of its tensors in another type."""
    stored = {
        name: gguf.quantize(array, types[name]) if name in types else array
        for name, array in arrays.items()
    }
    write_gguf(path, folder, arrays=stored, types=types)


def test_a_type_that_is_not_read_is_refused_by_name_where_it_is_used(tiny_gguf):
    folder, path, arrays = tiny_gguf("llama")
    odd = {"blk.1.ffn_down.weight": GGMLQuantizationType.F64}
    with_odd = {**arrays, "blk.1.ffn_down.weight": arrays["blk.1.ffn_down.weight"].astype("f8")}
    write_gguf(path, folder, arrays=with_odd, types=odd)
    for refuse in (weights_of, lambda path: sizes_of(outline_of_folder(path), VALUES)):
        with pytest.raises(ArchitectureError, match=r"F64.*blk\.1\.ffn_down"):
            refuse(path)


def test_an_estimate_knows_the_sizes_of_the_file(tiny_gguf):
    folder, path, _ = tiny_gguf("phi3")
    expected = sizes_of(outline_of_folder(folder), VALUES)
    assert sizes_of(outline_of_folder(path), VALUES) == expected


def test_a_split_model_is_read_by_any_of_its_parts(tiny_gguf, tmp_path):
    folder, path, arrays = tiny_gguf("qwen2")
    parts = tmp_path / "parts"
    parts.mkdir()
    names = sorted(arrays)
    for number, some in enumerate((names[:9], names[9:])):
        write_gguf(
            parts / f"tiny-{number + 1:05}-of-00002.gguf",
            folder,
            arrays={name: arrays[name] for name in some},
            split__count=2, split__no=number, split__tensors__count=len(names),
        )  # fmt: skip
    expected = extract(str(path), tmp_path / "whole", dataclasses.replace(VALUES, name="a"))
    for source in (parts, parts / "tiny-00002-of-00002.gguf"):
        assert find_checkpoint(str(source)).name == "tiny"
        found = extract(
            str(source), tmp_path / f"of-{source.stem}", dataclasses.replace(VALUES, name="a")
        )
        assert found.digest == expected.digest
        # The bundles are equal, and each tells which files it is of.
        assert found.environment["gguf_files"] == sorted(p.name for p in parts.iterdir())
        assert expected.environment["gguf_files"] == [path.name]
    extract(str(parts), tmp_path / "updates", UPDATES)
    (parts / "tiny-00001-of-00002.gguf").unlink()
    with pytest.raises(CheckpointError, match="1 of the 2 files"):
        find_checkpoint(str(parts))


def test_of_several_files_one_is_named(tiny_gguf, tmp_path):
    folder, path, _ = tiny_gguf("llama")
    both = tmp_path / "both"
    both.mkdir()
    for name in ("a-Q4_0.gguf", "a-Q8_0.gguf"):
        shutil.copy(path, both / name)
    with pytest.raises(CheckpointError, match=r"2 GGUF models: a-Q4_0\.gguf, a-Q8_0\.gguf"):
        find_checkpoint(str(both))
    assert find_checkpoint(str(both), gguf_file="a-Q8_0.gguf").name == "a-Q8_0"
    with pytest.raises(CheckpointError, match=r"no GGUF file b\.gguf; it has a-Q4_0"):
        find_checkpoint(str(both), gguf_file="b.gguf")
    (both / "a-Q8_0.gguf").rename(both / "mmproj-a.gguf")
    assert find_checkpoint(str(both)).gguf_files == ("a-Q4_0.gguf",)
    shutil.copy(path, folder / "beside.gguf")
    assert find_checkpoint(str(folder)).gguf is None
    assert find_checkpoint(str(folder), gguf_file="beside.gguf").gguf is not None


def test_a_family_that_is_not_known_is_read_by_the_names_of_its_tensors(tiny_gguf, tmp_path):
    folder, path, arrays = tiny_gguf("llama")
    write_gguf(path, folder, family="rwkv7", arrays=arrays)
    with pytest.raises(ArchitectureError, match="'rwkv7'"):
        weights_of(path)
    options = dataclasses.replace(
        VALUES, value_tensor="blk.{layer}.ffn_down.weight", orientation="col",
        unembedding_tensor="output.weight",
    )  # fmt: skip
    extract(str(path), tmp_path / "out", options)
    extract(str(folder), tmp_path / "folder", VALUES)
    found, expected = lists_of(tmp_path / "out"), lists_of(tmp_path / "folder")
    assert {p: r.token_ids for p, r in found.items()} == {
        p: r.token_ids for p, r in expected.items()
    }


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"general__type": "adapter"}, "of the type 'adapter'"),
        ({"llama__expert_count": 4}, r"no blk\.0\.ffn_gate_exps\.weight, which a mixtral model"),
        ({"split__count": 3}, "one of 3 files"),
    ],
)
def test_what_is_no_such_model_is_refused(tiny_gguf, settings, sentence):
    _, path, _ = tiny_gguf("llama", **settings)
    with pytest.raises(FFNExtractError, match=sentence):
        weights_of(path)


def test_a_family_without_experts_is_refused_where_the_file_has_some(tiny_gguf):
    _, path, _ = tiny_gguf("qwen2", qwen2__expert_count=4)
    with pytest.raises(ArchitectureError, match="4 experts in each layer; a qwen2 model with exp"):
        weights_of(path)


def test_a_family_known_and_not_read_from_gguf_is_refused(tiny_gguf):
    folder, path, arrays = tiny_gguf("llama")
    write_gguf(path, folder, family="bert", arrays=arrays)
    with pytest.raises(ArchitectureError, match="GGUF files of the family bert cannot be read"):
        weights_of(path)


@pytest.mark.parametrize(
    ("settings", "setting"),
    [
        ({"llama__rope__scaling__type": "yarn"}, r"llama\.rope\.scaling\.type"),
        ({"llama__residual_scale": 2.0}, r"llama\.residual_scale"),
    ],
)
def test_updates_are_refused_where_a_setting_does_not_reach_the_model(
    tiny_gguf, tmp_path, settings, setting
):
    _, path, _ = tiny_gguf("llama", **settings)
    with pytest.raises(CheckpointError, match=setting):
        extract(str(path), tmp_path / "out", UPDATES)


def test_updates_are_refused_where_a_tensor_has_no_place_or_is_missing(tiny_gguf, tmp_path):
    folder, path, arrays = tiny_gguf("llama")
    write_gguf(path, folder, arrays={**arrays, "rope_freqs.weight": np.ones(4, np.float32)})
    with pytest.raises(CheckpointError, match=r"no place for rope_freqs\.weight"):
        extract(str(path), tmp_path / "out", UPDATES)
    write_gguf(path, folder, arrays={n: a for n, a in arrays.items() if "0.attn_k" not in n})
    with pytest.raises(CheckpointError, match=r"nothing for layers\.0\.self_attn\.k_proj"):
        extract(str(path), tmp_path / "out", UPDATES)


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_the_vocabulary_is_the_models_without_the_rows_filled_up(tiny_gguf, family):
    folder, path, _ = tiny_gguf(family)
    _, expected = open_vocabulary(find_checkpoint(str(folder)))
    _, found = open_vocabulary(find_checkpoint(str(path)))
    assert found == expected


def test_control_tokens_are_special_and_spelled_as_in_the_file(tiny_gguf):
    folder, path, _ = tiny_gguf("gpt2")
    odd = "<｜end▁of▁it｜>"  # outside GPT-2's alphabet of bytes
    write_gguf(path, folder, renamed={"<|endoftext|>": odd})
    tokenizer, vocabulary = open_vocabulary(find_checkpoint(str(path)))
    (place,) = (i for i, text in vocabulary.texts.items() if text == odd)
    assert place in vocabulary.special
    assert vocabulary.form(place).display == odd
    assert tokenizer.eos_token_id == place
    assert max(vocabulary.texts) + 1 == len(tokenizer) == 263


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"tokenizer": "none"}, "has no tokenizer"),
        ({"tokenizer": "rwkv"}, r"\(rwkv\) cannot be read"),
        ({"tokenizer__ggml__bos_token_id": 5_000_000}, "cannot be read"),
    ],
)
def test_a_tokenizer_that_cannot_be_read_is_refused(tiny_gguf, settings, sentence):
    folder, path, _ = tiny_gguf("gpt2")
    write_gguf(path, folder, **settings)
    with pytest.raises(CheckpointError, match=sentence):
        open_vocabulary(find_checkpoint(str(path)))


def test_the_tensors_command_lists_the_files_own_names(tiny_gguf):
    _, path, _ = tiny_gguf("llama")
    lines = list(tensor_lines(str(path), None, every=False, form="text"))
    assert any(line.startswith("blk.{layer}.ffn_down.weight") for line in lines)


def text(value: bytes) -> bytes:
    return struct.pack("<Q", len(value)) + value


def setting(key: bytes, kind: int, value: bytes) -> bytes:
    return text(key) + struct.pack("<I", kind) + value


def tensor(name=b"a", dims=(32,), kind=0, offset=0) -> bytes:
    shape = struct.pack(f"<I{len(dims)}Q", len(dims), *dims)
    return text(name) + shape + struct.pack("<IQ", kind, offset)


def file_of(settings=(), tensors=(), version=3, n_settings=None, n_tensors=None) -> bytes:
    counts = (
        len(tensors) if n_tensors is None else n_tensors,
        len(settings) if n_settings is None else n_settings,
    )
    head = b"GGUF" + struct.pack("<IQQ", version, *counts) + b"".join([*settings, *tensors])
    return head + b"\0" * (-len(head) % 32 + 128)


NAMED = setting(b"general.architecture", 8, text(b"llama"))
HOSTILE = {
    "empty": b"",
    "another format": b"PK\3\4" + b"\0" * 100,
    "cut off": file_of([NAMED])[:30],
    "version 1": file_of([NAMED], version=1),
    "another byte order": file_of([NAMED], version=3 << 24),
    "settings without end": file_of([NAMED], n_settings=1 << 62),
    "tensors without end": file_of([NAMED], n_tensors=1 << 62),
    "more settings than there are": file_of([NAMED], n_settings=9_000),
    "more tensors than there are": file_of([NAMED], n_tensors=90_000),
    "a name of 2^60 bytes": file_of([struct.pack("<Q", 1 << 60)]),
    "a text of 2^60 bytes": file_of([setting(b"k", 8, struct.pack("<Q", 1 << 60))]),
    "a list of 2^60 numbers": file_of([setting(b"k", 9, struct.pack("<IQ", 0, 1 << 60))]),
    "a list of 2^60 texts": file_of([setting(b"k", 9, struct.pack("<IQ", 8, 1 << 60))]),
    "lists too long together": file_of(
        [setting(b"%d" % n, 9, struct.pack("<IQ", 0, MAX_ENTRIES // 2) + bytes(MAX_ENTRIES // 2))
         for n in range(3)]
    ),
    "a list of lists": file_of([setting(b"k", 9, struct.pack("<IQ", 9, 1))]),
    "a text that is none": file_of([setting(b"k", 8, text(b"\xff\xfe"))]),
    "a setting of no type": file_of([setting(b"k", 99, b"")]),
    "a list of no type": file_of([setting(b"k", 9, struct.pack("<IQ", 99, 1))]),
    "a setting twice": file_of([NAMED, NAMED]),
    "a tensor twice": file_of([NAMED], [tensor(), tensor(offset=128)]),
    "a tensor of no axis": file_of([NAMED], [tensor(dims=())]),
    "a tensor of 2^31 axes": file_of([NAMED], [text(b"a") + struct.pack("<I", 1 << 31)]),
    "a tensor of no number": file_of([NAMED], [tensor(dims=(32, 0))]),
    "a tensor of 2^120 numbers": file_of([NAMED], [tensor(dims=(1 << 60, 1 << 60))]),
    "a tensor beyond the file": file_of([NAMED], [tensor(offset=1 << 63)]),
    "a tensor longer than the file": file_of([NAMED], [tensor(dims=(64,))]),
    "tensors over each other": file_of([NAMED], [tensor(), tensor(b"b", offset=64)]),
    "a type that is not known": file_of([NAMED], [tensor(kind=77)]),
    "half a block": file_of([NAMED], [tensor(dims=(33,), kind=2)]),
    "an alignment of nothing": file_of([setting(b"general.alignment", 4, b"\0\0\0\0")]),
    "a pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n",
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_gguf_head_is_refused_without_reading_what_it_claims(tmp_path, name):
    path = tmp_path / "hostile.gguf"
    path.write_bytes(HOSTILE[name])
    tracemalloc.start()
    try:
        for refuse in (read_head, outline_of_folder):
            with pytest.raises(CheckpointError, match=r"hostile\.gguf"):
                refuse(path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 20_000_000


@pytest.mark.parametrize(
    "settings",
    [
        [], [setting(b"general.architecture", 4, b"\1\0\0\0")],
        [NAMED], [NAMED, setting(b"llama.block_count", 4, b"\0\0\0\0")],
        [NAMED, setting(b"llama.block_count", 8, text(b"many"))],
    ],
)  # fmt: skip
def test_a_file_without_a_models_settings_is_refused(tmp_path, settings):
    path = tmp_path / "bare.gguf"
    path.write_bytes(file_of(settings, [tensor()]))
    with pytest.raises(CheckpointError, match=r"bare\.gguf"):
        assert find_checkpoint(str(path)).config


def test_a_file_that_became_shorter_is_told(tiny_gguf):
    _, path, _ = tiny_gguf("llama")
    files = find_checkpoint(str(path)).tensors
    with path.open("r+b") as file:
        file.truncate(5_000)
    with pytest.raises(CheckpointError, match="cannot be read"):
        files.rows("output.weight", 0, 9)


def test_the_documented_limits_and_types_are_those_that_count():
    text = " ".join((ROOT / "docs" / "extending.md").read_text().split())
    assert f"{MAX_HEAD_BYTES // 1_000_000} MB, {MAX_SETTINGS:,} settings" in text
    assert f"{MAX_TENSORS:,} tensors or {MAX_ENTRIES:,} entries" in text
    text = " ".join((ROOT / "docs" / "formats.md").read_text().split())
    documented = text.partition("The tensors in use can be ")[2].partition(". Tests")[0]
    named = set(
        re.split(", | and ", documented.replace("Q2_K to Q6_K", "Q2_K, Q3_K, Q4_K, Q5_K, Q6_K"))
    )
    assert named == READABLE
