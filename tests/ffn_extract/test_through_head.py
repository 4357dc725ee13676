"""Encoders projected through their masked-LM head, against the model's own modules."""

import dataclasses
import shutil

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load_file, save_file

from ffn_extract.architectures import ModelWeights, architecture_of
from ffn_extract.bundle import open_bundle
from ffn_extract.checkpoints.find import find_checkpoint
from ffn_extract.cli import main
from ffn_extract.errors import ArchitectureError
from ffn_extract.options import ExtractOptions
from ffn_extract.pipeline import extract
from tests.ffn_extract.tiny_families import ENCODERS, TINY_FAMILIES
from tests.ffn_extract.tiny_models import copied

TINY = ExtractOptions(
    kinds=("value",), per_layer=24, top_k=5, glosses=(), name="tiny", through_head=True
)
HEADS = {
    "albert": ("predictions.dense", "predictions.LayerNorm"),
    "bert": ("cls.predictions.transform.dense", "cls.predictions.transform.LayerNorm"),
    "camembert": ("lm_head.dense", "lm_head.layer_norm"),
    "deberta-v2": ("cls.predictions.transform.dense", "cls.predictions.transform.LayerNorm"),
    "distilbert": ("vocab_transform", "vocab_layer_norm"),
    "electra": ("generator_predictions.dense", "generator_predictions.LayerNorm"),
    "modernbert": ("head.dense", "head.norm"),
    "mpnet": ("lm_head.dense", "lm_head.layer_norm"),
    "roberta": ("lm_head.dense", "lm_head.layer_norm"),
    "xlm-roberta": ("lm_head.dense", "lm_head.layer_norm"),
}
EVERY_ENCODER = pytest.mark.parametrize("family", ENCODERS)


def weights_of(folder, **how) -> ModelWeights:
    checkpoint = find_checkpoint(str(folder))
    architecture = architecture_of(checkpoint.config)
    return ModelWeights(architecture, checkpoint.config, checkpoint.tensors, **how)


def model_of(folder, family):
    return TINY_FAMILIES[family].head.from_pretrained(folder).eval()


def head_of(model, family):
    return [model.get_submodule(name) for name in HEADS[family.split("+")[0]]]


@EVERY_ENCODER
def test_the_way_is_the_heads_own_dense_and_norm_without_activation_and_biases(tiny_model, family):
    model = model_of(tiny_model(family), family)
    dense, norm = head_of(model, family)
    output = model.get_output_embeddings()
    for module in (dense, norm):
        if module.bias is not None:
            torch.nn.init.zeros_(module.bias)
    vectors = torch.randn(4, 16)
    with torch.inference_mode():
        logits = torch.nn.functional.linear(norm(dense(vectors)), output.weight)
    weights = weights_of(tiny_model(family), through_head=True)
    rows = weights.unembedding.rows(0, weights.dimensions.vocab_size).to(torch.float64)
    before = weights.before_unembedding(vectors.to(torch.float64).numpy())
    scores = torch.from_numpy(before) @ rows.T
    # The norm divides by a vector's own deviation, which changes no rank.
    deviation = dense(vectors).detach().to(torch.float64).var(1, correction=0) + norm.eps
    scores /= deviation.sqrt()[:, None]
    torch.testing.assert_close(scores.to(torch.float32), logits, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("family", sorted(set(ENCODERS) - {"modernbert"}))  # which is newer
def test_old_names_of_the_heads_norm_are_read(tiny_model, tmp_path, family):
    folder = copied(tiny_model(family), tmp_path)
    _, norm = HEADS[family.split("+")[0]]
    edit(folder, lambda name: name.replace(f"{norm}.weight", f"{norm}.gamma"))
    vectors = np.eye(16)
    np.testing.assert_array_equal(
        weights_of(folder, through_head=True).before_unembedding(vectors),
        weights_of(tiny_model(family), through_head=True).before_unembedding(vectors),
    )


def test_a_decoder_of_its_own_in_the_file_is_the_heads_unembedding(tiny_model, tmp_path):
    folder = copied(tiny_model("bert"), tmp_path)
    tensors = load_file(folder / "model.safetensors")
    own = torch.randn_like(tensors["bert.embeddings.word_embeddings.weight"])
    save_file({**tensors, "cls.predictions.decoder.weight": own}, folder / "model.safetensors")
    through = weights_of(folder, through_head=True).unembedding
    torch.testing.assert_close(through.rows(0, 9), own[:9], rtol=0, atol=0)
    straight = weights_of(folder).unembedding
    assert straight.names == ["bert.embeddings.word_embeddings.weight"]


def test_the_option_is_stored_and_changes_lists_but_names_the_same_model(tiny_model, tmp_path):
    lists, bundles = [], []
    for through in (True, False):
        out = tmp_path / str(through)
        options = dataclasses.replace(TINY, through_head=through)
        extract(str(tiny_model("bert")), out, options)
        bundles.append(open_bundle(out))
        lists.append([row.token_ids for rows in bundles[-1].iter_vectors() for row in rows])
        assert bundles[-1].manifest.parameters["through_head"] is through
    assert lists[0] != lists[1]
    first, second = (bundle.manifest.model for bundle in bundles)
    assert first.unembedding.tensors == second.unembedding.tensors
    assert dataclasses.replace(first, unembedding=second.unembedding) == second
    assert bundles[0].manifest.digest != bundles[1].manifest.digest


def test_the_command_line_knows_it(tiny_model, tmp_path):
    ended = CliRunner().invoke(
        main,
        ["extract", str(tiny_model("roberta")), "--out", str(tmp_path / "out"), "--through-head",
         "--kinds", "value", "--per-layer", "2", "--glosses", "none"],
    )  # fmt: skip
    assert ended.exit_code == 0, ended.output
    assert open_bundle(tmp_path / "out").manifest.parameters["through_head"] is True


@pytest.mark.parametrize("family", ["gpt2", "t5", "opt+350m"])
def test_a_family_without_such_a_head_is_refused(tiny_model, tmp_path, family):
    with pytest.raises(ArchitectureError, match=r"no masked-language-model head .* --through-head"):
        extract(str(tiny_model(family)), tmp_path / "out", TINY)


@EVERY_ENCODER
def test_a_file_without_its_head_is_refused_by_the_tensors_name(tiny_model, tmp_path, family):
    dense, norm = HEADS[family.split("+")[0]]
    for missing in (dense, norm):
        folder = shutil.copytree(tiny_model(family), tmp_path / missing)
        tensors = load_file(folder / "model.safetensors")
        kept = {name: t for name, t in tensors.items() if not name.startswith(missing)}
        save_file(kept, folder / "model.safetensors")
        with pytest.raises(ArchitectureError, match=f"have no {missing}.weight, which a .* head"):
            weights_of(folder, through_head=True)


def test_a_head_of_another_size_is_refused(tiny_model, tmp_path):
    folder = copied(tiny_model("bert"), tmp_path)
    edit(folder, lambda name: name, {HEADS["bert"][1] + ".weight": torch.ones(8)})
    with pytest.raises(ArchitectureError, match=r"has shape \(8,\); .* should have 16 entries"):
        weights_of(folder, through_head=True)


def test_the_lowest_scores_are_the_highest_of_the_opposite_vector(tiny_model):
    weights = weights_of(tiny_model("roberta"), through_head=True)
    vectors = np.random.default_rng(0).standard_normal((3, 16))
    before = weights.before_unembedding(vectors)
    np.testing.assert_allclose(weights.before_unembedding(-2 * vectors), -2 * before, rtol=1e-12)


def edit(folder, rename, tensors=None):
    stored = {**load_file(folder / "model.safetensors"), **(tensors or {})}
    save_file({rename(name): t for name, t in stored.items()}, folder / "model.safetensors")
