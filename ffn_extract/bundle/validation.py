"""Row checks of a bundle, batch by batch, so that memory stays bounded."""

from itertools import groupby
from typing import TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from ffn_extract.bundle.manifest import Manifest, kinds_of
from ffn_extract.bundle.rows import MOST_SENSES, PARTS_OF_SPEECH
from ffn_extract.errors import BundleError
from ffn_extract.options import KEY_KINDS, MAX_TOP_K

Ids = NDArray[np.int64]
Numbers = TypeVar("Numbers", int, Ids)


class TokenCheck:
    """Checks tokens.parquet: ascending ids inside the vocabulary, complete glosses, counts."""

    def __init__(self, manifest: Manifest) -> None:
        self._manifest = manifest
        self._ids: list[Ids] = []
        self._glossed = 0

    def add(self, batch: pa.RecordBatch) -> None:
        """Check the next rows."""
        for name in ("token_id", "text", "display"):
            require_no_null(batch, name)
        glossed = batch.column("gloss").is_valid()
        for name in ("gloss_source", "gloss_lemma"):
            if not batch.column(name).is_valid().equals(glossed):
                raise BundleError(f"A token's gloss and its {name} are not both given.")
        self._check_senses(batch, glossed)
        self._glossed += int(pc.sum(glossed).as_py() or 0)
        self._ids.append(integers(batch.column("token_id")))

    def _check_senses(self, batch: pa.RecordBatch, glossed: pa.BooleanArray) -> None:
        if self._manifest.format_version == 1:
            return
        parts, lists = batch.column("gloss_part"), batch.column("senses")
        lengths = pc.fill_null(pc.list_value_length(lists), 0)
        for name, given in (("gloss_part", parts.is_valid()), ("senses", pc.greater(lengths, 0))):
            if pc.any(pc.and_not(given, glossed)).as_py():
                raise BundleError(f"A token has {name} without a gloss.")
        if (pc.max(lengths).as_py() or 0) > MOST_SENSES:
            raise BundleError(f"A token has more than {MOST_SENSES} senses.")
        senses = lists.flatten()
        fields = {name: pc.struct_field(senses, name) for name in ("gloss", "lemma", "count")}
        of_senses = pc.struct_field(senses, "part")
        if any(column.null_count for column in (*fields.values(), of_senses)):
            raise BundleError("A token's sense has an empty cell.")
        if (pc.min(fields["count"]).as_py() or 0) < 0:
            raise BundleError("A token's sense has a negative count.")
        for found in (parts.drop_null(), of_senses):
            unknown = found.filter(pc.invert(pc.is_in(found, pa.array(PARTS_OF_SPEECH))))
            if len(unknown):
                raise BundleError(f"A token has the unknown part of speech {unknown[0].as_py()!r}.")

    def finish(self) -> Ids:
        """The ascending ids of all tokens, shape (tokens,)."""
        ids = np.concatenate(self._ids)
        if (np.diff(ids) <= 0).any():
            raise BundleError("The tokens are not in ascending order of distinct ids.")
        if ids[0] < 0 or ids[-1] >= self._manifest.model.vocab_size:
            raise BundleError("A token's id lies outside the vocabulary.")
        if self._glossed != self._manifest.counts.glossed:
            raise BundleError(
                f"{self._glossed} tokens have a gloss; the manifest says "
                f"{self._manifest.counts.glossed}."
            )
        return ids


class VectorCheck:
    """Checks vectors.parquet: order, ranges, lists, scores, contexts, counts."""

    def __init__(self, manifest: Manifest) -> None:
        self._manifest = manifest
        self._top_k = top_k_of(manifest)
        self._last: tuple[int, int, int] | None = None
        self._known = kinds_of(manifest.format_version)
        self._kinds = dict.fromkeys(self._known, 0)
        self._has_bottom: bool | None = None
        self._keys: list[Ids] = [np.empty(0, np.int64)]

    def add(self, batch: pa.RecordBatch, token_ids: Ids) -> None:
        """Check the next rows; every id of a list must be among `token_ids`."""
        for name in ("kind", "layer", "index", "token_ids"):
            require_no_null(batch, name)
        self._check_places(batch)
        self._check_contexts(batch)
        self._check_ids(batch, "token_ids", token_ids)
        shuffled = pc.equal(batch.column("kind"), "shuffled")
        _require_no_numbers(batch.filter(shuffled))
        projected = batch.filter(pc.invert(shuffled))
        if not projected.num_rows:
            return
        for name in ("norm", "scores"):
            require_no_null(projected, name)
        norms = projected.column("norm").to_numpy()
        if not np.isfinite(norms).all() or (norms < 0).any():
            raise BundleError("A vector's norm is not a finite number of at least 0.")
        self._check_scores(projected, "scores", descending=True)
        if self._bottom_given(projected):
            self._check_ids(projected, "bottom_token_ids", token_ids)
            self._check_scores(projected, "bottom_scores", descending=False)

    def finish(self) -> Ids:
        """The keys among the vectors, as `key_numbers` gives them, ascending; the number of vectors
        of each kind is compared with the manifest.
        """
        found = {kind: n for kind, n in self._kinds.items() if n}
        if found != self._manifest.counts.kinds:
            raise BundleError(
                f"The bundle holds {_counted(found)}; the manifest says "
                f"{_counted(self._manifest.counts.kinds)}."
            )
        return np.concatenate(self._keys)

    def _check_places(self, batch: pa.RecordBatch) -> None:
        model = self._manifest.model
        kinds = batch.column("kind").to_pylist()
        layers = integers(batch.column("layer")).tolist()
        indices = integers(batch.column("index")).tolist()
        for kind, layer, index in zip(kinds, layers, indices, strict=True):
            if kind not in self._known:
                raise BundleError(f"A vector is of the unknown kind {kind!r}.")
            if not 0 <= layer < model.n_layers:
                raise BundleError(f"A vector is of layer {layer}; the model has {model.n_layers}.")
            if index < 0 or (kind in ("value", "key") and index >= model.d_ff):
                raise BundleError(f"A {kind} vector of layer {layer} has the index {index}.")
            place = (layer, self._known.index(kind), index)
            if self._last is not None and place <= self._last:
                raise BundleError(
                    f"{kind} vector {index} of layer {layer} is repeated or out of order."
                )
            self._last = place
        keys = [
            key_numbers(layer, KEY_KINDS.index(kind), index)
            for kind, layer, index in zip(kinds, layers, indices, strict=True)
            if kind in KEY_KINDS
        ]
        self._keys.append(np.array(keys, np.int64))
        for kind, group in groupby(sorted(kinds)):
            self._kinds[kind] += len(list(group))

    def _bottom_given(self, batch: pa.RecordBatch) -> bool:
        nulls = {batch.column(f"bottom_{name}").null_count for name in ("token_ids", "scores")}
        if nulls not in ({0}, {batch.num_rows}):
            raise BundleError("Bottom lists are given for some vectors only.")
        given = nulls == {0}
        if self._has_bottom not in (None, given):
            raise BundleError("Bottom lists are given for some vectors only.")
        self._has_bottom = given
        return given

    def _check_ids(self, batch: pa.RecordBatch, name: str, token_ids: Ids) -> None:
        ids = _lists(batch.column(name), self._top_k).astype(np.int64)
        places = np.searchsorted(token_ids, ids)
        if not np.array_equal(token_ids[np.minimum(places, len(token_ids) - 1)], ids):
            raise BundleError("A list names a token that tokens.parquet does not have.")
        if (np.diff(np.sort(ids, axis=1), axis=1) == 0).any():
            raise BundleError("A list names a token twice.")

    def _check_scores(self, batch: pa.RecordBatch, name: str, *, descending: bool) -> None:
        scores = _lists(batch.column(name), self._top_k)
        if not np.isfinite(scores).all():
            raise BundleError("A list has a score that is not a finite number.")
        steps = np.diff(scores, axis=1)
        if ((steps > 0) if descending else (steps < 0)).any():
            raise BundleError("A list is not in the order of its scores.")

    def _check_contexts(self, batch: pa.RecordBatch) -> None:
        updates = pc.equal(batch.column("kind"), "update")
        for name in ("context", "context_position", "context_token"):
            if not batch.column(name).is_valid().equals(updates):
                raise BundleError(f"{name} must be given for updates, and for them only.")
        position = pc.min(batch.column("context_position")).as_py()
        if position is not None and position < 0:
            raise BundleError("An update's position is negative.")


def top_k_of(manifest: Manifest) -> int:
    """The length of the lists. Raises BundleError if it is invalid."""
    top_k = manifest.parameters.get("top_k")
    if not isinstance(top_k, int) or isinstance(top_k, bool) or not 1 <= top_k <= MAX_TOP_K:
        raise BundleError(f"The manifest's top_k is {top_k!r}, not a number up to {MAX_TOP_K}.")
    return top_k


def _require_no_numbers(batch: pa.RecordBatch) -> None:
    """Refuse numbers of a vector in rows of shuffled tokens, which have no vector."""
    for name in ("norm", "scores", "bottom_token_ids", "bottom_scores"):
        if batch.column(name).null_count < batch.num_rows:
            raise BundleError(f"A list of shuffled tokens has {name}, but no vector.")


def require_no_null(batch: pa.RecordBatch, name: str) -> None:
    if batch.column(name).null_count:
        raise BundleError(f"Column {name} has an empty cell.")


def key_numbers(layers: Numbers, kinds: Numbers, indices: Numbers) -> Numbers:
    """One number per key, in the order of layer, kind (its place in `KEY_KINDS`) and index."""
    return (layers * len(KEY_KINDS) + kinds) * 2**31 + indices


def integers(column: pa.Array) -> Ids:
    values: Ids = column.to_numpy().astype(np.int64)
    return values


def _lists(column: pa.ListArray, length: int) -> NDArray[np.float32]:
    """A column of lists of equal length as an array of shape (rows, length)."""
    if not (np.diff(column.offsets.to_numpy()) == length).all():
        raise BundleError(f"A list does not have {length} entries.")
    values = column.flatten()
    if values.null_count:
        raise BundleError("A list has an empty entry.")
    numbers: NDArray[np.float32] = values.to_numpy().reshape(-1, length)
    return numbers


def _counted(kinds: dict[str, int]) -> str:
    return ", ".join(f"{n} {kind}" for kind, n in sorted(kinds.items())) or "no vectors"
