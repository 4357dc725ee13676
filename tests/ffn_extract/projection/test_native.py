"""The native kernel: its bounds, its refusals, and the same bits on every path."""

import hashlib
from fractions import Fraction

import numpy as np
import pytest
import torch

from ffn_extract.projection.native.library import loaded, possible_paths
from ffn_extract.projection.native.processors import Path
from ffn_extract.projection.native.search import NativeSearch
from ffn_extract.projection.projector import project
from ffn_extract.projection.working_rows import HeldRows
from tests.ffn_extract.projection.kernels import require_path

HUGE, TINY = 2.0**99, 2.0**-140


@pytest.fixture(params=Path.__members__)
def path(request) -> Path:
    require_path(Path[request.param])
    return Path[request.param]


def rows_of_every_kind(d: int, dtype: torch.dtype) -> torch.Tensor:
    """Ordinary rows, zeros, huge and subnormal ones, one with a single large coordinate."""
    random = np.random.default_rng(d)
    rows = random.standard_normal((70, d))
    rows[3] = 0
    rows[4] *= 1e4 if dtype == torch.float16 else HUGE / np.sqrt(d)
    rows[5] *= TINY
    rows[6, d // 2] = 1e4
    rows[7] = np.abs(rows[7])  # all errors of a sum go one way
    return torch.from_numpy(rows).to(dtype)


def vectors_of_every_kind(d: int) -> np.ndarray:
    random = np.random.default_rng(d + 1)
    vectors = random.standard_normal((37, d))
    vectors[1] = np.abs(vectors[1])
    vectors[2] *= 2.0 ** random.integers(-160, 0, d)
    vectors[3] = 0
    vectors[4] = random.choice([0.999, 0.5000001], d)
    return vectors / np.maximum(np.abs(vectors).max(axis=1, keepdims=True) * 1.0001, 1e-300)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64, torch.float16])
@pytest.mark.parametrize("d", [1, 2, 31, 96, 600])
def test_no_score_is_further_off_than_its_bound(path, d, dtype):
    rows, vectors = rows_of_every_kind(d, dtype), vectors_of_every_kind(d)
    search = NativeSearch(HeldRows(rows), np.ones(len(rows), np.bool_), path, block_rows=33)
    scores, bounds = search.bounds(vectors)
    stored = rows.to(torch.float64).numpy()
    assert (bounds >= 0).all()
    exact_rows = {
        row: [Fraction(x) for x in stored[row].tolist()] for row in (0, 3, 4, 5, 6, 7, 69)
    }
    for number in (0, 1, 2, 3, 4, 36):
        exact_vector = [Fraction(x) for x in vectors[number].tolist()]
        for row, exact_row in exact_rows.items():
            bound = float(bounds[number, row])
            if bound == np.inf:
                assert row == 4
                continue
            true = sum((a * b for a, b in zip(exact_row, exact_vector, strict=True)), Fraction())
            assert abs(true - Fraction(float(scores[number, row]))) <= Fraction(bound)
    ordinary = np.ix_([0, 36], [0, 1, 2, 8])
    assert (
        bounds[ordinary] < 0.02 * np.linalg.norm(stored[[0, 1, 2, 8]], axis=1) * np.sqrt(d)
    ).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(("vocabulary", "d", "n"), [(5000, 40, 70), (331, 130, 3), (40, 1, 33)])
def test_every_path_gives_the_bits_that_pytorch_gives(vocabulary, d, n, dtype, monkeypatch):
    random = np.random.default_rng(vocabulary)
    rows = torch.from_numpy(random.standard_normal((vocabulary, d))).to(dtype)
    rows[vocabulary // 2 :] = rows[vocabulary // 3]  # more equal rows than a list's candidates
    allowed = random.random(vocabulary) < 0.95
    vectors = random.standard_normal((n, d))
    digests = {}
    for name in ["off", *(path.name for path in possible_paths())]:
        monkeypatch.setenv("FFN_KERNEL", name)
        found = project(vectors, HeldRows(rows), allowed, 7, both_sides=True)
        digests[name] = digest(found.top) + digest(found.bottom)
    assert len(set(digests.values())) == 1, digests


def digest(side) -> str:
    return hashlib.sha256(side.token_ids.tobytes() + side.scores.tobytes()).hexdigest()


def test_a_list_with_too_many_candidates_is_left_to_the_search_in_float64(path, monkeypatch):
    monkeypatch.setenv("FFN_KERNEL", path.name)
    rows = torch.ones(9000, 4)
    found = project(np.ones((2, 4)), HeldRows(rows), np.ones(9000, np.bool_), 5, both_sides=False)
    assert found.top.token_ids.tolist() == [[0, 1, 2, 3, 4]] * 2
    assert found.fallbacks == 2


def test_many_vectors_and_threads_make_no_difference(path):
    """More vectors than are searched for at once, on more threads than the machine has."""
    random = np.random.default_rng(4)
    rows = torch.from_numpy(random.standard_normal((700, 600)).astype(np.float32))
    vectors = random.uniform(-1, 1, (1500, 600))
    search = NativeSearch(HeldRows(rows), np.ones(700, np.bool_), path, keep=True)
    before = torch.get_num_threads()
    try:
        found = []
        for threads in (1, 5):
            torch.set_num_threads(threads)
            found += search.find(vectors, 3, (1, -1))
    finally:
        torch.set_num_threads(before)
    for one, other in zip(found[:2], found[2:], strict=True):
        assert one.token_ids.tobytes() == other.token_ids.tobytes()
        assert one.scores.tobytes() == other.scores.tobytes()
    assert found[0].proved.all()
    scores = vectors @ rows.to(torch.float64).numpy().T
    np.testing.assert_array_equal(found[0].token_ids[:, 0], scores.argmax(axis=1))
    np.testing.assert_array_equal(found[1].token_ids[:, 0], scores.argmin(axis=1))


def test_hostile_sizes_are_refused_before_any_memory_is_touched(path):
    kernel, one = loaded().library, np.zeros(1)
    at = int(one.ctypes.data)
    for n, d in ((-1, 4), (4, 0), (4, -1), (1 << 40, 4), (1 << 30, 1 << 30), (4, 1 << 31)):
        assert kernel.ffn_packed_bytes(path, n, d) == -1
        assert kernel.ffn_pack(path, 0, at, at, n, d, 1, at, at, at) == -1
        assert not kernel.ffn_search_new(path, at, n, d, 1, 1, 1)
    for k, sides, threads in ((0, 1, 1), (1, 0, 1), (1, 4, 1), (1, 1, 0), (1 << 40, 1, 1)):
        assert not kernel.ffn_search_new(path, at, 1, 1, k, sides, threads)
    assert kernel.ffn_packed_bytes(99, 1, 1) == -1
    assert kernel.ffn_pack(path, 7, at, at, 1, 1, 1, at, at, at) == -1
