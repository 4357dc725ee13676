"""Weights and tokenizers made to do harm: in each model here that is the only fault."""

import io
import json
import os
import pickle
import shutil
import struct
import tarfile
import zipfile
from contextlib import suppress

import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Regex, Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from annotation_site.corpus import importing
from annotation_site.corpus.models import Token, Vector
from ffn_extract.bundle import TokenRow
from ffn_extract.checkpoints.outline import outline_of_folder
from ffn_extract.checkpoints.tensor_files import load_weights_only
from ffn_extract.errors import CheckpointError, FFNExtractError
from ffn_extract.glosses.gloss import Sense
from ffn_extract.options import ExtractOptions
from ffn_extract.pipeline import extract
from ffn_extract.tokenizer_files import MOST_ADDED, open_tokenizer
from ffn_extract.tokens import BYTE_LEVEL, METASPACE, WORDPIECE, token_form
from ffn_extract.vocabulary import read_vocabulary
from tests.ffn_extract.small_bundles import small_tokens, small_vectors, write_small_bundle

OPTIONS = ExtractOptions(glosses=(), kinds=("value",), per_layer=2, name="x")


@pytest.fixture
def good(tiny_model, tmp_path):
    """A whole model, to be spoiled in one place."""
    folder = tmp_path / "model"
    shutil.copytree(tiny_model("gpt2"), folder)
    return folder


def test_the_model_that_the_others_spoil_is_read(good, tmp_path):
    assert extract(str(good), tmp_path / "out", OPTIONS).counts.vectors > 0


class Runs:
    """Runs a command when it is unpickled."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return os.mkdir, (str(self.mark),)


def zipped(content, path, name="archive/data.pkl"):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(name, content)
        archive.writestr("archive/version", b"3\n")


def tarred(content, path):
    with tarfile.open(path, "w") as archive:
        for name in ("sys_info", "pickle", "storages", "tensors"):
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))


def zip_in_a_zip(content, path):
    inner = io.BytesIO()
    zipped(content, inner)
    zipped(inner.getvalue(), path)


def legacy(content, path):
    """The format before 1.6: a magic number, a version, system information, then the object."""
    head = (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True})
    path.write_bytes(b"".join(pickle.dumps(one, protocol=2) for one in head) + content)


PICKLES = {
    "a bare pickle": lambda content, path: path.write_bytes(content),
    "torch's zip": zipped,
    "torch's zip in another": zip_in_a_zip,
    "torch's tar": tarred,
    "torch's format before 1.6": legacy,
    "a pickle behind a pickle": lambda content, path: path.write_bytes(pickle.dumps({}) + content),
}


@pytest.mark.parametrize("name", PICKLES)
@pytest.mark.parametrize("inside", ["alone", "beside tensors"])
def test_no_pickle_of_any_format_is_run(good, tmp_path, name, inside):
    mark = tmp_path / "mark"
    content = Runs(mark) if inside == "alone" else {"a": 1, "b": Runs(mark)}
    (good / "model.safetensors").unlink()
    PICKLES[name](pickle.dumps(content, protocol=2), good / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match=r"pytorch_model\.bin"):
        extract(str(good), tmp_path / "out", OPTIONS)
    assert not mark.exists()


@pytest.mark.parametrize("name", PICKLES)
def test_no_pickle_under_the_name_of_safetensors_is_run(good, tmp_path, name):
    mark = tmp_path / "mark"
    PICKLES[name](pickle.dumps(Runs(mark)), good / "model.safetensors")
    with pytest.raises(CheckpointError, match=r"model\.safetensors"):
        extract(str(good), tmp_path / "out", OPTIONS)
    with pytest.raises(CheckpointError, match=r"model\.safetensors"):
        outline_of_folder(good)
    assert not mark.exists()


@pytest.mark.parametrize(
    "content",
    [b"", b"\x80\x02", b"\x80\x02K\x01.", b"PK\x03\x04", b"\x80\x02]" + b"]a" * 9 + b".",
     b"\x80\x02" + b"(" * 100_000, b"\x80\x02(l0000000000L\n."],
)  # fmt: skip
def test_a_damaged_pickle_is_a_sentence(tmp_path, content):
    (tmp_path / "x.bin").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"x\.bin"):
        load_weights_only(tmp_path / "x.bin")


def spoiled(path, change):
    """Change the head of a whole safetensors file, and what `change` makes of its data."""
    content = path.read_bytes()
    length = struct.unpack("<Q", content[:8])[0]
    head, data = json.loads(content[8 : 8 + length]), content[8 + length :]
    text, data = change(head, data)
    text = text.encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def more(head, data, entry, extra=b""):
    return json.dumps({**head, "more": entry}), data + extra


def twice(head, data):
    name = next(name for name in head if name != "__metadata__")
    text = json.dumps(head)
    return text[:-1] + f", {json.dumps(name)}: {json.dumps(head[name])}}}", data


def entry(data, size, dtype="F32", shape=(4,)):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [len(data), len(data) + size]}


FAULTS = {
    "overlap": lambda head, data: more(
        head, data, {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}
    ),
    "an unknown dtype": lambda head, data: more(head, data, entry(data, 16, "EVIL"), b"\0" * 16),
    "a gap": lambda head, data: more(head, data, entry(data + b"\0" * 8, 16), b"\0" * 24),
    "another size than its shape": lambda head, data: more(
        head, data, entry(data, 16, shape=(5,)), b"\0" * 16
    ),
    "bytes of no tensor": lambda head, data: (json.dumps(head), data + b"\0" * 16),
    "bytes that are missing": lambda head, data: (json.dumps(head), data[:-4]),
    "a negative shape": lambda head, data: more(
        head, data, entry(data, 16, shape=(-2, -2)), b"\0" * 16
    ),
    "a shape that overflows": lambda head, data: more(
        head, data, entry(data, 16, shape=(1 << 62, 8)), b"\0" * 16
    ),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_one_fault_of_a_tensor_that_nobody_needs_is_enough(good, tmp_path, fault):
    """The rest of the file is a whole model: so it is this check that refuses it."""
    spoiled(good / "model.safetensors", FAULTS[fault])
    with pytest.raises(CheckpointError, match=r"model\.safetensors"):
        extract(str(good), tmp_path / "out", OPTIONS)
    assert not (tmp_path / "out").exists()


def test_a_name_that_stands_twice_never_gives_other_lists(good, tmp_path):
    """Readers may refuse it or take either, which are one: the entries must not share bytes."""
    first = extract(str(good), tmp_path / "first", OPTIONS)
    spoiled(good / "model.safetensors", twice)
    with suppress(CheckpointError):
        assert extract(str(good), tmp_path / "again", OPTIONS).digest == first.digest


@pytest.mark.parametrize("shape", [(0,), (0, 8)])
def test_a_needed_tensor_without_numbers_is_refused(good, tmp_path, shape):
    tensors = load_file(good / "model.safetensors")
    name = next(name for name in tensors if name.endswith("wte.weight"))
    save_file({**tensors, name: torch.zeros(shape)}, good / "model.safetensors")
    with pytest.raises(FFNExtractError):
        extract(str(good), tmp_path / "out", OPTIONS)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_give_no_bundle(good, tmp_path, value):
    tensors = load_file(good / "model.safetensors")
    name = next(name for name in tensors if name.endswith("wte.weight"))
    tensors[name][:, 0] = value
    save_file(tensors, good / "model.safetensors")
    with pytest.raises(FFNExtractError):
        extract(str(good), tmp_path / "out", OPTIONS)


def edit_tokenizer(folder, change):
    path = folder / "tokenizer.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def added(number, **more):
    return {
        "id": number, "content": f"x{number}", "single_word": False, "lstrip": False,
        "rstrip": False, "normalized": False, "special": False, **more,
    }  # fmt: skip


def grows(content, times, pattern):
    one = {"type": "Replace", "pattern": pattern, "content": content}
    return {"type": "Sequence", "normalizers": [one] * times}


TOKENIZERS = {
    "a million added tokens": (
        lambda c: c["added_tokens"].extend(added(300 + n) for n in range(MOST_ADDED)),
        "at most 100,000 are read",
    ),
    "an enormous replacement": (
        lambda c: c.update(normalizer=grows("x" * 1_000_000, 1, {"String": "a"})), "times as long",
    ),
    "replacements that multiply": (
        lambda c: c.update(normalizer=grows("aa", 64, {"String": "a"})), "times as long",
    ),
    "replacements of nothing": (
        lambda c: c.update(normalizer=grows("a", 64, {"Regex": ""})), "times as long",
    ),
    "a negative id": (lambda c: c["model"]["vocab"].update(x=-1), ""),
    "an id beyond 32 bits": (lambda c: c["model"]["vocab"].update(x=1 << 40), ""),
    "an added id that is negative": (lambda c: c["added_tokens"].append(added(-1)), ""),
    "an id that is text": (lambda c: c["model"]["vocab"].update(x="y"), ""),
    "a pattern that is none": (
        lambda c: c.update(
            pre_tokenizer={
                "type": "Split", "pattern": {"Regex": "("}, "behavior": "Isolated", "invert": False,
            }
        ),
        "",
    ),
    "no model": (lambda c: c.update(model=[]), "has no model"),
    "a merge of what is not there": (lambda c: c["model"]["merges"].append(["q", "zzz"]), ""),
}  # fmt: skip


@pytest.mark.parametrize("fault", TOKENIZERS)
def test_a_hostile_tokenizer_is_refused_with_a_sentence(good, tmp_path, fault):
    change, sentence = TOKENIZERS[fault]
    edit_tokenizer(good, change)
    with pytest.raises(FFNExtractError) as refused:
        extract(str(good), tmp_path / "out", OPTIONS)
    assert sentence in str(refused.value)


def test_an_id_that_two_entries_have_gets_one_name_whatever_their_order(good):
    for names in ({"y": 5, "x": 5}, {"x": 5, "y": 5}):
        edit_tokenizer(good, lambda c, names=names: c["model"]["vocab"].update(names))
        texts = read_vocabulary(open_tokenizer(good)).texts
        assert sum(1 for number in texts if number == 5) == 1


def test_a_pattern_that_backtracks_without_end_ends_in_a_sentence(good, tmp_path):
    """Its engine gives up and panics, which is no Exception in Python."""
    split = {
        "type": "Split", "pattern": {"Regex": "(a+)+b"}, "behavior": "Isolated", "invert": False,
    }  # fmt: skip
    edit_tokenizer(good, lambda c: c.update(pre_tokenizer=split))
    (tmp_path / "texts.txt").write_text("a" * 60 + "c\n")
    options = ExtractOptions(
        glosses=(), kinds=("update",), per_layer=1, name="x", corpus=str(tmp_path / "texts.txt")
    )
    with pytest.raises(CheckpointError, match="its tokenizer fails at a text of the corpus"):
        extract(str(good), tmp_path / "out", options)


def test_a_tokenizer_that_lies_about_a_vocabulary_is_still_bounded_by_the_models_rows(good):
    """Entries beyond the unembedding are refused by number, whatever their texts."""
    edit_tokenizer(good, lambda c: c["model"]["vocab"].update(beyond=4_000_000_000))
    vocabulary = read_vocabulary(open_tokenizer(good), good)
    with pytest.raises(CheckpointError, match="it has none for"):
        vocabulary.check_rows(300)


def test_an_id_that_would_fill_memory_is_refused_where_there_is_no_tokenizer_json(good):
    """Of other files a tokenizer.json is made, with a place for every id up to the highest."""
    path = good / "tokenizer.json"
    model = json.loads(path.read_text())["model"]
    path.unlink()
    (good / "vocab.json").write_text(json.dumps({**model["vocab"], "beyond": 4_000_000_000}))
    merges = [one if isinstance(one, str) else " ".join(one) for one in model["merges"]]
    (good / "merges.txt").write_text("\n".join(["#version: 0.2", *merges]))
    (good / "tokenizer_config.json").write_text('{"tokenizer_class": "GPT2Tokenizer"}')
    with pytest.raises(CheckpointError, match="has the token id 4,000,000,000; ids up to"):
        read_vocabulary(open_tokenizer(good), good)


HOSTILE = (
    "\0", "\x1b[31m", "\u202eevil", "\u2066x\u2069", "\ufeff", "<script>alert(1)</script>", "\r\n",
    '"><img src=x onerror=alert(1)>', "\u200b", "\u00ad", "a" * 5_000, "\\", "⋯", "␣", "{{7*7}}",
)  # fmt: skip


@pytest.mark.parametrize("marking", [BYTE_LEVEL, METASPACE, WORDPIECE], ids=["bytes", "▁", "##"])
@pytest.mark.parametrize("special", [False, True])
def test_no_invisible_character_of_a_token_reaches_a_page(marking, special):
    for text in HOSTILE:
        display = token_form(text, marking, special=special).display
        assert display.isprintable(), ascii(display)
        assert "\u202e" not in display


def test_what_a_strangers_bundle_shows_turns_no_line_around(tmp_path, db):
    text = "\u202eabc\x1b\x07\u2066d\0e\tf"
    sense = Sense(text, text, "noun", 3)
    tokens = [
        TokenRow(
            row.token_id, f"{row.text}{text}", f"{row.display}{text}", *[text] * 3, "noun", (sense,)
        )
        for row in small_tokens()
    ]
    write_small_bundle(tmp_path / "bundle", tokens=tokens, vectors=[
        row if row.kind == "value" else type(row)(
            *(getattr(row, name) for name in row.__slots__[:8]), text, 1, text
        )
        for row in small_vectors()
    ])  # fmt: skip
    importing.bundle_import(path=tmp_path / "bundle")
    shown = "�abc��" + "�d�e\tf"
    for token in Token.objects.all():
        assert token.display.endswith(shown)
        assert (token.gloss, token.gloss_lemma, token.gloss_source) == (shown, shown, shown)
        assert token.gloss_part == "noun"
        assert token.senses == [{"gloss": shown, "lemma": shown, "part": "noun", "count": 3}]
    for vector in Vector.objects.filter(kind="update"):
        assert (vector.context, vector.context_token) == (shown, shown)


def test_a_backend_that_panics_is_a_sentence_when_it_is_loaded_too(tmp_path, monkeypatch):
    """Whatever class it is: nothing but CheckpointError leaves a stranger's tokenizer."""
    backend = Tokenizer(models.WordLevel({"[UNK]": 0, "a": 1}, unk_token="[UNK]"))
    backend.pre_tokenizer = pre_tokenizers.Split(Regex("(a+)+b"), "isolated")
    PreTrainedTokenizerFast(tokenizer_object=backend, unk_token="[UNK]").save_pretrained(tmp_path)
    from ffn_extract import tokenizer_files

    def panics(*_, **__):
        backend.encode("a" * 60 + "c")

    monkeypatch.setattr(tokenizer_files.AutoTokenizer, "from_pretrained", panics)
    with pytest.raises(CheckpointError, match="transformers makes none of"):
        open_tokenizer(tmp_path)
