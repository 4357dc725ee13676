"""A model with planted keys, whose lists are worked out by hand.

The model is that of planted_words.py. Key 0 fires on a word, key 1 on a suffix, key 2 on a topic,
key 3 on nothing, and key 4 with a negative coefficient; each at the word itself.
"""

import dataclasses
import json
import shutil

import pytest
import transformers
from tokenizers import Tokenizer
from tokenizers.processors import TemplateProcessing

from ffn_extract import ExtractOptions, extract, open_bundle
from ffn_extract.errors import FFNExtractError
from tests.ffn_extract.keys.planted_words import AXIS, SENTENCES, plant, saved, word_model

WORD, SUFFIX, TOPIC, NOTHING, NEGATIVE = range(5)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    made = word_model()
    plant(made, WORD, {"cat": 1.0})
    plant(made, SUFFIX, {"running": 2.0, "walking": 3.0})
    plant(made, TOPIC, {"cat": 1.0, "dog": 1.0})
    plant(made, NEGATIVE, {"sat": -0.5, "ran": -0.25})
    return saved(made, tmp_path_factory.mktemp("planted") / "model")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    path = tmp_path_factory.mktemp("corpus") / "texts.txt"
    path.write_text("\n".join(SENTENCES))
    return str(path)


@pytest.fixture(scope="module")
def options(corpus):
    return ExtractOptions(
        kinds=("key",), keys_of="all", top_k=3, glosses=(), corpus=corpus, workers=1
    )


@pytest.fixture(scope="module")
def bundle(model, options, tmp_path_factory):
    out = tmp_path_factory.mktemp("bundle") / "out"
    extract(model, out, options)
    return open_bundle(out)


def rows_of(bundle, index, side="positive"):
    rows = [row for some in bundle.iter_trigger_prefixes(100) for row in some]
    assert {row.layer for row in rows} == {1}
    return [row for row in rows if (row.index, row.side) == (index, side)]


def lists_of(bundle, index, side="positive"):
    return [
        (row.sentence, row.prefix, row.coefficient, row.copies)
        for row in rows_of(bundle, index, side)
    ]


def test_a_key_that_fires_on_a_word(bundle):
    """ "the cat" begins three sentences; the cat of sentence 3 is left out with position 0."""
    assert lists_of(bundle, WORD) == [
        (0, "the cat", 1.0, 3),
        (5, "a walking cat", 1.0, 1),
    ]


def test_a_key_that_fires_on_a_suffix(bundle):
    """Sentence 6 offers its stronger word alone."""
    assert lists_of(bundle, SUFFIX) == [
        (5, "a walking", 3.0, 1),
        (6, "the running dog walking", 3.0, 1),
        (4, "the dog running", 2.0, 1),
    ]


def test_a_key_that_fires_on_a_topic(bundle):
    """Of equal coefficients in a sentence the earlier one counts; sentence 2 offers "the cat"."""
    assert lists_of(bundle, TOPIC) == [
        (0, "the cat", 1.0, 3),
        (1, "a dog", 1.0, 1),
        (3, "cat and a dog", 1.0, 1),
        (4, "the dog", 1.0, 1),
        (5, "a walking cat", 1.0, 1),
        (6, "the running dog", 1.0, 1),
    ]


def test_negative_coefficients_have_a_side_of_their_own(bundle):
    """Sentence 2 is cut at 6 words, before its "sat"."""
    assert lists_of(bundle, NEGATIVE) == []
    assert lists_of(bundle, NEGATIVE, "negative") == [
        (0, "the cat sat", -0.5, 2),
        (1, "a dog ran", -0.25, 1),
        (2, "the cat ran", -0.25, 1),
    ]
    assert lists_of(bundle, WORD, "negative") == []


def test_a_prefix_ends_with_the_token_at_which_its_key_fires_and_not_before_it(bundle):
    for index, words in ((WORD, {"cat"}), (SUFFIX, {"running", "walking"})):
        for row in rows_of(bundle, index):
            assert row.prefix.split()[-1] in words
            assert row.token_id == AXIS[row.prefix.split()[-1]]
            assert row.position == len(row.prefix.split()) - 1


def test_both_factors_have_their_sign(bundle):
    assert {(row.gate_sign, row.up_sign) for row in rows_of(bundle, TOPIC)} == {(1, 1)}
    negative = rows_of(bundle, NEGATIVE, "negative")
    assert {(row.gate_sign, row.up_sign) for row in negative} == {(1, -1)}


def test_the_manifest_counts_what_was_left_out(bundle):
    counts, keys = bundle.manifest.counts, bundle.manifest.parameters["keys"]
    assert counts.kinds == {"key": 10}
    # In layer 0 no key fires, in layer 1 those on nothing and on the negative side alone.
    assert counts.keys == {"key": {"never_active": 7, "short": 3}}
    assert keys == {
        "prepended": [], "first_position": 1, "longest": 6, "cut": 1, "at_position_0": 9,
        "without_prefix": 1, "prefixes": 50, "precision": "float32",
        "batch_plan": {"rows": 32, "multiple": 8, "first_block": 64, "block": 512},
    }  # fmt: skip
    assert bundle.manifest.parameters["corpus"]["texts"] == 9
    assert bundle.manifest.parameters["keys_of"] == "all"


def test_behind_a_bos_the_first_word_counts(model, options, tmp_path):
    """The word of position 1 is the sentence's first; a BOS alone is no prefix."""
    folder = shutil.copytree(model, tmp_path / "model")
    backend = Tokenizer.from_file(str(folder / "tokenizer.json"))
    backend.post_processor = TemplateProcessing(single="[UNK] $A", special_tokens=[("[UNK]", 10)])
    backend.save(str(folder / "tokenizer.json"))
    extract(str(folder), tmp_path / "out", options)
    bundle = open_bundle(tmp_path / "out")
    found = rows_of(bundle, WORD)
    assert [(row.sentence, row.position, row.prefix, row.copies) for row in found] == [
        (0, 2, "the cat", 3), (3, 1, "cat", 1), (5, 3, "a walking cat", 1)
    ]  # fmt: skip
    counted = bundle.manifest.parameters["keys"]
    assert (counted["prepended"], counted["at_position_0"], counted["without_prefix"]) == (
        [10], 0, 0
    )  # fmt: skip


def test_paragraphs_that_are_split_give_the_lists_of_their_sentences(model, options, tmp_path):
    """Of updates too, and the manifest says which rule made the texts."""
    split = tmp_path / "texts.jsonl"
    paragraphs = ("\n".join(SENTENCES[:4]), "\n".join(SENTENCES[4:]))
    split.write_text("".join(json.dumps({"text": text}) + "\n" for text in paragraphs))
    of_both = dataclasses.replace(options, kinds=("update", "key"), drawn_per_layer=3)
    extract(model, tmp_path / "plain", of_both)
    one = dataclasses.replace(of_both, corpus=str(split), split_sentences=True)
    extract(model, tmp_path / "split", one)
    plain, found = (open_bundle(tmp_path / name).manifest for name in ("plain", "split"))
    assert found.files == plain.files
    assert found.parameters == {**plain.parameters, "split_sentences": True}
    extract(
        model, tmp_path / "whole", dataclasses.replace(one, kinds=("key",), split_sentences=False)
    )
    whole = open_bundle(tmp_path / "whole").manifest.parameters
    assert (whole["corpus"]["texts"], whole["keys"]["cut"]) == (2, 2)


def test_a_corpus_without_a_prefix_is_refused(model, options, tmp_path):
    (tmp_path / "texts.txt").write_text("cat\ndog\n")
    one = dataclasses.replace(options, corpus=str(tmp_path / "texts.txt"))
    with pytest.raises(FFNExtractError, match="No sentence of the corpus has a prefix"):
        extract(model, tmp_path / "out", one)


def test_a_pass_that_does_not_fit_into_memory_is_refused(model, options, tmp_path, monkeypatch):
    monkeypatch.setattr("ffn_extract.keys.passes.free_bytes", lambda: 10**8)
    with pytest.raises(FFNExtractError, match=r"need about 0\.6 GB of memory"):
        extract(model, tmp_path / "out", options)


def test_numbers_that_are_not_finite_are_refused(model, options, tmp_path):
    made = transformers.LlamaForCausalLM.from_pretrained(model)
    made.model.layers[0].mlp.down_proj.weight.data[:] = 3e38
    made.model.layers[0].mlp.up_proj.weight.data[:] = 3e38
    made.model.layers[0].mlp.gate_proj.weight.data[:] = 1.0
    folder = shutil.copytree(model, tmp_path / "model")
    made.save_pretrained(folder)
    with pytest.raises(FFNExtractError, match="FFN gives values that are not finite numbers"):
        extract(str(folder), tmp_path / "out", options)
