"""The measurements of the 2021 paper on planted models, worked out by hand."""

import math
import sys

import pytest
import transformers

from ffn_extract.errors import CorpusError, FFNExtractError, OptionError
from ffn_extract.measurements import measurement_of
from ffn_extract.measurements.key_value_agreement import bin_names
from ffn_extract.measurements.options import MeasureOptions
from ffn_extract.measurements.run import measure
from tests.ffn_extract.keys.planted_words import AXIS, SENTENCES, saved, word_model
from tests.ffn_extract.keys.planted_words import plant as plant_key
from tests.ffn_extract.measurements.by_hand import readings_of, table, toy_model
from tests.ffn_extract.measurements.planted import plant
from tests.ffn_extract.measurements.small_runs import rows_of

WORD, SUFFIX, TOPIC, NOTHING, DOG = range(5)
VALUES = {WORD: ("sat", 5.0), SUFFIX: ("walking", 1.0), TOPIC: ("cat", 1.0), DOG: ("walking", 0.1)}


@pytest.fixture(scope="module", autouse=True)
def without_figures():
    """Drawing takes most of a small measurement's time; test_figures.py draws."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "matplotlib.figure", None)
        yield


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """Keys on the cat, on -ing, on animals, on nothing and on the dog, each with a value.

    The top triggers are "the cat" (sat), "a walking" (cat), "the cat" (sat) and "a dog" (ran); the
    words in brackets follow.
    """
    made = word_model()
    plant_key(made, WORD, {"cat": 1.0})
    plant_key(made, SUFFIX, {"running": 2.0, "walking": 3.0})
    plant_key(made, TOPIC, {"cat": 1.0, "dog": 1.0})
    plant_key(made, DOG, {"dog": 1.0})
    for index, (word, amount) in VALUES.items():
        made.model.layers[1].mlp.down_proj.weight.data[AXIS[word], index] = amount
    return saved(made, tmp_path_factory.mktemp("planted") / "model")


def options_of(tmp_path, **changes):
    (tmp_path / "texts.txt").write_text("\n".join(SENTENCES))
    given = {"corpus": str(tmp_path / "texts.txt"), "examples": len(SENTENCES), "workers": 1}
    return MeasureOptions(**{**given, **changes})


@pytest.fixture(scope="module")
def folder(model, tmp_path_factory):
    place = tmp_path_factory.mktemp("agreement")
    measure(["key-value-agreement"], model, place / "out", options_of(place))
    return place / "out"


def test_the_next_token_counts_and_not_the_current_one_as_in_the_released_script(folder):
    """Value 0 has the token after its key's top trigger on top; values 1 and 2 have the trigger's
    own last token there, which would be two in four."""
    first, second = rows_of(folder, "agreement")
    assert list(second) == [
        "layer", "keys", "undefined", "agreement", "chance", "mean_rank", "median_rank",
        "precision_50",
    ]  # fmt: skip
    assert (second["keys"], second["undefined"], second["agreement"]) == ("4", "1", "0.25")
    # sat twice and cat once among the next tokens; among the tops sat, walking, cat, walking.
    assert float(second["chance"]) == (1 * 2 + 1 * 1) / 16
    assert list(first.values()) == ["0", "0", "5", "", "", "", "", ""]  # nothing fires in layer 0


def test_ranks_of_the_next_token_and_precision_over_triggers(folder):
    """Of equal scores the lower id is before: ranks 1, 3 (walking, the), 4 (cat, the, dog) and 6.

    Of the dog's triggers three have a next word, and one of these is walking; sentence 2 is cut
    behind its dog.
    """
    row = rows_of(folder, "agreement")[1]
    assert (float(row["mean_rank"]), float(row["median_rank"])) == (3.5, 3.5)
    assert float(row["precision_50"]) == pytest.approx((1 + 0 + 0 + 1 / 3) / 4)


def test_agreement_by_the_largest_probability(folder):
    """exp(a) / (exp(a) + 15) is 0.91, 0.15 twice and 0.07."""
    rows = [row for row in rows_of(folder, "agreement_bins") if row["layer"] == "1"]
    found = {row["bin"]: (row["keys"], row["agreement"]) for row in rows}
    assert list(found) == bin_names()
    some = {"from 0.5": ("1", "1.0"), "0.1 to 0.5": ("2", "0.0"), "0.01 to 0.1": ("1", "0.0")}
    assert found == {**dict.fromkeys(bin_names(), ("0", "")), **some}


@pytest.mark.parametrize(
    ("changes", "error", "said"),
    [
        ({"examples": 10}, CorpusError, "The corpus has 9 sentences, and 10 are to be read"),
        ({"prepend": "bos"}, OptionError, "has no BOS token"),
    ],
)
def test_what_keys_cannot_be_read_from_is_refused(model, tmp_path, changes, error, said):
    with pytest.raises(error, match=said):
        measure(["key-value-agreement"], model, tmp_path / "out", options_of(tmp_path, **changes))


def test_keys_that_do_not_fit_into_memory_are_refused(model, tmp_path, monkeypatch):
    monkeypatch.setattr("ffn_extract.measurements.key_value_agreement.free_bytes", lambda: 10**8)
    with pytest.raises(OptionError, match=r"needs about 0\.6 GB of memory"):
        measure(["key-value-agreement"], model, tmp_path / "out", options_of(tmp_path))


def test_a_word_before_each_text_makes_its_first_word_a_trigger(model, tmp_path):
    """Behind a full stop the cat of sentence 3 is at position 1."""
    given = options_of(tmp_path, prepend=AXIS["."])
    measure(["key-value-agreement"], model, tmp_path / "out", given)
    assert rows_of(tmp_path / "out", "agreement")[1]["keys"] == "4"


@pytest.fixture(scope="module")
def readings(tmp_path_factory):
    """The toy model, with an update of two values that both have token 3 second (at token 3), and
    with one that brings up what was second (at token 4)."""
    model = toy_model()
    for index, axis in ((2, 1), (3, 2)):
        plant(model, 0, index, at=3, norm=1, m=1.0, axis=axis, amount=1.0)
        model.model.layers[0].mlp.down_proj.weight.data[3, index] = 0.8
    plant(model, 0, 5, at=4, norm=1, m=1.0, axis=5, amount=0.9)
    plant(model, 1, 6, at=4, norm=math.sqrt(1.81), m=1.0, axis=5, amount=0.5)
    model.model.layers[1].mlp.down_proj.weight.data[3, 6] = 0.6
    texts = [[3, 0], [4, 0], [0, 3], [0, 4]]
    return readings_of(model, texts, tmp_path_factory.mktemp("readings"))


def test_an_update_is_composed_where_no_active_value_has_its_top_token(readings):
    """In layer 0, two values add 1 to tokens 1 and 2, and 0.8 each to token 3: 1.6 on top.

    Of 12 values 2, 2, 2 and 1 are active; then 1, 1, 0 and 1, a negative one not counted; then
    none, so that there is no share.
    """
    rows = table(readings, "composition", "composition").rows
    assert rows == [
        (0, pytest.approx(7 / 48), 0.25, 4),
        (1, pytest.approx(3 / 48), 0.0, 3),
        (2, 0.0, None, 0),
    ]


def test_the_top_token_comes_from_the_stream_the_update_both_or_neither(readings):
    """Layer 0: o brings token 1 up twice, is where x is once, and below x once.

    Layer 1: x stays on top thrice, also where o is nothing; at token 4 the stream has 1 on token 4
    and 0.9 on 5, the update 0.6 on token 3 and 0.5 on 5, so that 5 wins. The predictions are 1, 1,
    3 and 5.
    """
    rows = table(readings, "residual", "residual").rows
    assert rows == [
        (0, 0.25, 0.25, 0.5, 0.25, 0.0, 4),
        (1, 0.75, 0.75, 0.0, 0.0, 0.25, 4),
        (2, 1.0, 1.0, 0.0, 0.0, 0.0, 4),
    ]


@pytest.mark.parametrize("name", ["composition", "residual"])
def test_figures_leave_out_layers_without_a_share(readings, name):
    for figure in measurement_of(name).compute(readings).figures:
        for line in figure.lines:
            expected = [0, 1] if figure.name == "composed_share" else [0, 1, 2]
            assert list(line.layers) == expected


@pytest.mark.parametrize("name", ["composition", "key-value-agreement"])
def test_values_that_are_not_finite_are_refused(model, tmp_path, name):
    made = transformers.LlamaForCausalLM.from_pretrained(model)
    made.model.layers[0].mlp.down_proj.weight.data[0, 0] = float("inf")
    transformers.AutoTokenizer.from_pretrained(model).save_pretrained(tmp_path / "model")
    made.save_pretrained(tmp_path / "model")
    given = options_of(tmp_path, examples=5)
    with pytest.raises(FFNExtractError, match=r"not (all )?finite numbers"):
        measure([name], tmp_path / "model", tmp_path / "out", given)
