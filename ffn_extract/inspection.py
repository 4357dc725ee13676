"""A bundle's lists as text for a terminal, as JSON or as CSV."""

import csv
import io
import json
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ffn_extract.bundle.manifest import UNEMBEDDINGS
from ffn_extract.bundle.reading import Bundle, open_bundle
from ffn_extract.bundle.rows import TokenRow, VectorRow
from ffn_extract.errors import OptionError
from ffn_extract.formulas import neutralised
from ffn_extract.options import VECTOR_KINDS
from ffn_extract.tensor_names import ranges
from ffn_extract.terminal import printable

_WIDTH = 98
_INDENT = "    "
_SPECIAL_SHARE = 0.5
"""A list of which so much are tokens in brackets says nothing about words."""
CSV_COLUMNS = (
    "kind", "layer", "index", "norm", "side", "rank", "token_id", "token", "score", "gloss",
    "gloss_source", "context", "context_position", "context_token",
)  # fmt: skip

Tokens = Mapping[int, TokenRow]
Scores = Sequence[float | None]


@dataclass(frozen=True)
class Wanted:
    """The lists of the bundle in `folder` to show; None means any, and a limit of 0 all."""

    folder: Path
    layer: int | None = None
    kind: str | None = None
    index: int | None = None
    limit: int = 10
    glosses: bool = False

    def fits(self, row: VectorRow) -> bool:
        """Whether the vector is to be shown."""
        pairs = ((self.layer, row.layer), (self.kind, row.kind), (self.index, row.index))
        return all(wanted is None or wanted == found for wanted, found in pairs)


def describe(wanted: Wanted, form: str = "text") -> Iterator[str]:
    """Lines about a bundle and its lists: "text", "json" (one object) or "csv" (a line per entry).

    Raises BundleError for a damaged bundle, OptionError for lists that it does not have.
    """
    bundle = open_bundle(wanted.folder)
    _require_possible(wanted, bundle)
    matching = sum(1 for _ in _rows(bundle, wanted))
    if not matching:
        raise OptionError(_nothing(wanted, bundle))
    tokens = {row.token_id: row for rows in bundle.iter_tokens() for row in rows}
    rows = (row for n, row in enumerate(_rows(bundle, wanted)) if _within(n, wanted))
    write = {"text": _text, "json": _json, "csv": _csv}[form]
    yield from write(bundle, rows, tokens, wanted, matching)


def _within(number: int, wanted: Wanted) -> bool:
    return not wanted.limit or number < wanted.limit


def _rows(bundle: Bundle, wanted: Wanted) -> Iterator[VectorRow]:
    return (row for rows in bundle.iter_vectors() for row in rows if wanted.fits(row))


def _require_possible(wanted: Wanted, bundle: Bundle) -> None:
    model = bundle.manifest.model
    if wanted.kind is not None and wanted.kind not in VECTOR_KINDS:
        raise OptionError.about(
            "kind", f"must be one of {', '.join(VECTOR_KINDS)}, not {wanted.kind!r}."
        )
    if wanted.layer is not None and not 0 <= wanted.layer < model.n_layers:
        raise OptionError.about(
            "layer", f"must be from 0 to {model.n_layers - 1}, not {wanted.layer}."
        )
    if wanted.index is not None and wanted.index < 0:
        raise OptionError.about("index", f"must be at least 0, not {wanted.index}.")
    if wanted.index is not None and wanted.kind in ("value", "key") and wanted.index >= model.d_ff:
        raise OptionError.about("index", f"must be from 0 to {model.d_ff - 1}, not {wanted.index}.")


def _nothing(wanted: Wanted, bundle: Bundle) -> str:
    """Why no list fits, and what to do."""
    parameters, held = bundle.manifest.parameters, bundle.manifest.counts.kinds
    if wanted.kind is not None and wanted.kind not in held:
        return f"The bundle has no lists of the kind {wanted.kind}; it has {', '.join(held)}."
    asked = " and ".join(
        f"{name} {value}"
        for name, value in (
            ("kind", wanted.kind), ("layer", wanted.layer), ("index", wanted.index)
        )
        if value is not None
    )  # fmt: skip
    read = bundle.manifest.model.layers_read
    if read is not None and wanted.layer is not None and wanted.layer not in read:
        return (
            f"The bundle has no lists of layer {wanted.layer}, in which no FFN was read. Choose "
            f"one of the layers {ranges(read)}."
        )
    per_layer = parameters.get("per_layer")
    if per_layer == "all" or wanted.kind not in (None, "value"):
        return f"The bundle has no list with {asked}. Leave one of these out."
    return (
        f"The bundle has no list with {asked}: it holds some of the value vectors (per_layer "
        f"{per_layer}). Extract those that you want with --vectors LAYER:INDEX."
    )


def _text(
    bundle: Bundle, rows: Iterable[VectorRow], tokens: Tokens, wanted: Wanted, matching: int
) -> Iterator[str]:
    yield from _summary(bundle)
    shown = special = entries = 0
    for row in rows:
        shown += 1
        entries += len(row.token_ids)
        special += sum(_in_brackets(tokens[token_id].text) for token_id in row.token_ids)
        yield from _list(row, tokens, wanted.glosses)
    yield ""
    if special >= _SPECIAL_SHARE * entries and not bundle.manifest.parameters.get("drop_special"):
        yield (
            f"{special:,} of these {entries:,} entries are special or unused tokens; extract with "
            "--drop-special to leave them out."
        )
    if shown < matching:
        yield (
            f"{shown} of {matching} lists; --limit 0 shows all, --layer, --index and --kind choose."
        )


def _in_brackets(text: str) -> bool:
    return len(text) > 2 and (text[0], text[-1]) in (("[", "]"), ("<", ">"))


def _summary(bundle: Bundle) -> Iterator[str]:
    manifest = bundle.manifest
    model, counts, parameters = manifest.model, manifest.counts, manifest.parameters
    revision = f" @ {model.revision}" if model.revision else ""
    read = f"{len(model.layers_read)} of " if model.layers_read else ""
    yield (
        f"{model.name}{revision} ({model.model_type}): {read}{model.n_layers} layers × "
        f"{model.d_ff} value vectors, d_model {model.d_model}, vocabulary {model.vocab_size:,} "
        f"({model.vocabulary})"
    )
    if model.unembedding is not None:
        names = ", ".join(model.unembedding.tensors)
        yield f"unembedding {names}: {UNEMBEDDINGS[model.unembedding.chosen]}"
    if model.stored_as:
        yield f"stored as {', '.join(model.stored_as)}"
    yield from _tokenizer(parameters.get("tokenizer"), model.vocab_size)
    found = [kind for kind in VECTOR_KINDS if kind in counts.kinds]
    kinds = ", ".join(f"{counts.kinds[kind]} {kind}" for kind in found)
    yield f"{counts.vectors:,} lists ({kinds}), {parameters['top_k']} tokens each"
    yield f"{counts.tokens:,} distinct tokens, {counts.glossed:,} of them with a gloss"
    if counts.value_statistics is not None:
        yield f"statistics of {counts.value_statistics:,} value vectors"
    if counts.trigger_prefixes is not None:
        yield f"{counts.trigger_prefixes:,} trigger prefixes"
    yield f"seed {parameters.get('seed')}, projection {parameters.get('projection')}"
    yield f"digest {manifest.digest}"
    yield from _parameters(parameters)


def _parameters(parameters: Mapping[str, Any]) -> Iterator[str]:
    """Unusual parameters, and those needed to make the bundle again."""
    if parameters.get("vectors"):
        yield f"{len(parameters['vectors'])} value vectors chosen one by one, not drawn at random"
    if parameters.get("drop_special"):
        yield "without special and unused tokens"
    if parameters.get("through_head"):
        yield "through the masked-language-model head"
    corpus = parameters.get("corpus")
    if isinstance(corpus, dict):
        texts = corpus.get("texts")
        n_texts = f"{texts:,}" if isinstance(texts, int) else texts
        yield f"updates at positions of {n_texts} texts ({corpus.get('name')})"
    tensors = parameters.get("tensors")
    if isinstance(tensors, dict):
        for name, value in tensors.items():
            yield f"{name} {value}"


def _tokenizer(notes: object, n_rows: int) -> Iterator[str]:
    """Unusual facts about the tokenizer, if the bundle notes any."""
    if not isinstance(notes, dict):
        return
    if isinstance(notes.get("entries"), int):
        entries = notes["entries"]
        yield f"the tokenizer has {entries:,} entries for {n_rows:,} rows: is it the model's?"
    if notes.get("words_marked_by") == "ends":
        yield "the tokenizer marks only where a word ends (th⋯): no token has a gloss"
    elif notes.get("words_marked_by") == "nothing":
        yield "the tokenizer does not mark words: no token has a gloss"


def _list(row: VectorRow, tokens: Tokens, glosses: bool) -> Iterator[str]:
    yield ""
    norm = "" if row.norm is None else f"  norm {row.norm:.3g}"
    yield f"layer {row.layer}  {row.kind} {row.index}{norm}"
    if row.context is not None:
        place = f"at token {row.context_position}, {row.context_token}, of: "
        yield from _wrapped(place + row.context, _INDENT)
    for title, token_ids, scores in _sides(row):
        span = "" if scores[0] is None else f"{scores[0]:+.3f} … {scores[-1]:+.3f}"
        yield f"  {title:7}{span}".rstrip()
        if glosses:
            yield from _glossed(token_ids, scores, tokens)
        else:
            yield from _wrapped("  ".join(tokens[i].display for i in token_ids), _INDENT)


def _sides(row: VectorRow) -> Iterator[tuple[str, list[int], Scores]]:
    yield "top", row.token_ids, row.scores or [None] * len(row.token_ids)
    if row.bottom_token_ids is not None and row.bottom_scores is not None:
        yield "bottom", row.bottom_token_ids, row.bottom_scores


def _glossed(token_ids: list[int], scores: Scores, tokens: Tokens) -> Iterator[str]:
    width = max(len(printable(tokens[token_id].display)) for token_id in token_ids)
    for rank, (token_id, score) in enumerate(zip(token_ids, scores, strict=True), start=1):
        token = tokens[token_id]
        shown = "" if score is None else f"{score:+.3f}  "
        start = f"{_INDENT}{rank:4}  {shown}{printable(token.display):{width}}"
        gloss = "" if token.gloss is None else f"  {token.gloss} ({token.gloss_source})"
        yield from _wrapped(start.rstrip() if not gloss else start + gloss, "", " " * 19)


def _wrapped(text: str, indent: str, further: str | None = None) -> list[str]:
    """Lines of a text whose controls are escaped first: a line end in it is part of it."""
    return textwrap.wrap(
        printable(text),
        _WIDTH,
        initial_indent=indent,
        subsequent_indent=indent if further is None else further,
        break_long_words=False,
        break_on_hyphens=False,
        drop_whitespace=bool(indent),
    )


def _json(
    bundle: Bundle, rows: Iterable[VectorRow], tokens: Tokens, wanted: Wanted, matching: int
) -> Iterator[str]:
    """One object, a line per list. Every other character than ASCII is escaped."""
    manifest = bundle.manifest
    head = {
        "model": manifest.model.to_json(), "parameters": manifest.parameters,
        "counts": manifest.counts.to_json(), "digest": manifest.digest, "matching": matching,
    }  # fmt: skip
    yield f'{json.dumps(head)[:-1]}, "lists": ['
    before: str | None = None
    for row in rows:
        if before is not None:
            yield f"{before},"
        before = json.dumps(_object(row, tokens, wanted.glosses))
    yield before or ""
    yield "]}"


def _object(row: VectorRow, tokens: Tokens, glosses: bool) -> dict[str, Any]:
    sides = {
        side: [
            _entry(rank, tokens[token_id], score, glosses)
            for rank, (token_id, score) in enumerate(zip(ids, scores, strict=True), start=1)
        ]
        for side, ids, scores in _sides(row)
    }
    return {
        "kind": row.kind, "layer": row.layer, "index": row.index, "norm": row.norm,
        "context": row.context, "context_position": row.context_position,
        "context_token": row.context_token, "top": sides["top"], "bottom": sides.get("bottom"),
    }  # fmt: skip


def _entry(rank: int, token: TokenRow, score: float | None, glosses: bool) -> dict[str, Any]:
    entry = {"rank": rank, "token_id": token.token_id, "token": token.display, "score": score}
    if glosses:
        entry |= {"gloss": token.gloss, "gloss_source": token.gloss_source}
    return entry


def _csv(
    bundle: Bundle, rows: Iterable[VectorRow], tokens: Tokens, wanted: Wanted, matching: int
) -> Iterator[str]:
    """A header and a line per entry; controls are escaped, so that an entry is a line, and texts
    are neutralised, so that no spreadsheet takes a token for a formula."""
    columns = [one for one in CSV_COLUMNS if wanted.glosses or not one.startswith("gloss")]
    yield ",".join(columns)
    for entry in entries(rows, tokens, glosses=wanted.glosses):
        yield _line(entry, columns)


def entries(
    rows: Iterable[VectorRow], tokens: Tokens, *, glosses: bool
) -> Iterator[dict[str, Any]]:
    """All entries of all lists, with the names of `CSV_COLUMNS`."""
    for row in rows:
        of_list = {
            name: getattr(row, name)
            for name in (
                "kind", "layer", "index", "norm", "context", "context_position", "context_token"
            )
        }  # fmt: skip
        for side, ids, scores in _sides(row):
            for rank, (token_id, score) in enumerate(zip(ids, scores, strict=True), start=1):
                yield {**of_list, "side": side, **_entry(rank, tokens[token_id], score, glosses)}


def _line(values: Mapping[str, Any], columns: list[str]) -> str:
    cells = ("" if values[one] is None else values[one] for one in columns)
    text = io.StringIO()
    csv.writer(text, lineterminator="").writerow(
        [neutralised(printable(cell)) if isinstance(cell, str) else cell for cell in cells]
    )
    return text.getvalue()
