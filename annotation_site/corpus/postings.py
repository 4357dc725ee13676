"""Index of tokens: the lists of an extraction that hold a token, with its score in each.

Packed arrays in ordinary tables, so that both databases search by score alike. Loading a bundle
writes the index along with the lists; a sweep writes it for lists that came otherwise, a segment at
a time. Without a whole index, `lists_holding` reads the lists themselves and finds the same.
"""

import zlib
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import islice
from operator import and_, or_
from typing import Any

import numpy as np
from django.db import IntegrityError, models, transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from numpy.typing import ArrayLike, NDArray

from annotation_site.corpus.models import Extraction, ListSegment, TokenPostings, Vector

SEGMENT = 65_536  # lists: an ordinal takes two bytes
BLOCK = 16  # tokens in a row: fewer rows to write, and little that a search reads in vain
MANY = 1024  # lists of a segment: a token of more has a row of its own, which others do not read
OWN = 2**30  # and the number of this row is the token's behind all blocks
ROWS = 250  # per transaction, of a few kilobytes each
KINDS = (
    "key", "permuted", "random", "random-covariance", "random-key", "shuffled", "update", "value",
)  # fmt: skip
"""The kinds by their codes in `ListSegment.packed`. Stored: another kind gets the next code."""
FEW = 50  # tokens that PostgreSQL's index of lists is asked for one by one
_KIND, _PLACE, _OFFSET = np.dtype("u1"), np.dtype("<u4"), np.dtype("<u4")
_ORDINAL, _SCORE = np.dtype("<u2"), np.dtype("<f4")
_FASTEST = 1  # of zlib: a quarter less to store, and no time lost


@dataclass(frozen=True)
class Held:
    """Lists that hold searched tokens: arrays of one length, one entry for each list.

    `kinds` are codes of `KINDS`. `scores` are the largest of a searched token, minus infinity in a
    list without scores.
    """

    kinds: NDArray[np.uint8]
    layers: NDArray[np.uint32]
    indices: NDArray[np.uint32]
    scores: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.kinds)

    def where(self, chosen: NDArray[Any]) -> "Held":
        """The lists of a mask, or at positions."""
        return Held(*(getattr(self, name)[chosen] for name in self.__dataclass_fields__))

    @classmethod
    def joined(cls, parts: "Sequence[Held]") -> "Held":
        """Several in one."""
        if not parts:
            empty = [np.empty(0, kind) for kind in (_KIND, _PLACE, _PLACE, _SCORE)]
            return cls(*empty)
        return cls(
            *(
                np.concatenate([getattr(part, name) for part in parts])
                for name in cls.__dataclass_fields__
            )
        )


class PostingsWriter:
    """Makes the rows of the index from stored lists in their order, segment by segment."""

    def __init__(self, extraction_id: int, *, number: int = 0) -> None:
        self._extraction, self._number = extraction_id, number
        self._begin()

    def _begin(self) -> None:
        self._places: list[tuple[int, int, int]] = []
        self._last_key = 0
        self._tokens: list[NDArray[np.uint32]] = []
        self._scores: list[NDArray[np.float32]] = []

    def add(self, vectors: Iterable[Vector]) -> Iterator[Sequence[models.Model]]:
        """Take vectors in the order of their keys; yields the rows of segments that are full."""
        for vector in vectors:
            if len(self._places) == SEGMENT:
                yield from self._segment(is_last=False)
            self._places.append((KINDS.index(vector.kind), vector.layer, vector.index))
            self._last_key = vector.pk
            self._tokens.append(np.asarray(vector.token_ids, np.uint32))
            scores = np.full(len(vector.token_ids), -np.inf, np.float32)
            if vector.scores is not None:
                scores[:] = vector.scores
            self._scores.append(scores)

    def close(self) -> Iterator[Sequence[models.Model]]:
        """The rows of the last segment, which make the index whole."""
        yield from self._segment(is_last=True)

    def _segment(self, *, is_last: bool) -> Iterator[Sequence[models.Model]]:
        """Rows in chunks to store; that of the segment itself is the last."""
        rows = self._postings()
        for first in range(0, len(rows), ROWS):
            yield rows[first : first + ROWS]
        places = np.array(self._places, _PLACE).reshape(-1, 3).T
        yield [
            ListSegment(
                extraction_id=self._extraction,
                number=self._number,
                lists=len(self._places),
                last_key=self._last_key,
                is_last=is_last,
                packed=_packed_places(places),
            )
        ]
        self._number += 1
        self._begin()

    def _postings(self) -> list[TokenPostings]:
        if not self._places:
            return []
        lengths = [len(tokens) for tokens in self._tokens]
        tokens = np.concatenate(self._tokens)
        order = np.argsort(tokens, kind="stable")
        tokens = tokens[order]
        ordinals = np.repeat(np.arange(len(lengths)).astype(_ORDINAL), lengths)[order]
        scores = np.concatenate(self._scores).astype(_SCORE)[order]
        blocks = tokens // BLOCK
        known, counts = np.unique(tokens, return_counts=True)
        alone = np.isin(tokens, known[counts > MANY])
        blocks[alone] = OWN + tokens[alone]
        by_block = np.argsort(blocks, kind="stable")
        blocks, tokens = blocks[by_block], tokens[by_block]
        ordinals, scores = ordinals[by_block], scores[by_block]
        starts = np.flatnonzero(np.diff(blocks, prepend=-1)).tolist() if len(blocks) else []
        rows = []
        for first, end in zip(starts, [*starts[1:], len(blocks)], strict=True):
            block, least = int(blocks[first]), int(tokens[first]) // BLOCK * BLOCK
            bounds = np.arange(least, least + BLOCK + 1)
            offsets = np.searchsorted(tokens[first:end], bounds).astype(_OFFSET)
            rows.append(
                TokenPostings(
                    extraction_id=self._extraction,
                    segment=self._number,
                    block=block,
                    entries=_packed(offsets, ordinals[first:end], scores[first:end]),
                )
            )
        return rows


def postings_sweep() -> None:
    """Write one more segment of an index that is not whole; safe in many workers at once.

    Of ready extractions alone, whose lists never change: two workers write the same rows.
    """
    whole = ListSegment.objects.filter(extraction=OuterRef("pk"), is_last=True)
    due = Extraction.objects.filter(~Exists(whole), state=Extraction.State.READY, same_as=None)
    pk = due.order_by("pk").values_list("pk", flat=True).first()
    if pk is not None:
        postings_continue(extraction_id=pk)


def postings_continue(*, extraction_id: int) -> None:
    """Write the next segment of an extraction's index; a no-op for one that is whole."""
    last = ListSegment.objects.filter(extraction=extraction_id).order_by("-number").first()
    if last is not None and last.is_last:
        return
    number, after = (last.number + 1, last.last_key) if last else (0, 0)
    vectors = Vector.objects.filter(extraction=extraction_id, pk__gt=after).order_by("pk")
    fields = ("pk", "kind", "layer", "index", "token_ids", "scores")
    writer = PostingsWriter(extraction_id, number=number)
    # One more than fits makes the segment full, and says that there is another.
    chunks = list(writer.add(vectors.only(*fields)[: SEGMENT + 1].iterator(ROWS)))
    try:
        for rows in chunks or writer.close():
            with transaction.atomic():
                type(rows[0])._default_manager.bulk_create(rows, ignore_conflicts=True)
    except IntegrityError:
        return  # the extraction is being deleted


def lists_holding(
    extraction_id: int, words: Sequence[Collection[int]], *, every: bool, within: Q | None = None
) -> Held:
    """The lists of an extraction that hold tokens of the words: of every one, or of any.

    Each word is the token ids that read it; a list holds a word that has one of them among its top
    tokens. The caller leaves out lists that are not `within` a condition on vectors; it spares
    reading them where there is no index.
    """
    if every and not all(words):
        return Held.joined([])
    words = [word for word in words if word]
    if not words:
        return Held.joined([])
    if ListSegment.objects.filter(extraction=extraction_id, is_last=True).exists():
        return _by_postings(extraction_id, words, every=every)
    return _by_reading(extraction_id, words, every=every, within=within)


def every_list(extraction_id: int, *, within: Q | None = None) -> Iterator[Held]:
    """All lists of an extraction in parts, without scores; `within` as for `lists_holding`."""
    segments = ListSegment.objects.filter(extraction=extraction_id).order_by("number")
    if segments.filter(is_last=True).exists():
        for size, places in segments.values_list("lists", "packed"):
            yield unscored(*_places(bytes(places), size))
        return
    vectors = Vector.objects.filter(within or Q(), extraction=extraction_id).order_by("pk")
    rows = vectors.values_list("kind", "layer", "index").iterator(chunk_size=ROWS)
    while part := list(islice(rows, SEGMENT)):
        kinds, layers, indices = zip(*part, strict=True)
        yield unscored([KINDS.index(kind) for kind in kinds], layers, indices)


def unscored(kinds: ArrayLike, layers: ArrayLike, indices: ArrayLike) -> Held:
    """Lists at places, for a search without tokens. `kinds` are codes."""
    codes = np.asarray(kinds, _KIND)
    return Held(
        codes,
        np.asarray(layers, _PLACE),
        np.asarray(indices, _PLACE),
        np.full(len(codes), -np.inf, _SCORE),
    )


def _by_postings(extraction_id: int, words: Sequence[Collection[int]], *, every: bool) -> Held:
    wanted = {token_id for word in words for token_id in word}
    blocks = {row for token_id in wanted for row in (token_id // BLOCK, OWN + token_id)}
    rows = TokenPostings.objects.filter(extraction=extraction_id, block__in=blocks)
    stored: dict[int, dict[int, bytes]] = {}
    for segment, block, entries in rows.values_list("segment", "block", "entries"):
        stored.setdefault(segment, {})[block] = bytes(entries)
    segments = ListSegment.objects.filter(extraction=extraction_id, number__in=stored)
    parts = []
    for number, size, places in segments.order_by("number").values_list(
        "number", "lists", "packed"
    ):
        found = _in_segment(stored[number], size, words, every=every)
        if found is not None:
            chosen, scores = found
            kinds, layers, indices = _places(bytes(places), size)
            parts.append(Held(kinds[chosen], layers[chosen], indices[chosen], scores[chosen]))
    return Held.joined(parts)


def _in_segment(
    stored: dict[int, bytes], size: int, words: Sequence[Collection[int]], *, every: bool
) -> tuple[NDArray[np.intp], NDArray[np.float32]] | None:
    """Ordinals of the lists that hold the words, and the best score of each ordinal."""
    blocks = {block: _unpacked(entries) for block, entries in stored.items()}
    best = np.full(size, -np.inf, np.float32)
    masks = []
    for word in words:
        mask = np.zeros(size, bool)
        for token_id in word:
            block, place = divmod(token_id, BLOCK)
            for row in (block, OWN + token_id):
                if row not in blocks:
                    continue
                offsets, ordinals, scores = blocks[row]
                own = slice(int(offsets[place]), int(offsets[place + 1]))
                # A token is in a list once, so no ordinal comes twice.
                mask[ordinals[own]] = True
                best[ordinals[own]] = np.maximum(best[ordinals[own]], scores[own])
        masks.append(mask)
    chosen = np.flatnonzero(reduce(and_ if every else or_, masks))
    return (chosen, best) if len(chosen) else None


def _packed(
    offsets: NDArray[np.uint32], ordinals: NDArray[np.uint16], scores: NDArray[np.float32]
) -> bytes:
    """The entries of a block, token by token: where each token's begin, ordinals and scores.

    Ordinals as differences, and both byte by byte, so that what is alike stands together.
    """
    steps = np.diff(ordinals, prepend=_ORDINAL.type(0))  # of 16 bits, which go round
    parts = (offsets, _by_byte(steps.astype(_ORDINAL)), _by_byte(scores.astype(_SCORE)))
    return zlib.compress(b"".join(part.tobytes() for part in parts), _FASTEST)


def _unpacked(
    entries: bytes,
) -> tuple[NDArray[np.uint32], NDArray[np.uint16], NDArray[np.float32]]:
    packed = zlib.decompress(entries)
    offsets = np.frombuffer(packed, _OFFSET, BLOCK + 1)
    count, start = int(offsets[-1]), offsets.nbytes
    steps = np.frombuffer(packed, "u1", count * _ORDINAL.itemsize, start)
    scores = np.frombuffer(packed, "u1", count * _SCORE.itemsize, start + steps.nbytes)
    ordinals = np.cumsum(_of_bytes(steps, _ORDINAL), dtype=_ORDINAL)
    return offsets, ordinals, _of_bytes(scores, _SCORE)


def _by_byte(values: NDArray[Any]) -> NDArray[np.uint8]:
    """The first bytes of all values, then the second ones, and so on."""
    return np.ascontiguousarray(values.view(np.uint8).reshape(-1, values.itemsize).T)


def _of_bytes(values: NDArray[np.uint8], kind: "np.dtype[Any]") -> NDArray[Any]:
    """The reverse of `_by_byte`."""
    return np.ascontiguousarray(values.reshape(kind.itemsize, -1).T).view(kind).ravel()


def _packed_places(places: NDArray[np.uint32]) -> bytes:
    """Kinds, layers and indices of a segment's lists, as differences: in order, they are alike."""
    steps = np.diff(places, prepend=_PLACE.type(0), axis=1)  # of 32 bits, which go round
    rows = (_by_byte(np.ascontiguousarray(row)).tobytes() for row in steps)
    return zlib.compress(b"".join(rows), _FASTEST)


def _places(
    packed: bytes, size: int
) -> tuple[NDArray[np.uint8], NDArray[np.uint32], NDArray[np.uint32]]:
    """The reverse: kinds, layers and indices."""
    stored = np.frombuffer(zlib.decompress(packed), np.uint8).reshape(3, size * _PLACE.itemsize)
    kinds, layers, indices = (np.cumsum(_of_bytes(row, _PLACE), dtype=_PLACE) for row in stored)
    return kinds.astype(_KIND), layers, indices


def _by_reading(
    extraction_id: int, words: Sequence[Collection[int]], *, every: bool, within: Q | None
) -> Held:
    found: QuerySet[Vector] = Vector.objects.filter(within or Q(), extraction=extraction_id)
    conditions = [_holds_any(word) for word in words]
    found = found.filter(reduce(and_ if every else or_, conditions))
    wanted = {token_id for word in words for token_id in word}
    places, best = [], []
    for kind, layer, index, token_ids, scores in (
        found.order_by("pk")
        .values_list("kind", "layer", "index", "token_ids", "scores")
        .iterator(chunk_size=ROWS)
    ):
        held = [n for n, token_id in enumerate(token_ids) if token_id in wanted]
        score = -np.inf if scores is None else max(scores[n] for n in held)
        places.append((KINDS.index(kind), layer, index))
        best.append(score)
    kinds, layers, indices = np.array(places, _PLACE).reshape(-1, 3).T
    return Held(kinds.astype(_KIND), layers, indices, np.array(best, _SCORE))


def _holds_any(token_ids: Collection[int]) -> Q:
    if len(token_ids) > FEW:
        return Q(token_ids__holds_any=sorted(token_ids))
    return reduce(or_, (Q(token_ids__holds=token_id) for token_id in sorted(token_ids)))
