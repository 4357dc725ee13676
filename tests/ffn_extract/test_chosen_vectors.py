"""Value vectors that somebody chooses in place of a sample."""

from dataclasses import replace

import pytest
from click.testing import CliRunner

from ffn_extract.bundle import open_bundle
from ffn_extract.chosen_vectors import places_of, read_places
from ffn_extract.cli import main
from ffn_extract.errors import OptionError
from ffn_extract.options import ExtractOptions
from ffn_extract.pipeline import extract
from tests.ffn_extract.small_bundles import rows_of
from tests.ffn_extract.tiny_models import SENTENCES

WHOLE = ExtractOptions(kinds=("value",), per_layer="all", top_k=5, glosses=(), name="it")


def invoke(*arguments):
    return CliRunner().invoke(main, [str(one) for one in arguments])


@pytest.mark.parametrize("family", ["gpt2", "mixtral"])
def test_chosen_vectors_are_those_of_the_whole_model(tiny_model, tmp_path, family):
    folder = str(tiny_model(family))
    extract(folder, tmp_path / "all", WHOLE)
    known = {(row.layer, row.index): row for row in rows_of(tmp_path / "all")}
    last = max(index for layer, index in known if layer == 1)
    places = ((1, last), (0, 3), (1, 0))
    chosen = replace(WHOLE, per_layer=10, vectors=places)
    manifest = extract(folder, tmp_path / "some", chosen)
    assert rows_of(tmp_path / "some") == [known[place] for place in sorted(places)]
    assert manifest.parameters["per_layer"] == "listed"
    assert manifest.parameters["vectors"] == ["0:3", "1:0", f"1:{last}"]


def test_what_is_drawn_beside_them_is_drawn_in_their_layers_alone(tiny_model, tmp_path):
    folder = str(tiny_model("gpt2"))
    options = replace(
        WHOLE, kinds=("value", "random", "update"), per_layer=10, vectors=((1, 7),),
        drawn_per_layer=3, corpus=str(SENTENCES),
    )  # fmt: skip
    extract(folder, tmp_path / "out", options)
    assert [(row.kind, row.layer, row.index) for row in rows_of(tmp_path / "out")] == [
        ("value", 1, 7),
        *((kind, 1, i) for kind in ("random", "update") for i in range(3)),
    ]
    sampled = replace(options, vectors=None, per_layer=3, drawn_per_layer=None)
    extract(folder, tmp_path / "sampled", sampled)
    drawn = [row for row in rows_of(tmp_path / "sampled") if row.layer and row.kind != "value"]
    assert rows_of(tmp_path / "out")[1:] == drawn


def test_their_order_and_the_way_they_are_given_make_no_difference(tiny_model, tmp_path):
    file = tmp_path / "some.txt"
    file.write_text("\ufeff# mine\n1:0   # first\n\n0:3\r\n1:5, 1:6", encoding="utf-8")
    common = ("--kinds", "value", "--glosses", "none", "--name", "it", "--top-k", 5)
    ways = {
        "a": ("--vectors", "1:6,0:3,1:0,1:5"),
        "b": ("--vectors-file", file),
        "c": ("--vectors", "0:3 1:5,1:6,1:00", "--seed", 9, "--per-layer", 3),
    }
    digests = set()
    for name, way in ways.items():
        ended = invoke("extract", tiny_model("gpt2"), "--out", tmp_path / name, *common, *way)
        assert ended.exit_code == 0, ended.output
        digests.add(open_bundle(tmp_path / name).manifest.digest)
    assert len(digests) == 1
    assert "--per-layer has no effect here: --vectors chooses the value vectors" in ended.stderr
    assert "--seed has no effect here: nothing is drawn" in ended.stderr


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("14-518", "vectors has '14-518'; each vector is LAYER:INDEX, such as 14:518, both"),
        ("1:2,x", "vectors has 'x'"),
        ("1:2:3", "vectors has '1:2:3'"),
        ("-1:2", "vectors has '-1:2'"),
        ("1:٣", "vectors has '1:٣'"),
        ("1:" + "9" * 30, "vectors has '1:999"),
    ],
)
def test_what_is_no_place_is_named(text, sentence):
    with pytest.raises(OptionError, match=sentence):
        places_of(text)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"1:2\n\n3;4\n", "'3;4' in line 3 of it.txt"),
        (b"# none\n", "it.txt names no vector. Write one LAYER:INDEX on each line."),
        (b"\xff\xfe1\x00", "it.txt is not UTF-8 text"),
        (b"1:1\n" * (1 << 18) + b"2:2", "larger than a list of 10,000 vectors can be"),
        (None, "it.txt cannot be read: No such file"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused(tmp_path, content, sentence):
    if content is not None:
        (tmp_path / "it.txt").write_bytes(content)
    with pytest.raises(OptionError, match=sentence):
        read_places(tmp_path / "it.txt")


def test_errors_name_the_option_as_it_is_typed(tiny_model, tmp_path):
    ended = invoke("extract", tiny_model("gpt2"), "--out", tmp_path / "o", "--vectors", "2:0")
    assert ended.exit_code == 1
    assert "Error: --vectors has 2:0, and the model has 2 layers, 0 to 1." in ended.output
