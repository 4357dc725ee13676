"""The benchmarks run, and what they measure stays within very wide limits."""

import sys

import pytest
import torch

from benchmarks import __main__ as bench
from benchmarks.figures import Figure
from benchmarks.projection import BERT, Shape, make, ours, peak, ratio, torch_argsort, torch_top
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


def test_the_table_says_what_is_met_missed_and_failed(monkeypatch, capsys):
    found = {
        "projection": [Figure("fast", 0.2, "× torch", 0.3), Figure("slow", 0.4, "× torch", 0.3)],
        "throughput": "ValueError: no",
        "glosses": [
            Figure("many", 30, "a second", 20, at_least=True),
            Figure("only | told", 1, "s"),
        ],
    }
    monkeypatch.setattr(bench, "measured", found.__getitem__)
    monkeypatch.setattr(bench, "_load", lambda: 0.9)
    for extra, code in ([], 1), (["--strict"], 1):
        monkeypatch.setattr(sys, "argv", ["benchmarks", *found, *extra])
        with pytest.raises(SystemExit) as ended:
            bench.main()
        assert ended.value.code == code
    del found["throughput"]
    monkeypatch.setattr(sys, "argv", ["benchmarks", *found])
    with pytest.raises(SystemExit) as ended:
        bench.main()
    assert ended.value.code == 0  # a missed target is no failure
    said = capsys.readouterr().out
    assert "| throughput | failed: ValueError: no |  |  | failed |" in said
    assert "| projection | fast | 0.2 × torch | at most 0.3 | met |" in said
    assert "| projection | slow | 0.4 × torch | at most 0.3 | missed |" in said
    assert "| glosses | many | 30 a second | at least 20 | met |" in said
    assert "| glosses | only / told | 1 s |  |  |" in said
    assert "others use it, so ratios only" in said


def test_what_has_no_target_is_refused_by_name(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["benchmarks", "key_press", "nothing"])
    with pytest.raises(SystemExit):
        bench.main()
    assert "No target to measure in: key_press, nothing." in capsys.readouterr().err


def test_every_benchmark_with_a_target_is_described():
    documented = (bench.FOLDER.parent / "docs/performance.md").read_text()
    told = [name for name in bench.names() if bench.has_figures(name)]
    assert len(told) >= 9
    assert [name for name in told if f"benchmarks.{name}" not in documented] == []


def test_projecting_takes_the_embedding_twice_and_no_more_than_512_mb():
    size = BERT.d * BERT.vocabulary * 4
    assert peak(BERT, 64, torch.float32) < 2 * size + (512 << 20)
