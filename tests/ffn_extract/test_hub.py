"""Models on the hub, against a local server: which files, whose token, what goes wrong."""

import json
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from ffn_extract.checkpoints.find import find_checkpoint
from tests.ffn_extract.hub_files import NOWHERE, files_of, find
from tests.ffn_extract.hub_server import COMMIT, MODEL, OTHER_COMMIT, Hub, served
from tests.ffn_extract.tiny_gguf import write_gguf


@pytest.fixture
def files(tiny_model) -> dict[str, bytes]:
    return files_of(tiny_model("llama"))


@pytest.fixture
def hub(files):
    with served(Hub(files)) as one:
        yield one


NEEDED = ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"]


def test_only_the_needed_files_are_fetched_and_only_once(hub, tmp_path):
    name, revision, folder = find(hub.address, tmp_path, MODEL).split()
    assert (name, revision) == (MODEL, COMMIT)
    assert sorted(hub.fetched()) == NEEDED
    assert sorted(path.name for path in Path(folder).iterdir()) == NEEDED
    hub.asked.clear()
    assert find(hub.address, tmp_path, MODEL).split() == [name, revision, folder]
    assert hub.fetched() == []
    assert find(NOWHERE, tmp_path, MODEL).split() == [name, revision, folder]


@pytest.mark.parametrize("revision", ["v1.0", OTHER_COMMIT])
def test_a_revision_is_what_every_file_is_asked_by_and_its_commit_is_kept(hub, tmp_path, revision):
    hub.revisions["v1.0"] = OTHER_COMMIT
    said = find(hub.address, tmp_path, MODEL, revision)
    assert said.split()[:2] == [MODEL, OTHER_COMMIT]
    asked = {path for method, path, _ in hub.asked if method == "GET"}
    folders = {path.rsplit("/", 1)[0] for path in asked if not path.startswith("/api/")}
    assert folders == {f"/{MODEL}/resolve/{revision}"}
    assert find(NOWHERE, tmp_path, MODEL, revision) == said


def test_a_revision_that_there_is_not_is_refused(hub, tmp_path):
    said = find(hub.address, tmp_path, MODEL, "v9")
    assert said == f"refused: {MODEL} has no revision v9 on the hub."


def test_a_model_that_there_is_not_is_refused(hub, tmp_path):
    said = find(hub.address, tmp_path, "someone/else")
    assert said.startswith("refused: The hub has no model someone/else (or it is private")


def test_a_private_model_is_read_with_the_token_of_the_environment(hub, tmp_path):
    hub.token = "hf_secret"
    said = find(hub.address, tmp_path / "without", MODEL)
    assert said.startswith(f"refused: The hub has no model {MODEL} (or it is private: then set")
    assert hub.tokens() == {None}
    hub.asked.clear()
    assert find(hub.address, tmp_path / "with", MODEL, token="hf_secret").split()[1] == COMMIT
    assert hub.tokens() == {"Bearer hf_secret"}
    said = find(hub.address, tmp_path / "wrong", MODEL, token="hf_wrong")
    assert said.startswith("refused: The hub does not accept the token in HF_TOKEN")
    assert "hf_wrong" not in said


def test_a_gated_model_says_where_to_ask(hub, tmp_path):
    hub.gated = True
    said = find(hub.address, tmp_path, MODEL)
    assert said == (
        f"refused: The hub does not let you read {MODEL}: ask for access on its page, and set "
        "HF_TOKEN."
    )


def test_a_redirect_to_another_host_does_not_take_the_token_along(hub, files, tmp_path):
    with served(Hub(files)) as store:
        hub.token, hub.elsewhere = "hf_secret", store.address
        folder = find(hub.address, tmp_path, MODEL, token="hf_secret").split()[2]
    assert (Path(folder) / "model.safetensors").read_bytes() == files["model.safetensors"]
    assert [path for _, path, _ in store.asked] == ["/blob/model.safetensors"]
    assert {sent for *_, sent in store.asked} == {None}
    assert hub.tokens() == {"Bearer hf_secret"}


def sharded(files, tmp_path, kind):
    """The same model in two shards, and their index."""
    (tmp_path / "whole.safetensors").write_bytes(files.pop("model.safetensors"))
    tensors = load_file(tmp_path / "whole.safetensors")
    del files["pytorch_model.bin"]
    stem, end = ("model", "safetensors") if kind == "safetensors" else ("pytorch_model", "bin")
    names = [f"{stem}-0000{number}-of-00002.{end}" for number in (1, 2)]
    weight_map = {name: names[number % 2] for number, name in enumerate(sorted(tensors))}
    for shard in names:
        part = {name: tensors[name] for name in tensors if weight_map[name] == shard}
        path = tmp_path / shard
        save_file(part, path) if kind == "safetensors" else torch.save(part, path)
        files[shard] = path.read_bytes()
    files[f"{stem}.{end}.index.json"] = json.dumps({"weight_map": weight_map}).encode()
    return names, tensors


@pytest.mark.parametrize("kind", ["safetensors", "bin"])
def test_shards_are_fetched_by_their_index(files, tmp_path, kind):
    names, tensors = sharded(files, tmp_path, kind)
    files[names[0].replace("-of-00002", "-of-00009")] = b"of another set of shards"
    with served(Hub(files)) as hub:
        folder = find(hub.address, tmp_path / "cache", MODEL).split()[2]
    fetched = [name for name in hub.fetched() if not name.startswith(("config", "tokenizer"))]
    assert sorted(fetched) == sorted([*names, f"{names[0].split('-')[0]}.{kind}.index.json"])
    stored = find_checkpoint(folder).tensors
    assert stored.names == set(tensors)
    for name, tensor in tensors.items():
        torch.testing.assert_close(stored.rows(name, 0, len(tensor)), tensor, rtol=0, atol=0)


def test_a_file_that_is_cut_short_is_no_model_until_a_later_run_has_the_rest(files, tmp_path):
    names, _ = sharded(files, tmp_path, "safetensors")
    with served(Hub(files, cut=frozenset(names[1:]))) as hub:
        said = find(hub.address, tmp_path / "cache", MODEL)
        assert said.startswith("refused: The hub cannot be reached, or the transfer stopped (")
        # What arrived of it is not taken for the model without a connection either.
        assert "is incomplete there" in find(NOWHERE, tmp_path / "cache", MODEL)
        hub.cut = frozenset()
        folder = find(hub.address, tmp_path / "cache", MODEL).split()[2]
    for name in names:
        assert (Path(folder) / name).read_bytes() == files[name]


def test_a_hub_that_cannot_be_reached_names_both_ways_out_and_soon(tmp_path):
    start = time.monotonic()
    said = find(NOWHERE, tmp_path, "gpt2")
    assert time.monotonic() - start < 60
    assert said.startswith("refused: The hub cannot be reached")
    assert "Either give a local folder" in said
    assert "or connect (HF_HOME" in said
    assert "HF_TOKEN" in said


def test_a_cache_that_cannot_be_written_is_named_as_the_cause_and_not_the_hub(hub, tmp_path):
    (tmp_path / "a-file").touch()
    said = find(hub.address, tmp_path / "a-file" / "cache", MODEL)
    assert said.startswith(f"refused: {MODEL} cannot be kept on this machine: ")
    assert "Set HF_HOME to a folder that this user can write" in said
    assert "cannot be reached" not in said


GGUF = (
    "import sys; from ffn_extract.checkpoints.find import find_checkpoint;"
    "from ffn_extract.errors import FFNExtractError\n"
    "try:\n"
    "    found = find_checkpoint(sys.argv[1], gguf_file=sys.argv[2] or None)\n"
    "    print(found.name, found.revision, *found.gguf_files, found.config['model_type'])\n"
    "except FFNExtractError as error:\n"
    "    print('refused:', error)"
)


def test_of_a_gguf_model_on_the_hub_its_files_alone_are_fetched(tiny_model, tmp_path):
    path = tmp_path / "tiny.gguf"
    write_gguf(path, tiny_model("llama"))
    content = path.read_bytes()
    names = ("tiny-Q4_0.gguf", "tiny-Q8_0.gguf")
    with served(Hub({**dict.fromkeys(names, content), "config.json": b"{}"})) as hub:
        said = find(hub.address, tmp_path / "cache", MODEL, "", code=GGUF)
        assert said.startswith("refused:")
        assert "2 GGUF models: tiny-Q4_0.gguf, tiny-Q8_0.gguf" in said
        expected = f"{MODEL} {COMMIT} tiny-Q8_0.gguf llama"
        assert find(hub.address, tmp_path / "cache", MODEL, names[1], code=GGUF) == expected
        assert hub.fetched() == [names[1]]
    assert find(NOWHERE, tmp_path / "cache", MODEL, names[1], code=GGUF) == expected
