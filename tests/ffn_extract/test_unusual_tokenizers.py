"""What an extraction says about a tokenizer that is not as usual, from its bundle to `inspect`."""

import json
import shutil

import pytest
import sentencepiece
from click.testing import CliRunner
from tokenizers import Tokenizer, models, pre_tokenizers

from ffn_extract.cli import main
from tests.ffn_extract.trained_tokenizers import LIKE_LLAMA, trained


def extracted(folder, out, *more):
    arguments = ("extract", str(folder), "--out", str(out), "--kinds", "value", "--glosses", "none")
    return CliRunner().invoke(main, [*arguments, "--per-layer", "1", "--top-k", "4", *more])


@pytest.fixture
def llama(tiny_model, tmp_path):
    """A tiny Llama's folder without any tokenizer."""
    folder = tmp_path / "model"
    shutil.copytree(tiny_model("llama"), folder)
    for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"):
        (folder / name).unlink(missing_ok=True)
    return folder


def save(folder, entries, **affixes):
    tokenizer = Tokenizer(models.BPE({text: i for i, text in enumerate(entries)}, [], **affixes))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.save(str(folder / "tokenizer.json"))


def test_inspect_says_that_only_word_ends_are_marked_and_that_rows_have_no_entry(llama, tmp_path):
    save(llama, ["th", "e</w>", "the</w>", "s</w>", "a", "b"], end_of_word_suffix="</w>")
    done = extracted(llama, tmp_path / "out")
    assert done.exit_code == 0, done.output
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["model"]["vocabulary"] == "subword"
    assert manifest["parameters"]["tokenizer"] == {"words_marked_by": "ends", "entries": 6}
    shown = CliRunner().invoke(main, ["inspect", str(tmp_path / "out")]).output
    assert f"the tokenizer has 6 entries for {manifest['model']['vocab_size']:,} rows" in shown
    assert "marks only where a word ends (th⋯)" in shown


def test_a_usual_tokenizer_leaves_no_note(tiny_model, tmp_path):
    assert extracted(tiny_model("bert"), tmp_path / "out").exit_code == 0
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert "tokenizer" not in manifest["parameters"]


def test_a_sentencepiece_model_that_is_too_large_for_the_weights_is_refused(llama, tmp_path):
    content = trained(*LIKE_LLAMA)
    (llama / "tokenizer.model").write_bytes(content)
    entries = sentencepiece.SentencePieceProcessor(model_proto=content).get_piece_size()
    refused = extracted(llama, tmp_path / "out")
    assert refused.exit_code == 1
    assert f"The tokenizer has {entries:,} entries and the unembedding" in refused.output
