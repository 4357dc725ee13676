"""What strangers wrote reaches no terminal as a control, in any command that prints."""

import csv
import io
import json
import unicodedata

import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import save_file

from ffn_extract.bundle import ModelInfo, TokenRow, VectorRow
from ffn_extract.cli import main
from ffn_extract.terminal import printable
from tests.ffn_extract.small_bundles import write_small_bundle
from tests.ffn_extract.tiny_models import edit_config

HOSTILE = {
    "esc": "\x1b]0;PWNED\x07", "csi": "\x9b2J", "nul": "a\x00b", "line": "a\nError: all is well\r",
    "bidi": "a\u202egnp.exe", "isolate": "\u2066x\u2069", "zero": "a\u200bb", "bom": "\ufeffa",
    "separator": "a\u2028b\u2029", "tag": "a\U000e0041b", "tab": "a\tb", "delete": "a\x7f\x08",
    "private": "\ue000", "soft": "a\u00adb",
}  # fmt: skip


def hostile_bundle(folder, text: str):
    tokens = [
        TokenRow(i, text, f"{text}{i}", text, "wordnet", text or "x") for i in range(1, 7)
    ]  # fmt: skip
    sides = ([1, 2, 3], [3.0, 2.0, 1.0], [4, 5, 6], [-3.0, -2.0, -2.0])
    vectors = [VectorRow("update", 0, 0, 1.5, *sides, text, 1, text)]
    write_small_bundle(
        folder,
        model=ModelInfo(text, text, text, 2, 4, 8, 100, "subword", "0" * 64),
        parameters={
            "top_k": 3, "seed": text, "projection": text, "vectors": [text],
            "corpus": {"name": text, "texts": text}, "tensors": {text: text},
        },
        tokens=tokens,
        vectors=vectors,
    )  # fmt: skip
    return folder


def require_harmless(ended) -> None:
    """Nothing but printable characters and the line ends that the command itself prints."""
    for output in (ended.stdout, ended.stderr):
        odd = {c for c in output if c != "\n" and not (c == " " or c.isprintable())}
        assert not {c for c in odd if unicodedata.category(c) != "Zs"}, odd
        assert "\nError: all is well" not in output


@pytest.mark.parametrize("form", ["text", "json", "csv"])
@pytest.mark.parametrize("glosses", [[], ["--glosses"]])
@pytest.mark.parametrize("kind", HOSTILE)
def test_inspect_escapes_everything_that_a_bundle_holds(tmp_path, kind, form, glosses):
    folder = hostile_bundle(tmp_path / "x", HOSTILE[kind])
    ended = CliRunner().invoke(main, ["inspect", str(folder), "--format", form, *glosses])
    assert ended.exit_code == 0, ended.output
    require_harmless(ended)
    if form == "json":
        stored = json.loads(ended.stdout)
        assert stored["lists"][0]["context"] == HOSTILE[kind]
        assert stored["model"]["name"] == HOSTILE[kind]
    if form == "csv":
        rows = list(csv.DictReader(io.StringIO(ended.stdout)))
        assert len(rows) == 6
        assert rows[0]["context"] == printable(HOSTILE[kind])
        assert ("gloss" in rows[0]) == bool(glosses)


@pytest.mark.parametrize("kind", sorted(set(HOSTILE) - {"nul"}))
def test_tensors_and_refusals_escape_what_a_file_says(tmp_path, monkeypatch, kind):
    monkeypatch.setattr("ffn_extract.cli._Bars.show", lambda *_: None)  # they go back in their line
    folder = tmp_path / "x"
    folder.mkdir()
    text = HOSTILE[kind]
    save_file({f"a.{i}.{text}": torch.zeros(2, 2) for i in range(2)}, folder / "model.safetensors")
    (folder / "config.json").write_text("{}")
    edit_config(folder, model_type=text, quantization_config={"quant_method": text})
    for arguments in (
        ["tensors", folder], ["tensors", folder, "--all"], ["tensors", folder, "--format", "json"],
        ["extract", folder, "--out", tmp_path / "o"],
        ["extract", folder, "--out", tmp_path / "o", "--kinds", "value", "--orientation", "row",
         "--value-tensor", f"a.{{layer}}.{text}x", "--unembedding-tensor", text],
        ["extract", folder, "--out", tmp_path / "o", "--name", text],
        ["measure", "norm", folder, "--out", tmp_path / "o"],
        ["measure", "saturation", folder, "--out", tmp_path / "o"],
        ["measure", text, folder, "--out", tmp_path / "o"],
        ["inspect", tmp_path / text.replace("/", "")],
    ):  # fmt: skip
        ended = CliRunner().invoke(main, [str(one) for one in arguments])
        assert "Traceback" not in ended.output
        assert ended.exception is None or isinstance(ended.exception, SystemExit), ended.exception
        require_harmless(ended)


def test_every_character_that_is_not_seen_is_escaped():
    for code in (*range(0x3000), *range(0xE000, 0xE010), *range(0xFE00, 0x10000), 0xE0041):
        shown = printable(chr(code))
        assert shown.isprintable()
        assert shown == chr(code) or shown.startswith("\\")
