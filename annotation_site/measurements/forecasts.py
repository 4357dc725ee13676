"""Forecast of a measurement's time and memory on this machine, before it is enqueued."""

import os
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from annotation_site.corpus.corpora import corpus_uploaded
from annotation_site.corpus.models import Corpus, LanguageModel
from annotation_site.measurements.models import Measurement
from annotation_site.measurements.options import options_checked, options_of
from ffn_extract.free_memory import free_bytes
from ffn_extract.measurements.estimate import Estimate, Sizes, estimate

_RUNS = 20
_MOST_CORRECTION = 20.0  # a run that waited for a slow network says nothing about the next
_LEAST_ROOM = 200_000_000  # bytes that should stay free beside what a measurement takes
_WORDNET_TOKENS = 12  # of an average text of WordNet's
_LETTERS = 4  # of a token, about


@dataclass(frozen=True)
class Forecast:
    """An estimate beside this machine's resources.

    `measured` tells whether the time rests on measurements of this site. Memory is compared with
    what is free on the machine that is asked; workers may be on others.
    """

    estimate: Estimate
    measured: bool
    free_memory: int | None

    @property
    def memory_is_short(self) -> bool:
        """Whether the measurement needs more memory than this machine has free."""
        free = self.free_memory
        return free is not None and self.estimate.memory_bytes + _LEAST_ROOM > free


def measurement_forecast(
    *,
    name: str,
    model: LanguageModel,
    options: Mapping[str, Any],
    corpus: Corpus | None = None,
) -> Forecast:
    """Estimate a measurement with some values of `OFFERED`. Raises Invalid, as enqueueing does."""
    found = _estimate(name, model, options_checked(options), corpus)
    factor = _correction()
    seconds = found.seconds * (factor or 1.0)
    return Forecast(Estimate(seconds, found.memory_bytes), factor is not None, free_bytes())


@dataclass(frozen=True)
class Part:
    """One of several measurements, and its seconds."""

    name: str
    seconds: float


@dataclass(frozen=True)
class TogetherForecast:
    """Forecast of measurements that one worker does one after the other."""

    parts: Sequence[Part]
    seconds: float
    memory_bytes: int
    memory_is_short: bool
    measured: bool
    free_memory: int | None


def measurements_forecast(
    *, names: Sequence[str], model: LanguageModel, corpus: str, options: Mapping[str, Any]
) -> TogetherForecast:
    """Estimate several measurements alike: the sum of times, the largest memory. Raises Invalid."""
    uploaded = corpus_uploaded(corpus)
    found = [
        measurement_forecast(name=name, model=model, options=options, corpus=uploaded)
        for name in names
    ]
    return TogetherForecast(
        [Part(name, one.estimate.seconds) for name, one in zip(names, found, strict=True)],
        sum(one.estimate.seconds for one in found),
        max(one.estimate.memory_bytes for one in found),
        any(one.memory_is_short for one in found),
        found[0].measured,
        found[0].free_memory,
    )


def expected_seconds(
    name: str, model: LanguageModel, parameters: Mapping[str, Any], corpus: Corpus | None
) -> float:
    """The estimate of a measurement's time, without the site's own correction."""
    return _estimate(name, model, parameters, corpus).seconds


def _estimate(
    name: str, model: LanguageModel, parameters: Mapping[str, Any], corpus: Corpus | None
) -> Estimate:
    length: float = _WORDNET_TOKENS
    if corpus is not None and corpus.sentences:
        length = corpus.size / corpus.sentences / _LETTERS
    return estimate(
        name,
        _sizes(model),
        options_of(parameters),
        tokens=max(2.0, length / 2),  # a prefix ends anywhere in its sentence
        workers=os.cpu_count() or 1,
    )


def _sizes(model: LanguageModel) -> Sizes:
    """The parameters are a guess from above: a gated FFN, whole attention, and two embeddings."""
    of_layer = 3 * model.d_ff * model.d_model + 4 * model.d_model**2
    return Sizes(
        parameters=model.n_layers * of_layer + 2 * model.vocab_size * model.d_model,
        layers=model.n_layers,
        d_model=model.d_model,
        d_ff=model.d_ff,
        vocab_size=model.vocab_size,
    )


def _correction() -> float | None:
    """Real over estimated time of this site's latest measurements, their median; None without."""
    runs = Measurement.objects.filter(
        state=Measurement.State.READY, expected_seconds__gt=0, started_at__isnull=False
    ).order_by("-finished_at")
    ratios = [
        (finished - started).total_seconds() / expected
        for started, finished, expected in runs.values_list(
            "started_at", "finished_at", "expected_seconds"
        )[:_RUNS]
        if started and finished and expected
    ]
    if not ratios:
        return None
    return min(max(statistics.median(ratios), 1 / _MOST_CORRECTION), _MOST_CORRECTION)
