"""Finding a model: folders, and what is neither a folder nor a hub id. The hub: test_hub.py."""

import pytest

from ffn_extract.checkpoints.find import find_checkpoint
from ffn_extract.errors import CheckpointError


def test_a_folder_is_called_by_its_name(tiny_model, monkeypatch):
    monkeypatch.chdir(tiny_model("gpt2"))
    checkpoint = find_checkpoint(".")
    assert (checkpoint.name, checkpoint.revision) == ("tiny-gpt2", None)
    assert checkpoint.config["model_type"] == "gpt2"


@pytest.mark.parametrize("model", ["/no/such/folder", "a/b/c", "no such model", "../x", ""])
def test_what_is_neither_folder_nor_hub_id_is_refused(model):
    with pytest.raises(CheckpointError, match="is neither a folder nor a hub id"):
        find_checkpoint(model)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [(None, "has no readable config.json"), ("{", "no valid JSON"), ("[]", "no JSON object")],
)
def test_a_folder_without_a_config_is_refused(tmp_path, content, sentence):
    if content is not None:
        (tmp_path / "config.json").write_text(content)
    with pytest.raises(CheckpointError, match=sentence):
        _ = find_checkpoint(str(tmp_path)).config
