"""Options: checked before any work, stored and read back."""

import json
import subprocess
import sys

import pytest

from ffn_extract.errors import FFNExtractError
from ffn_extract.options import KINDS, ExtractOptions
from ffn_extract.progress import STEPS

TENSORS = {
    "value_tensor": "h.{layer}.fc2",
    "key_tensor": "h.{layer}.fc1",
    "unembedding_tensor": "head",
    "orientation": "col",
}


def test_options_survive_json():
    options = ExtractOptions(
        kinds=("update", "value"), seed=7, glosses=(), revision="main", **TENSORS
    )
    assert ExtractOptions.from_json(options.to_json()) == options


def test_every_value_vector_survives_json_beside_a_number_of_drawn_ones():
    options = ExtractOptions(per_layer="all", drawn_per_layer=3)
    assert ExtractOptions.from_json(json.loads(json.dumps(options.to_json()))) == options


@pytest.mark.parametrize(
    ("options", "count"),
    [
        (ExtractOptions(per_layer=7), 7),
        (ExtractOptions(per_layer=7, drawn_per_layer=2), 2),
        (ExtractOptions(per_layer="all"), 10),
        (ExtractOptions(per_layer="all", drawn_per_layer=20), 20),
    ],
)
def test_what_is_drawn_follows_the_values_unless_it_is_said(options, count):
    assert options.drawn_count == count


def test_the_order_of_kinds_makes_no_difference():
    assert ExtractOptions(kinds=("update", "value")) == ExtractOptions(kinds=("value", "update"))


@pytest.mark.parametrize(
    ("bad", "sentence"),
    [
        ({"kinds": ()}, f"kinds must name at least one of: {', '.join(KINDS)}."),
        (
            {"kinds": ("values",)},
            f"kinds has no values; it knows: {', '.join(KINDS)}.",
        ),
        ({"kinds": ("value", "value")}, "kinds names something twice: value, value."),
        ({"kinds": "value"}, "kinds must be a list of names, not 'value'."),
        ({"per_layer": 0}, "per_layer must be a whole number from 1 to 2147483647, or all, not 0."),
        (
            {"per_layer": True},
            "per_layer must be a whole number from 1 to 2147483647, or all, not True.",
        ),
        (
            {"per_layer": "every"},
            "per_layer must be a whole number from 1 to 2147483647, or all, not 'every'.",
        ),
        (
            {"per_layer": "all", "kinds": ("random",)},
            "per_layer can be all for the kind value only, and kinds does not name it.",
        ),
        (
            {"drawn_per_layer": 0},
            "drawn_per_layer must be a whole number from 1 to 2147483647, not 0.",
        ),
        ({"top_k": 1001}, "top_k must be a whole number from 1 to 1000, not 1001."),
        ({"seed": -1}, "seed must be a whole number from 0 to 9223372036854775807, not -1."),
        ({"projection": "fast"}, "projection must be one of raw, fold, norm, not 'fast'."),
        ({"random_grain": []}, "random_grain must be one of dimension, layer, model, not []."),
        ({"corpus": " "}, "corpus must be text that is not empty, not ' '."),
        ({"corpus_field": ""}, "corpus_field must be text that is not empty, not ''."),
        ({"glosses": ("oxford",)}, "glosses has no oxford; it knows: wordnet, wikipedia."),
        ({"drop_special": 1}, "drop_special must be true or false, not 1."),
        ({"through_head": "yes"}, "through_head must be true or false, not 'yes'."),
        ({"allow_fewer_layers": 1}, "allow_fewer_layers must be true or false, not 1."),
        ({"device": "gpu"}, "device must be auto, cpu, cuda or cuda:N, not 'gpu'."),
        ({"revision": ""}, "revision must be text that is not empty, not ''."),
        (
            {"value_tensor": "h.{layer}.fc2"},
            "value_tensor needs unembedding_tensor and orientation too. Give that as well.",
        ),
        (
            {"orientation": "row"},
            "orientation needs value_tensor too. Give that as well.",
        ),
        (
            {**TENSORS, "key_tensor": "h.0.fc1"},
            "key_tensor must have the same braces as value_tensor, "
            "not 'h.0.fc1' beside 'h.{layer}.fc2'.",
        ),
        (
            {**TENSORS, "value_tensor": "h.{layer}.{layer}.fc2", "key_tensor": None},
            "value_tensor must have {layer} and {expert} at most once each and no other braces in "
            "it, not 'h.{layer}.{layer}.fc2'.",
        ),
        (
            {**TENSORS, "value_tensor": "h.{layers}.fc2", "key_tensor": None},
            "value_tensor must have {layer} and {expert} at most once each and no other braces in "
            "it, not 'h.{layers}.fc2'.",
        ),
        (
            {**TENSORS, "norm_gain_tensor": "norm"},
            "norm_gain_tensor needs norm_kind too. Give that as well.",
        ),
        (
            {"norm_gain_tensor": "norm", "norm_kind": "rms"},
            "norm_gain_tensor needs value_tensor too. Give that as well.",
        ),
        (
            {**TENSORS, "norm_offset": 1.0},
            "norm_offset needs norm_gain_tensor too. Give that as well.",
        ),
        ({"name": "a" * 301}, "name has 301 characters; a name has at most 300. Give another one."),
        (
            {"name": "a\x1bb"},
            "name has the invisible character U+001B; a name is printable text. Give another one.",
        ),
        (
            {"vectors": ()},
            "vectors must name from 1 to 10,000 vectors, not 0. per_layer all takes every one.",
        ),
        ({"vectors": ("1:2", "1:02")}, "vectors names 1:2 twice. Name each once."),
        ({"vectors": ("1:-2",)}, "vectors has '1:-2'; each vector is LAYER:INDEX, such as 14:518."),
        (
            {"vectors": ("1:2",), "kinds": ("random",)},
            "vectors chooses value vectors, and kinds does not name the kind value. Add it.",
        ),
        (
            {"vectors": ("1:2",), "per_layer": "all"},
            "vectors chooses value vectors, and per_layer all takes every one: give one of the "
            "two.",
        ),
        (
            {**TENSORS, "unembedding_tensor": "{layer}"},
            "unembedding_tensor must have no braces in it, not '{layer}'.",
        ),
        ({**TENSORS, "value_tensor": 3}, "value_tensor must be text that is not empty, not 3."),
        ({**TENSORS, "orientation": "up"}, "orientation must be one of row, col, not 'up'."),
        ({"colour": "red"}, "Unknown option: colour."),
    ],
)
def test_a_bad_value_is_refused_in_a_sentence(bad, sentence):
    with pytest.raises(FFNExtractError) as refused:
        ExtractOptions.from_json(bad)
    assert str(refused.value) == sentence


def test_every_bad_value_gets_its_sentence():
    with pytest.raises(FFNExtractError, match=r"top_k must .* device must "):
        ExtractOptions(top_k=0, device="gpu")


def test_what_the_site_imports_loads_nothing_heavy():
    code = (
        "import sys, ffn_extract.bundle, ffn_extract.options, ffn_extract.progress;"
        "heavy = {'torch', 'transformers', 'safetensors', 'nltk', 'tokenizers', 'django'};"
        "sys.exit(' '.join(sorted(heavy & set(sys.modules))) or 0)"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_the_pipeline_names_the_same_steps():
    from ffn_extract import pipeline

    assert pipeline.STEPS is STEPS
