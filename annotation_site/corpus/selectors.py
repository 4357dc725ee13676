"""Queries of models, extractions, layers and logs."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.db.models import (
    PROTECT,
    BooleanField,
    Exists,
    ExpressionWrapper,
    ManyToOneRel,
    OuterRef,
    Q,
    QuerySet,
)
from django.utils.translation import gettext, gettext_noop
from django.utils.translation import gettext_lazy as _

from annotation_site.corpus.locations import local_folder
from annotation_site.corpus.models import (
    USUAL_KINDS,
    Extraction,
    ExtractionLayer,
    Kind,
    LogLine,
    Token,
    Vector,
)
from annotation_site.workers.identity import worker_label
from ffn_extract.bundle.manifest import UNEMBEDDINGS
from ffn_extract.options import ALL
from ffn_extract.progress import STEPS

LOAD_STEPS = (
    ("load_tokens", gettext_noop("Load the tokens")),
    ("load_vectors", gettext_noop("Load the lists")),
)
LOAD_ONLY = (("check", gettext_noop("Check the bundle")), *LOAD_STEPS)  # of what was made elsewhere
STEP_TITLES = dict((*STEPS, *LOAD_ONLY))
STATE_WORDS = {
    "waiting": _("waiting"), "running": _("running"), "done": _("done"), "failed": _("failed"),
}  # fmt: skip

AT_REST = (Extraction.State.QUEUED, Extraction.State.CANCELLED, Extraction.State.DELETING)
MOST_FAILED = 5  # of which a home tells
WITHIN_LAYERS = ("vectors", "random", "updates")  # no steps of their own where layers are cut


@dataclass(frozen=True)
class StepState:
    """One step of a run, as a page shows it. `state`: waiting, running, done or failed."""

    key: str
    title: str
    state: str
    done: int
    total: int

    @property
    def state_words(self) -> str:
        return str(STATE_WORDS[self.state])


def extractions(*, state: str = "") -> QuerySet[Extraction]:
    """All extractions, or those in a state, newest first, with the columns of their list.

    `is_restored` says whether it came with a study's archive. The archive's own numbers, which can
    be megabytes, are deferred.
    """
    found = Extraction.objects.select_related("model", "requested_by", "same_as")
    long = ("manifest", "plan", "restored")
    found = found.defer(*long, *(f"same_as__{name}" for name in long))
    restored = ExpressionWrapper(Q(restored__isnull=False), output_field=BooleanField())
    found = found.annotate(is_restored=restored)
    return found.filter(state=state) if state else found


def extractions_failed() -> list[Extraction]:
    """The newest that failed, at most five, without those that were done since for their model."""
    again = Extraction.objects.filter(
        model_source=OuterRef("model_source"),
        created_at__gt=OuterRef("created_at"),
        state=Extraction.State.READY,
    )
    failed = extractions(state=Extraction.State.FAILED)
    return list(failed.exclude(Exists(again))[:MOST_FAILED])


def lacks_senses(extraction: Extraction) -> bool:
    """Whether an extraction has glosses of WordNet's, but no ranked senses: it is an older one."""
    tokens = Token.objects.filter(extraction=extraction, gloss_source="wordnet")
    return not tokens.exclude(senses=[]).exists() and tokens.exists()


def what_was_read(extraction: Extraction) -> dict[str, object]:
    """The tensors and the tokenizer in a manifest; `has_manifest` is whether one was kept.

    Manifests of version 0.1 name no unembedding.
    """
    stored = Extraction.objects.filter(pk=extraction.pk).values_list("manifest", flat=True).first()
    if not stored:
        return {"has_manifest": False}
    manifest = json.loads(stored)
    model, parameters = manifest.get("model", {}), manifest.get("parameters", {})
    unembedding = model.get("unembedding")
    words = gettext(UNEMBEDDINGS[unembedding["chosen"]]) if unembedding else ""
    return {
        "has_manifest": True,
        "unembedding": unembedding and {"tensors": unembedding["tensors"], "words": words},
        "layers_read": model.get("layers_read"),
        "tokenizer": parameters.get("tokenizer"),
        "gguf_files": gguf_files(extraction),
        **_of_keys(manifest.get("counts", {}).get("keys") or {}, parameters),
    }


def gguf_files(extraction: Extraction) -> list[str]:
    """The names of the GGUF files that were read; empty for other formats, and if not told."""
    names = extraction.environment.get("gguf_files")
    return [name for name in names if isinstance(name, str)] if isinstance(names, list) else []


def _of_keys(counts: Mapping[str, Any], parameters: Mapping[str, Any]) -> dict[str, object]:
    """Keys without prefixes or with few, and the sentences that were read for them.

    A bundle's check holds the counts; of the parameters, which a program may write as it likes,
    numbers alone are shown.
    """
    read, corpus = parameters.get("keys"), parameters.get("corpus")
    names = ("cut", "longest", "at_position_0", "without_prefix")
    numbers: dict[str, int] = {}
    if isinstance(read, dict) and isinstance(corpus, dict):
        entries = {**{name: read.get(name) for name in names}, "texts": corpus.get("texts")}
        numbers = {name: n for name, n in entries.items() if isinstance(n, int)}
    return {
        "key_counts": [{"kind": Kind(kind).label, **counts[kind]} for kind in counts],
        "read_for_keys": numbers if len(numbers) == len(names) + 1 else None,
    }


def extraction_log(extraction: Extraction, *, at_most: int | None = None) -> list[LogLine]:
    """The lines of an extraction's log, newest first; by default all of them."""
    return list(extraction.log.select_related("person").order_by("-pk")[:at_most])


def extractions_ready() -> QuerySet[Extraction]:
    """Extractions whose lists can be annotated."""
    return extractions().filter(state=Extraction.State.READY, same_as=None)


def hub_models_known(most: int = 50) -> list[str]:
    """Names of models that were extracted here and are in no folder, as a form offers them."""
    found = Extraction.objects.filter(imported=False, uploaded=False, state=Extraction.State.READY)
    names = found.order_by("model_source").values_list("model_source", flat=True).distinct()
    return [name for name in names[:most] if local_folder(name) is None]


def kinds_offered(extractions: QuerySet[Extraction]) -> list[tuple[str, Any]]:
    """Kinds with their words: the usual ones, and others of which an extraction has vectors."""
    rare = set(Kind.values) - set(USUAL_KINDS)
    there = Vector.objects.filter(extraction__in=extractions, kind__in=rare)
    offered = {*USUAL_KINDS, *there.values_list("kind", flat=True).distinct()}
    return [(kind, words) for kind, words in Kind.choices if kind in offered]


def judged_in(extraction: Extraction) -> list[str]:
    """Quoted titles of the studies that use its lists, sorted.

    What protects lists are the items of studies, of which this app knows nothing else.
    """
    found = set()
    for relation in Vector._meta.get_fields(include_hidden=True):
        if isinstance(relation, ManyToOneRel) and relation.on_delete is PROTECT:
            within = {f"{relation.field.name}__extraction": extraction}
            for item in relation.related_model._base_manager.filter(**within).select_related():
                found.add(f"“{getattr(item, 'study', item)}”")
    return sorted(found)


def extraction_steps(extraction: Extraction) -> list[StepState]:
    """Every step of an extraction in order, with its state."""
    steps = [*STEPS, *LOAD_STEPS]
    if extraction.uploaded or extraction.imported:
        steps = list(LOAD_ONLY)
    elif extraction.parameters.get("per_layer") == ALL:
        steps = [step for step in steps if step[0] not in WITHIN_LAYERS]
    keys = [key for key, _ in steps]
    ready = extraction.state == Extraction.State.READY
    # A process that has yet to load its libraries reports no step: it is about to do the first.
    begun = extraction.state in (Extraction.State.RUNNING, Extraction.State.LOADING)
    current = keys.index(extraction.step) if extraction.step in keys else 0 if begun else -1
    result = []
    for position, (key, title) in enumerate(steps):
        if ready or position < current:
            state = "done"
        elif position > current:
            state = "waiting"
        elif extraction.state == Extraction.State.FAILED:
            state = "failed"
        elif extraction.state in AT_REST:
            state = "waiting"
        else:
            state = "running"
        shown = (extraction.step_done, extraction.step_total) if state == "running" else (0, 0)
        result.append(StepState(key, gettext(title), state, *shown))
    return result


def unfinished_layers(extraction_id: int | OuterRef) -> QuerySet[ExtractionLayer]:
    """Layers of an extraction that are not done."""
    return ExtractionLayer.objects.filter(extraction_id=extraction_id).exclude(
        state=ExtractionLayer.State.DONE
    )


@dataclass(frozen=True)
class LayerState:
    """One layer, as a page shows it. `rate` is in vectors per second; None if unknown."""

    layer: int
    state: str
    worker: str
    done: int
    total: int
    seconds: float | None
    rate: float | None
    attempts: int

    @property
    def state_words(self) -> str:
        return str(STATE_WORDS[self.state])


@dataclass(frozen=True)
class WorkerState:
    """A worker's finished layers of an extraction, and its current one."""

    name: str
    layers_done: int
    rate: float | None
    layer: int | None


@dataclass(frozen=True)
class LayersState:
    """All layers of an extraction. `rate` is that of the workers that are busy now."""

    layers: list[LayerState]
    workers: list[WorkerState]
    layers_done: int
    done: int
    total: int
    rate: float | None
    seconds_left: float | None


def layers_state(extraction: Extraction) -> LayersState | None:
    """Progress of the layers with workers and speed; None if an extraction has none."""
    layers = [_layer_state(layer) for layer in extraction.layers.all()]
    if not layers:
        return None
    names = sorted({layer.worker for layer in layers if layer.worker})
    workers = [_worker_state(name, [x for x in layers if x.worker == name]) for name in names]
    rates = [w.rate for w in workers if w.layer is not None and w.rate is not None]
    done, total = sum(layer.done for layer in layers), sum(layer.total for layer in layers)
    return LayersState(
        layers=layers,
        workers=workers,
        layers_done=sum(layer.state == "done" for layer in layers),
        done=done,
        total=total,
        rate=sum(rates) if rates else None,
        seconds_left=(total - done) / sum(rates) if rates else None,
    )


def _layer_state(layer: ExtractionLayer) -> LayerState:
    until = layer.finished_at or layer.heartbeat_at
    seconds = None
    if layer.started_at and until and layer.state != ExtractionLayer.State.WAITING:
        seconds = (until - layer.started_at).total_seconds()
    return LayerState(
        layer=layer.layer,
        state=layer.state,
        worker=worker_label(layer.worker),
        done=layer.done,
        total=layer.total,
        seconds=seconds,
        rate=layer.done / seconds if seconds and layer.done else None,
        attempts=layer.attempts,
    )


def _worker_state(name: str, layers: list[LayerState]) -> WorkerState:
    """Its rate is over all that it did: layers differ, and a new one says nothing yet."""
    measured = [layer for layer in layers if layer.rate is not None and layer.seconds]
    seconds = sum(layer.seconds or 0 for layer in measured)
    running = [layer.layer for layer in layers if layer.state == "running"]
    return WorkerState(
        name=name,
        layers_done=sum(layer.state == "done" for layer in layers),
        rate=sum(layer.done for layer in measured) / seconds if seconds else None,
        layer=running[0] if running else None,
    )
