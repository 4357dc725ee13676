"""Top tokens against a float64 brute force, on ordinary and on adversarial input."""

import numpy as np
import pytest
import torch

from ffn_extract.architectures.stored import require_finite
from ffn_extract.errors import FFNExtractError
from ffn_extract.projection import rescoring
from ffn_extract.projection.arithmetic import (
    BFLOAT16,
    FLOAT32,
    Arithmetic,
    RowBounds,
    arithmetics_for,
)
from ffn_extract.projection.native.processors import Path
from ffn_extract.projection.projector import Projector, project
from ffn_extract.projection.working_rows import HeldRows
from tests.ffn_extract.projection.kernels import require_path

PASSES = {"float32": (FLOAT32,), "bfloat16": (BFLOAT16, FLOAT32)}


@pytest.fixture(autouse=True, params=[*PASSES, *Path.__members__])
def passes(request, monkeypatch):
    """Every test runs with PyTorch's passes and with each path of the kernel that can run here."""
    if request.param in PASSES:
        chosen = PASSES[request.param]
        monkeypatch.setenv("FFN_KERNEL", "off")
        monkeypatch.setattr(
            "ffn_extract.projection.projector.arithmetics_for", lambda device: chosen
        )
    else:
        require_path(Path[request.param])
        monkeypatch.setenv("FFN_KERNEL", request.param)
    return request.param


class Matrix:
    """An unembedding in memory."""

    def __init__(self, rows: torch.Tensor) -> None:
        self._rows = rows

    @property
    def shape(self) -> tuple[int, int]:
        return tuple(self._rows.shape)

    def rows(self, start: int, stop: int) -> torch.Tensor:
        return require_finite(self._rows[start:stop], "E")


def brute_force(vectors, rows, allowed, top_k, sign=1):
    """Ids by float64 score, ties by the lower id, one exactly rounded dot product at a time."""
    lists = []
    for vector in vectors:
        scores = sign * (rows.to(torch.float64).numpy() * vector).sum(axis=1)
        ids = np.flatnonzero(allowed)
        lists.append(ids[np.lexsort((ids, -scores[ids]))][:top_k])
    return np.array(lists)


def make(n=40, vocabulary=500, d=24, seed=0, dtype=torch.float32):
    random = np.random.default_rng(seed)
    rows = torch.from_numpy(random.standard_normal((vocabulary, d))).to(dtype)
    vectors = random.standard_normal((n, d)).astype(np.float32).astype(np.float64)
    return vectors, rows, np.ones(vocabulary, dtype=bool)


def assert_exact(vectors, rows, allowed, top_k=30, **options):
    """Both sides equal the brute force; returns the projection."""
    found = project(vectors, Matrix(rows), allowed, top_k, both_sides=True, **options)
    for side, sign in ((found.top, 1), (found.bottom, -1)):
        expected = brute_force(vectors, rows, allowed, top_k, sign)
        np.testing.assert_array_equal(side.token_ids, expected)
        scores = np.einsum("nd,nkd->nk", vectors, rows.to(torch.float64).numpy()[expected])
        np.testing.assert_allclose(side.scores, scores, rtol=1e-12, atol=1e-300)
    return found


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.float64])
def test_lists_equal_the_brute_force_in_every_stored_precision(dtype):
    assert_exact(*make(dtype=dtype))


def test_ordinary_lists_need_no_fallback():
    found = assert_exact(*make(n=20, vocabulary=2000, d=96), arithmetics=(BFLOAT16, FLOAT32))
    assert found.unproved[0] < 20
    assert found.fallbacks == 0


@pytest.mark.parametrize("top_k", [1, 17, 481, 482, 483, 499, 500])
def test_lists_may_be_as_long_as_the_vocabulary(top_k):
    assert_exact(*make(n=5), top_k)


def test_a_list_longer_than_the_vocabulary_is_refused():
    vectors, rows, allowed = make()
    allowed[3] = False
    with pytest.raises(FFNExtractError, match=r"499 tokens .* lists of 500"):
        project(vectors, Matrix(rows), allowed, 500, both_sides=False)


def test_masked_rows_never_appear_even_with_the_highest_score():
    vectors, rows, allowed = make()
    rows[::3] *= 100
    allowed[::3] = False
    found = assert_exact(vectors, rows, allowed)
    assert not (found.top.token_ids % 3 == 0).any()
    assert not (found.bottom.token_ids % 3 == 0).any()


def test_a_block_without_allowed_rows_is_passed_over():
    vectors, rows, allowed = make()
    allowed[64:256] = False
    assert_exact(vectors, rows, allowed, block_rows=64)


def test_equal_scores_are_ordered_by_the_lower_id():
    vectors, rows, allowed = make()
    rows[250:] = rows[:250]
    found = assert_exact(vectors, rows, allowed)
    assert (found.top.token_ids[:, 0] + 250 == found.top.token_ids[:, 1]).all()


def test_rows_that_are_all_equal_give_the_first_ids(passes):
    vectors, rows, allowed = make(n=3)
    rows[:] = rows[7]
    allowed[0] = False
    found = assert_exact(vectors, rows, allowed)
    assert found.top.token_ids.tolist() == [list(range(1, 31))] * 3
    assert found.fallbacks == (6 if passes in PASSES else 0)  # the kernel keeps all 499


def test_a_vector_of_zeros_gives_the_first_ids_with_score_zero():
    vectors, rows, allowed = make(n=3)
    vectors[1] = 0
    found = assert_exact(vectors, rows, allowed)
    assert found.top.token_ids[1].tolist() == list(range(30))
    assert found.top.scores[1].tolist() == [0.0] * 30


@pytest.mark.parametrize("gap", [2.0**-20, 2.0**-22])
def test_near_ties_that_float32_cannot_tell_apart_are_decided_in_float64(gap, passes):
    """Scores 1 + i·gap² of 200 rows: float32 sees one number, float64 sees 200."""
    random = np.random.default_rng(1)
    steps = random.permutation(200)
    rows = torch.zeros(300, 8)
    rows[:200, 0] = 1.0
    rows[:200, 1] = torch.from_numpy(steps * gap).to(torch.float32)
    vectors = np.zeros((2, 8))
    vectors[:, 0] = 1.0
    vectors[:, 1] = gap
    found = assert_exact(vectors, rows, np.ones(300, dtype=bool))
    assert found.top.token_ids[0].tolist() == np.argsort(-steps)[:30].tolist()
    assert (found.fallbacks > 0) == (passes in PASSES)


def test_cancelling_terms_are_decided_in_float64():
    """Large terms cancel, so float32 scores are noise: the bound must notice."""
    random = np.random.default_rng(2)
    rows = torch.from_numpy(random.standard_normal((400, 20)).astype(np.float32))
    rows[:, 10:] = -rows[:, :10]
    rows[:, 9] += torch.from_numpy(random.standard_normal(400).astype(np.float32)) * 1e-6
    vectors = np.ones((4, 20)) * np.array([[1.0], [2.0], [2.0**13], [2.0**-13]])
    assert_exact(vectors, rows, np.ones(400, dtype=bool))


@pytest.mark.parametrize("scale", [1e-300, 1e-42, 1e-20, 1e15, 1e30])
def test_very_small_and_very_large_vectors(scale):
    vectors, rows, allowed = make()
    assert_exact(vectors * scale, rows, allowed)


@pytest.mark.parametrize("scale", [1e-44, 1e-38, 1e-30, 1e25, 1e36])
def test_very_small_and_very_large_embeddings(scale):
    vectors, rows, allowed = make()
    assert_exact(vectors, (rows.to(torch.float64) * scale).to(torch.float32), allowed)


def test_rows_of_very_different_size():
    vectors, rows, allowed = make()
    rows *= torch.logspace(-8, 8, len(rows))[:, None]
    assert_exact(vectors, rows, allowed)


def test_scores_beyond_float32_are_refused():
    vectors, rows, allowed = make()
    with pytest.raises(FFNExtractError, match="too large to be stored"):
        project(vectors * 1e100, Matrix(rows), allowed, 30, both_sides=False)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_weights_that_are_not_finite_are_refused(bad):
    vectors, rows, allowed = make()
    rows[499, 3] = bad
    with pytest.raises(FFNExtractError, match="E holds values that are not finite"):
        project(vectors, Matrix(rows), allowed, 30, both_sides=False)
    vectors[2, 2] = bad
    with pytest.raises(FFNExtractError, match="A vector holds values that are not finite"):
        project(vectors, Matrix(rows), allowed, 30, both_sides=False)


def test_scores_are_the_same_bits_whatever_the_threads_blocks_and_company(monkeypatch):
    vectors, rows, allowed = make(n=40, vocabulary=1000, d=96)
    vectors[5] = 0
    rows[100:140] = rows[1]
    reference = project(vectors, Matrix(rows), allowed, 30, both_sides=True)
    before = torch.get_num_threads()
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            for block_rows, pairs in ((50, 1 << 18), (333, 96 * 37), (10_000, 1 << 18)):
                monkeypatch.setattr(rescoring, "_PAIR_ELEMENTS", pairs)
                found = project(
                    vectors, Matrix(rows), allowed, 30, both_sides=True, block_rows=block_rows
                )
                assert_same_bits(found, reference)
    finally:
        torch.set_num_threads(before)
    alone = project(vectors[9:10], Matrix(rows), allowed, 30, both_sides=False)
    assert alone.top.scores.tobytes() == reference.top.scores[9:10].tobytes()


def test_the_fallback_gives_the_same_bits_as_the_fast_path():
    vectors, rows, allowed = make()
    fast = project(vectors, Matrix(rows), allowed, 30, both_sides=True)
    slow = project(
        vectors, Matrix(rows), allowed, 30, both_sides=True, arithmetics=[EVERYTHING_OPEN]
    )
    assert (fast.fallbacks, slow.fallbacks) == (0, 80)
    assert_same_bits(slow, fast)


def test_a_projector_that_keeps_the_unembedding_gives_the_same_bits_in_every_call():
    vectors, rows, allowed = make(n=60, vocabulary=900, d=64)
    allowed[::7] = False
    reference = project(vectors, Matrix(rows), allowed, 30, both_sides=True)
    kept = Projector(HeldRows(rows), allowed, 30, both_sides=True, keep=True, block_rows=256)
    for part in (slice(0, 25), slice(25, 60)):
        found = kept.project(vectors[part])
        assert found.top.token_ids.tobytes() == reference.top.token_ids[part].tobytes()
        assert found.bottom.scores.tobytes() == reference.bottom.scores[part].tobytes()


@pytest.mark.parametrize("stored", [torch.float64, torch.float32, torch.float16])
@pytest.mark.parametrize("arithmetic", [FLOAT32, BFLOAT16])
def test_the_error_bound_holds_for_real_products(arithmetic, stored):
    vectors, rows, _ = make(n=50, vocabulary=4000, d=300, dtype=stored)
    vectors /= np.abs(vectors).max(axis=1, keepdims=True)
    lower, rounded = torch.from_numpy(vectors).to(arithmetic.dtype), rows.to(arithmetic.dtype)
    rough = (lower @ rounded.T).to(torch.float64).numpy()
    exact = vectors @ rows.to(torch.float64).numpy().T
    bounds = RowBounds()
    bounds.add(rows, rounded)
    errors = arithmetic.errors(vectors, lower.to(torch.float64).numpy(), bounds)[:, None]
    for sign in (1, -1):
        assert (sign * exact <= arithmetic.limit(sign * rough, errors)).all()
    assert (errors < 0.05 * np.abs(exact).max(axis=1, keepdims=True)).all()


def test_a_processor_without_native_bfloat16_multiplies_in_float32(monkeypatch):
    cpu = torch.device("cpu")
    for said, expected in (({"avx2": True}, (FLOAT32,)), ({"amx_bf16": True}, (BFLOAT16, FLOAT32))):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda said=said: said)
        assert arithmetics_for(cpu) == expected


@pytest.mark.parametrize("seed", range(12))
def test_random_mixtures_of_what_is_difficult(seed):
    """Near-ties, copies, masks, wild norms, any length: each input a mixture of all."""
    random = np.random.default_rng(seed)
    n, vocabulary, d = (int(random.integers(*span)) for span in ((1, 40), (70, 900), (1, 130)))
    vectors, rows, allowed = make(n, vocabulary, d, seed)
    copies = random.integers(0, vocabulary, (2, vocabulary // 3))
    rows[copies[0]] = rows[copies[1]] * (1 + random.choice([0, 2.0**-23, 2.0**-9]))
    rows[random.random(vocabulary) < 0.1] *= 10.0 ** random.integers(-30, 20)
    vectors[random.random(n) < 0.3] *= 10.0 ** random.integers(-30, 10)
    vectors[random.random(n) < 0.1] = 0
    vectors += random.choice([0, 1e-9]) * random.standard_normal(vectors.shape)
    allowed[random.random(vocabulary) < random.choice([0, 0.5, 0.9])] = False
    allowed[:3] = True
    top_k = int(random.choice([1, 30, allowed.sum() - 1, allowed.sum()]))
    block_rows = int(random.choice([64, 100, 1000]))
    found = project(
        vectors, Matrix(rows), allowed, min(top_k, int(allowed.sum())),
        both_sides=True, block_rows=block_rows,
        arithmetics=[BFLOAT16] if seed % 4 == 0 else (),
    )  # fmt: skip
    reference = project(
        vectors, Matrix(rows), allowed, min(top_k, int(allowed.sum())),
        both_sides=True, arithmetics=[EVERYTHING_OPEN],
    )  # fmt: skip
    assert_same_bits(found, reference)


EVERYTHING_OPEN = Arithmetic(torch.float32, 0.0, summation=2.0**60, spare=0, spare_by_width=0)
"""Proves nothing, so that every list is searched in float64."""


def test_progress_reaches_the_end():
    seen = []
    vectors, rows, allowed = make()
    project(vectors, Matrix(rows), allowed, 5, both_sides=False, block_rows=200, report=seen.append)
    assert seen == [200, 400, 500]


def assert_same_bits(found, reference):
    for name in ("top", "bottom"):
        a, b = getattr(found, name), getattr(reference, name)
        assert a.token_ids.tobytes() == b.token_ids.tobytes()
        assert a.scores.tobytes() == b.scores.tobytes()
