"""GGUF files against the models and arrays that they were made from."""

import dataclasses
import shutil
import struct
import tracemalloc

import gguf
import numpy as np
import pytest
import torch
from gguf import GGMLQuantizationType, GGUFWriter
from gguf.constants import GGML_QUANT_SIZES
from safetensors.torch import load_file
from transformers.integrations.gguf.dequant import GGML_BLOCK

from ffn_extract.architectures import ModelWeights, architecture_of
from ffn_extract.architectures.in_gguf import MODEL_TYPES, RUN
from ffn_extract.bundle import open_bundle
from ffn_extract.checkpoints import find_checkpoint
from ffn_extract.errors import ArchitectureError, CheckpointError, FFNExtractError
from ffn_extract.gguf_format.head import MAX_ENTRIES, READABLE, TYPES, read_head
from ffn_extract.options import ExtractOptions
from ffn_extract.outline import outline_of_folder
from ffn_extract.model_sizes import sizes_of
from ffn_extract.pipeline import extract
from ffn_extract.vocabulary import open_vocabulary
from tests.ffn_extract.conftest import SENTENCES, edit_config
from tests.ffn_extract.tiny_families import NARROW
from tests.ffn_extract.tiny_gguf import FAMILIES, finish, write_gguf, write_tensors

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
    assert {name: model_type for model_type, name in FAMILIES.items()} == MODEL_TYPES
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
    tokens = [rows for rows in open_bundle(tmp_path / "raw-gguf").iter_tokens()]
    assert tokens == [rows for rows in open_bundle(tmp_path / "raw-folder").iter_tokens()]


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
        with pytest.raises(FFNExtractError, match="no lists of the kind update"):
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
