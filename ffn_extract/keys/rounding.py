"""Coefficients rounded to 5 significant digits, as whole numbers in their order.

Lists of trigger prefixes are ordered by rounded coefficients, so that last bits, which differ
between machines, decide nothing. The rounding is that of `f"{m:.4e}"`, computed for whole arrays.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

DIGITS = 5
NONE = np.int32(-(2**31))
"""The code of no coefficient, below all others."""
_LEAST, _STEP = 10 ** (DIGITS - 1), 9 * 10 ** (DIGITS - 1)  # 10,000 to 99,999: 90,000 numbers
_POWERS = 10.0 ** np.arange(60)
_BELOW = 1e-4
"""Share by which a threshold is below its coefficient. A prefix that two sentences have in common
has coefficients that differ in their last bits; no copy of a listed one may be passed over."""


def codes_of(m: NDArray[Any]) -> NDArray[np.int32]:
    """Codes of coefficients above 0, in the order of the rounded ones; `NONE` for all others."""
    sizes = np.asarray(m, np.float64)
    active = sizes > 0
    sizes = np.where(active, sizes, 1.0)
    exponents = np.floor(np.log10(sizes)).astype(np.int64)
    digits = _scaled(sizes, exponents)
    low, high = digits < _LEAST, digits >= 10 * _LEAST  # the logarithm, or the rounding, went over
    odd = low | high
    if odd.any():
        exponents[odd] += np.where(high[odd], 1, -1)
        digits[odd] = _scaled(sizes[odd], exponents[odd])
    codes = exponents * _STEP + digits - _LEAST
    return np.where(active, codes, NONE).astype(np.int32)


def sizes_of(codes: NDArray[np.int32]) -> NDArray[np.float64]:
    """The rounded coefficients of codes; 0 for `NONE`."""
    exponents, digits = np.divmod(codes.astype(np.int64), _STEP)
    exponents = np.clip(exponents, -300, 300)  # of NONE, which is replaced
    sizes = (digits + _LEAST) * 10.0 ** (exponents - (DIGITS - 1.0))
    return np.where(codes == NONE, 0.0, sizes)


def thresholds_of(codes: NDArray[np.int32]) -> NDArray[np.float32]:
    """Coefficients above which a prefix can enter lists whose last entry has these codes.

    A little less than the entry's own, and 0 for a list that is not full. Never lower for a higher
    code.
    """
    return (sizes_of(codes) * (1 - _BELOW)).astype(np.float32)


def first_of_largest(
    m: NDArray[Any], largest: NDArray[Any], columns: NDArray[np.int64] | None = None
) -> NDArray[np.int64]:
    """The first row of each column of m, shape (rows, columns), with the largest rounded number.

    `largest`, shape (columns,), are the columns' largest numbers. Only those of `columns`, by
    default all, are answered for, and must be above 0.
    """
    near = m >= largest * (1 - 2 * _BELOW)
    places = np.zeros(m.shape[1], np.int64)
    for row in range(len(m) - 1, -1, -1):  # much faster than argmax along the columns
        np.copyto(places, row, where=near[row])
    columns = np.arange(m.shape[1]) if columns is None else columns
    places, largest = places[columns], largest[columns]
    unsure = np.flatnonzero(m[places, columns] != largest)
    if unsure.size:
        same = codes_of(m[:, columns[unsure]]) == codes_of(largest[unsure])
        places[unsure] = same.argmax(axis=0)
    return places


def _scaled(sizes: NDArray[np.float64], exponents: NDArray[np.int64]) -> NDArray[np.int64]:
    """Sizes as whole numbers of DIGITS digits; ties go to the even one, as in formatting.

    Powers of ten up to 22 are exact, and so are the products of numbers in float32 with them where
    a tie is possible.
    """
    shifts = DIGITS - 1 - exponents
    powers = _POWERS[np.abs(shifts)]
    return np.rint(np.where(shifts >= 0, sizes * powers, sizes / powers)).astype(np.int64)
