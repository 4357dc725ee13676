"""The options of `ffn-extract measure` as pages and the API have them: the command's own."""

from dataclasses import fields

import click
import pytest

from ffn_extract import running
from ffn_extract.checkpoints.find import find_checkpoint
from ffn_extract.cli import measure
from ffn_extract.errors import OptionError
from ffn_extract.measurements.declared import MEASURE_OPTIONS, OF_THE_MODEL, measure_options
from ffn_extract.measurements.options import MeasureOptions, limits
from ffn_extract.option_types import Integer
from ffn_extract.options import OPTIONS
from tests.ffn_extract.tiny_models import copied


def test_every_option_of_the_command_is_declared_or_of_the_model():
    of_command = {one.name for one in measure.params if isinstance(one, click.Option)}
    assert of_command - {*MEASURE_OPTIONS} <= {*OF_THE_MODEL, "out", "vectors_file"}
    assert {one.name for one in fields(MeasureOptions)} <= {
        *MEASURE_OPTIONS, "model", "suppression",
    }  # fmt: skip


def test_numbers_have_the_bounds_that_are_checked():
    for name, (low, high) in limits().items():
        kind = MEASURE_OPTIONS[name].type
        assert isinstance(kind, Integer)
        assert (kind.low, kind.high) == ((low, high) if name not in OPTIONS else (0, high))


def test_no_values_are_the_commands_defaults():
    assert measure_options({}) == measure_options(
        {name: one.default for name, one in MEASURE_OPTIONS.items()}
    )
    assert measure_options({}).model.per_layer == 100
    assert measure_options({"top_k": 7, "seed": 3}).model.top_k == 7
    assert measure_options({"seed": 3}).seed == measure_options({"seed": 3}).model.seed == 3
    assert measure_options({"prepend": "5"}).prepend == 5
    assert measure_options({}, {"revision": "abc"}).model.revision == "abc"


def test_vectors_to_turn_on_are_given_one_by_one_or_by_words():
    turned = measure_options({"set": "1:3=2, 0:4", "coefficient": 5.0}).suppression
    assert turned.set == ((1, 3, 2.0), (0, 4, 5.0))
    assert measure_options({"promoting": "cat, Mat"}).suppression.promoting == ("cat", "mat")


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"scorer": "os:system"}, "scorer is an option of the command line only."),
        ({"nothing": 1}, "Unknown option: nothing."),
        ({"examples": "many"}, "examples must be a whole number"),
        ({"set": "1"}, "set is LAYER:INDEX=COEFFICIENT"),
    ],
)
def test_what_cannot_be_used_is_refused(values, said):
    with pytest.raises(OptionError) as refused:
        measure_options(values)
    assert said in str(refused.value)


def test_the_last_model_is_kept_until_its_files_change(tiny_model, tmp_path, monkeypatch):
    monkeypatch.setattr(running, "_kept", None)
    folder = copied(tiny_model("gpt2"), tmp_path)
    checkpoint = find_checkpoint(str(folder))
    assert running.load_model(checkpoint, running.MEASUREMENTS) is not running.load_model(
        checkpoint, running.MEASUREMENTS
    )  # nobody asked for it to be kept
    kept = running.keep_last_model()
    assert running.keep_last_model() is kept
    first = running.load_model(checkpoint, running.MEASUREMENTS)
    assert running.load_model(checkpoint, running.MEASUREMENTS) is first
    assert kept.loaded == 1
    assert running.load_model(checkpoint, running.UPDATES) is not first  # without its head
    (folder / "config.json").write_text((folder / "config.json").read_text() + "\n")
    changed = running.load_model(find_checkpoint(str(folder)), running.MEASUREMENTS)
    assert changed is not first
    assert kept.loaded == 3
