"""Reading the corpus."""

from dataclasses import dataclass
from pathlib import Path

from django.conf import settings
from django.db.models import QuerySet

from annotation_site.corpus.models import Extraction
from ffn_extract.progress import STEPS

LOAD_STEPS = (
    ("load_tokens", "Load the tokens"),
    ("load_vectors", "Load the lists"),
)


@dataclass(frozen=True)
class StepState:
    """One step of a run, as a page shows it. `state`: waiting, running, done or failed."""

    key: str
    title: str
    state: str
    done: int
    total: int


def extractions() -> QuerySet[Extraction]:
    """All extractions, newest first, with what their list shows."""
    return Extraction.objects.select_related("model", "requested_by", "same_as")


def extractions_ready() -> QuerySet[Extraction]:
    """Extractions whose lists can be judged."""
    return extractions().filter(state=Extraction.State.READY, same_as=None)


def extraction_steps(extraction: Extraction) -> list[StepState]:
    """Every step of the run in order, with where it stands."""
    steps = [*STEPS, *LOAD_STEPS]
    keys = [key for key, _ in steps]
    ready = extraction.state == Extraction.State.READY
    current = keys.index(extraction.step) if extraction.step in keys else -1
    result = []
    for position, (key, title) in enumerate(steps):
        if ready or position < current:
            state = "done"
        elif position > current:
            state = "waiting"
        elif extraction.state == Extraction.State.FAILED:
            state = "failed"
        elif extraction.state == Extraction.State.QUEUED:
            state = "waiting"
        else:
            state = "running"
        shown = (extraction.step_done, extraction.step_total) if state == "running" else (0, 0)
        result.append(StepState(key, title, state, *shown))
    return result


def local_models() -> list[str]:
    """Names of the model folders that an admin of the machine put into MODELS_DIR."""
    folder = Path(settings.MODELS_DIR)
    if not folder.is_dir():
        return []
    return sorted(path.name for path in folder.iterdir() if (path / "config.json").exists())
