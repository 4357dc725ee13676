"""Traces, from a model's name on; the last model can be kept for the next trace of it."""

import os
import time
from collections.abc import Mapping
from typing import Any

import torch

from ffn_extract.checkpoints.config import Settings, context_of
from ffn_extract.checkpoints.find import Checkpoint, find_checkpoint
from ffn_extract.checkpoints.fingerprint import fingerprint
from ffn_extract.errors import FFNExtractError
from ffn_extract.free_memory import free_bytes
from ffn_extract.measurements.memory import parameters_of
from ffn_extract.names import model_name
from ffn_extract.options import ExtractOptions
from ffn_extract.pipeline import open_device, open_weights
from ffn_extract.progress import Report, Steps, ignore
from ffn_extract.running import TRACES, files_of, load_model
from ffn_extract.traceable import require_traceable, running_family
from ffn_extract.traces.request import TraceRequest
from ffn_extract.traces.tracer import Tracer
from ffn_extract.traces.vector_tokens import VectorTokens
from ffn_extract.tracing.reader import Reader
from ffn_extract.vocabulary import open_vocabulary

_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}
_LIBRARIES = 600e6  # Python with torch and transformers
_HEAD_BYTES = 6  # per number of the head: its working copy, and float32 rows in half precision


def trace(
    model: str | os.PathLike[str],
    request: TraceRequest | str,
    options: ExtractOptions | None = None,
    report: Report = ignore,
) -> dict[str, Any]:
    """Trace one prompt through `model` (a folder or a hub id): what made its prediction.

    Parameters
    ----------
    request
        The prompt, or a `TraceRequest` with what else is wanted.
    options
        How the model is found and read; others have no effect.
    report
        Called often; whatever it raises cancels.

    Returns
    -------
    dict
        The object that `ffn-extract trace --format json` prints.

    Raises
    ------
    FFNExtractError
        With a sentence that says what to do.

    Examples
    --------
    >>> from ffn_extract import trace
    >>> found = trace(model, "the cat")
    >>> found["tokens"], len(found["layers"]), found["layers"][-1]["rank_after"]
    (['⋯the', 'cat'], 2, 1)
    >>> parts = found["parts"]
    >>> abs(sum(parts.values()) - found["token"]["logit"]) < 1e-4
    True
    """
    wanted = TraceRequest(request) if isinstance(request, str) else request
    return LastTracer().trace(os.fspath(model), options or reading_options({}), wanted, report)


def reading_options(reading: Mapping[str, Any]) -> ExtractOptions:
    """The options of how a model is found and read. Raises OptionError."""
    return ExtractOptions.from_json({"kinds": ["value"], "glosses": [], **reading})


class LastTracer:
    """Traces prompts, and keeps the last model that was loaded; another one takes its place.

    `loaded` counts how often one was loaded from its files.
    """

    def __init__(self) -> None:
        self.loaded = 0
        self._key: tuple[Any, ...] = ()
        self._tracer: Tracer | None = None

    @property
    def fingerprint(self) -> str:
        """That of the model that was traced last; empty before the first."""
        return "" if self._tracer is None else self._tracer.fingerprint

    def trace(
        self, model: str, options: ExtractOptions, request: TraceRequest, report: Report = ignore
    ) -> dict[str, Any]:
        """Trace a prompt. Raises FFNExtractError."""
        steps = Steps(report)
        start = time.monotonic()
        tracer, is_new = self._open(model, options, request, steps)
        loaded = time.monotonic()
        found = tracer.trace(request, steps.step)
        seconds = {
            "load": round(loaded - start, 3) if is_new else 0.0,
            "trace": round(time.monotonic() - loaded, 3),
        }
        head = {name: found.pop(name) for name in ("model", "prompt", "tokens", "token_ids")}
        head |= {name: found.pop(name) for name in ("position", "token")}
        return {**head, "seconds": seconds, **found}

    def _open(
        self, model: str, options: ExtractOptions, request: TraceRequest, steps: Steps
    ) -> tuple[Tracer, bool]:
        with steps.step("checkpoint") as done:
            # A name of the hub is not asked for again: who names a revision gets that.
            key = (model, repr(options.to_json()), request.dtype)
            kept = self._tracer
            if kept is not None and self._key == (*key, _files_of(kept.checkpoint)):
                done(1, 1)
                return kept, False
            self._key, self._tracer, kept = (), None, None  # before another one is loaded
            device = open_device(options.device)
            checkpoint = find_checkpoint(model, options.revision, done, gguf_file=options.gguf_file)
        self._tracer = open_tracer(checkpoint, options, request.dtype, device, steps)
        self._key = (*key, files_of(checkpoint))
        self.loaded += 1
        return self._tracer, True


def _files_of(checkpoint: Checkpoint) -> tuple[Any, ...] | None:
    """The files, or None where they are gone: then the model is asked for again, and refused."""
    try:
        return files_of(checkpoint)
    except OSError:
        return None


def open_tracer(
    checkpoint: Checkpoint,
    options: ExtractOptions,
    dtype: str,
    device: torch.device,
    steps: Steps,
) -> Tracer:
    """Load a model to trace it; one that cannot be traced is refused before its weights are read.

    Raises FFNExtractError.
    """
    with steps.step("vocabulary") as done:
        weights = open_weights(checkpoint, options)
        family = running_family(weights.architecture)
        require_traceable(family, Settings(checkpoint.config))
        name = model_name(checkpoint, options)
        sizes = weights.dimensions
        _require_memory(name, checkpoint, dtype, sizes.vocab_size * sizes.d_model, device)
        tokenizer, vocabulary = open_vocabulary(checkpoint)
        vocabulary.check_rows(sizes.vocab_size)
        done(1, 1)
    with steps.step("model") as done:
        model = load_model(checkpoint, TRACES, getattr(torch, dtype)).to(device)
        reader = Reader(model, family)
        _ = reader.final_norm
        allowed = vocabulary.allowed(sizes.vocab_size, drop_special=options.drop_special)
        vectors = VectorTokens(
            reader, weights, allowed, head_is_given=options.unembedding_tensor is not None
        )
        done(1, 1)
    return Tracer(
        name, reader, tokenizer, vocabulary, vectors, checkpoint, context_of(checkpoint.config),
        fingerprint(checkpoint.tensors, weights.used_tensors()),
    )  # fmt: skip


def _require_memory(
    name: str, checkpoint: Checkpoint, dtype: str, head: int, device: torch.device
) -> None:
    """Refuse a model that does not fit, before it is loaded. Raises FFNExtractError."""
    free = free_bytes() if device.type == "cpu" else None
    needed = _LIBRARIES + _BYTES[dtype] * parameters_of(checkpoint) + _HEAD_BYTES * head
    if free is not None and needed > free:
        raise FFNExtractError(
            f"Tracing {name} needs about {needed / 1e9:.1f} GB of memory, and {free / 1e9:.1f} GB "
            "are free. Use a larger machine"
            f"{', or run it in bfloat16.' if dtype == 'float32' else '.'}"
        )
