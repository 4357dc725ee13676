"""Forecast of an extraction's time, memory and disk on this machine, before it is enqueued."""

import shutil
import statistics
from dataclasses import dataclass, replace
from pathlib import Path

from django.conf import settings

from annotation_site.corpus.locations import local_folder, require_model, says_its_sizes
from annotation_site.corpus.models import Extraction, ExtractionLayer
from annotation_site.errors import Invalid
from ffn_extract.checkpoints.outline import Outline, outline_of_folder, outline_on_hub
from ffn_extract.errors import FFNExtractError
from ffn_extract.estimate import DEFAULT_RATE, Estimate, estimate
from ffn_extract.free_memory import free_bytes
from ffn_extract.options import ExtractOptions

HUB_SECONDS = 3.0
_MEASURED_RUNS = 20
_LEAST_SECONDS = 1.0  # a shorter projection says more about its start than about its rate
_MOST_CORRECTION = 20.0  # a run that waited for a slow network says nothing about the next
_LEAST_ROOM = 500_000_000  # bytes that should stay free beside what an extraction takes


@dataclass(frozen=True)
class Forecast:
    """An estimate beside this machine's resources; `estimate` is None if the sizes are unknown.

    `measured` tells whether the time rests on extractions of this site, and `found` whether the
    model is known to be there: the hub may not answer.
    """

    estimate: Estimate | None
    measured: bool = False
    free_disk: int | None = None
    free_memory: int | None = None
    found: bool = True

    @property
    def disk_is_short(self) -> bool:
        """Whether the extraction would fill this machine's disk."""
        return self.estimate is not None and _is_short(self.estimate.disk_bytes, self.free_disk)

    @property
    def memory_is_short(self) -> bool:
        """Whether the extraction needs more memory than this machine has free."""
        found = self.estimate
        return found is not None and _is_short(found.memory_bytes, self.free_memory)


def _is_short(needed: int, free: int | None) -> bool:
    return free is not None and needed + _LEAST_ROOM > free


def extraction_forecast(*, model_source: str, options: ExtractOptions) -> Forecast:
    """Estimate an extraction; for a model on the hub this takes a few seconds there.

    Raises Invalid where it is plain already that it cannot work.
    """
    require_model(model_source, options)
    try:
        outline = _outline(model_source, options)
        if outline is None:
            return Forecast(None, found=local_folder(model_source) is not None)
        rate = measured_rate()
        found = estimate(outline, options, rate or DEFAULT_RATE)
        found = replace(found, seconds=found.seconds * correction())
    except FFNExtractError as error:
        raise Invalid(str(error)) from error
    return Forecast(found, rate is not None, _free_disk(), free_bytes())


def expected_seconds(model_source: str, options: ExtractOptions) -> float | None:
    """The estimate of an extraction's time, without the site's own correction.

    None for a model on the hub, which is not asked here, and for one that does not say its sizes.
    """
    folder = local_folder(model_source)
    if folder is None or not says_its_sizes(folder):
        return None
    try:
        outline = outline_of_folder(folder, options.gguf_file)
        return estimate(outline, options, measured_rate() or DEFAULT_RATE).seconds
    except FFNExtractError:
        return None


def correction() -> float:
    """The factor of this site's estimates: real over estimated time, the median of its latest runs.

    1 where no run had an estimate.
    """
    runs = Extraction.objects.filter(
        state=Extraction.State.READY, expected_seconds__gt=0, started_at__isnull=False
    ).order_by("-finished_at")
    ratios = [
        (finished - started).total_seconds() / expected
        for started, finished, expected in runs.values_list(
            "started_at", "finished_at", "expected_seconds"
        )[:_MEASURED_RUNS]
        if started and finished and expected
    ]
    found = statistics.median(ratios) if ratios else 1.0
    return min(max(found, 1 / _MOST_CORRECTION), _MOST_CORRECTION)


def _outline(source: str, options: ExtractOptions) -> Outline | None:
    folder = local_folder(source)
    if folder is None:
        return outline_on_hub(source, options.revision, HUB_SECONDS, options.gguf_file)
    if not says_its_sizes(folder):
        return None  # fairseq's checkpoints say their sizes only when they are read
    return outline_of_folder(folder, options.gguf_file)


def measured_rate() -> float | None:
    """Products per second in the projections of this site's latest extractions; else None."""
    ready = (
        Extraction.objects.filter(state=Extraction.State.READY, imported=False, uploaded=False)
        .exclude(model=None)
        .select_related("model")
        .defer("manifest", "plan")
        .order_by("-finished_at")[:_MEASURED_RUNS]
    )
    rates = [rate for extraction in ready if (rate := _rate_of(extraction)) is not None]
    return statistics.median(rates) if rates else None


def _rate_of(extraction: Extraction) -> float | None:
    model = extraction.model
    lists = extraction.counts.get("vectors")
    seconds = extraction.environment.get("seconds", {}).get("projection")
    if seconds is None:
        layers = [
            (layer.total, (layer.finished_at - layer.started_at).total_seconds())
            for layer in ExtractionLayer.objects.filter(extraction=extraction)
            if layer.started_at and layer.finished_at
        ]
        lists, seconds = (sum(column) for column in zip(*layers, strict=True)) if layers else (0, 0)
    if model is None or not lists or seconds < _LEAST_SECONDS:
        return None
    return float(lists * model.vocab_size * model.d_model / seconds)


def _free_disk() -> int | None:
    folder = Path(settings.BUNDLES_DIR)
    existing = next((path for path in (folder, *folder.parents) if path.exists()), None)
    return shutil.disk_usage(existing).free if existing else None
