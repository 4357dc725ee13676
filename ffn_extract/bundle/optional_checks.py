"""Row checks of a bundle's optional files, batch by batch, so that memory stays bounded."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from ffn_extract.bundle.manifest import Manifest
from ffn_extract.bundle.rows import MOST_PREFIXES, SHOWN_PREFIXES, SIDES
from ffn_extract.bundle.validation import Ids, integers, key_numbers, require_no_null
from ffn_extract.errors import BundleError
from ffn_extract.options import KEY_KINDS

_MOST = 2**31
_PREFIX_HAS = "A trigger prefix has"


class StatisticsCheck:
    """Checks value_statistics.parquet: order, ranges, numbers."""

    def __init__(self, manifest: Manifest) -> None:
        self._manifest = manifest
        self._last = -1

    def add(self, batch: pa.RecordBatch) -> None:
        """Check the next rows."""
        for name in ("layer", "index", "norm"):
            require_no_null(batch, name)
        layers, indices = integers(batch.column("layer")), integers(batch.column("index"))
        model = self._manifest.model
        _require_within("Statistics of a value vector have", "layer", layers, model.n_layers)
        _require_within("Statistics of a value vector have", "index", indices, model.d_ff)
        places = np.concatenate([[self._last], layers * _MOST + indices])
        if (np.diff(places) <= 0).any():
            raise BundleError("The statistics of a value vector are repeated or out of order.")
        self._last = int(places[-1])
        if not batch.column("kurtosis").is_valid().equals(batch.column("skew").is_valid()):
            raise BundleError("The kurtosis and the skew of a value vector are not both given.")
        for name, least, most in (
            ("norm", 0, np.inf), ("kurtosis", -2, np.inf), ("skew", -np.inf, np.inf),
            ("key_cosine", -1, 1),
        ):  # fmt: skip
            numbers = batch.column(name).drop_null().to_numpy()
            if not np.isfinite(numbers).all() or ((numbers < least) | (numbers > most)).any():
                raise BundleError(f"The {name} of a value vector is not a possible number.")


class PrefixCheck:
    """Checks trigger_prefixes.parquet: order, ranks, ranges, coefficients, signs.

    `keys` are the keys among the bundle's vectors, as `key_numbers` gives them, ascending.
    """

    def __init__(self, manifest: Manifest, keys: Ids) -> None:
        self._manifest = manifest
        self._keys = keys
        self._gated: bool | None = None
        self._last = -1  # the last key and side, with its ranks, sentences and coefficients so far
        self._ranks = self._sentences = np.empty(0, np.int64)
        self._sizes = np.empty(0)
        self._active = np.zeros(len(KEY_KINDS), np.int64)
        self._whole = np.zeros(len(KEY_KINDS), np.int64)

    def add(self, batch: pa.RecordBatch) -> None:
        """Check the next rows."""
        for name in batch.schema.names:
            if name not in ("gate_sign", "up_sign"):
                require_no_null(batch, name)
        sides = _numbers(batch, "side", SIDES)
        lists = self._lists(batch, sides)
        for name, least, most in (
            ("sentence", 0, _MOST), ("position", 0, _MOST), ("copies", 1, _MOST),
            ("token_id", 0, self._manifest.model.vocab_size),
        ):  # fmt: skip
            _require_within(_PREFIX_HAS, name, integers(batch.column(name)), most, least)
        coefficients = batch.column("coefficient").to_numpy().astype(np.float64)
        signs = np.where(sides == SIDES.index("positive"), 1, -1)
        if not np.isfinite(coefficients).all() or (np.sign(coefficients) != signs).any():
            raise BundleError("The coefficient of a trigger prefix does not have its side's sign.")
        self._check_order(batch, lists, np.abs(coefficients))
        self._check_signs(batch, signs)
        kinds, ranks = _numbers(batch, "kind", KEY_KINDS), integers(batch.column("rank"))
        for counts, rank in ((self._active, 1), (self._whole, SHOWN_PREFIXES)):
            counts += np.bincount(kinds[(signs > 0) & (ranks == rank)], minlength=len(KEY_KINDS))

    def finish(self) -> None:
        """Compare the numbers of keys that are never active, or have a short list."""
        said, kinds = self._manifest.counts.keys, self._manifest.counts.kinds
        found = {
            kind: {"never_active": kinds[kind] - active, "short": active - whole}
            for kind, active, whole in zip(
                KEY_KINDS, self._active.tolist(), self._whole.tolist(), strict=True
            )
            if kind in kinds
        }
        if said is not None and said != found:
            raise BundleError(
                f"The manifest counts keys as {said}; the trigger prefixes give {found}."
            )

    def _lists(self, batch: pa.RecordBatch, sides: Ids) -> Ids:
        """Key and side of each row as one number, which never falls."""
        layers, indices = integers(batch.column("layer")), integers(batch.column("index"))
        _require_within(_PREFIX_HAS, "layer", layers, self._manifest.model.n_layers)
        _require_within(_PREFIX_HAS, "index", indices, _MOST)
        keys = key_numbers(layers, _numbers(batch, "kind", KEY_KINDS), indices)
        places = np.minimum(np.searchsorted(self._keys, keys), len(self._keys) - 1)
        if not len(self._keys) or (self._keys[places] != keys).any():
            raise BundleError("Trigger prefixes are given for a key that is not among the vectors.")
        return keys * len(SIDES) + sides

    def _check_order(self, batch: pa.RecordBatch, lists: Ids, sizes: NDArray[np.float64]) -> None:
        """Check ranks, sentences and coefficients within lists, also across batches."""
        rounded = np.array([float(f"{size:.4e}") for size in sizes.tolist()])
        lists = np.concatenate([np.full(len(self._ranks), self._last), lists])
        ranks = np.concatenate([self._ranks, integers(batch.column("rank"))])
        sentences = np.concatenate([self._sentences, integers(batch.column("sentence"))])
        rounded = np.concatenate([self._sizes, rounded])
        steps = np.diff(lists)
        same = steps == 0
        begins = len(self._ranks) == 0 and ranks[0] != 1
        if (steps < 0).any() or begins or (np.where(same, ranks[:-1] + 1, 1) != ranks[1:]).any():
            raise BundleError("The ranks of a key's trigger prefixes have gaps or are disordered.")
        if ranks.max() > MOST_PREFIXES:
            raise BundleError(f"A key has more than {MOST_PREFIXES} trigger prefixes on a side.")
        falls = rounded[1:] < rounded[:-1]
        ties = (rounded[1:] == rounded[:-1]) & (sentences[1:] > sentences[:-1])
        if (same & ~falls & ~ties).any():
            raise BundleError("A key's trigger prefixes are not in the order of the coefficients.")
        if len(np.unique(np.stack([lists, sentences]), axis=1).T) < len(lists):
            raise BundleError("A key has two trigger prefixes of one sentence on a side.")
        last = lists == lists[-1]
        self._last, self._ranks = int(lists[-1]), ranks[last]
        self._sentences, self._sizes = sentences[last], rounded[last]

    def _check_signs(self, batch: pa.RecordBatch, signs: Ids) -> None:
        columns = [batch.column(name) for name in ("gate_sign", "up_sign")]
        nulls = {column.null_count for column in columns}
        gated = nulls == {0}
        if nulls not in ({0}, {batch.num_rows}) or self._gated not in (None, gated):
            raise BundleError("The signs of gate and up are given for some trigger prefixes only.")
        self._gated = gated
        if not gated:
            return
        gates, ups = map(integers, columns)
        if (np.abs(gates) != 1).any() or (np.abs(ups) != 1).any() or (gates * ups != signs).any():
            raise BundleError("The signs of gate and up do not multiply to the coefficient's sign.")


def _numbers(batch: pa.RecordBatch, name: str, names: tuple[str, ...]) -> Ids:
    """A column of names as their numbers in `names`."""
    column = batch.column(name)
    found = pc.index_in(column, pa.array(names))
    if found.null_count:
        unknown = column.filter(found.is_null())[0].as_py()
        raise BundleError(f"A trigger prefix is of the unknown {name} {unknown!r}.")
    return integers(found)


def _require_within(what_has: str, name: str, numbers: Ids, most: int, least: int = 0) -> None:
    """Refuse numbers outside of `least` … `most` - 1."""
    if ((numbers < least) | (numbers >= most)).any():
        raise BundleError(f"{what_has} a wrong {name}.")
