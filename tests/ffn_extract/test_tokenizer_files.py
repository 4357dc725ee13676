"""Tokenizers as they lie beside weights: read as the file has them, or refused with the reason."""

import json

import pytest
import sentencepiece
import transformers

from ffn_extract.errors import CheckpointError
from ffn_extract.tokens import METASPACE
from ffn_extract.vocabulary import load_tokenizer, read_vocabulary
from tests.ffn_extract.trained_tokenizers import (
    LIKE_GEMMA,
    LIKE_LLAMA,
    LIKE_T5,
    UNIGRAM,
    trained,
)


def folder_of(path, family, files, tokenizer_class=None):
    for name, content in files.items():
        (path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    (path / "config.json").write_text(json.dumps({"model_type": family}))
    if tokenizer_class:
        settings = {"tokenizer_class": tokenizer_class}
        (path / "tokenizer_config.json").write_text(json.dumps(settings))
    return path


@pytest.mark.parametrize(
    ("family", "name", "model", "tokenizer_class", "offset"),
    [
        ("llama", "tokenizer.model", LIKE_LLAMA, None, 0),
        ("llama", "tokenizer.model", LIKE_LLAMA, "LlamaTokenizer", 0),
        ("mistral", "tokenizer.model", LIKE_LLAMA, "LlamaTokenizer", 0),
        ("phi3", "tokenizer.model", LIKE_LLAMA, None, 0),
        ("gemma2", "tokenizer.model", LIKE_GEMMA, None, 0),
        ("t5", "spiece.model", LIKE_T5, None, 0),
        ("xlnet", "spiece.model", UNIGRAM, None, 0),
        ("big_bird", "spiece.model", UNIGRAM, None, 0),
        ("gpt2", "spiece.model", UNIGRAM, "GPTSw3Tokenizer", 0),
        ("xlm-roberta", "sentencepiece.bpe.model", UNIGRAM, None, 1),
        ("mbart", "sentencepiece.bpe.model", UNIGRAM, None, 1),
        ("camembert", "sentencepiece.bpe.model", UNIGRAM, None, 4),
        ("pegasus", "spiece.model", LIKE_T5, None, 103),
    ],
)
def test_a_sentencepiece_model_alone_gives_its_own_pieces_and_cuts(
    tmp_path, family, name, model, tokenizer_class, offset
):
    content = trained(*model)
    tokenizer = load_tokenizer(folder_of(tmp_path, family, {name: content}, tokenizer_class))
    library = sentencepiece.SentencePieceProcessor(model_proto=content)
    vocabulary = read_vocabulary(tokenizer, tmp_path)
    normal = [
        i
        for i in range(library.get_piece_size())
        if not (library.is_control(i) or library.is_unknown(i))
    ]
    assert [vocabulary.texts[i + offset] for i in normal] == [
        library.id_to_piece(i) for i in normal
    ]
    text = "the king sat on a mat, quickly."
    assert tokenizer.tokenize(text) == library.encode(text, out_type=str)
    assert (vocabulary.marking, vocabulary.level) == (METASPACE, "subword")


@pytest.mark.parametrize(
    ("family", "model", "bos"), [("llama", LIKE_LLAMA, "<s>"), ("gemma", LIKE_GEMMA, "<bos>")]
)
def test_a_text_begins_as_the_families_were_trained(tmp_path, family, model, bos):
    folder = folder_of(tmp_path, family, {"tokenizer.model": trained(*model)})
    tokenizer = load_tokenizer(folder)
    assert tokenizer.convert_ids_to_tokens(tokenizer("a mat")["input_ids"])[0] == bos


GPT_SPLIT = ("unigram", "suffix")


@pytest.mark.parametrize(
    ("family", "name", "model"),
    [
        ("bert", "spiece.model", UNIGRAM),
        ("xglm", "sentencepiece.bpe.model", UNIGRAM),
        ("olmo", "tokenizer.model", LIKE_LLAMA),
        ("qwen2", "tokenizer.model", LIKE_LLAMA),
        ("t5", "spiece.model", GPT_SPLIT),
        ("llama", "tokenizer.model", ("word",)),
    ],
)
def test_a_sentencepiece_model_that_becomes_something_else_is_refused(
    tmp_path, family, name, model
):
    folder = folder_of(tmp_path, family, {name: trained(*model)})
    with pytest.raises(CheckpointError, match=rf"{name}.*(makes something else|makes none)"):
        load_tokenizer(folder)


@pytest.mark.parametrize(
    ("files", "said", "way_out"),
    [
        ({"tekken.json": "{}"}, "tekken.json is Mistral's own format", "tokenizer.json"),
        ({"qwen.tiktoken": "IQ== 0\n"}, "qwen.tiktoken is a tiktoken file", "tokenizer.json"),
        ({"tokenizer.model": "IQ== 0\nIg== 1\n"}, "tokenizer.model is a tiktoken", "save_pretr"),
        ({"tokenizer.model": b""}, "tokenizer.model is empty", "Copy the model again"),
        ({"spiece.model": b"\x0e\xff no model"}, "no whole SentencePiece model", "Copy"),
        ({"tokenizer.json": "{}"}, "no model with a vocabulary", "Copy the model again"),
        ({"tokenizer.json": '{"model": {"vo'}, "tokenizer.json is no whole JSON", "Copy"),
        ({"tokenizer.json": '{"model": {"vocab": {"a": 0}}}'}, "transformers makes none", "Put a"),
        ({"vocab.json": "[]"}, "vocab.json holds no vocabulary", "Copy the model again"),
        ({"tokenization_own.py": "1/0"}, "Python code (tokenization_own.py)", "tokenizer.json"),
        ({"vocab.json": '{"a": 0, "b": 1, "c": 2}'}, "knows 0 of them", "tokenizer_class"),
        ({"tokenizer.json": "version 1\noid sha256:ab\nsize 9"}, "LFS pointer", "git lfs pull"),
        ({"tokenizer.model": "version 1\noid sha256:ab\nsize 9"}, "LFS pointer", "git lfs pull"),
        ({}, "has none of tokenizer.json", "Put a tokenizer.json"),
    ],
)
def test_a_file_that_cannot_be_read_is_named_with_the_way_out(tmp_path, files, said, way_out):
    folder = folder_of(tmp_path, "bert", files)
    with pytest.raises(CheckpointError) as refused:
        load_tokenizer(folder)
    message = str(refused.value)
    assert said in message
    assert way_out in message
    assert "pip install `tiktoken`" not in message


@pytest.mark.parametrize("kept", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("model", [LIKE_LLAMA, UNIGRAM])
def test_a_sentencepiece_model_that_is_cut_off_is_refused(tmp_path, kept, model):
    content = trained(*model)
    files = {"tokenizer.model": content[: int(len(content) * kept)]}
    with pytest.raises(CheckpointError, match=r"tokenizer\.model .*Copy"):
        load_tokenizer(folder_of(tmp_path, "llama", files))


def test_a_tokenizers_code_is_never_run(tmp_path):
    folder = folder_of(tmp_path, "bert", {"vocab.txt": "[UNK]\nthe\n", "own.py": "1/0"})
    settings = {"tokenizer_class": "OwnTokenizer", "auto_map": {"AutoTokenizer": ["own.Own", None]}}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    with pytest.raises(CheckpointError, match=r"own\.Own\), which is never run.*take auto_map out"):
        load_tokenizer(folder)


def test_without_the_library_the_sentence_names_it(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "sentencepiece", None)
    folder = folder_of(tmp_path, "llama", {"tokenizer.model": trained(*LIKE_LLAMA)})
    with pytest.raises(CheckpointError, match=r"sentencepiece is not installed\. Install it with"):
        load_tokenizer(folder)


@pytest.mark.parametrize("model", [LIKE_T5, UNIGRAM])
def test_marian_reads_its_vocabulary_with_its_sentencepiece_models(tmp_path, model):
    content = trained(*model)
    library = sentencepiece.SentencePieceProcessor(model_proto=content)
    pieces = {library.id_to_piece(i): i for i in range(library.get_piece_size())}
    pieces |= {"<pad>": len(pieces)} if "<pad>" not in pieces else {}
    settings = {"source_lang": "en", "target_lang": "de"}
    files = {"vocab.json": json.dumps(pieces), "source.spm": content, "target.spm": content}
    folder_of(tmp_path, "marian", files)
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings))
    vocabulary = read_vocabulary(load_tokenizer(tmp_path), tmp_path)
    assert vocabulary.marking == METASPACE
    assert {text: i for i, text in vocabulary.texts.items()} == pieces


def test_every_file_that_is_read_is_fetched_from_the_hub():
    from ffn_extract.checkpoints.model_files import TOKENIZER_FILES, VOCABULARY_FILES

    assert set(VOCABULARY_FILES) <= set(TOKENIZER_FILES)
    wanted = transformers.MarianTokenizer.vocab_files_names.values()
    assert {"source.spm", "target.spm"} <= set(wanted) & set(TOKENIZER_FILES)
