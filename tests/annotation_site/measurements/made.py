"""A tiny model with an extraction on the site, for tests of measurements."""

from pathlib import Path
from typing import Any

from annotation_site.corpus import loading
from annotation_site.corpus.models import Extraction, LanguageModel
from ffn_extract import apart
from ffn_extract.options import ExtractOptions
from ffn_extract.pipeline import open_run
from ffn_extract.progress import Steps, ignore

FEW = {"examples": 6, "resamples": 100, "per_layer": 3, "top_k": 5, "batch_rows": 2}
"""Options that make a measurement of a tiny model short, in several batches."""


def sentences_write(path: Path) -> None:
    """Thirty sentences of words that the tiny models know."""
    lines = (f"the cat sat on the mat and saw {n} dogs running" for n in range(30))
    path.write_text("\n".join(lines))


def extracted(folder: Path, tmp_path: Path, **changes: Any) -> LanguageModel:
    """The row of a model with a ready extraction, as if the folder had been extracted."""
    options = ExtractOptions(kinds=("value",), per_layer=1, top_k=1, glosses=(), name=folder.name)
    run = open_run(str(folder), tmp_path / "unwritten", options, Steps(ignore))
    model = loading.model_get_or_create(run.info)
    Extraction.objects.create(
        model=model, model_source=folder.name, state=Extraction.State.READY,
        title=f"an extraction of {folder.name}", **changes,
    )  # fmt: skip
    return model


class InThisProcess:
    """What `MeasuringApart` does, without a process of its own."""

    def measure(self, *described: Any) -> dict[str, Any]:
        *asked, report = described
        served = apart._Served(None, None)  # type: ignore[arg-type]
        served._report = report  # type: ignore[method-assign]
        asked[2] = str(asked[2])
        return dict(served._measure(tuple(asked)))  # type: ignore[arg-type]

    def close(self) -> None:
        """There is none to end."""
