"""Projection modes: what the norm in front of the unembedding does to a vector."""

import numpy as np
import pytest
import torch

from ffn_extract.norms import Norm

RANDOM = np.random.default_rng(0)
VECTORS, GAIN, BIAS = (RANDOM.standard_normal(shape) for shape in ((5, 12), 12, 12))


@pytest.mark.parametrize("bias", [None, BIAS])
def test_normed_is_torchs_layer_norm(bias):
    norm = Norm("layer", GAIN, bias, 1e-5)
    expected = torch.nn.functional.layer_norm(
        torch.from_numpy(VECTORS), (12,), torch.from_numpy(GAIN),
        None if bias is None else torch.from_numpy(bias), 1e-5,
    )  # fmt: skip
    np.testing.assert_allclose(norm.normed(VECTORS), expected.numpy(), rtol=1e-12)


def test_normed_is_torchs_rms_norm():
    norm = Norm("rms", GAIN, None, 1e-6)
    expected = torch.nn.functional.rms_norm(
        torch.from_numpy(VECTORS), (12,), torch.from_numpy(GAIN), 1e-6
    )
    np.testing.assert_allclose(norm.normed(VECTORS), expected.numpy(), rtol=1e-12)


@pytest.mark.parametrize("bias", [np.zeros(12), BIAS])
def test_norm_is_fold_divided_by_the_deviation_plus_bias(bias):
    norm = Norm("layer", GAIN, bias, 1e-5)
    deviation = np.sqrt(VECTORS.var(axis=1, keepdims=True) + 1e-5)
    expected = norm.folded(VECTORS) / deviation + bias
    np.testing.assert_allclose(norm.normed(VECTORS), expected, rtol=1e-12)


def test_the_given_vectors_stay_as_they_are():
    before = VECTORS.copy()
    for kind in ("layer", "rms"):
        Norm(kind, GAIN, BIAS, 1e-5).normed(VECTORS)
        Norm(kind, GAIN, BIAS, 1e-5).folded(VECTORS)
    np.testing.assert_array_equal(VECTORS, before)
