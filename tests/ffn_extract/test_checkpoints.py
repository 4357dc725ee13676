"""Finding a model: folders, hub ids, a hub that answers, a hub that does not."""

import hashlib
import http.server
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from ffn_extract.checkpoints import find_checkpoint
from ffn_extract.errors import CheckpointError

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def test_a_folder_is_called_by_its_name(tiny_model, monkeypatch):
    monkeypatch.chdir(tiny_model("gpt2"))
    checkpoint = find_checkpoint(".")
    assert (checkpoint.name, checkpoint.revision) == ("tiny-gpt2", None)
    assert checkpoint.config["model_type"] == "gpt2"


@pytest.mark.parametrize("model", ["/no/such/folder", "a/b/c", "no such model", "../x", ""])
def test_what_is_neither_folder_nor_hub_id_is_refused(model):
    with pytest.raises(CheckpointError, match="is no folder, and no hub id either"):
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


FIND = (
    "import sys; from ffn_extract.checkpoints import find_checkpoint;"
    "from ffn_extract.errors import FFNExtractError\n"
    "try:\n"
    "    found = find_checkpoint(*sys.argv[1:]); print(found.name, found.revision, found.folder)\n"
    "except FFNExtractError as error:\n"
    "    print('refused:', error)"
)


def find_elsewhere(endpoint: str, cache: Path, *arguments: str) -> str:
    """What a fresh process finds: huggingface_hub reads its settings when it is imported."""
    environment = {**os.environ, "HF_ENDPOINT": endpoint, "HF_HOME": str(cache)}
    environment.update(HF_HUB_DISABLE_PROGRESS_BARS="1", HF_HUB_DISABLE_XET="1")
    command = [sys.executable, "-c", FIND, *arguments]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.strip()


def test_a_hub_that_cannot_be_reached_names_both_ways_out_and_soon(tmp_path):
    start = time.monotonic()
    said = find_elsewhere("http://127.0.0.1:9", tmp_path, "gpt2")
    assert time.monotonic() - start < 30
    assert said.startswith("refused: The hub cannot be reached")
    assert "Either give a local folder" in said
    assert "or connect (HF_HOME" in said
    assert "HF_TOKEN" in said


class Hub(http.server.BaseHTTPRequestHandler):
    """Just enough of the hub: one model, its files at one commit."""

    files: dict[str, bytes] = {}  # noqa: RUF012
    asked: list[str] = []  # noqa: RUF012

    def do_GET(self):
        self._answer(body=True)

    def do_HEAD(self):
        self._answer(body=False)

    def _answer(self, *, body):
        type(self).asked.append(self.path)
        if self.path.startswith("/api/models/someone/tiny"):
            return self._info()
        name = self.path.rsplit("/", 1)[-1]
        if self.path.startswith("/someone/tiny/resolve/main/") and name in self.files:
            return self._send(200, self.files[name], body)
        missing = {"X-Error-Code": "RepoNotFound", "X-Error-Message": "Repository not found"}
        return self._send(404, b"", body, missing)

    def _info(self):
        siblings = [{"rfilename": name} for name in [*self.files, "README.md", "tf_model.h5"]]
        info = {"id": "someone/tiny", "sha": COMMIT, "siblings": siblings}
        self._send(200, json.dumps(info).encode(), True)

    def _send(self, status, content, body, headers=None):
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
        self.send_header("X-Repo-Commit", COMMIT)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        if body:
            self.wfile.write(content)

    def log_message(self, *_):
        pass


@pytest.fixture
def hub(tiny_model):
    Hub.files = {path.name: path.read_bytes() for path in tiny_model("llama").iterdir()}
    Hub.files["pytorch_model.bin"] = b"never fetched"
    Hub.asked = []
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_hub_model_is_fetched_once_with_only_the_needed_files(hub, tmp_path):
    name, revision, folder = find_elsewhere(hub, tmp_path, "someone/tiny").split()
    assert (name, revision) == ("someone/tiny", COMMIT)
    fetched = {path.name for path in Path(folder).iterdir()}
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= fetched
    assert not fetched & {"README.md", "tf_model.h5", "pytorch_model.bin"}
    offline = find_elsewhere("http://127.0.0.1:9", tmp_path, "someone/tiny")
    assert offline.split() == [name, revision, folder]


def test_a_model_that_the_hub_does_not_have_is_refused(hub, tmp_path):
    said = find_elsewhere(hub, tmp_path, "someone/else")
    assert said.startswith("refused: The hub has no model someone/else")
