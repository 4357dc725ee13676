"""A bundle's lists as text for a terminal."""

import textwrap
from collections.abc import Iterator
from pathlib import Path

from ffn_extract.bundle import Bundle, VectorRow, open_bundle
from ffn_extract.errors import OptionError
from ffn_extract.options import KINDS

_WIDTH = 98
_INDENT = "    "


def describe(folder: Path, *, layer: int | None, kind: str | None, limit: int) -> Iterator[str]:
    """Lines about a bundle and its lists, filtered; a limit of 0 shows all.

    Raises BundleError for a damaged bundle, OptionError for a layer or kind it cannot have.
    """
    bundle = open_bundle(folder)
    n_layers = bundle.manifest.model.n_layers
    if kind is not None and kind not in KINDS:
        raise OptionError(f"kind must be one of {', '.join(KINDS)}, not {kind!r}.")
    if layer is not None and not 0 <= layer < n_layers:
        raise OptionError(f"layer must be from 0 to {n_layers - 1}, not {layer}.")
    yield from _summary(bundle)
    displays = {row.token_id: row.display for rows in bundle.iter_tokens() for row in rows}
    chosen = (
        row
        for rows in bundle.iter_vectors()
        for row in rows
        if (layer is None or row.layer == layer) and (kind is None or row.kind == kind)
    )
    shown = matching = 0
    for row in chosen:
        matching += 1
        if not limit or shown < limit:
            shown += 1
            yield from _list(row, displays)
    if shown < matching:
        yield ""
        yield f"{shown} of {matching} lists; --limit 0 shows all, --layer and --kind choose."


def _summary(bundle: Bundle) -> Iterator[str]:
    manifest = bundle.manifest
    model, counts, parameters = manifest.model, manifest.counts, manifest.parameters
    revision = f" @ {model.revision}" if model.revision else ""
    yield (
        f"{model.name}{revision} ({model.model_type}): {model.n_layers} layers × {model.d_ff} "
        f"value vectors, d_model {model.d_model}, vocabulary {model.vocab_size:,} "
        f"({model.vocabulary})"
    )
    yield from _tokenizer(parameters.get("tokenizer"), model.vocab_size)
    kinds = ", ".join(f"{counts.kinds[kind]} {kind}" for kind in KINDS if kind in counts.kinds)
    yield f"{counts.vectors:,} lists ({kinds}), {parameters['top_k']} tokens each"
    yield f"{counts.tokens:,} distinct tokens, {counts.glossed:,} of them with a gloss"
    yield f"seed {parameters.get('seed')}, projection {parameters.get('projection')}"
    yield f"digest {manifest.digest}"


def _tokenizer(notes: object, n_rows: int) -> Iterator[str]:
    """What is unusual about the tokenizer, where the bundle notes something."""
    if not isinstance(notes, dict):
        return
    if isinstance(notes.get("entries"), int):
        entries = notes["entries"]
        yield f"the tokenizer has {entries:,} entries for {n_rows:,} rows: is it the model's?"
    if notes.get("words_marked_by") == "ends":
        yield "the tokenizer marks only where a word ends (th⋯): no token has a gloss"
    elif notes.get("words_marked_by") == "nothing":
        yield "the tokenizer does not mark words: no token has a gloss"


def _list(row: VectorRow, displays: dict[int, str]) -> Iterator[str]:
    yield ""
    yield f"layer {row.layer}  {row.kind} {row.index}  norm {row.norm:.3g}"
    if row.context is not None:
        place = f"at token {row.context_position}, {row.context_token}, of: "
        yield from _wrapped(place + row.context, _INDENT)
    yield from _side("top", row.token_ids, row.scores, displays)
    if row.bottom_token_ids is not None and row.bottom_scores is not None:
        yield from _side("bottom", row.bottom_token_ids, row.bottom_scores, displays)


def _side(
    title: str, token_ids: list[int], scores: list[float], displays: dict[int, str]
) -> Iterator[str]:
    yield f"  {title:7}{scores[0]:+.3f} … {scores[-1]:+.3f}"
    yield from _wrapped("  ".join(displays[token_id] for token_id in token_ids), _INDENT)


def _wrapped(text: str, indent: str) -> list[str]:
    return textwrap.wrap(
        text,
        _WIDTH,
        initial_indent=indent,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
