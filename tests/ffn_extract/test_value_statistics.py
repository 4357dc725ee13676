"""Statistics of every value vector: their definition, and the same bytes however they are made."""

import dataclasses

import numpy as np
import pytest
import torch
from scipy import stats

from ffn_extract.bundle import open_bundle
from ffn_extract.lists import prepared
from ffn_extract.options import ExtractOptions
from ffn_extract.pipeline import extract, open_run
from ffn_extract.progress import Steps, ignore
from ffn_extract.projection.score_moments import ScoreMoments
from ffn_extract.projection.working_rows import HeldRows
from ffn_extract.vectors import all_value_vectors
from ffn_extract.whole_layers import LayeredExtraction
from tests.ffn_extract.small_bundles import rows_of

SAMPLE = ExtractOptions(
    kinds=("value",), per_layer=3, top_k=5, glosses=(), name="tiny", value_statistics=True
)
COLUMNS = ("norm", "kurtosis", "skew", "key_cosine")


def statistics_of(folder):
    return [row for rows in open_bundle(folder).iter_value_statistics() for row in rows]


def expected(model, options, tmp_path):
    """Statistics by scipy from the weights, in the order of a bundle."""
    run = open_run(model, tmp_path / "unused", options, Steps(ignore))
    weights, allowed = run.weights, run.allowed()
    matrix = weights.unembedding.rows(0, len(allowed)).to(torch.float64).numpy()[allowed]
    rows = []
    for layer in weights.layers:
        for vectors in all_value_vectors(weights, layer):
            values = np.stack([vector.values for vector in vectors])
            scores = prepared(vectors, options.projection, weights) @ matrix.T
            keys = weights.key_rows(layer, 0, len(values)).to(torch.float64).numpy()
            cosines = (values * keys).sum(1) / (
                np.linalg.norm(values, axis=1) * np.linalg.norm(keys, axis=1)
            )
            rows += zip(
                [layer] * len(values), range(len(values)), np.linalg.norm(values, axis=1),
                stats.kurtosis(scores, axis=1), stats.skew(scores, axis=1), cosines, strict=True
            )  # fmt: skip
    return rows


@pytest.mark.parametrize(
    ("family", "mode"),
    [("gpt2", "raw"), ("gpt2", "norm"), ("llama", "fold"), ("bert", "raw"), ("mixtral", "raw")],
)
def test_statistics_are_those_of_scipy(tiny_model, tmp_path, family, mode):
    options = dataclasses.replace(SAMPLE, projection=mode, drop_special=family == "bert")
    manifest = extract(str(tiny_model(family)), tmp_path / "out", options)
    found = statistics_of(tmp_path / "out")
    wanted = expected(str(tiny_model(family)), options, tmp_path)
    assert [(row.layer, row.index) for row in found] == [row[:2] for row in wanted]
    assert manifest.counts.value_statistics == len(wanted) > manifest.counts.kinds["value"]
    assert manifest.parameters["value_statistics"] is True
    np.testing.assert_allclose(
        [[getattr(row, name) for name in COLUMNS] for row in found],
        [row[2:] for row in wanted],
        rtol=1e-6,
        atol=1e-6,
    )


def test_moments_far_from_a_normal_distribution_are_exact_enough():
    random = np.random.default_rng(3)
    rows = random.standard_t(4, size=(9_000, 40)).astype(np.float32) + 0.5  # a mean far from 0
    vectors = random.normal(size=(300, 40)) * 10.0 ** random.integers(-9, 9, size=(300, 1))
    scores = vectors @ rows.T.astype(np.float64)
    found = ScoreMoments(HeldRows(torch.from_numpy(rows)), np.ones(9_000, bool)).shapes(vectors)
    np.testing.assert_allclose(found.skew, stats.skew(scores, axis=1), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found.kurtosis, stats.kurtosis(scores, axis=1), rtol=1e-5, atol=1e-6)


def test_equal_scores_have_no_shape_and_two_values_have_the_least_kurtosis():
    rows = torch.tensor([[1.0, 0.0], [1.0, 1.0]]).repeat(50, 1)
    moments = ScoreMoments(HeldRows(rows), np.ones(100, bool))
    found = moments.shapes(np.array([[0.3, 0.0], [0.0, 0.0], [0.3, 0.7]]))
    assert np.isnan(found.skew).tolist() == np.isnan(found.kurtosis).tolist() == [True, True, False]
    assert (found.skew[2], found.kurtosis[2]) == pytest.approx((0, -2), abs=1e-9)
    assert found.kurtosis[2] >= -2


def test_scores_do_not_depend_on_the_order_of_additions():
    """The longest sum of the largest whole numbers is still exact in float64."""
    d = 1 << 14
    random = np.random.default_rng(5)
    rows = np.sign(random.normal(size=(64, d))).astype(np.float32)
    vectors = np.sign(random.normal(size=(3, d)))
    order = random.permutation(d)
    one, other = (
        ScoreMoments(HeldRows(torch.from_numpy(r)), np.ones(64, bool)).shapes(v)
        for r, v in ((rows, vectors), (rows[:, order], vectors[:, order]))
    )
    assert one.kurtosis.tobytes() == other.kurtosis.tobytes()
    assert one.skew.tobytes() == other.skew.tobytes()


@pytest.mark.parametrize("per_layer", [3, "all"])
def test_threads_batches_and_workers_make_no_difference(
    tiny_model, tmp_path, monkeypatch, per_layer
):
    options = dataclasses.replace(SAMPLE, kinds=("value", "random"), per_layer=per_layer)
    model, before = str(tiny_model("gpt2")), torch.get_num_threads()
    digest = extract(model, tmp_path / "reference", options).digest
    torch.set_num_threads(1)
    monkeypatch.setattr("ffn_extract.vectors.BATCH_ELEMENTS", 16 * 7)
    try:
        first, second = (
            LayeredExtraction(open_run(model, tmp_path / "out", options, Steps(ignore)))
            for _ in range(2)
        )
        first.begin()
        counted = {layer: [] for layer in range(len(first.sizes))}
        for layer in reversed(counted):
            (first if layer % 2 else second).layer(layer, Steps(ignore), counted[layer].append)
        assert [counts[-1] for counts in counted.values()] == list(first.sizes)
        assert all(counts == sorted(counts) for counts in counted.values())
        assert second.finish(Steps(ignore)).digest == digest
    finally:
        torch.set_num_threads(before)


def test_every_layer_has_statistics_where_vectors_are_chosen_in_one(tiny_model, tmp_path):
    options = dataclasses.replace(SAMPLE, vectors=((1, 3),))
    manifest = extract(str(tiny_model("gpt2")), tmp_path / "out", options)
    assert manifest.counts.kinds == {"value": 1}
    assert {row.layer for row in statistics_of(tmp_path / "out")} == {0, 1}


def test_lists_are_those_of_an_extraction_without_statistics(tiny_model, tmp_path):
    model = str(tiny_model("gpt2"))
    options = dataclasses.replace(SAMPLE, kinds=("value", "random", "permuted", "shuffled"))
    extract(model, tmp_path / "with", options)
    without = extract(
        model, tmp_path / "without", dataclasses.replace(options, value_statistics=False)
    )
    assert rows_of(tmp_path / "with") == rows_of(tmp_path / "without")
    assert "value_statistics" not in without.parameters
    assert without.counts.value_statistics is None


def test_a_family_described_without_keys_has_no_cosines(tiny_model, tmp_path):
    options = dataclasses.replace(
        SAMPLE,
        value_tensor="transformer.h.{layer}.mlp.c_proj.weight",
        unembedding_tensor="transformer.wte.weight",
        orientation="row",
    )
    extract(str(tiny_model("gpt2")), tmp_path / "out", options)
    assert {row.key_cosine for row in statistics_of(tmp_path / "out")} == {None}
    assert open_bundle(tmp_path / "out").manifest.counts.value_statistics
