"""Folder of fetched data on this machine: WordNet, responses of wikis."""

import os
from pathlib import Path


def data_folder() -> Path:
    """FFN_DATA_DIR, else `ffn_concepts` in the user's cache; it may not exist yet."""
    chosen = os.environ.get("FFN_DATA_DIR")
    if chosen:
        return Path(chosen).expanduser().resolve()
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return (Path(cache).expanduser() / "ffn_concepts").resolve()
