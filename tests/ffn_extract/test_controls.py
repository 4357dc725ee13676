"""Controls beyond the random baseline: their distributions, their lists, what they need."""

import dataclasses
from collections import Counter

import numpy as np
import pytest
import torch

from ffn_extract import controls
from ffn_extract.controls import draw_with_covariance, shuffled_lists
from ffn_extract.errors import OptionError
from ffn_extract.options import FURTHER_CONTROLS, KINDS, ExtractOptions, flag_of
from ffn_extract.pipeline import extract, open_run
from ffn_extract.progress import Steps, ignore
from tests.ffn_extract.small_bundles import rows_of
from tests.ffn_extract.tiny_models import SENTENCES

CONTROLS = ExtractOptions(
    kinds=("value", *FURTHER_CONTROLS), per_layer=4, top_k=5, glosses=(), name="tiny"
)
FAMILIES = ("gpt2", "mixtral", "t5")


def of_kind(folder, kind):
    return [row for row in rows_of(folder) if row.kind == kind]


@pytest.mark.parametrize(("n", "d"), [(400, 6), (4, 6)], ids=["many vectors", "fewer than d"])
def test_draws_have_the_mean_and_the_whole_covariance(n, d):
    random = np.random.default_rng(1)
    vectors = random.normal(size=(n, d)) @ random.normal(size=(d, d)) + 3
    chunks = np.array_split(vectors, 3)
    draws = draw_with_covariance(lambda: chunks, n, 40_000, np.random.default_rng(2))
    covariance = np.cov(vectors.T, bias=True)
    scale = np.sqrt(np.diag(covariance))
    np.testing.assert_allclose(draws.mean(0), vectors.mean(0), rtol=0, atol=0.02 * scale.max())
    correlation = np.cov(draws.T, bias=True) / np.outer(scale, scale)
    np.testing.assert_allclose(correlation, covariance / np.outer(scale, scale), atol=0.03)
    assert np.linalg.matrix_rank(draws[:20] - vectors.mean(0)) == min(n - 1, d)


def test_more_draws_begin_with_those_of_fewer():
    vectors = [np.random.default_rng(1).normal(size=(9, 4))]
    few, many = (
        draw_with_covariance(lambda: vectors, 9, count, np.random.default_rng(2))
        for count in (2, 5)
    )
    assert few.tobytes() == many[:2].tobytes()


@pytest.mark.parametrize("family", FAMILIES)
def test_permuted_vectors_are_value_vectors_in_another_order(tiny_model, tmp_path, family):
    options = dataclasses.replace(CONTROLS, drawn_per_layer=6)
    run = open_run(str(tiny_model(family)), tmp_path / "out", options, Steps(ignore))
    drawn = list(controls.permuted_vectors(run.weights, options, run.weights.layers))
    assert [(v.layer, v.index) for v in drawn] == [
        (layer, index) for layer in run.weights.layers for index in range(6)
    ]
    orders = set()
    for vector in drawn:
        n = run.weights.n_values(vector.layer)
        values = run.weights.value_rows(vector.layer, 0, n).to(torch.float64).numpy()
        same = (np.sort(values, axis=1) == np.sort(vector.values)).all(axis=1)
        assert same.any()
        orders.add(tuple(np.argsort(vector.values) - np.argsort(values[same][0])))
    assert len(orders) == len(drawn)


@pytest.mark.parametrize("family", FAMILIES)
def test_shuffled_lists_mix_the_value_lists_of_their_layer(tiny_model, tmp_path, family):
    manifest = extract(str(tiny_model(family)), tmp_path / "out", CONTROLS)
    layers = manifest.model.n_layers
    assert manifest.counts.kinds == dict.fromkeys(CONTROLS.kinds, 4 * layers)
    pools = {layer: set() for layer in range(layers)}
    for row in of_kind(tmp_path / "out", "value"):
        pools[row.layer] |= set(row.token_ids)
    for row in of_kind(tmp_path / "out", "shuffled"):
        assert set(row.token_ids) <= pools[row.layer]
        assert len(set(row.token_ids)) == CONTROLS.top_k
        assert (row.norm, row.scores, row.bottom_token_ids, row.bottom_scores) == (None,) * 4


def test_a_token_of_more_lists_is_drawn_more_often_and_never_twice():
    pool = Counter({7: 6, 3: 3, 9: 1})
    drawn = list(shuffled_lists(pool, 2, 20_000, np.random.default_rng(4)))
    assert all(len(set(one)) == 2 for one in drawn)
    first, pairs = Counter(one[0] for one in drawn), Counter(map(tuple, drawn))
    for token_id, chance in ((7, 0.6), (3, 0.3), (9, 0.1)):
        assert first[token_id] / len(drawn) == pytest.approx(chance, abs=0.015)
    # Of the others, the second is drawn by their own occurrences.
    assert pairs[7, 3] / len(drawn) == pytest.approx(0.6 * 3 / 4, abs=0.015)
    assert pairs[9, 3] / len(drawn) == pytest.approx(0.1 * 3 / 9, abs=0.015)


@pytest.mark.parametrize("per_layer", [4, "all"])
def test_threads_and_batches_make_no_difference(tiny_model, tmp_path, monkeypatch, per_layer):
    options = dataclasses.replace(CONTROLS, per_layer=per_layer, drawn_per_layer=3)
    model, digests = str(tiny_model("gpt2")), set()
    before = torch.get_num_threads()
    try:
        for threads, batch in ((1, 1 << 22), (2, 16 * 7)):
            torch.set_num_threads(threads)
            monkeypatch.setattr("ffn_extract.vectors.BATCH_ELEMENTS", batch)
            digests.add(extract(model, tmp_path / f"{threads}", options).digest)
    finally:
        torch.set_num_threads(before)
    assert len(digests) == 1


def test_layer_by_layer_gives_the_lists_of_one_go(tiny_model, tmp_path):
    """Keys of every vector are done layer by layer; the other kinds stay as they are."""
    sampled = dataclasses.replace(CONTROLS, kinds=KINDS, corpus=str(SENTENCES))
    for name, options in (
        ("sampled", sampled), ("by layer", dataclasses.replace(sampled, keys_of="all"))
    ):  # fmt: skip
        extract(str(tiny_model("gpt2")), tmp_path / name, options)
    one, other = (
        [row for row in rows_of(tmp_path / name) if row.kind != "key"]
        for name in ("sampled", "by layer")
    )
    assert one == other


def test_a_new_control_leaves_the_lists_of_the_others(tiny_model, tmp_path):
    model = str(tiny_model("gpt2"))
    usual = dataclasses.replace(CONTROLS, kinds=("value", "random"))
    extract(model, tmp_path / "usual", usual)
    extract(model, tmp_path / "every", dataclasses.replace(usual, kinds=(*KINDS[:2], "permuted")))
    assert rows_of(tmp_path / "usual") == [
        row for row in rows_of(tmp_path / "every") if row.kind != "permuted"
    ]


def test_chosen_vectors_have_controls_in_their_layers(tiny_model, tmp_path):
    options = dataclasses.replace(CONTROLS, vectors=((1, 3), (1, 0)), drawn_per_layer=2)
    manifest = extract(str(tiny_model("gpt2")), tmp_path / "out", options)
    assert manifest.counts.kinds == dict.fromkeys(CONTROLS.kinds, 2)
    assert {row.layer for row in rows_of(tmp_path / "out")} == {1}


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (
            {"kinds": ("random", "shuffled")},
            "--kinds names shuffled, which mixes the tokens of each layer's value lists, and does "
            "not name the kind value. Add it.",
        ),
        (
            {"kinds": ("value", "shuffled"), "per_layer": 1},
            "--per-layer is 1, and the kind shuffled mixes the value lists of a layer. Give a "
            "larger number, or leave shuffled out of --kinds.",
        ),
        (
            {"kinds": ("value", "shuffled"), "vectors": ((0, 1), (0, 2), (3, 4))},
            "--vectors has one vector alone in layer 3, and the kind shuffled mixes the lists of a "
            "layer. Name more there, or leave shuffled out of --kinds.",
        ),
    ],
    ids=["no values", "one list", "one chosen list"],
)
def test_shuffled_lists_need_several_value_lists(given, sentence):
    with pytest.raises(OptionError) as refused:
        ExtractOptions(**given)
    assert refused.value.named(flag_of) == sentence
