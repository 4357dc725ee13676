"""Where words start and end, as a tokenizer's own file or class declares it."""

import json

import pytest
import transformers
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from ffn_extract.tokens import (
    BYTE_LEVEL,
    METASPACE,
    UNMARKED,
    WHOLE_WORDS,
    WORDPIECE,
    Marking,
)
from ffn_extract.vocabulary import load_tokenizer, read_vocabulary
from tests.ffn_extract.tiny_models import SENTENCES

BYTES = pre_tokenizers.ByteLevel(add_prefix_space=False)
SPLIT = pre_tokenizers.WhitespaceSplit()
ALPHABET = pre_tokenizers.ByteLevel.alphabet()
LIKE_LLAMA = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
WORD_END = {"end_of_word_suffix": "</w>"}
PREFIX = {"continuing_subword_prefix": "@@"}


def built(model, trainer, *, pre=None, norm=None, decode=None):
    """A tokenizer trained on a few sentences."""
    tokenizer = Tokenizer(model)
    if pre is not None:
        tokenizer.pre_tokenizer = pre
    if norm is not None:
        tokenizer.normalizer = norm
    if decode is not None:
        tokenizer.decoder = decode
    lines = SENTENCES.read_text(encoding="utf-8").splitlines()[:80]
    tokenizer.train_from_iterator(lines, trainer)
    return tokenizer


def bpe(affixes=None, *, bytes_too=False, size=400, **steps):
    trained = trainers.BpeTrainer(
        vocab_size=size,
        show_progress=False,
        initial_alphabet=ALPHABET if bytes_too else [],
        **(affixes or {}),
    )
    return built(models.BPE(unk_token="<unk>", **(affixes or {})), trained, **steps)


def unigram(**steps):
    trainer = trainers.UnigramTrainer(
        vocab_size=200, show_progress=False, special_tokens=["<unk>"], unk_token="<unk>"
    )
    return built(models.Unigram(), trainer, **steps)


def wordpiece(prefix):
    trainer = trainers.WordPieceTrainer(
        vocab_size=300, show_progress=False, continuing_subword_prefix=prefix
    )
    return built(models.WordPiece(continuing_subword_prefix=prefix), trainer, pre=SPLIT)


def words(**steps):
    return built(models.WordLevel(unk_token="<unk>"), trainers.WordLevelTrainer(), **steps)


def in_order(*parts):
    return pre_tokenizers.Sequence(list(parts))


KINDS = {
    "wordpiece": (lambda: wordpiece("##"), WORDPIECE),
    "wordpiece with another prefix": (lambda: wordpiece("@@"), Marking(continues="@@")),
    "bpe with a prefix": (lambda: bpe(PREFIX, pre=SPLIT), Marking(continues="@@")),
    "bpe with a suffix": (lambda: bpe(WORD_END, pre=SPLIT), Marking(ends="</w>")),
    "bpe with both": (
        lambda: bpe({**PREFIX, **WORD_END}, pre=SPLIT),
        Marking(continues="@@", ends="</w>"),
    ),
    "bytes": (lambda: bpe(bytes_too=True, pre=BYTES), BYTE_LEVEL),
    "bytes in a sequence": (
        lambda: bpe(bytes_too=True, pre=in_order(pre_tokenizers.Digits(), BYTES)),
        BYTE_LEVEL,
    ),
    "bytes by a normalizer": (
        lambda: bpe(bytes_too=True, norm=normalizers.ByteLevel(), decode=decoders.ByteLevel()),
        BYTE_LEVEL,
    ),
    "bytes of words cut at spaces": (
        lambda: bpe(bytes_too=True, pre=in_order(SPLIT, BYTES)),
        Marking(in_bytes=True),
    ),
    "bytes with a suffix, as in CLIP": (
        lambda: bpe(WORD_END, bytes_too=True, size=600, pre=in_order(SPLIT, BYTES)),
        Marking(ends="</w>", in_bytes=True),
    ),
    "metaspace": (lambda: unigram(pre=pre_tokenizers.Metaspace()), METASPACE),
    "metaspace, first word without": (
        lambda: unigram(pre=pre_tokenizers.Metaspace(prepend_scheme="never")),
        METASPACE,
    ),
    "metaspace in a sequence": (
        lambda: unigram(pre=in_order(SPLIT, pre_tokenizers.Metaspace())),
        METASPACE,
    ),
    "another sign for a space": (
        lambda: unigram(pre=pre_tokenizers.Metaspace(replacement="_")),
        Marking(space="_"),
    ),
    "a normalizer puts the sign": (lambda: bpe(norm=LIKE_LLAMA), METASPACE),
    "spaces stay as they are": (
        lambda: bpe(pre=pre_tokenizers.Split(" ", "merged_with_next")),
        Marking(space=" "),
    ),
    "bpe without marks": (lambda: bpe(pre=SPLIT), UNMARKED),
    "unigram without marks": (lambda: unigram(pre=SPLIT), UNMARKED),
    "whole words": (lambda: words(pre=SPLIT), WHOLE_WORDS),
    "whole words and punctuation": (lambda: words(pre=pre_tokenizers.Whitespace()), WHOLE_WORDS),
    "single characters": (lambda: words(pre=pre_tokenizers.Split("", "isolated")), UNMARKED),
}


@pytest.fixture(params=KINDS)
def kind(request, tmp_path):
    """A vocabulary read back from a folder with a tokenizer.json, and the marking it declares."""
    make, marking = KINDS[request.param]
    make().save(str(tmp_path / "tokenizer.json"))
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "llama"}))
    return read_vocabulary(load_tokenizer(tmp_path), tmp_path), marking


def test_the_file_says_how_words_are_marked(kind):
    vocabulary, marking = kind
    assert vocabulary.marking == marking
    assert vocabulary.level == ("word" if marking is WHOLE_WORDS else "subword")


def test_no_two_tokens_look_the_same_and_no_gloss_is_guessed(kind):
    vocabulary, marking = kind
    forms = [vocabulary.form(token_id) for token_id in vocabulary.texts]
    assert len({form.display for form in forms}) == len(forms)
    surfaces = [form.surface for form in forms if form.surface]
    assert bool(surfaces) == (marking.known == "starts")
    said = {} if marking.known == "starts" else {"words_marked_by": marking.known}
    assert vocabulary.notes(len(forms)) == said


def test_a_class_that_has_no_tokenizer_json_says_it_itself(tmp_path):
    (tmp_path / "vocab.txt").write_text("th@@ 9\ns 8\nthe 7\n")
    (tmp_path / "bpe.codes").write_text("t h 9\n")
    for name in ("BertweetTokenizer", "PhobertTokenizer"):
        (tmp_path / "config.json").write_text(json.dumps({"model_type": "roberta"}))
        (tmp_path / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": name}))
        vocabulary = read_vocabulary(load_tokenizer(tmp_path), tmp_path)
        forms = {text: vocabulary.form(i) for i, text in vocabulary.texts.items()}
        assert (forms["th@@"].display, forms["s"].display) == ("th⋯", "s")
        assert forms["s"].surface is forms["th@@"].surface is None
        assert vocabulary.level == "subword"


@pytest.mark.parametrize(
    ("name", "marking"),
    [("CTRLTokenizer", Marking(goes_on="@@")), ("ByT5Tokenizer", UNMARKED)],
)
def test_a_class_nobody_vouched_for_is_unmarked(tmp_path, name, marking):
    (tmp_path / "vocab.json").write_text('{"<unk>": 0, "th@@": 1, "##s": 2}')
    (tmp_path / "merges.txt").write_text("#version\nt h 1\n")
    read = getattr(transformers, name).from_pretrained(tmp_path)
    assert read_vocabulary(read).marking == marking
