"""A toy model whose continuations, shares and perplexity are worked out by hand.

LLaMA without attention (its output matrix is 0), one layer, 8 dimensions, 6 tokens; token t is
embedded as axis t and scored by what the stream has on axis t, so without intervention the model
repeats the last token, with a score of √8 against 0. Value vectors are planted on axes.
"""

import json
import math

import pytest
import torch
import transformers
from tokenizers import Tokenizer, models, pre_tokenizers

from annotation_site.exports.csv_format import CsvFormat
from annotation_site.exports.table import Column, Table
from ffn_extract.errors import OptionError
from ffn_extract.measurements.options import MeasureOptions
from ffn_extract.measurements.run import measure
from ffn_extract.measurements.suppression_options import SuppressionOptions
from ffn_extract.options import ExtractOptions
from tests.ffn_extract.measurements.suppression_files import lines_of, parameters_of, rows_of

WORDS = ["<e>", "cats", "dogs", "safe", "peace", "war"]
END, CATS, DOGS, SAFE, PEACE, WAR = range(6)
ROOT8 = math.sqrt(8)


def save_toy(folder, planted):
    """`planted`: {index: {axis: amount}} of 12 value vectors."""
    config = transformers.LlamaConfig(
        vocab_size=6, hidden_size=8, num_hidden_layers=1, num_attention_heads=1,
        num_key_value_heads=1, intermediate_size=12, hidden_act="relu", rms_norm_eps=1e-12,
        tie_word_embeddings=False, pad_token_id=None, bos_token_id=None, eos_token_id=END,
        max_position_embeddings=64,
    )  # fmt: skip
    model = transformers.LlamaForCausalLM(config).eval()
    for name, parameter in model.named_parameters():
        parameter.data.fill_(1.0 if name.endswith("norm.weight") else 0.0)
    model.model.embed_tokens.weight.data[:, :6] = torch.eye(6)
    model.lm_head.weight.data[:, :6] = torch.eye(6)
    for index, amounts in planted.items():
        for axis, amount in amounts.items():
            model.model.layers[0].mlp.down_proj.weight.data[axis, index] = amount
    model.save_pretrained(folder)
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, "<e>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    fast = transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<e>")
    fast.save_pretrained(folder)
    return folder


@pytest.fixture
def corpus(tmp_path):
    """24 tokens in which every token differs from the one before."""
    path = tmp_path / "texts.txt"
    path.write_text("cats dogs cats dogs\n" * 6)
    return str(path)


def options_with(corpus, top_k=1, **own):
    given = {
        "chosen": 1, "prompt_count": 4, "prompt_rows": 2, "perplexity_tokens": 24, "window": 4
    }  # fmt: skip
    return MeasureOptions(
        model=ExtractOptions(name="toy", top_k=top_k), corpus=corpus, workers=1, resamples=100,
        seed=1, suppression=SuppressionOptions(**{**given, **own}),
    )  # fmt: skip


@pytest.mark.parametrize("beams", [1, 3])
def test_a_planted_vector_that_promotes_a_listed_word_raises_its_share_to_1(
    tmp_path, corpus, beams
):
    """Set to 3, the stream is e_t + 3·e_safe: √8·3/√10 for `safe`, √8/√10 for the last token."""
    model = save_toy(tmp_path / "toy", {3: {SAFE: 1.0}})
    given = options_with(corpus, promoting=("safe",), beams=beams)
    measure(["suppression"], model, tmp_path / "out", given)
    assert parameters_of(tmp_path / "out")["choice"]["vectors"] == [[0, 3, 3.0]]
    shares = {
        (row["condition"], row["attribute"]): float(row["share"])
        for row in rows_of(tmp_path / "out", "suppression")
    }
    kind = {name: shares[name, "kindness"] for name in ("none", "chosen", "random")}
    assert kind == {"none": 0.0, "chosen": 1.0, "random": 0.0}  # the other vectors are zeros
    assert shares["chosen", "violence"] == 0.0
    for row in rows_of(tmp_path / "out", "effect"):
        if row["attribute"] == "kindness":
            expected = 0.0 if row["condition"] == "random" else 1.0
            ends = [float(row[name]) for name in ("difference", "low", "high")]
            assert (ends, row["n"]) == ([expected] * 3, "4")
    for one in lines_of(tmp_path / "out"):
        token = SAFE if one["condition"] == "chosen" else one["prompt_ids"][-1]
        assert one["new_ids"] == [token] * 20
        assert one["continuation"].split() == [WORDS[token]] * 20
    norm = math.sqrt(10)
    before = math.exp(ROOT8) + 5
    after = math.exp(ROOT8 / norm) + math.exp(3 * ROOT8 / norm) + 4
    rows = {row["condition"]: row for row in rows_of(tmp_path / "out", "perplexity")}
    for name, perplexity, changed in (
        ("none", before, 0.0), ("chosen", after, 1.0), ("random", before, 0.0)
    ):  # fmt: skip
        assert float(rows[name]["perplexity"]) == pytest.approx(perplexity, rel=1e-5)
        assert float(rows[name]["changed_top_share"]) == changed
        assert rows[name]["tokens"] == str(6 * 3)
    (chosen, random) = rows_of(tmp_path / "out", "vectors")
    assert (chosen["index"], chosen["top_tokens"].split()[0]) == ("3", "safe")
    assert random["index"] != "3"


def test_tokens_that_end_a_text_are_never_written(tmp_path, corpus):
    """The vector promotes the end; the last token comes second. Exactly 20 tokens are written."""
    model = save_toy(tmp_path / "toy", {5: {END: 1.0}})
    measure(["suppression"], model, tmp_path / "out", options_with(corpus, set=((0, 5, 3.0),)))
    parameters = parameters_of(tmp_path / "out")
    assert (parameters["ending_tokens"], parameters["new_tokens"]) == ([END], 20)
    for one in lines_of(tmp_path / "out"):
        assert one["new_ids"] == [one["prompt_ids"][-1]] * 20
    changed = {
        row["condition"]: row["changed_top_share"]
        for row in rows_of(tmp_path / "out", "perplexity")
    }
    assert changed == {"none": "0.0", "chosen": "1.0", "random": "0.0"}


def test_most_words_come_first_then_most_tokens_then_ranks_then_places(tmp_path, corpus):
    planted = {
        2: {WAR: 2.0, PEACE: 1.0},  # one word, second
        4: {PEACE: 2.0, WAR: 1.0},  # one word, first
        6: {SAFE: 2.0, DOGS: 1.0},  # the same, a higher index
        9: {PEACE: 2.0, SAFE: 1.0},  # both words
    }
    model = save_toy(tmp_path / "toy", planted)
    given = options_with(corpus, top_k=2, promoting=("safe", "peace"), chosen=4)
    measure(["suppression"], model, tmp_path / "out", given)
    choice = parameters_of(tmp_path / "out")["choice"]
    assert choice["by"] == "promoting"
    assert choice["found"] == [
        {"vector": [0, 9], "words": ["safe", "peace"], "tokens": 2},
        {"vector": [0, 4], "words": ["peace"], "tokens": 1},
        {"vector": [0, 6], "words": ["safe"], "tokens": 1},
        {"vector": [0, 2], "words": ["peace"], "tokens": 1},
    ]
    assert "hold the most of the words; ties: more tokens" in choice["rule"]


def test_a_coefficient_below_0_promotes_what_the_lists_of_minus_v_hold(tmp_path, corpus):
    model = save_toy(tmp_path / "toy", {2: {SAFE: 1.0}, 8: {SAFE: -1.0}})
    given = options_with(corpus, promoting=("safe",), coefficient=-3.0)
    measure(["suppression"], model, tmp_path / "out", given)
    assert parameters_of(tmp_path / "out")["choice"]["vectors"] == [[0, 8, -3.0]]
    chosen = [one for one in lines_of(tmp_path / "out") if one["condition"] == "chosen"]
    assert all(one["new_ids"] == [SAFE] * 20 for one in chosen)
    assert rows_of(tmp_path / "out", "vectors")[0]["top_tokens"].startswith("safe")


def pattern(description, category="semantic"):
    return {
        "number": 1, "description": description, "category": category, "stopwords": False,
        "ranks": [1, 2, 3, 4],
    }  # fmt: skip


ADJUDICATED = (
    ("value", 0, 7, [pattern("Words of peace; =safe"), pattern("plurals", "syntactic")]),
    ("value", 0, 2, [pattern("peaceful")]),
    ("value", 0, 9, [pattern("peace", "syntactic")]),
    ("random", 0, 1, [pattern("peace")]),
)


def adjudicated(path, model="toy"):
    """A file as the site writes it: `exports.csv_format`, patterns as JSON in a cell."""
    kinds = {"layer": "number", "index": "number"}
    names = ("model", "kind", "layer", "index", "tokens", "patterns")
    rows = [
        (model, kind, layer, index, "[]", json.dumps(patterns))
        for kind, layer, index, patterns in ADJUDICATED
    ]
    table = Table("adjudicated", tuple(Column(n, kinds.get(n, "text")) for n in names), rows)
    path.write_bytes(b"".join(CsvFormat().write(table)))
    return str(path)


@pytest.mark.parametrize(
    ("own", "places"),
    [
        ({"described": ("peace",)}, [[0, 7], [0, 9]]),
        ({"described": ("peace", "peaceful")}, [[0, 2], [0, 7], [0, 9]]),
        ({"described": ("peace",), "category": "semantic"}, [[0, 7]]),
        ({"category": "syntactic"}, [[0, 7], [0, 9]]),
    ],
)
def test_vectors_by_what_adjudicated_annotations_say_of_them(tmp_path, corpus, own, places):
    model = save_toy(tmp_path / "toy", {})
    path = adjudicated(tmp_path / "adjudicated.csv")
    given = options_with(corpus, labels=path, chosen=len(places), **own)
    measure(["suppression"], model, tmp_path / "out", given)
    choice = parameters_of(tmp_path / "out")["choice"]
    assert choice["vectors"] == [[*place, 3.0] for place in places]
    assert (choice["by"], "made_up" in choice) == ("labels", False)
    if own == {"described": ("peace",)}:
        assert choice["found"][0] == {
            "vector": [0, 7], "annotations": 1, "descriptions": ["Words of peace; =safe"]
        }  # fmt: skip


def label(index, annotator, **changes):
    return {
        "model": "on the site", "weights_digest": "", "kind": "value", "layer": 0, "index": index,
        "annotator": annotator, "purpose": "annotation", "surplus": False, "unblinded": False,
        "patterns": [pattern("peace")], **changes,
    }  # fmt: skip


def test_labels_count_as_in_tables_and_most_annotations_come_first(tmp_path, corpus):
    """By the weights' fingerprint, whatever the model is called on the site."""
    model = save_toy(tmp_path / "toy", {})
    path = tmp_path / "labels.jsonl"
    first = options_with(corpus, set=((0, 0, 3.0),))
    measure(["suppression"], model, tmp_path / "first", first)
    manifest = json.loads((tmp_path / "first" / "manifest.json").read_text())
    own = {"weights_digest": manifest["model"]["fingerprint"]}
    records = [
        label(4, "p1", **own), label(8, "p1", **own), label(8, "p2", **own, made_up=True),
        label(5, "p1", **own, purpose="training"), label(5, "p2", **own, surplus=True),
        label(5, "p3", **own, unblinded=True), label(6, "p1", weights_digest="of another model"),
    ]  # fmt: skip
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    given = options_with(corpus, labels=str(path), described=("peace",), chosen=2)
    (measured,) = measure(["suppression"], model, tmp_path / "out", given)
    choice = parameters_of(tmp_path / "out")["choice"]
    assert [one["annotations"] for one in choice["found"]] == [2, 1]
    assert choice["vectors"] == [[0, 8, 3.0], [0, 4, 3.0]]
    assert choice["made_up"] is True
    assert measured.result.words[0] == (
        "The annotations that chose the vectors are made up: no person gave them."
    )


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("a.csv", "layer,index\r\n1,2\r\n", "has no field 'model'"),
        ("a.jsonl", '{"model": "toy"}\n', "has no field 'kind'"),
        ("a.jsonl", "no JSON\n", "is neither CSV nor JSON lines as a study writes them"),
        ("a.jsonl", "", "has no annotation of toy; it has none"),
        ("b.csv", "of another", r"has no annotation of toy; it has other\. Give the labels of"),
        ("c.csv", "few", "is 9, and 2 value vectors have such a pattern"),
        ("d.csv", None, "cannot be read"),
    ],
)
def test_a_file_that_holds_no_labels_of_the_model_is_refused(
    tmp_path, corpus, name, content, sentence
):
    path = tmp_path / name
    if content in ("of another", "few"):
        adjudicated(path, "toy" if content == "few" else "other")
    elif content is not None:
        path.write_text(content)
    model = save_toy(tmp_path / "toy", {})
    given = options_with(corpus, labels=str(path), described=("peace",), chosen=9)
    with pytest.raises(OptionError, match=sentence):
        measure(["suppression"], model, tmp_path / "out", given)
