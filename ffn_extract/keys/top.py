"""A running list of the prefixes with the largest coefficients, for many keys at once.

Sentences must come in their order. Then the first copy of a prefix settles its place for good: a
prefix that misses the list, or leaves it, never comes back, and a later copy is only counted.
"""

import numpy as np
from numpy.typing import NDArray

from ffn_extract.keys.rounding import NONE, codes_of, thresholds_of

FOUND = np.dtype(
    [
        ("key", np.uint32),
        ("sentence", np.int32),
        ("position", np.uint16),
        ("m", np.float32),
        ("up", np.bool_),
    ]
)
"""A sentence's best prefix for a key, on one side: `m` is the absolute coefficient, and `up` tells
whether the second factor of a gated coefficient is above 0."""
ENTRY = np.dtype(
    [
        ("code", np.int32),
        ("sentence", np.int32),
        ("prefix", np.uint64),
        ("copies", np.int32),
        ("m", np.float32),
        ("position", np.uint16),
        ("up", np.bool_),
    ]
)
"""An entry of a list; `copies` is 0 where the list ends."""
_COPIED = ("sentence", "m", "position", "up")
_MIX = np.uint64(0x9E3779B97F4A7C15)  # an odd number: different keys, different products
_FEW = 8  # entries per row above which it is not worth it to sort all entries
_PLACES = 20  # bits of a place in a list with all new entries of a block
_NARROW = 8  # new entries of a key that are sorted in with those of keys that have as few
_AT_ONCE = 1 << 15  # rows compared with whole lists


class TopPrefixes:
    """The running lists of some keys on one side.

    `entries` has shape (keys, length), each list in the order of the rounded coefficient, largest
    first, and then of the sentence.
    """

    def __init__(self, keys: int, length: int) -> None:
        self.entries = np.zeros((keys, length), ENTRY)
        self.entries["code"] = NONE

    def thresholds(self) -> NDArray[np.float32]:
        """Coefficients above which a prefix can enter each list, shape (keys,)."""
        return thresholds_of(self.entries["code"][:, -1])

    def add(self, found: NDArray[np.void], prefixes: NDArray[np.uint64]) -> None:
        """Take up the best prefixes of sentences that all come after those of earlier calls.

        `found` has the type FOUND, and each key and sentence at most once; equal numbers in
        `prefixes`, of the same shape, are equal prefixes.
        """
        keep = found["m"] > self.thresholds()[found["key"]]
        found, prefixes = found[keep], prefixes[keep]
        if not len(found):
            return
        key, copies = found["key"].astype(np.int64), np.ones(len(found), np.int64)
        copied = self._may_be_copies(key, prefixes)
        if copied.any():
            alone = ~copied
            of = self._merged(key[copied], found[copied], prefixes[copied])
            key = np.concatenate([key[alone], of[0]])
            found = np.concatenate([found[alone], of[1]])
            prefixes = np.concatenate([prefixes[alone], of[2]])
            copies = np.concatenate([copies[alone], of[3]])
        codes = codes_of(found["m"])
        # Equal coefficients go to the earlier sentence, which is listed already.
        new = codes > self.entries["code"][key, -1]
        self._insert(key[new], found[new], prefixes[new], copies[new], codes[new])

    def _may_be_copies(
        self, key: NDArray[np.int64], prefixes: NDArray[np.uint64]
    ) -> NDArray[np.bool_]:
        """Which rows may have a key and prefix in common with another row, or with a listed one.

        Most have not, and one sort of numbers finds them; a few others may be among those that
        have, for whom nothing depends on it.
        """
        listed = self.entries["copies"] > 0
        if len(key) * _FEW < listed.size:
            return np.ones(len(key), np.bool_)
        of_lists = np.nonzero(listed)[0].astype(np.uint64) * _MIX ^ self.entries["prefix"][listed]
        own = key.astype(np.uint64) * _MIX ^ prefixes
        every = np.sort(np.concatenate([own, of_lists]))
        twice = every[1:][every[1:] == every[:-1]]
        if not len(twice):
            return np.zeros(len(key), np.bool_)
        places = np.searchsorted(twice, own)
        found: NDArray[np.bool_] = twice[np.minimum(places, len(twice) - 1)] == own
        return found

    def _merged(
        self, key: NDArray[np.int64], found: NDArray[np.void], prefixes: NDArray[np.uint64]
    ) -> tuple[NDArray[np.int64], NDArray[np.void], NDArray[np.uint64], NDArray[np.int64]]:
        """The earliest row of each key and prefix, with its copies, but for those that are listed.

        Copies of listed ones are counted there.
        """
        order = np.lexsort((found["sentence"], prefixes, key))
        key, found, prefixes = key[order], found[order], prefixes[order]
        starts = np.flatnonzero(
            np.concatenate([[True], (np.diff(key) != 0) | (prefixes[1:] != prefixes[:-1])])
        )
        copies = np.diff(np.append(starts, len(found)))
        new = ~self._count_copies(key[starts], prefixes[starts], copies)
        starts = starts[new]
        return key[starts], found[starts], prefixes[starts], copies[new]

    def _count_copies(
        self, key: NDArray[np.int64], prefixes: NDArray[np.uint64], copies: NDArray[np.int64]
    ) -> NDArray[np.bool_]:
        """Add to the listed entries with these prefixes; which of them there are."""
        known = np.zeros(len(key), np.bool_)
        listed, counts = self.entries["prefix"], self.entries["copies"]
        for start in range(0, len(key), _AT_ONCE):
            part = slice(start, start + _AT_ONCE)
            some = key[part]
            same = (listed[some] == prefixes[part, None]) & (counts[some] > 0)
            rows, columns = np.nonzero(same)
            counts[some[rows], columns] += copies[part][rows].astype(np.int32)
            known[part][rows] = True
        return known

    def _insert(
        self,
        key: NDArray[np.int64],
        found: NDArray[np.void],
        prefixes: NDArray[np.uint64],
        copies: NDArray[np.int64],
        codes: NDArray[np.int32],
    ) -> None:
        if not len(key):
            return
        order = np.argsort((key << 32) | found["sentence"])  # each pair is there once
        key, found = key[order], found[order]
        new = np.zeros(len(key), ENTRY)
        new["code"], new["prefix"], new["copies"] = codes[order], prefixes[order], copies[order]
        for name in _COPIED:
            new[name] = found[name]
        starts = np.flatnonzero(np.diff(key, prepend=-1))
        keys, counts = key[starts], np.diff(starts, append=len(key))
        places = np.arange(len(key)) - np.repeat(starts, counts)
        for some in (counts <= _NARROW, counts > _NARROW):
            self._sort_in(keys[some], counts[some], new, places, np.repeat(some, counts))

    def _sort_in(
        self,
        keys: NDArray[np.int64],
        counts: NDArray[np.int64],
        new: NDArray[np.void],
        places: NDArray[np.int64],
        chosen: NDArray[np.bool_],
    ) -> None:
        """Sort new entries into the lists of some keys; entry i is its key's number `places[i]`."""
        if not len(keys):
            return
        length = self.entries.shape[1]
        rows, new, places = np.arange(len(keys)), new[chosen], places[chosen]
        # Sorted by code; of equal ones the place further left, of an earlier sentence, comes first.
        order = np.full((len(keys), length + int(counts.max())), np.iinfo(np.int64).max)
        listed = -self.entries["code"][keys].astype(np.int64)
        order[:, :length] = (listed << _PLACES) | np.arange(length)
        of_new = -new["code"].astype(np.int64) << _PLACES
        order[np.repeat(rows, counts), length + places] = of_new | (length + places)
        order.sort(axis=1)
        best = order[:, :length] & ((1 << _PLACES) - 1)
        # Where each stands: in the lists as they were, or behind these among the new entries.
        starts = len(keys) * length + np.cumsum(counts) - counts
        stands = np.where(
            best < length, rows[:, None] * length + best, starts[:, None] + best - length
        )
        every = np.concatenate([self.entries[keys].reshape(-1), new])
        self.entries[keys] = every[stands]
