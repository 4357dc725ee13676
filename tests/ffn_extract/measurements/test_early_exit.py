"""Early exit: planted layers of exit, the rule by hand, and plain loops over a tiny model."""

import csv
import json
import sys

import numpy as np
import pytest
import torch
import transformers

from ffn_extract.architectures import ARCHITECTURES
from ffn_extract.corpora import Corpus
from ffn_extract.errors import OptionError
from ffn_extract.measurements import measurement_of
from ffn_extract.measurements.early_exit import METHODS, SPLIT_SEEDS, split_of
from ffn_extract.measurements.examples import Example, Examples
from ffn_extract.measurements.exit_classifiers import GRID, best_threshold, fit_and_test
from ffn_extract.measurements.exit_rule import exits, ordered_overlaps, set_overlaps
from ffn_extract.measurements.kept import KeptParts
from ffn_extract.measurements.linkage import cluster, directions, numbered
from ffn_extract.measurements.measurement import Readings
from ffn_extract.measurements.memory import require_disk
from ffn_extract.measurements.options import MeasureOptions
from ffn_extract.measurements.passes import REDUCTIONS, Pass
from ffn_extract.measurements.run import measure
from ffn_extract.options import ExtractOptions
from ffn_extract.tracing.batches import BatchPlan
from ffn_extract.tracing.reader import Reader
from tests.ffn_extract.measurements import plain_exit
from tests.ffn_extract.measurements.planted import blank_model, plant
from tests.ffn_extract.tiny_models import byte_level_tokenizer

CLUSTERS = 24


@pytest.fixture(scope="module")
def planted():
    """Token 0 gets its prediction, 1, in layer 0; token 2 gets 4 in layer 1; 3 gets 0 in layer 2.

    Other vectors that are active before add to axes of no token. So the clusters of the value
    vectors, by direction, tell in each layer who saturates there.
    """
    model = blank_model()
    plant(model, 0, 0, at=0, norm=1, m=1.0, axis=1, amount=3.0)
    plant(model, 0, 1, at=2, norm=1, m=1.0, axis=6, amount=1.0)
    plant(model, 0, 2, at=3, norm=1, m=1.0, axis=7, amount=1.0)
    plant(model, 1, 2, at=2, norm=2**0.5, m=1.0, axis=4, amount=3.0)
    plant(model, 1, 3, at=3, norm=2**0.5, m=1.0, axis=6, amount=0.5)
    plant(model, 2, 4, at=3, norm=1.5, m=1.0, axis=0, amount=3.0)
    return model


def readings_of(model, texts, tmp_path):
    drawn = [Example(i, "", tuple(ids), len(ids) - 1, 0) for i, ids in enumerate(texts)]
    examples = Examples(drawn, (), 2, 0, 0, Corpus("file", ["x"]))
    reader = Reader(model, ARCHITECTURES["llama"])
    one = Pass(reader, examples, BatchPlan(4, 2), 0, REDUCTIONS, tmp_path / "parts")
    arrays = one.run(1, lambda *_: None)
    values = np.concatenate([v.take(torch.arange(12)).double().numpy() for v in reader.values])
    units, zero = directions(values)
    labels = np.full(36, 99)
    labels[~zero] = cluster(units[~zero], 5)
    return Readings(
        arrays, None, [12, 12, 12], [ids[-1] for ids in texts], MeasureOptions(),
        clusters=numbered(labels), state=one.state,
    )  # fmt: skip


def test_every_method_exits_in_the_planted_layer(planted, tmp_path):
    """Layers 0, 1 and 2 of 3 are those of 30 examples each: 2, 1 and 0 layers are saved."""
    readings = readings_of(planted, [[5, (0, 2, 3)[i % 3]] for i in range(90)], tmp_path)
    assert readings.arrays["final"][:3].tolist() == [1, 4, 0]
    # Vector 3 of layer 1 has the direction of vector 1 of layer 0; zero vectors are cluster 3.
    assert readings.clusters[:5].tolist() == [0, 1, 2, 3, 3]
    assert readings.clusters[12:17].tolist() == [3, 3, 4, 1, 3]
    assert readings.clusters[28] == 5
    result = measurement_of("early-exit").compute(readings)
    early, members = result.tables
    tested = [split_of(90, 0, seed).tested for seed in SPLIT_SEEDS]
    saved = [np.mean(2 - numbers % 3) for numbers in tested]
    expected = (
        1.0, 0.0, pytest.approx(np.mean(saved)), pytest.approx(np.std(saved, ddof=1)),
        pytest.approx(np.mean(saved)), pytest.approx(np.std(saved, ddof=1)), 5,
    )  # fmt: skip
    assert early.rows == [(*method, *expected) for method in (*METHODS, ("oracle", ""))]
    training = [np.bincount(np.delete(np.arange(90), numbers) % 3) for numbers in tested]
    assert members.rows == [(layer, n) for layer, n in enumerate(np.mean(training, axis=0))]
    assert "These are 90 examples; below 2,000 the numbers say little." in result.words


def overlaps_of(some, others):
    """Both overlaps of lists of (cluster, sign of m), filled up to 10 with no sub-update."""
    pair = []
    for texts in (some, others):
        clusters, signs = np.full((len(texts), 10), -1), np.zeros((len(texts), 10), dtype=np.int8)
        for row, items in enumerate(texts):
            for rank, (number, sign) in enumerate(items):
                clusters[row, rank], signs[row, rank] = number, sign
        pair.append((clusters, signs))
    (a, of_a), (b, of_b) = pair
    return set_overlaps(a, b, of_a, of_b).tolist(), ordered_overlaps(a, b).tolist()


def test_set_overlap_is_the_sum_of_minimal_multiplicities_with_the_sign_of_m():
    some = [[(7, 1), (7, 1), (7, 1), (2, -1)]]
    others = [[(2, -1), (7, 1), (7, 1)], [(2, 1), (7, -1)], [(7, 1)] * 4]
    assert overlaps_of(some, others)[0] == [[3, 0, 3]]


def test_ordered_overlap_without_sign_is_the_released_variant():
    some = [[(7, 1), (2, -1), (5, 1)]]
    others = [[(7, -1), (2, 1), (5, 1)], [(2, -1), (7, 1), (5, 1)], [(7, 1), (2, -1)]]
    in_sets, ordered = overlaps_of(some, others)
    assert ordered == [[3, 1, 2]]  # what is missing beyond a layer's vectors never agrees
    assert in_sets == [[1, 3, 2]]


def test_sub_updates_of_size_0_are_in_no_set():
    assert overlaps_of([[(3, 1), (1, 0)]], [[(3, 1), (1, 0)]])[0] == [[1]]


def fires(own, b1, b2=(), layer=4):
    """Whether one example exits with these overlaps with members of A, B_5 and B_7."""
    overlaps = np.array([[*own, *b1, *b2]])
    saturated = np.array([4] * len(own) + [5] * len(b1) + [7] * len(b2))
    return bool(exits(overlaps, saturated, layer)[0])


def test_an_exit_needs_a_higher_mean_and_a_higher_maximum_than_with_every_later_layer():
    assert fires([5, 3], [4, 3])
    assert not fires([5, 3], [4, 4])  # equal means
    assert not fires([5, 5], [5, 1])  # equal maxima
    assert not fires([9, 0], [5, 5, 5])
    assert not fires([5, 3], [4, 3], [5, 0])  # B_5 alone is beaten, B_7 is not


def test_members_are_split_by_each_later_layer_and_not_into_two_sets_as_in_the_papers_text():
    """All later examples together have a mean of 2.5, below 3; B_7 alone has one of 4."""
    assert not fires([3, 6], [1, 1, 1], [5, 5])
    assert fires([3, 6], [1, 1, 1], [4, 4])


def test_a_layer_without_members_or_without_later_ones_lets_none_exit():
    assert not fires([], [0, 0])
    assert not fires([5, 5], [])
    assert not fires([5], [0], layer=9)


def test_a_tenth_is_tested_and_a_ninth_of_the_others_held_out():
    one = split_of(2_000, 0, 38)
    assert [len(part) for part in (one.tested, one.held, one.fitted)] == [200, 200, 1_600]
    assert sorted(np.concatenate([one.tested, one.training])) == list(range(2_000))
    assert one.tested.tolist() == split_of(2_000, 0, 38).tested.tolist()
    assert one.tested.tolist() != split_of(2_000, 0, 39).tested.tolist()
    assert SPLIT_SEEDS == (38, 39, 40, 41, 42)  # those of the released code


def test_the_threshold_has_the_highest_f1_and_of_equal_ones_the_highest_score():
    labels = np.array([True, False, True, False])
    assert best_threshold(np.array([4.0, 3.0, 2.0, 1.0]), labels) == 2.0
    # Equal scores are on one side: from 2.0 on all four count, with an F1 of 2/3, as from 4.0.
    assert best_threshold(np.array([4.0, 2.0, 2.0, 2.0]), labels) == 4.0


@pytest.mark.parametrize("positive", [7, 8])
def test_a_classifier_needs_an_example_of_each_class_in_every_fold(positive):
    random = np.random.default_rng(0)
    labels = np.arange(60) < positive
    x = random.normal(size=(60, 3)) + 4.0 * labels[:, None]
    found = fit_and_test(x, labels, x, labels, x, lasso=False)
    assert found.fires.tolist() == (labels if positive == 8 else labels & False).tolist()
    assert (found.c in GRID) == (positive == 8)
    assert not fit_and_test(x, labels, x, labels & False, x, lasso=False).fires.any()


def random_sets(random, n):
    """Clusters and signs of n examples; few of each, so that they recur."""
    return random.integers(0, 6, (n, 10)), random.choice([-1, 1, 1], (n, 10)).astype(np.int8)


def test_the_rule_on_random_sets_is_that_of_plain_loops():
    random = np.random.default_rng(5)
    (a, of_a), (b, of_b) = random_sets(random, 30), random_sets(random, 80)
    b[:20, :5] = a[0, :5]
    saturated = random.integers(0, 4, 80)
    saturated[:20] = 1
    found = set()
    for name, overlaps in (
        ("set", set_overlaps(a, b, of_a, of_b)), ("ordered", ordered_overlaps(a, b)),
    ):  # fmt: skip
        overlap = getattr(plain_exit, f"{name}_overlap")
        some, others = (
            [list(zip(*one, strict=True)) for one in zip(x.tolist(), y.tolist(), strict=True)]
            for x, y in ((a, of_a), (b, of_b))
        )
        assert overlaps.tolist() == [[overlap(one, two) for two in others] for one in some]
        for layer in range(4):
            plain = [plain_exit.exits_at(row, saturated, layer) for row in overlaps.tolist()]
            assert exits(overlaps, saturated, layer).tolist() == plain
            found.update(plain)
    assert found == {True, False}


@pytest.mark.parametrize("lasso", [False, True])
def test_a_classifier_on_random_features_is_scikit_learns_grid_search(lasso):
    random = np.random.default_rng(1)
    labels = random.random(150) < 0.3
    x = random.normal(size=(150, 5)) * [1, 3, 9, 0, 1] + labels[:, None] * [1, 2, 0, 0, 0.5]
    fit, held, tested = slice(90), slice(90, 120), slice(120, 150)
    found = fit_and_test(x[fit], labels[fit], x[held], labels[held], x[tested], lasso=lasso)
    fires, c, threshold = plain_exit.classifier(
        x[fit], labels[fit], x[held], labels[held], x[tested], lasso=lasso, grid=list(GRID)
    )
    assert found.fires.tolist() == fires.tolist()
    assert 0 < sum(fires) < 30
    assert found.c == c
    assert found.threshold == pytest.approx(threshold)
    assert found.unfinished == 0


@pytest.fixture(scope="module")
def three_layers(tmp_path_factory):
    """A tiny GPT-2 of 3 layers that saturates in all of them, its corpus, and one measurement."""
    folder = tmp_path_factory.mktemp("early_exit")
    tokenizer = byte_level_tokenizer()
    torch.manual_seed(2)
    config = transformers.GPT2Config(
        vocab_size=tokenizer.get_vocab_size(), n_embd=16, n_layer=3, n_head=2, n_positions=32,
        bos_token_id=0, eos_token_id=0,
    )  # fmt: skip
    model = transformers.GPT2LMHeadModel(config).eval()
    for layer, block in enumerate(model.transformer.h):
        block.mlp.c_proj.weight.data *= 8 / (1 + layer)
        block.mlp.c_fc.weight.data *= 20
    model.save_pretrained(folder / "model")
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token="<|endoftext|>"
    ).save_pretrained(folder / "model")
    words = ["the cat", "sat on", "a mat", "and saw", "dogs", "running", "the", "hat"]
    lines = [f"{i} {words[i % 8]} {words[i // 8 % 8]} {i * 7}"[: 8 + i % 22] for i in range(170)]
    (folder / "texts.txt").write_text("\n".join(lines))
    options = MeasureOptions(
        model=ExtractOptions(name="tiny"), corpus=str(folder / "texts.txt"), examples=160,
        batch_rows=8, clusters=CLUSTERS, workers=1,
    )  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "matplotlib.figure", None)
        measure(["early-exit"], folder / "model", folder / "out", options)
    return folder, model


@pytest.mark.long
def test_early_exit_is_that_of_plain_loops(three_layers):
    folder, model = three_layers
    lines = (folder / "out/examples.jsonl").read_text().splitlines()
    states = plain_exit.PlainStates(model, [json.loads(line)["ids"] for line in lines])
    saturated = np.array([states.saturation(i) for i in range(len(lines))])
    assert np.bincount(saturated).min() > 10
    active = states.active(CLUSTERS)
    with (folder / "out/early_exit.csv").open() as file:
        found = {(row["method"], row["variant"]): row for row in csv.DictReader(file)}
    assert list(found) == [*METHODS, ("oracle", "")]
    splits = [split_of(len(lines), 0, seed) for seed in SPLIT_SEEDS]
    for method, variant in found:
        numbers = []
        for split in splits:
            if method == "oracle":
                layers = saturated[split.tested]
            elif method == "rule":
                overlap = getattr(plain_exit, f"{variant}_overlap")
                layers = plain_exit.rule_exits(active, saturated, split, overlap)
            else:
                parts = {"x": [states.x], "o": [states.o], "x_plus_o": [states.x, states.o]}
                features = sum(np.array(part) for part in parts[method])
                layers = plain_exit.classifier_exits(
                    features, saturated, split, lasso=variant == "lasso", grid=list(GRID)
                )
            right = [
                states.tops[layer][example] == states.tops[-1][example]
                for layer, example in zip(layers, split.tested, strict=True)
            ]
            saved = 2 - np.array(layers)
            numbers.append((np.mean(right), saved[right].mean(), saved.mean()))
        row = found[method, variant]
        for column, name in enumerate(("accuracy", "saved_correct", "saved_all")):
            own = [one[column] for one in numbers]
            assert float(row[name]) == pytest.approx(np.mean(own), abs=1e-8), (method, variant)
            assert float(row[f"{name}_sd"]) == pytest.approx(np.std(own, ddof=1), abs=1e-8)


def test_states_beyond_the_disk_are_refused_before_the_model_runs(tmp_path):
    require_disk(tmp_path, 2, 3, 8)
    with pytest.raises(OptionError, match=r"The states of 1,000,000 examples take .* GB beside"):
        require_disk(tmp_path, 1_000_000, 1_000, 100_000)


def doubled(number):
    return {"twice": np.array([2 * number, 1])}


@pytest.mark.parametrize("workers", [1, 3])
def test_parts_that_are_there_are_not_computed_again(tmp_path, workers):
    kept = KeptParts(tmp_path / "parts", "part", 5, doubled)
    told = []
    kept.run(1, lambda *given: told.append(given))
    assert told[-1] == (5, 5, 0)
    before = {number: kept.path(number).stat().st_mtime_ns for number in (0, 1, 3)}
    for number in (2, 4):
        kept.path(number).unlink()
    told.clear()
    kept.run(workers, lambda *given: told.append(given))
    assert (told[0], told[-1]) == ((3, 5, 3), (5, 5, 3))
    assert before == {number: kept.path(number).stat().st_mtime_ns for number in before}
    assert [kept.read(number)["twice"].tolist() for number in range(5)] == [
        [0, 1], [2, 1], [4, 1], [6, 1], [8, 1],
    ]  # fmt: skip
    kept.forget()
    assert not (tmp_path / "parts").exists()
