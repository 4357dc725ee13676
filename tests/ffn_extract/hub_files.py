"""A tiny model's files on a hub, and a process that looks for them."""

import os
from pathlib import Path

from tests.ffn_extract.fresh_process import run_code

NOWHERE = "http://127.0.0.1:9"
FIND = (
    "import sys; from ffn_extract.checkpoints.find import find_checkpoint;"
    "from ffn_extract.errors import FFNExtractError\n"
    "try:\n"
    "    found = find_checkpoint(*sys.argv[1:]); print(found.name, found.revision, found.folder)\n"
    "except FFNExtractError as error:\n"
    "    print('refused:', error)"
)


def find(
    endpoint: str, cache: Path, *arguments: str, token: str | None = None, code: str = FIND
) -> str:
    """What a fresh process finds: huggingface_hub reads its settings when it is imported."""
    environment = {**os.environ, "HF_ENDPOINT": endpoint, "HF_HOME": str(cache)}
    environment.update(HF_HUB_DISABLE_PROGRESS_BARS="1", HF_HUB_DISABLE_XET="1")
    environment.pop("HF_TOKEN", None)
    if token is not None:
        environment["HF_TOKEN"] = token
    ended = run_code(code, *arguments, environment=environment)
    assert ended.returncode == 0, ended.stderr
    assert "Traceback" not in ended.stderr
    return ended.stdout.strip()


def files_of(folder: Path) -> dict[str, bytes]:
    """A model's files on the hub, with some that nobody needs."""
    others = dict.fromkeys(("README.md", "tf_model.h5", "pytorch_model.bin", "logo.png"), b"other")
    return {**{path.name: path.read_bytes() for path in folder.iterdir()}, **others}
