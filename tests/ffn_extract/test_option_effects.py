"""An option that cannot change a list changes no digest, and it is said."""

import itertools
from dataclasses import fields, replace

import pytest

from ffn_extract.option_effects import RULES
from ffn_extract.options import KINDS, OPTIONS, USUAL_KINDS, ExtractOptions, flag_of
from ffn_extract.pipeline import extract
from tests.ffn_extract.tiny_models import SENTENCES

TENSORS = {
    "value_tensor": "transformer.h.{layer}.mlp.c_proj.weight",
    "unembedding_tensor": "transformer.wte.weight",
    "orientation": "row",
}
NORM = {"norm_gain_tensor": "transformer.ln_f.weight", "norm_kind": "layer"}
OTHER = {
    "drawn_per_layer": (2, None), "per_layer": (2, None), "seed": (7, None),
    "random_grain": ("model", None), "corpus": (str(SENTENCES), None),
    "corpus_field": ("body", None), "split_sentences": (True, None),
    "keys_of": ("all", None), "workers": (2, None),
    "norm_gain_tensor": ("transformer.h.0.ln_1.weight", TENSORS | NORM),
    "norm_kind": ("rms", TENSORS | NORM), "norm_offset": (1.0, TENSORS | NORM),
    "norm_bias_tensor": ("transformer.ln_f.bias", TENSORS | NORM),
    "norm_epsilon": (0.5, TENSORS | NORM),
    "norm_after_ffn_tensor": ("transformer.h.{layer}.ln_2.weight", TENSORS | NORM),
}  # fmt: skip
"""Another value for every option that may have no effect, and what has to be given beside it."""
ALWAYS = {
    "kinds", "vectors", "top_k", "projection", "glosses", "drop_special", "through_head", "device",
    "revision", "gguf_file", "name", "value_tensor", "key_tensor", "unembedding_tensor",
    "orientation", "projection_tensor", "allow_fewer_layers", "value_statistics",
}  # fmt: skip
"""Options that change the lists or what the bundle says of the model, or are refused where they
cannot; the machine's own (device) and a hub's (revision) are in no digest."""
WITH_KEYS = [("key",), ("value", "key"), ("value", "random-key"), ("random", "key", "random-key")]
SITUATIONS = [
    {"kinds": kinds, "projection": projection, **extent}
    for size in (1, 2, 3)
    for kinds in (*itertools.combinations(USUAL_KINDS, size), *(WITH_KEYS if size == 3 else ()))
    for projection in (("raw",) if kinds in WITH_KEYS else ("raw", "fold", "norm"))
    for extent in ({}, {"per_layer": "all"}, {"vectors": ((0, 1),)}, {"drawn_per_layer": 3})
    if "value" in kinds or not {"vectors", "per_layer"} & set(extent)
]


def test_every_option_is_one_that_may_have_no_effect_or_one_that_always_has():
    assert set(OTHER) | ALWAYS == set(OPTIONS)
    assert not set(OTHER) & ALWAYS
    assert {option for rule in RULES for option in rule.options} == set(OTHER)
    assert {one.name for one in fields(ExtractOptions)} - set(OPTIONS) == {"notes"}


@pytest.fixture(scope="module")
def lists(tiny_model, tmp_path_factory):
    """The digests of a bundle and of its vectors, for options; each is extracted once."""
    known: dict[ExtractOptions, tuple[str, str]] = {}

    def digests(options):
        if options not in known:
            out = tmp_path_factory.mktemp("effects") / "out"
            manifest = extract(str(tiny_model("gpt2")), out, options)
            known[options] = manifest.digest, manifest.files["vectors.parquet"].sha256
        return known[options]

    return digests


CASES = [
    (option, situation)
    for option, (_, beside) in OTHER.items()
    for situation in SITUATIONS
    if option not in situation and (beside is None) == (situation["projection"] == "raw")
]
FEW = [case for number, case in enumerate(CASES) if number % 9 == 0]
RAW_WITH_NORM = [
    (option, situation)
    for option, (_, beside) in OTHER.items()
    if beside is not None
    for situation in SITUATIONS[:1]
]


@pytest.mark.parametrize(("option", "situation"), FEW + RAW_WITH_NORM, ids=str)
def test_another_value_gives_other_lists_or_the_same_digest(lists, option, situation):
    value, beside = OTHER[option]
    common = {
        "corpus": str(SENTENCES), "per_layer": 4, "top_k": 3, "glosses": (), "name": "it",
        **(beside or {}), **situation,
    }  # fmt: skip
    if option == "corpus":
        common["corpus"] = "nowhere.txt"
    if option == "norm_gain_tensor":
        value, common = common[option], {**common, option: value}
    read = {"update", "key", "random-key"} & set(common["kinds"])
    if read and option in ("corpus", "split_sentences"):
        return  # other texts; keys themselves stay
    one, other = ExtractOptions(**common), ExtractOptions(**{**common, option: value})
    if one == other:
        # It has no effect, so it is said wherever it is not the default.
        said = {note.option for note in (*one.notes, *other.notes)}
        assert option in said or value == common.get(option, replace(one).__dict__[option])
        assert lists(one) == lists(other)
    elif option == "workers":
        assert lists(one) == lists(other)
    elif option == "norm_epsilon":
        assert lists(one)[0] != lists(other)[0]
    else:
        assert lists(one)[1] != lists(other)[1]


def test_a_note_names_the_options_as_its_reader_knows_them():
    (note,) = ExtractOptions(kinds=("value",), random_grain="model").notes
    assert str(note) == "random_grain has no effect here: kinds has no random vectors."
    assert note.write(flag_of).startswith("--random-grain has no effect here: --kinds has")


def test_options_that_are_all_as_usual_have_nothing_to_say():
    for kinds in (("value",), USUAL_KINDS, KINDS):
        assert ExtractOptions(kinds=kinds).notes == ()
