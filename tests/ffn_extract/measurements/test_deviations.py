"""Where the 2022 paper, its released code and our defaults differ; each name says which."""

import json
import sys

import numpy as np
import pytest
import torch

from ffn_extract.measurements.events import elimination_layers, induced_by_ffn
from ffn_extract.measurements.options import MeasureOptions
from ffn_extract.measurements.promotion import PAPER_EVENTS
from ffn_extract.measurements.reductions import drawn_indices
from ffn_extract.measurements.run import measure
from ffn_extract.measurements.saturation import PAPER_SHARES
from tests.ffn_extract.measurements.by_hand import readings_of, table, toy_model
from tests.ffn_extract.measurements.small_runs import options_with

EXAMPLES = 2_000


@pytest.fixture(scope="module")
def toy():
    return toy_model()


def test_the_papers_event_counts_contradict_its_tables_9_and_10_and_fit_when_swapped():
    """Section 5.1: events before the last layer, of 2,000 examples."""
    room = {name: EXAMPLES * (100 - shares[-1]) / 100 for name, shares in PAPER_SHARES.items()}
    assert {name: int(most + 0.5) for name, most in room.items()} == {
        "WikiLM": 1_696,
        "GPT2": 1_317,
    }
    assert PAPER_EVENTS["GPT2"][0] > room["GPT2"]
    assert PAPER_EVENTS["GPT2"][0] < room["WikiLM"]
    assert PAPER_EVENTS["WikiLM"][0] < room["GPT2"]


@pytest.mark.parametrize(("name", "layers", "saved"), [("WikiLM", 16, 38.0), ("GPT2", 24, 17.9)])
def test_the_oracles_saving_that_the_paper_leaves_out_follows_from_its_tables_9_and_10(
    name, layers, saved
):
    shares = PAPER_SHARES[name]
    assert len(shares) == layers
    assert round(sum(shares), 2) == {"WikiLM": 100.00, "GPT2": 100.16}[name]  # as printed
    counted_from_1 = enumerate(shares, start=1)
    assert round(sum(p * (layers - layer) / layers for layer, p in counted_from_1), 1) == saved


def test_released_code_reads_from_one_token_on_and_the_default_leaves_the_first_position_out(
    tiny_model, tmp_path, monkeypatch
):
    """Section 5.1: its prefixes have 1 to T − 1 tokens. Here --min-prefix 1 asks for that."""
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    corpus = tmp_path / "texts.txt"
    corpus.write_text("".join(f"the cat {i}\n" for i in range(30)))
    found = {}
    for shortest in (None, 1):
        out = tmp_path / str(shortest)
        given = options_with(str(corpus), examples=20, min_prefix=shortest)
        measure(["saturation"], tiny_model("gpt2"), out, given)
        manifest = json.loads((out / "manifest.json").read_text())
        found[shortest] = manifest["parameters"]["examples"]["at_position_0"]
    assert found[None] == 0
    assert found[1] > 0


def test_random_sub_updates_are_drawn_among_dominant_ones_too_as_in_the_released_code():
    """Appendix A.3: it shuffles all vectors of the layer."""
    drawn = np.stack([drawn_indices(0, number, [12])[0] for number in range(500)])
    for index in range(12):
        assert (drawn == index).any(axis=1).mean() == pytest.approx(10 / 12, abs=0.06)
    assert all(len({*row}) == 10 for row in drawn.tolist())


def test_dominance_goes_by_absolute_sizes_of_which_the_released_code_also_keeps_signed_ones(
    toy, tmp_path
):
    """Appendix A.3: in layer 1, vector 9 has m = −0.5; signed, it would be the last of all."""
    readings = readings_of(toy, [[3, 0], [4, 0]], tmp_path)
    assert readings.arrays["dominant"][0, 1, :2].tolist() == [4, 9]
    rows = {row[:3]: row[3] for row in table(readings, "contribution", "contribution").rows}
    assert rows[1, "dominant", 2] == pytest.approx(1.0)


def test_scores_of_the_reference_token_leave_the_norm_out_through_which_tokens_are_ranked(
    toy, tmp_path
):
    """Section 5.1: 3 on token 1's axis scores 3, whatever the stream's norm is."""
    readings = readings_of(toy, [[3, 0], [4, 0]], tmp_path)
    rows = {row[:4]: row[4] for row in table(readings, "promotion", "promotion").rows}
    assert rows["saturation", "all", "dominant", "max"] == pytest.approx(3.0)
    with torch.inference_mode():
        logits = toy(input_ids=torch.tensor([[3, 0]])).logits[0, -1]
    assert logits.max().item() < 2.9  # the normed stream, which ranks are read from


def test_saturation_in_the_last_layer_is_no_event_as_the_papers_text_says():
    """Section 5.1: events are those "induced by the FFN before the last layer"."""
    arrays = {
        "top_after": np.array([[5, 7], [7, 7]]),
        "final": np.array([7, 7]),
        "rank_before": np.array([[2, 2], [2, 1]]),
    }
    assert induced_by_ffn(arrays).tolist() == [False, True]


def test_the_second_set_of_eliminations_without_layer_0_is_an_addition_to_the_paper():
    """Section 5.1: in tied models layer 0 mostly evicts the input token."""
    ranks = {"rank_after": np.array([[50, 1, 3], [9, 2, 1]])}
    assert elimination_layers(ranks).tolist() == [0, 0]
    assert elimination_layers(ranks, first=1).tolist() == [2, 1]


def test_the_papers_thresholds_of_extreme_scores_are_options_and_the_default_is_a_percentile(
    toy, tmp_path
):
    """Section 5.2: the paper sets one by hand for each model."""
    from ffn_extract.measurements import measurement_of

    given = MeasureOptions(resamples=100, extreme_below=-0.1, extreme_above=0.1)
    readings = readings_of(toy, [[3, 0], [4, 0]], tmp_path, given)
    found = measurement_of("top-candidate").compute(readings)
    assert found.thresholds == {"extreme_above": 0.1, "extreme_below": -0.1}
    default = readings_of(toy, [[3, 0], [4, 0]], tmp_path / "default")
    scores = np.abs(default.arrays["dominant_top"])
    threshold = measurement_of("top-candidate").compute(default).thresholds["extreme_above"]
    assert threshold == pytest.approx(np.nanpercentile(scores, 99.9))


def test_tables_count_layers_from_0_and_the_papers_from_1():
    """Tables 9 and 10: its layer 1 stands beside our layer 0."""
    from ffn_extract.measurements import measurement_of

    (beside,) = [
        one for one in measurement_of("saturation").in_paper.tables if one.table == "saturation"
    ]
    assert beside.paper["WikiLM, paper"][(0,)] == "6.70%"
    assert beside.paper["GPT2, paper"][(23,)] == "34.15%"
    shares = measurement_of("contribution").in_paper.tables[0].paper
    large = {
        name: [layer + 1 for (layer,), share in cells.items() if share == "> 10%"]
        for name, cells in shares.items()
    }
    assert large == {"WikiLM, paper": list(range(8, 17)), "GPT2, paper": [1]}
