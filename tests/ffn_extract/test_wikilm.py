"""fairseq's WikiLM, on a small checkpoint of the same structure."""

import argparse
import dataclasses
import os

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from ffn_extract.architectures import ModelWeights, architecture_of
from ffn_extract.bundle import open_bundle
from ffn_extract.checkpoints.find import find_checkpoint
from ffn_extract.cli import main
from ffn_extract.errors import ArchitectureError, CheckpointError, FFNExtractError, OptionError
from ffn_extract.options import ExtractOptions
from ffn_extract.pipeline import extract
from ffn_extract.vocabulary import load_tokenizer, read_vocabulary
from tests.ffn_extract.tiny_wikilm import CUTOFFS, D_FF, D_MODEL, FORMS, WORDS, save, settings

TINY = ExtractOptions(kinds=("value", "random"), per_layer=4, top_k=6, glosses=())


def weights_of(folder) -> ModelWeights:
    checkpoint = find_checkpoint(str(folder))
    return ModelWeights(architecture_of(checkpoint.config), checkpoint.config, checkpoint.tensors)


def scores_of(weights, states) -> torch.Tensor:
    """E·h of hidden states, shape (n, vocab)."""
    rows = weights.unembedding.rows(0, weights.dimensions.vocab_size).to(torch.float64)
    return torch.from_numpy(weights.before_unembedding(states.to(torch.float64).numpy())) @ rows.T


WITHOUT_SOFTMAX = ("released", "square maps", "a final norm")  # all that it has, the input has


@pytest.mark.parametrize(
    ("form", "softmax_stored"),
    [*((name, True) for name in FORMS), *((name, False) for name in WITHOUT_SOFTMAX)],
)
def test_the_unembedding_gives_what_each_bands_softmax_takes(tmp_path, form, softmax_stored):
    model = save(tmp_path / "model", FORMS[form])
    if not softmax_stored:
        edit(tmp_path / "model", lambda name: "adaptive_softmax" not in name)
    weights = weights_of(tmp_path / "model")
    assert weights.dimensions.vocab_size == CUTOFFS[-1]
    with torch.inference_mode():
        states = model.decoder(torch.tensor([3, 9, 17, 21, 39]))
        expected = model.decoder.adaptive_softmax.band_scores(states)
        log_probabilities = model.decoder.adaptive_softmax.log_probabilities(states)
    scores = scores_of(weights, states)
    torch.testing.assert_close(scores.to(torch.float32), expected)
    # Within a band, these scores order words as the model's probabilities do.
    for start, stop in zip((0, *CUTOFFS), CUTOFFS, strict=False):
        of_band = (log_probabilities - scores)[:, start:stop]
        torch.testing.assert_close(of_band, of_band[:, :1].expand_as(of_band), rtol=0, atol=1e-4)


def test_the_unembedding_is_the_same_in_whatever_pieces_it_is_read(tmp_path):
    save(tmp_path / "model")
    unembedding = weights_of(tmp_path / "model").unembedding
    whole = unembedding.rows(0, 40)
    assert unembedding.shape == whole.shape == (40, 16 + 4 + 2)
    assert whole.dtype == torch.float32
    for size in (1, 7, 13):
        pieces = [unembedding.rows(start, min(start + size, 40)) for start in range(0, 40, size)]
        torch.testing.assert_close(torch.cat(pieces), whole, rtol=0, atol=0)


@pytest.mark.parametrize("layer", [0, 1])
def test_the_ffn_output_is_the_sum_of_coefficients_times_values(tmp_path, layer):
    model, weights = save(tmp_path / "model"), weights_of(tmp_path / "model")
    seen = []
    fc2 = model.decoder.layers[layer].fc2
    fc2.register_forward_hook(lambda _, inputs, output: seen.extend((inputs[0], output)))
    model.decoder(torch.tensor([3, 9, 21]))
    coefficients, update = (tensor.detach() for tensor in seen)
    values = weights.value_rows(layer, 0, D_FF)
    assert values.shape == (D_FF, D_MODEL)
    torch.testing.assert_close(coefficients @ values + fc2.bias.detach(), update)
    assert weights.signed is False


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("per_layer", [4, "all"])
def test_lists_equal_a_brute_force(tmp_path, zipped, per_layer):
    model = save(tmp_path / "model", zipped=zipped)
    extract(
        str(tmp_path / "model"), tmp_path / "out", dataclasses.replace(TINY, per_layer=per_layer)
    )
    first, *others = model.decoder.embed_tokens.embeddings
    bands = [first[0].weight, *(rows.weight @ into.weight.T for rows, into in others)]
    embedding = torch.cat(bands).detach().to(torch.float64).numpy()
    rows = [r for rows in open_bundle(tmp_path / "out").iter_vectors() for r in rows]
    values = [row for row in rows if row.kind == "value"]
    assert len(values) == 2 * (4 if per_layer == 4 else D_FF)
    for row in values:
        stored = model.decoder.layers[row.layer].fc2.weight.detach()[:, row.index]
        scores = embedding @ stored.to(torch.float64).numpy()
        assert row.token_ids == np.argsort(-scores)[:6].tolist()
        np.testing.assert_allclose(row.scores, np.sort(scores)[::-1][:6], rtol=1e-4, atol=1e-6)


def test_the_command_line_makes_a_word_level_bundle(tmp_path):
    save(tmp_path / "wiki")
    ended = CliRunner().invoke(
        main,
        ["extract", str(tmp_path / "wiki"), "--out", str(tmp_path / "out"), "--glosses", "none",
         "--kinds", "value,random", "--top-k", "40"],
    )  # fmt: skip
    assert ended.exit_code == 0, ended.output
    bundle = open_bundle(tmp_path / "out")
    info = bundle.manifest.model.to_json()
    assert len(info.pop("fingerprint")) == 64
    assert info.pop("unembedding")["chosen"] == "adaptive"
    assert info == {
        "name": "wiki", "revision": None, "model_type": "wikilm", "n_layers": 2, "d_model": 16,
        "d_ff": 24, "vocab_size": 40, "vocabulary": "word",
    }  # fmt: skip
    assert bundle.manifest.parameters["bottom"] is False
    tokens = [row for rows in bundle.iter_tokens() for row in rows]
    assert [row.text for row in tokens] == ["<s>", "<pad>", "</s>", "<unk>", *WORDS]
    assert tokens[14].display == "\\u00a0x"


def test_filled_up_entries_are_dropped_with_the_special_ones(tmp_path):
    save(tmp_path / "model")
    vocabulary = read_vocabulary(load_tokenizer(tmp_path / "model"))
    allowed = vocabulary.allowed(40, drop_special=True)
    assert np.flatnonzero(~allowed).tolist() == [0, 1, 2, 3, 38, 39]
    assert vocabulary.form(12).surface == "##s"


def test_updates_are_refused_before_any_work(tmp_path):
    save(tmp_path / "model")
    steps = set()
    options = dataclasses.replace(TINY, kinds=("value", "update"))
    with pytest.raises(OptionError, match=r"cannot be run, .* with --kinds value,random"):
        extract(str(tmp_path / "model"), tmp_path / "out", options, lambda p: steps.add(p.step))
    assert steps == {"checkpoint"}


def test_a_projection_with_a_norm_needs_one_in_the_file(tmp_path):
    for name, form in (("without", FORMS["released"]), ("with", FORMS["a final norm"])):
        save(tmp_path / name, form)
    options = dataclasses.replace(TINY, projection="norm")
    with pytest.raises(ArchitectureError, match=r"no decoder\.layer_norm\.weight.* raw"):
        extract(str(tmp_path / "without"), tmp_path / "out", options)
    extract(str(tmp_path / "with"), tmp_path / "out", options)


def edit(folder, keep=lambda name: True, **changed):
    content = torch.load(folder / "model.pt", weights_only=False)
    content["model"] = {name: t for name, t in content["model"].items() if keep(name)}
    torch.save({**content, **changed}, folder / "model.pt")


@pytest.mark.parametrize("wrap", [dict, lambda entries: argparse.Namespace(**entries)])
def test_newer_files_keep_their_settings_under_cfg(tmp_path, wrap):
    save(tmp_path / "model")
    edit(tmp_path / "model", args=None, cfg={"model": wrap(vars(settings())), "task": None})
    assert weights_of(tmp_path / "model").dimensions.d_ff == D_FF


class Evil:
    def __reduce__(self):
        return os.system, ("touch pickle-was-run",)


@pytest.mark.parametrize("key", ["args", "model", "extra_state"])
def test_any_other_pickled_class_is_refused_and_not_run(tmp_path, monkeypatch, key):
    monkeypatch.chdir(tmp_path)
    save(tmp_path / "model")
    hostile = argparse.Namespace(data=Evil()) if key == "args" else {"inner": Evil()}
    edit(tmp_path / "model", **{key: hostile})
    with pytest.raises(
        CheckpointError, match=r"other than tensors and argparse\.Namespace, which are never loaded"
    ):
        weights_of(tmp_path / "model")
    assert not (tmp_path / "pickle-was-run").exists()


def test_a_namespace_is_refused_again_afterwards_and_in_any_other_file(tmp_path):
    save(tmp_path / "model")
    weights_of(tmp_path / "model")
    assert argparse.Namespace not in torch.serialization.get_safe_globals()
    (tmp_path / "bin").mkdir()
    torch.save({"args": settings()}, tmp_path / "bin" / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match="pickled objects other than tensors"):
        _ = find_checkpoint(str(tmp_path / "bin")).tensors


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda f: (f / "model.pt").unlink(), r"should have one \.pt file, .* it has none"),
        (lambda f: (f / "model.pt").rename(f / "a.pt") and (f / "b.pt").touch(), "has a.pt, b.pt"),
        (lambda f: torch.save({"args": settings()}, f / "model.pt"), "no weights under the key"),
        (lambda f: (f / "dict.txt").write_text("the 3\ncat\n"), "Line 2 of dict.txt should be"),
        (lambda f: (f / "dict.txt").write_text("the 3\n"), "has 5 entries .* embeddings of 40"),
        (lambda f: (f / "dict.txt").write_bytes(b"\xff 1\n"), "dict.txt cannot be read"),
        (lambda f: edit(f, args=None), "must give decoder_embed_dim as a whole number"),
        (lambda f: edit(f, args=settings(decoder_ffn_embed_dim=25)), r"\(24, 16\); .* \(25, 16\)"),
        (lambda f: edit(f, lambda n: "tail.0.0" not in n), "have no .*tail.0.0.weight, which a"),
        (lambda f: edit(f, lambda n: "head" not in n), "no .*head.word_proj.weight, which a"),
        (lambda f: edit(f, lambda n: "fc2" not in n), r"have no decoder\.layers\.0\.fc2\.weight"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(tmp_path, change, sentence):
    save(tmp_path / "model")
    change(tmp_path / "model")
    with pytest.raises(FFNExtractError, match=sentence):
        weights_of(tmp_path / "model")


def test_a_word_that_is_there_twice_is_the_later_entry(tmp_path):
    save(tmp_path / "model")
    lines = (tmp_path / "model" / "dict.txt").read_text(encoding="utf-8").split("\n")
    lines[5] = "cat 7 #fairseq:overwrite"
    (tmp_path / "model" / "dict.txt").write_text("\n".join(lines), encoding="utf-8")
    vocabulary = read_vocabulary(load_tokenizer(tmp_path / "model"))
    assert vocabulary.texts[9] == "cat"
    assert not vocabulary.allowed(40, drop_special=False)[5]
