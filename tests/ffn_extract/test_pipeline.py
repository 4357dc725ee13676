"""Whole extractions, on the demo's real model and on tiny ones."""

import dataclasses
import functools
import json
import logging
import os
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.numpy import load_file
from safetensors.torch import load_file as torch_file
from safetensors.torch import save_file as save_torch_file

from ffn_extract import run
from ffn_extract import wordnet as wordnet_module
from ffn_extract.bundle import BundleError, open_bundle
from ffn_extract.errors import (
    ArchitectureError,
    CorpusError,
    FFNExtractError,
    OptionError,
    WordNetError,
)
from ffn_extract.options import KINDS, ExtractOptions
from ffn_extract.pipeline import extract
from ffn_extract.progress import STEPS
from ffn_extract.projection import projector as projection
from tests.ffn_extract.tiny_families import SHARED, TINY_FAMILIES
from tests.ffn_extract.tiny_models import EXTRA_ROWS, SENTENCES, TOKENIZERS, edit_config

TINY = ExtractOptions(per_layer=4, top_k=5, corpus=str(SENTENCES), glosses=(), name="tiny")
EVERY_KIND = dataclasses.replace(TINY, kinds=KINDS)


def rows_of(bundle):
    return [row for rows in bundle.iter_vectors() for row in rows]


def lists_of(folder):
    """Every list by its place."""
    return {(row.kind, row.layer, row.index): row.token_ids for row in rows_of(open_bundle(folder))}


def content_of(folder):
    return [(folder / name).read_bytes() for name in ("vectors.parquet", "tokens.parquet")]


def demo_weights(demo_model):
    tensors = load_file(demo_model / "model.safetensors")
    name = "encoder.layer.{}.output.dense.weight"
    values = [tensors[name.format(layer)].T.astype(np.float64) for layer in range(6)]
    return tensors["embeddings.word_embeddings.weight"].astype(np.float64), values


def test_sixty_value_vectors_of_the_demo_model_equal_a_brute_force(demo_model, demo_bundle):
    """No two of the float64 scores around these lists are closer than the rule's 1e-6."""
    embedding, values = demo_weights(demo_model)
    rows = [row for row in rows_of(demo_bundle) if row.kind == "value"]
    assert len(rows) == 60
    for row in rows:
        vector = values[row.layer][row.index]
        scores = embedding @ vector
        top, bottom = np.argsort(-scores)[:30], np.argsort(scores)[:30]
        assert row.token_ids == top.tolist()
        assert row.bottom_token_ids == bottom.tolist()
        largest = np.abs(scores[top]).max()
        np.testing.assert_allclose(row.scores, scores[top], rtol=0, atol=1e-6 * largest)
        assert row.norm == pytest.approx(np.linalg.norm(vector), rel=1e-6)


def test_the_demo_bundle_holds_what_was_asked_for(demo_bundle):
    model = dataclasses.asdict(demo_bundle.manifest.model)
    assert len(model.pop("fingerprint")) == 64
    assert model == {
        "name": "demo", "revision": None, "model_type": "bert", "n_layers": 6, "d_model": 384,
        "d_ff": 1536, "vocab_size": 30_522, "vocabulary": "subword",
        "unembedding": {
            "tensors": ["embeddings.word_embeddings.weight"], "chosen": "encoder",
        },
        "layers_read": None, "stored_as": None,
    }  # fmt: skip
    assert demo_bundle.manifest.counts.kinds == {"value": 60, "random": 60, "update": 60}
    for row in rows_of(demo_bundle):
        assert (row.context in SENTENCES.read_text().splitlines()) == (row.kind == "update")


@pytest.mark.parametrize(("threads", "block_rows"), [(1, 1000), (2, 40_000)])
def test_the_same_seed_gives_the_same_bytes_whatever_the_threads_and_blocks(
    demo_model, demo_options, demo_bundle, tmp_path, monkeypatch, threads, block_rows
):
    blocked = functools.partial(projection.project, block_rows=block_rows)
    monkeypatch.setattr(run, "project", blocked)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        manifest = extract(str(demo_model), tmp_path / "again", demo_options)
    finally:
        torch.set_num_threads(before)
    assert manifest.digest == demo_bundle.manifest.digest
    assert content_of(tmp_path / "again") == content_of(demo_bundle.path)


def test_another_seed_gives_other_lists_of_the_same_model(
    demo_model, demo_options, demo_bundle, tmp_path
):
    options = dataclasses.replace(demo_options, seed=1, kinds=("value",))
    manifest = extract(str(demo_model), tmp_path / "other", options)
    assert manifest.model == demo_bundle.manifest.model
    assert manifest.digest != demo_bundle.manifest.digest
    other = {(row.layer, row.index) for row in rows_of(open_bundle(tmp_path / "other"))}
    same = {(row.layer, row.index) for row in rows_of(demo_bundle) if row.kind == "value"}
    assert len(other & same) < 10


@pytest.mark.parametrize("family", TOKENIZERS)
@pytest.mark.parametrize("mode", ["raw", "fold", "norm"])
def test_every_kind_of_tokenizer_in_every_mode(tiny_model, tmp_path, family, mode):
    options = dataclasses.replace(TINY, projection=mode)
    extract(str(tiny_model(family)), tmp_path / "out", options)
    bundle = open_bundle(tmp_path / "out")
    assert bundle.manifest.counts.kinds == {"value": 8, "random": 8, "update": 8}
    named = bundle.manifest.model.vocab_size - EXTRA_ROWS
    assert all(max(row.token_ids) < named for row in rows_of(bundle))


@pytest.mark.parametrize("family", sorted(set(TINY_FAMILIES) - set(TOKENIZERS)))
def test_every_family_is_extracted(tiny_model, tmp_path, family):
    kinds = ("value", "random") if family in SHARED else TINY.kinds  # no updates of one layer
    options = dataclasses.replace(TINY, projection="norm", kinds=kinds)
    extract(str(tiny_model(family)), tmp_path / "out", options)
    assert open_bundle(tmp_path / "out").manifest.model.model_type == family.split("+")[0]


def test_tensors_given_by_name_have_updates_where_transformers_knows_the_model(
    tiny_model, tmp_path
):
    given = dataclasses.replace(
        TINY,
        value_tensor="model.layers.{layer}.mlp.down_proj.weight",
        key_tensor="model.layers.{layer}.mlp.gate_proj.weight",
        unembedding_tensor="lm_head.weight",
        orientation="col",
    )
    extract(str(tiny_model("llama")), tmp_path / "given", given)
    extract(str(tiny_model("llama")), tmp_path / "known", TINY)
    assert lists_of(tmp_path / "given") == lists_of(tmp_path / "known")
    fold = dataclasses.replace(given, projection="fold")
    with pytest.raises(ArchitectureError, match=r"needs the norm .* use --projection raw"):
        extract(str(tiny_model("llama")), tmp_path / "fold", fold)


def test_fold_and_norm_give_the_same_lists_only_without_a_bias(tiny_model, tmp_path):
    for family, same in (("llama", True), ("gpt2", False)):
        for mode in ("raw", "fold", "norm"):
            options = dataclasses.replace(TINY, projection=mode, per_layer=10, kinds=("value",))
            extract(str(tiny_model(family)), tmp_path / family / mode, options)
        lists = [lists_of(tmp_path / family / mode) for mode in ("raw", "fold", "norm")]
        assert (lists[1] == lists[2]) is same
        assert lists[0] != lists[1]


def test_kinds_do_not_disturb_each_other(tiny_model, tmp_path):
    together = dataclasses.replace(TINY, per_layer=3)
    extract(str(tiny_model("bert")), tmp_path / "all", together)
    everything = lists_of(tmp_path / "all")
    for kind in ("value", "random", "update"):
        for per_layer in (3, 5):
            options = dataclasses.replace(TINY, kinds=(kind,), per_layer=per_layer)
            out = tmp_path / f"{kind}{per_layer}"
            extract(str(tiny_model("bert")), out, options)
            alone = lists_of(out)
            assert {place: ids for place, ids in everything.items() if place[0] == kind} == {
                place: ids for place, ids in alone.items() if place in everything
            }


def test_the_grain_changes_the_random_baseline_and_nothing_else(tiny_model, tmp_path):
    lists = []
    for grain in ("dimension", "layer", "model"):
        options = dataclasses.replace(TINY, random_grain=grain, kinds=("value", "random"))
        extract(str(tiny_model("bert")), tmp_path / grain, options)
        lists.append(lists_of(tmp_path / grain))
    values = [{k: v for k, v in one.items() if k[0] == "value"} for one in lists]
    random = [{k: v for k, v in one.items() if k[0] == "random"} for one in lists]
    assert values[0] == values[1] == values[2]
    assert random[0] != random[1] != random[2] != random[0]


def test_dropped_special_tokens_are_in_no_list(tiny_model, tmp_path):
    for drop in (False, True):
        options = dataclasses.replace(TINY, drop_special=drop, top_k=12)
        extract(str(tiny_model("bert")), tmp_path / str(drop), options)
    texts = [
        {row.text for rows in open_bundle(tmp_path / str(drop)).iter_tokens() for row in rows}
        for drop in (False, True)
    ]
    special = {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[unused0]"}
    assert special <= texts[0]
    assert not special & texts[1]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_lists_are_those_of_the_stored_numbers_in_every_precision(tiny_model, tmp_path, dtype):
    folder = shutil.copytree(tiny_model("llama"), tmp_path / "model")
    tensors = {name: t.to(dtype) for name, t in torch_file(folder / "model.safetensors").items()}
    save_torch_file(tensors, folder / "model.safetensors")
    extract(str(folder), tmp_path / "out", dataclasses.replace(TINY, kinds=("value",)))
    embedding = tensors["lm_head.weight"][:-EXTRA_ROWS].to(torch.float64).numpy()
    for row in rows_of(open_bundle(tmp_path / "out")):
        name = f"model.layers.{row.layer}.mlp.down_proj.weight"
        scores = embedding @ tensors[name][:, row.index].to(torch.float64).numpy()
        assert row.token_ids == np.argsort(-scores, kind="stable")[:5].tolist()
        np.testing.assert_allclose(row.scores, scores[row.token_ids], rtol=1e-5, atol=1e-6)


def test_a_relu_ffn_has_no_bottom_lists(tiny_model, tmp_path):
    folder = shutil.copytree(tiny_model("bert"), tmp_path / "relu")
    edit_config(folder, hidden_act="relu")
    extract(str(folder), tmp_path / "out", TINY)
    bundle = open_bundle(tmp_path / "out")
    assert bundle.manifest.parameters["bottom"] is False
    assert all(row.bottom_token_ids is None is row.bottom_scores for row in rows_of(bundle))


def test_the_place_of_model_and_corpus_does_not_matter(tiny_model, tmp_path):
    digests = set()
    for place in ("here", "there"):
        folder = shutil.copytree(tiny_model("gpt2"), tmp_path / place / "tiny" / "model")
        corpus = shutil.copy(SENTENCES, tmp_path / place / f"{place}.txt")
        options = dataclasses.replace(TINY, corpus=str(corpus), name=None)
        extract(str(folder), tmp_path / place / "out", options)
        manifest = (tmp_path / place / "out" / "manifest.json").read_text()
        assert str(tmp_path) not in manifest
        digests.add(open_bundle(tmp_path / place / "out").manifest.digest)
    assert len(digests) == 1


@pytest.mark.parametrize("family", ["bert", "gpt2"])
def test_updates_come_from_any_kind_of_corpus(tiny_model, tmp_path, family):
    texts = SENTENCES.read_text().splitlines()
    objects = [json.dumps({"id": i, "body": text}) for i, text in enumerate(texts)]
    (tmp_path / "texts.jsonl").write_text("\n".join(objects))
    pq.write_table(pa.table({"body": texts}), tmp_path / "texts.parquet")
    digests = set()
    for corpus in (SENTENCES, tmp_path / "texts.jsonl", tmp_path / "texts.parquet"):
        options = dataclasses.replace(
            TINY, kinds=("update",), corpus=str(corpus), corpus_field="body"
        )
        out = tmp_path / corpus.suffix[1:]
        digests.add(extract(str(tiny_model(family)), out, options).digest)
        assert {row.context for row in rows_of(open_bundle(out))} <= set(texts)
    assert len(digests) == 1


def test_progress_names_the_steps_in_order_and_finishes_each(tiny_model, tmp_path):
    seen = []
    extract(str(tiny_model("gpt2")), tmp_path / "out", EVERY_KIND, seen.append)
    last = {progress.step: progress for progress in seen}
    assert list(last) == [key for key, _ in STEPS]
    assert all(progress.done == progress.total for progress in last.values())
    for key in last:
        done = [progress.done for progress in seen if progress.step == key]
        assert done == sorted(done)


@pytest.mark.parametrize("step", [key for key, _ in STEPS])
def test_cancelling_in_any_step_leaves_no_bundle(tiny_model, tmp_path, step):
    class Cancelled(Exception):
        pass

    def cancel(progress):
        if progress.step == step and progress.done:
            raise Cancelled

    (tmp_path / "bundles").mkdir()
    with pytest.raises(Cancelled):
        extract(str(tiny_model("gpt2")), tmp_path / "bundles" / "out", EVERY_KIND, cancel)
    if step != "bundle":  # the last report of the last step comes when the bundle is there
        left = os.listdir(tmp_path / "bundles")
        # Batches that are done are kept: the same command goes on with them.
        assert [name for name in left if not name.endswith(".keys.parts")] == []


def test_an_occupied_folder_is_refused_before_the_model_runs(tiny_model, tmp_path):
    (tmp_path / "letter.txt").write_text("dear")
    steps = set()
    with pytest.raises(BundleError, match="holds other files"):
        extract(str(tiny_model("gpt2")), tmp_path, TINY, lambda progress: steps.add(progress.step))
    assert steps == {"checkpoint", "vocabulary", "sources"}
    assert os.listdir(tmp_path) == ["letter.txt"]


def test_of_a_wordnet_that_cannot_be_read_it_is_said_once_and_lists_have_no_glosses(
    tiny_model, tmp_path, monkeypatch, caplog
):
    def nowhere():
        raise WordNetError(wordnet_module.MISSING)

    monkeypatch.setattr(wordnet_module, "wordnet_is_at_hand", lambda: True)
    monkeypatch.setattr("ffn_extract.glosses.wordnet.open_wordnet", nowhere)
    options = dataclasses.replace(TINY, glosses=("wordnet",))
    with caplog.at_level(logging.WARNING):
        manifest = extract(str(tiny_model("gpt2")), tmp_path / "out", options)
    (record,) = caplog.records
    assert "wordnet-base" in record.getMessage()
    assert record.getMessage().endswith("Continuing without glosses from wordnet.")
    assert manifest.counts.glossed == 0
    assert manifest.parameters["glosses"] == []


def test_without_wordnet_the_bundle_names_the_packaged_one(tiny_model, tmp_path, monkeypatch):
    monkeypatch.setenv(wordnet_module.HIDE, "1")
    options = dataclasses.replace(TINY, glosses=("wordnet",), corpus="wordnet")
    manifest = extract(str(tiny_model("gpt2")), tmp_path / "out", options)
    assert manifest.parameters["glosses"] == [
        {"source": "wordnet", "version": "3.0, senses 1, packaged"}
    ]
    assert manifest.parameters["corpus"]["name"] == "wordnet-packaged"
    assert manifest.counts.kinds["update"]


def test_glosses_are_given_to_words_only(tiny_model, tmp_path, wordnet):
    options = dataclasses.replace(TINY, glosses=("wordnet",), top_k=19, kinds=("value",))
    manifest = extract(str(tiny_model("bert")), tmp_path / "out", options)
    tokens = {r.text: r for rows in open_bundle(tmp_path / "out").iter_tokens() for r in rows}
    assert (tokens["cat"].gloss_source, tokens["cat"].gloss_lemma) == ("wordnet", "cat")
    assert tokens["dogs"].gloss_lemma == "dog"
    for text in ("[CLS]", "##ing", ",", "the"):
        assert tokens[text].gloss is None
    assert manifest.parameters["glosses"] == [{"source": "wordnet", "version": "3.0, senses 1"}]


@pytest.mark.parametrize(
    ("changes", "error", "sentence"),
    [
        ({"corpus": "no-such-file"}, CorpusError, "cannot be read"),
        ({"per_layer": 25}, FFNExtractError, "is 25, and layer 0 has 24 value vectors"),
        ({"per_layer": 24}, CorpusError, "24 updates per layer|has .* texts"),
        ({"top_k": 1000}, FFNExtractError, "is 1000, and the vocabulary has 20 tokens"),
        ({"device": "cuda:7"}, OptionError, "has no device cuda:7"),
    ],
)
def test_what_cannot_be_done_is_said(tiny_model, tmp_path, changes, error, sentence):
    if changes == {"per_layer": 24}:
        few = tmp_path / "few.txt"
        few.write_text("the cat\n")
        changes = {**changes, "corpus": str(few)}
    with pytest.raises(error, match=sentence):
        extract(str(tiny_model("bert")), tmp_path / "out", dataclasses.replace(TINY, **changes))
    assert not (tmp_path / "out").exists()
