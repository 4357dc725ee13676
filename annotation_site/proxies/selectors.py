"""Queries of proxies: what is known of a study's models, what can be, and the numbers."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from django.db.models import QuerySet
from django.utils.translation import gettext, gettext_noop

from annotation_site.annotation.models import Study
from annotation_site.corpus.censuses import candidates, name_of, ready_of, with_lists
from annotation_site.corpus.models import Extraction
from annotation_site.errors import Invalid
from annotation_site.machine_annotators.models import MachineRun
from annotation_site.proxies.census import (
    LayerNumbers,
    censuses_for,
    statistic_census,
    statistic_rows,
)
from annotation_site.proxies.language_models import proxy_runs, run_numbers
from annotation_site.proxies.models import ProxyRun
from annotation_site.proxies.registry import (
    PROXIES,
    Proxy,
    is_of_language_model,
    of_language_model,
    title_sentence,
)
from annotation_site.proxies.services import ARCHIVED, value_extractions
from annotation_site.sentences import Sentence

Place = tuple[int, int]  # layer, index
NOT_IN_ARCHIVE = gettext_noop(
    "The study was restored from an archive, whose proxies its estimates use. This one is not "
    "among them."
)
NOT_OF_SET = gettext_noop("No vector of the study’s set is among those of %(model)s.")
State = ProxyRun.State


@dataclass(frozen=True)
class ProxyOfModel:
    """A proxy of one of a study's extractions: known, computed by a run, or why it is not.

    `census` is the extraction whose vectors it is known of; where that turns out to lack some, one
    of `others`. Without a run and a reason it is known, or can be computed. What `is_archived` came
    with the study's archive. With a `machine_run` it is the coverage of that run's annotations.
    """

    proxy: Proxy
    extraction: Extraction
    census: Extraction | None = None
    run: ProxyRun | None = None
    reason: Sentence | str = ""
    is_archived: bool = False
    others: Sequence[Extraction] = ()
    machine_run: MachineRun | None = None

    @property
    def model(self) -> str:
        return name_of(self.extraction)

    @property
    def state(self) -> str:
        """ "known", "possible", "impossible", or the state of its run."""
        if self.run is not None:
            return "known" if self.run.is_ready else self.run.state
        if self.is_archived or self.machine_run is not None:
            return "known"
        if self.census is None:
            return "impossible"
        return "possible" if self.proxy.is_computed else "known"

    @property
    def can_compute(self) -> bool:
        return self.proxy.is_computed and self.state in ("possible", State.FAILED, State.CANCELLED)


@dataclass(frozen=True)
class ProxyOfStudy:
    """A proxy of a study, for each of its models."""

    proxy: Proxy
    of_models: list[ProxyOfModel]

    @property
    def title(self) -> Sentence:
        return title_sentence(self.proxy.name)

    @property
    def description(self) -> str:
        return gettext(self.proxy.description)

    @property
    def can_compute(self) -> bool:
        """Whether a person can ask for it: some model has a census, but lacks the proxy."""
        return any(one.can_compute for one in self.of_models)

    @property
    def is_known(self) -> bool:
        """Whether it is known of some model."""
        return any(one.state == "known" for one in self.of_models)

    @property
    def is_unfinished(self) -> bool:
        return any(one.run is not None and one.run.is_unfinished for one in self.of_models)


def proxies_of_study(study: Study) -> list[ProxyOfStudy]:
    """Every proxy of the registry with its state, then language models; none for a study without
    value lists.

    Five queries. Whether every vector is there is looked at when a proxy is requested or read.
    """
    extractions = value_extractions(study)
    if not extractions:
        return []
    here = _here(extractions)
    runs = _runs(here, study.min_tokens)
    found = [
        ProxyOfStudy(proxy, [_of_model(proxy, one, here, runs) for one in extractions])
        for proxy in PROXIES.values()
    ]
    return [*found, *_language_models(study, extractions)]


def _language_models(study: Study, extractions: Sequence[Extraction]) -> list[ProxyOfStudy]:
    """Language models that annotated every value vector, in the order of their requests."""
    found: dict[str, list[ProxyOfModel]] = {}
    runs: list[MachineRun] | None = None
    for extraction in extractions:
        titles, lacking = (getattr(extraction, name) for name in ARCHIVED)
        if titles is not None:
            lacks = dict(lacking)
            for name in dict(titles):
                if is_of_language_model(name):
                    reason = lacks.get(name, "")
                    one = ProxyOfModel(
                        of_language_model(name),
                        extraction,
                        reason=reason,
                        is_archived=not reason,
                    )
                    found.setdefault(name, []).append(one)
            continue
        runs = proxy_runs(study) if runs is None else runs
        for run in runs:
            one = ProxyOfModel(of_language_model(run.name), extraction, machine_run=run)
            found.setdefault(run.name, []).append(one)
    return [ProxyOfStudy(of_models[0].proxy, of_models) for of_models in found.values()]


def runs_of_study(study: Study) -> QuerySet[ProxyRun]:
    """The runs of the models of a study, at its minimum of tokens."""
    weights = {one.model.weights_digest for one in value_extractions(study) if one.model}
    return ProxyRun.objects.filter(
        extraction__model__weights_digest__in=weights, min_tokens=study.min_tokens
    ).select_related("extraction__model", "requested_by")


def _here(extractions: Iterable[Extraction]) -> list[Extraction]:
    return list(ready_of({one.model.weights_digest for one in extractions if one.model}))


def _runs(here: Collection[Extraction], min_tokens: int) -> dict[tuple[str, int], ProxyRun]:
    found = ProxyRun.objects.filter(extraction__in=[one.pk for one in here], min_tokens=min_tokens)
    return {(one.proxy, one.extraction_id): one for one in found.select_related("requested_by")}


def _of_model(
    proxy: Proxy,
    extraction: Extraction,
    here: Sequence[Extraction],
    runs: Mapping[tuple[str, int], ProxyRun],
) -> ProxyOfModel:
    """The state of a proxy of an extraction; of several censuses one with a run, ready first."""
    titles, lacking = (getattr(extraction, name) for name in ARCHIVED)
    if titles is not None:
        lacks = dict(lacking)
        if proxy.name in dict(titles) and proxy.name not in lacks:
            return ProxyOfModel(proxy, extraction, is_archived=True)
        told = lacks.get(proxy.name) or Sentence(NOT_IN_ARCHIVE)
        return ProxyOfModel(proxy, extraction, reason=told)
    try:
        census, *others = censuses_for(extraction, proxy, here)
    except Invalid as error:
        return ProxyOfModel(proxy, extraction, reason=error.sentence)
    if not proxy.is_computed:
        return ProxyOfModel(proxy, extraction, census, others=others)
    possible = with_lists(candidates(extraction, here))
    ran = [runs[proxy.name, one.pk] for one in possible if (proxy.name, one.pk) in runs]
    ran.sort(key=lambda run: not run.is_ready)
    if not ran:
        return ProxyOfModel(proxy, extraction, census)
    run = ran[0]
    census = next(one for one in possible if one.pk == run.extraction_id)
    return ProxyOfModel(proxy, extraction, census, run, run.error or "")


@dataclass(frozen=True)
class ProxyNumbers:
    """The numbers of a proxy of an extraction, or why there are none.

    `values` are those of the places that were asked for.
    """

    proxy: Proxy
    census: list[LayerNumbers] = field(default_factory=list)
    values: dict[Place, float] = field(default_factory=dict)
    missing: str = ""


def proxy_numbers(
    study: Study, places: Mapping[int, Collection[Place]]
) -> dict[int, list[ProxyNumbers]]:
    """The numbers of the known proxies for some of a study's extractions, by their keys.

    A proxy that nobody computed, or that waits, is left out: tables follow from what is there.
    Language models come last, in the order of their requests.
    `places` are the layers and indices of the study's lists. The census is over all value vectors,
    or for a study of a set over the set's. Sentences are English, as tables have them.
    """
    found: dict[int, list[ProxyNumbers]] = {}
    extractions = [one for one in value_extractions(study) if one.pk in places]
    here = _here(extractions)
    runs = _runs(here, study.min_tokens)
    population = None
    if study.drawn_from is not None:
        population = {(layer, index) for layer, index in study.drawn_from["places"]}
    machine_runs = proxy_runs(study) if extractions else []
    for extraction in extractions:
        of_models = [_of_model(proxy, extraction, here, runs) for proxy in PROXIES.values()]
        of_models += [
            ProxyOfModel(of_language_model(run.name), extraction, machine_run=run)
            for run in machine_runs
        ]
        wanted = set(places[extraction.pk])
        found[extraction.pk] = [
            _numbers(one, wanted, population, here=here, min_tokens=study.min_tokens)
            for one in of_models
            if one.state == "known"
        ]
    return found


def _numbers(
    one: ProxyOfModel,
    places: set[Place],
    population: set[Place] | None,
    *,
    here: Sequence[Extraction],
    min_tokens: int,
) -> ProxyNumbers:
    try:
        if one.machine_run is not None:
            census, values = run_numbers(
                one.machine_run,
                one.extraction,
                here,
                min_tokens=min_tokens,
                places=places,
                population=population,
            )
            numbers = ProxyNumbers(one.proxy, census, values)
        else:
            read = _of_run if one.run is not None else _of_statistics
            numbers = read(one, places, population)
    except Invalid as error:
        told = error.sentence
        return ProxyNumbers(one.proxy, missing=told if isinstance(told, str) else told.english)
    if not numbers.census:
        return ProxyNumbers(one.proxy, missing=Sentence(NOT_OF_SET, model=one.model).english)
    return numbers


def _of_run(one: ProxyOfModel, places: set[Place], population: set[Place] | None) -> ProxyNumbers:
    """Numbers of a ready run; of the layers alone that are needed it reads the values."""
    assert one.run is not None  # noqa: S101  # the caller looks
    needed = {layer for layer, _ in places | (population or set())}
    values: dict[Place, float] = {}
    census = []
    layers = one.run.layers.all()
    if population is None:
        rows = layers.values_list("layer", "vectors", "mean")
        census = [LayerNumbers(*row) for row in rows]
    for layer in layers.filter(layer__in=needed):
        known = layer.values
        values |= {
            (at, index): float(known[index])
            for at, index in places
            if at == layer.layer and index < len(known)
        }
        if population is not None:
            inside = [index for at, index in population if at == layer.layer and index < len(known)]
            if inside:
                mean = known[sorted(inside)].astype(np.float64).mean()
                census.append(LayerNumbers(layer.layer, len(inside), float(mean)))
    return ProxyNumbers(one.proxy, census, values)


def _of_statistics(
    one: ProxyOfModel, places: set[Place], population: set[Place] | None
) -> ProxyNumbers:
    """Numbers of value statistics. Raises Invalid, with numbers, where a vector has none."""
    column = one.proxy.statistic
    held, census = _complete_statistics(one)
    values: dict[Place, float] = {}
    inside: dict[int, list[float]] = {}
    wanted = places | (population or set())
    indices = {index for _, index in wanted}
    layers = {layer for layer, _ in wanted}
    rows = statistic_rows(held, column).filter(layer__in=layers, index__in=indices)
    for layer, index, value in rows:
        if (layer, index) in places:
            values[layer, index] = value
        if population is not None and (layer, index) in population:
            inside.setdefault(layer, []).append(value)
    if population is not None:
        census = [
            LayerNumbers(layer, len(found), float(np.mean(found)))
            for layer, found in sorted(inside.items())
        ]
    return ProxyNumbers(one.proxy, census, values)


def _complete_statistics(one: ProxyOfModel) -> tuple[Extraction, list[LayerNumbers]]:
    """The first extraction in which every vector has the number, with its census.

    Raises Invalid, with the reason of the last one, where each lacks some.
    """
    assert one.census is not None  # noqa: S101  # the caller looks
    *first, last = (one.census, *one.others)
    for held in first:
        try:
            return held, statistic_census(held, one.proxy.statistic)
        except Invalid:
            continue
    return last, statistic_census(last, one.proxy.statistic)
