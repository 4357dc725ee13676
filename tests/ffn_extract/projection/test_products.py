"""Products of the first pass by MKL and by oneDNN: both within the bound of float32."""

import numpy as np
import pytest
import torch

from ffn_extract.projection import products
from ffn_extract.projection.arithmetic import FLOAT32, RowBounds, summed_in_float32
from ffn_extract.projection.products import product


@pytest.fixture(params=[False, True], ids=["MKL", "oneDNN"])
def by_amd(request, monkeypatch):
    monkeypatch.setattr(products, "is_by_amd", lambda: request.param)
    return request.param


@pytest.mark.parametrize(("n", "m", "d"), [(33, 130, 96), (1, 64, 1), (7, 64, 600)])
def test_no_score_is_further_off_than_the_bound_of_float32(by_amd, n, m, d):
    random = np.random.default_rng(d)
    vectors = random.uniform(-1, 1, (n, d))
    vectors[0] = np.abs(vectors[0])  # all errors of a sum go one way
    rows = torch.from_numpy(random.standard_normal((m, d)))
    rounded, lower = rows.to(torch.float32), torch.from_numpy(vectors).to(torch.float32)
    bounds = RowBounds()
    bounds.add(rows, rounded)
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")  # bfloat16 where the processor has it
    try:
        with summed_in_float32():
            scores = product(lower, rounded)
    finally:
        torch.set_float32_matmul_precision(before)
    off = np.abs(scores.to(torch.float64).numpy() - vectors @ rows.numpy().T)
    errors = FLOAT32.errors(vectors, lower.to(torch.float64).numpy(), bounds)
    assert (off <= errors[:, None]).all()
    assert (scores.shape, scores.dtype) == ((n, m), torch.float32)


def test_onednn_is_for_float32_on_processors_by_amd_alone(monkeypatch):
    asked = []
    linear = torch.ops.mkldnn._linear_pointwise
    monkeypatch.setattr(
        torch.ops.mkldnn, "_linear_pointwise", lambda *of: (asked.append(1), linear(*of))[1]
    )
    for by_amd, dtype in ((False, torch.float32), (True, torch.bfloat16), (True, torch.float32)):
        monkeypatch.setattr(products, "is_by_amd", lambda by_amd=by_amd: by_amd)
        product(torch.ones(2, 3, dtype=dtype), torch.ones(4, 3, dtype=dtype))
        assert len(asked) == (by_amd and dtype == torch.float32)
    assert product(torch.ones(0, 3), torch.ones(4, 3)).shape == (0, 4)
