"""A tiny model with an extraction on the site, for tests of measurements."""

from pathlib import Path
from typing import Any

from annotation_site.corpus import loading
from annotation_site.corpus.models import Extraction, LanguageModel
from ffn_extract.options import ExtractOptions
from ffn_extract.pipeline import open_run
from ffn_extract.progress import Steps, ignore

FEW = {"examples": 6, "resamples": 100, "per_layer": 3, "top_k": 5}
"""Options that make a measurement of a tiny model short."""


def extracted(folder: Path, tmp_path: Path, **changes: Any) -> LanguageModel:
    """The row of a model with a ready extraction, as if the folder had been extracted."""
    options = ExtractOptions(kinds=("value",), per_layer=1, top_k=1, glosses=())
    run = open_run(str(folder), tmp_path / "unwritten", options, Steps(ignore))
    model = loading.model_get_or_create(run.info)
    Extraction.objects.create(
        model=model, model_source=folder.name, state=Extraction.State.READY,
        title=f"an extraction of {folder.name}", **changes,
    )  # fmt: skip
    return model
