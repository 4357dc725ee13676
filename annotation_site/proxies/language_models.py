"""Language models as proxies: the coverage of a run's annotations of every value vector.

A list at which the run failed has the value 0. Any number that is known of every vector is a valid
proxy, so this makes no estimate wrong; many failures only make the proxy useless.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from django.utils.translation import gettext_noop
from numpy.typing import NDArray

from annotation_site.analysis.stopwords import propose_stopwords_flag
from annotation_site.annotation.models import Study
from annotation_site.corpus.censuses import candidates, name_of, sizes_of_lists, with_lists
from annotation_site.corpus.models import Extraction, Kind, Token, Vector
from annotation_site.errors import Invalid
from annotation_site.machine_annotators.models import MachineAnnotation, MachineRun
from annotation_site.machine_annotators.selectors import ready_runs
from annotation_site.proxies.census import NO_LISTS, LayerNumbers
from annotation_site.sentences import Sentence

CHUNK = 1000  # vectors that are read at once
LACKS_ANNOTATIONS = gettext_noop(
    "The language model has annotated %(found)s of %(whole)s value vectors of layer %(layer)s of "
    "%(model)s. Request a run over every value vector."
)

Place = tuple[int, int]  # layer, index
Layers = Mapping[int, NDArray[np.float32]]
"""The coverage of each value vector by layer and index; NaN without an annotation."""


def proxy_runs(study: Study) -> list[MachineRun]:
    """A study's runs that are a proxy, in the order of their requests.

    Of a run that came with an archive, its study's archive says what was known of every vector.
    """
    ready = ready_runs(study).filter(covers=MachineRun.Covers.VECTORS, restored=False)
    return list(ready.order_by("requested_at", "pk"))


def run_numbers(
    run: MachineRun,
    extraction: Extraction,
    among: Sequence[Extraction],
    *,
    min_tokens: int,
    places: Iterable[Place],
    population: Collection[Place] | None,
) -> tuple[list[LayerNumbers], dict[Place, float]]:
    """The census of a run's coverage of a model, and its value at some places.

    `among` are the ready extractions of the model; without a `population` the census is over every
    value vector. Raises Invalid, with numbers, where the run has not annotated all of these.
    """
    censuses = with_lists(candidates(extraction, among))
    if not censuses:
        raise Invalid(Sentence(NO_LISTS, model=name_of(extraction)))
    refused: list[Invalid] = []
    for census in censuses:
        try:
            layers = _layers(run, census, min_tokens)
            numbers = list(_census(layers, population, name_of(extraction)))
        except Invalid as error:
            refused.append(error)
        else:
            return numbers, {
                (layer, index): float(layers[layer][index])
                for layer, index in places
                if layer in layers and index < len(layers[layer])
            }
    raise refused[0]


def _census(
    layers: Layers, population: Collection[Place] | None, model: str
) -> Iterable[LayerNumbers]:
    """The mean of each layer. Raises Invalid where a vector has no value."""
    for layer, values in sorted(layers.items()):
        if population is not None:
            inside = {index for at, index in population if at == layer and index < len(values)}
            values = values[sorted(inside)]
        known = int(np.isfinite(values).sum())
        if known < len(values):
            raise Invalid(
                Sentence(
                    LACKS_ANNOTATIONS,
                    found=f"{known:,}",
                    whole=f"{len(values):,}",
                    layer=layer,
                    model=model,
                )
            )
        if known:
            yield LayerNumbers(layer, known, float(values.astype(np.float64).mean()))


def _layers(run: MachineRun, census: Extraction, min_tokens: int) -> Layers:
    ended = run.finished_at.isoformat() if run.finished_at else ""
    return _read(run.pk, f"{run.public_id} {ended}", census.pk, min_tokens)


# A ready run's annotations change only where it is continued, and every snapshot asks again.
@lru_cache(maxsize=16)
def _read(run: int, state: str, extraction: int, min_tokens: int) -> Layers:
    """The coverage of a run in this state. Raises Invalid where the extraction lacks vectors."""
    census = Extraction.objects.select_related("model").only("title", "model").get(pk=extraction)
    flagged = Token.objects.filter(extraction=extraction, is_stopword=True)
    stopwords = set(flagged.values_list("token_id", flat=True))
    found = {
        layer: np.full(size, np.nan, dtype=np.float32)
        for layer, size in sizes_of_lists(census).items()
    }
    rows = Vector.objects.filter(extraction=extraction, kind=Kind.VALUE)
    for layer, values in found.items():
        for start in range(0, len(values), CHUNK):
            # In chunks of their own: an open cursor would keep the database from cleaning up.
            part = rows.filter(layer=layer, index__gte=start, index__lt=start + CHUNK)
            lists = {pk: rest for pk, *rest in part.values_list("pk", "index", "token_ids")}
            said = MachineAnnotation.objects.filter(run=run, vector__in=list(lists))
            for vector, patterns in said.values_list("vector", "annotation__patterns"):
                index, token_ids = lists[vector]
                values[index] = coverage(patterns or (), token_ids, stopwords, min_tokens)
        values.flags.writeable = False
    return found


def coverage(
    patterns: Iterable[Mapping[str, Any]],
    token_ids: Sequence[int],
    stopwords: Collection[int],
    min_tokens: int,
) -> float:
    """The share of a list's tokens in a pattern, as the coverage of a person's annotation.

    So a pattern needs `min_tokens`, and one of stopwords is none. A flag that the annotation leaves
    open is the proposed one.
    """
    ranks = set()
    for pattern in patterns:
        flag = pattern["stopwords"]
        if flag is None:
            flag = propose_stopwords_flag(
                [token_ids[rank - 1] in stopwords for rank in pattern["ranks"]]
            )
        if len(pattern["ranks"]) >= min_tokens and not flag:
            ranks |= set(pattern["ranks"])
    return len(ranks) / len(token_ids) if token_ids else 0.0
