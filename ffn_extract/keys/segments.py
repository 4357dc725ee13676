"""The largest coefficients of each sentence of a batch."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ffn_extract.errors import FFNExtractError
from ffn_extract.keys.rounding import first_of_largest
from ffn_extract.keys.top import FOUND

_MANY = 6  # keys per key above its threshold, up to which all of them are looked at


@dataclass(frozen=True)
class Segments:
    """The sentences of a batch, and where the coefficients of each stand among all that are read.

    Sentence i has `bounds[i]` to `bounds[i + 1]`, from its position `first` on.
    """

    sentences: NDArray[np.int64]
    bounds: NDArray[np.int64]
    first: int

    @property
    def pairs(self) -> list[tuple[int, int]]:
        """Where each sentence begins and ends."""
        bounds: list[int] = self.bounds.tolist()
        return list(pairwise(bounds))


def best_of_sentences(
    layer: int, m: NDArray[np.float32], segments: Segments, thresholds: NDArray[np.float32]
) -> tuple[NDArray[np.void], NDArray[np.int64]]:
    """Each sentence's largest coefficients above the keys' thresholds, and their places in m.

    Raises FFNExtractError for numbers that are not finite: NaN passes on to a largest number.
    """
    places, parts = [], []
    for number, (start, stop) in enumerate(segments.pairs):
        own = m[start:stop]
        largest = own.max(axis=0)
        if not np.isfinite(largest).all():
            raise FFNExtractError(f"Layer {layer}'s FFN gives values that are not finite numbers.")
        keys = np.flatnonzero(largest > thresholds)
        if not keys.size:
            continue
        if keys.size * _MANY < len(largest):
            position = first_of_largest(own[:, keys], largest[keys])
        else:  # looking at all of them is faster than a copy of these
            position = first_of_largest(own, largest, keys)
        rows = np.zeros(len(keys), FOUND)
        rows["key"], rows["m"] = keys, own[position, keys]
        rows["sentence"] = segments.sentences[number]
        rows["position"] = position + segments.first
        places.append(start + position)
        parts.append(rows)
    if not parts:
        return np.zeros(0, FOUND), np.zeros(0, np.int64)
    return np.concatenate(parts), np.concatenate(places)
