"""The benchmarks run, and what they measure stays within very wide limits."""

import torch

from benchmarks.projection import Shape, make, ours, ratio, torch_argsort, torch_top
from ffn_extract.projection.arithmetic import BFLOAT16, FLOAT32
from ffn_extract.projection.projector import project
from ffn_extract.projection.working_rows import HeldRows

SMALL = Shape(128, 5000)


def test_the_projection_is_not_slower_by_an_order_of_magnitude():
    embedding, vectors = make(SMALL, 64)
    for both in (False, True):
        run, plain = ours(embedding, vectors, both), torch_top(embedding, vectors, both)
        assert ratio(run, plain, 5)[2] < 50  # the median of five: other tests run beside this one
    torch_argsort(embedding, vectors)()


def test_few_lists_of_random_weights_need_a_second_look_and_none_a_search():
    embedding, vectors = make(Shape(256, 6000), 100)
    allowed = torch.ones(len(embedding), dtype=torch.bool).numpy()
    values = vectors.to(torch.float64).numpy()
    found = project(
        values, HeldRows(embedding), allowed, 30, both_sides=True, arithmetics=(BFLOAT16, FLOAT32)
    )
    assert found.unproved[0] <= 20
    assert found.fallbacks == 0
