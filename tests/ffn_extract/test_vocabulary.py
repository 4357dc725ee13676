"""A model's vocabulary as its own tokenizer has it."""

import pytest
from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast

from ffn_extract.errors import CheckpointError
from ffn_extract.tokens import BYTE_LEVEL, METASPACE, WORDPIECE
from ffn_extract.vocabulary import Vocabulary, load_tokenizer, read_vocabulary
from tests.ffn_extract.tiny_models import EXTRA_ROWS


@pytest.mark.parametrize(
    ("family", "marking", "displays"),
    [
        ("gpt2", BYTE_LEVEL, {"<|endoftext|>", "the", "⋯the", "\\n", "␣", "\\xe2"}),
        ("bert", WORDPIECE, {"[CLS]", "[unused0]", "the", "⋯ing", ","}),
        ("llama", METASPACE, {"<s>", "the", "⋯a", "\\x0a", "␣"}),
    ],
)
def test_every_marking_is_recognised_and_no_two_tokens_look_the_same(
    tiny_model, family, marking, displays
):
    vocabulary = read_vocabulary(load_tokenizer(tiny_model(family)))
    shown = [vocabulary.form(token_id).display for token_id in vocabulary.texts]
    assert vocabulary.marking == marking
    assert vocabulary.level == "subword"
    assert displays <= set(shown)
    assert len(set(shown)) == len(shown)


def test_the_demo_models_tokens_all_look_different(demo_model):
    vocabulary = read_vocabulary(load_tokenizer(demo_model))
    shown = {vocabulary.form(token_id).display for token_id in vocabulary.texts}
    assert len(shown) == len(vocabulary.texts) == 30_522


def test_whole_words_are_a_word_level_vocabulary():
    words = {"<unk>": 0, "the": 1, "cat": 2}
    backend = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    vocabulary = read_vocabulary(PreTrainedTokenizerFast(tokenizer_object=backend))
    assert vocabulary.level == "word"
    assert vocabulary.form(1).surface == "the"


def test_a_tokenizer_json_alone_is_enough(tiny_model, tmp_path):
    whole = tiny_model("gpt2")
    for name in ("config.json", "tokenizer.json"):
        (tmp_path / name).write_bytes((whole / name).read_bytes())
    alone = read_vocabulary(load_tokenizer(tmp_path))
    beside = read_vocabulary(load_tokenizer(whole))
    assert (alone.texts, alone.marking) == (beside.texts, beside.marking)


def test_rows_without_an_entry_are_never_allowed(tiny_model):
    vocabulary = read_vocabulary(load_tokenizer(tiny_model("bert")))
    n = len(vocabulary.texts)
    allowed = vocabulary.allowed(n + EXTRA_ROWS, drop_special=False)
    assert allowed.tolist() == [True] * n + [False] * EXTRA_ROWS


def test_entries_beyond_the_embedding_are_left_out():
    vocabulary = Vocabulary({0: "a", 2: "b", 9: "c"}, frozenset([9]), WORDPIECE)
    assert vocabulary.allowed(3, drop_special=True).tolist() == [True, False, True]


def test_special_and_unused_tokens_stay_unless_they_are_dropped(tiny_model):
    vocabulary = read_vocabulary(load_tokenizer(tiny_model("bert")))
    kept = vocabulary.allowed(len(vocabulary.texts), drop_special=True)
    dropped = {vocabulary.texts[i] for i in vocabulary.texts if not kept[i]}
    assert dropped == {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[unused0]"}


def test_a_folder_without_a_tokenizer_is_refused(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "gpt2"}')
    with pytest.raises(CheckpointError, match=r"The tokenizer in .* cannot be read"):
        load_tokenizer(tmp_path)


def sized(entries: int, added: int = 0) -> Vocabulary:
    texts = {i: f"w{i}" for i in range(entries)}
    beyond = frozenset(range(entries - added, entries))
    return Vocabulary(texts, frozenset(), WORDPIECE, beyond)


@pytest.mark.parametrize(
    ("entries", "rows"),
    [
        *((97, 97), (90, 97), (10, 16), (50_257, 50_304), (50_257, 50_400), (50_295, 51_200)),
        *((128_001, 128_100), (151_665, 151_936), (32_000, 32_128), (1_000, 1_024)),
    ],
)
def test_rows_that_are_padding_are_nothing_to_speak_of(entries, rows, caplog):
    vocabulary = sized(entries)
    vocabulary.check_rows(rows)
    assert (vocabulary.notes(rows), caplog.messages) == ({}, [])


@pytest.mark.parametrize(("entries", "rows"), [(10, 97), (10, 1_000), (30_522, 50_257)])
def test_rows_far_beyond_the_entries_are_warned_of_with_both_numbers(entries, rows, caplog):
    vocabulary = sized(entries)
    vocabulary.check_rows(rows)
    assert vocabulary.notes(rows) == {"entries": entries}
    (said,) = caplog.messages
    assert f"{entries:,} entries and the unembedding {rows:,} rows" in said


@pytest.mark.parametrize(
    ("entries", "added", "rows", "way_out"),
    [
        (140, 0, 97, "Put the tokenizer with which the model was trained"),
        (98, 3, 97, "take them out of its files"),
        (98, 1, 96, "Put the tokenizer with which"),
    ],
)
def test_entries_without_a_row_are_refused_with_both_numbers(entries, added, rows, way_out):
    with pytest.raises(CheckpointError) as refused:
        sized(entries, added).check_rows(rows)
    assert f"has {entries:,} entries and the unembedding {rows:,} rows" in str(refused.value)
    assert f"none for {rows} (w{rows})" in str(refused.value)
    assert way_out in str(refused.value)
