"""Checks and conversion of table cells, for every format."""

import math
from numbers import Integral, Real

from annotation_site.exports.table import Cell

DECIMALS = 3


def text_of(cell: Cell) -> str | None:
    """Check a text cell. Raises TypeError for anything else."""
    if cell is not None and not isinstance(cell, str):
        raise TypeError(f"{cell!r} is not a text.")
    return cell


def number_of(cell: Cell) -> int | float | None:
    """Convert a number to Python's own type, None for NaN.

    Raises TypeError for anything else and ValueError for infinite numbers.
    """
    if cell is None:
        return None
    # NumPy's scalars count as numbers here, but their own repr names their type.
    if isinstance(cell, Integral) and not isinstance(cell, bool):
        return int(cell)
    if not isinstance(cell, Real) or isinstance(cell, bool):
        raise TypeError(f"{cell!r} is not a number.")
    if math.isnan(cell):
        return None
    if math.isinf(cell):
        raise ValueError("An infinite number has no place in a table.")
    return float(cell)


def rounded(number: int | float) -> str:
    """Round a number for readers: three decimals, or two digits if that would leave nothing."""
    if isinstance(number, int):
        return str(number)
    if number and abs(number) < 0.5 * 10**-DECIMALS:
        return f"{number:.1e}"
    return f"{number:.{DECIMALS}f}"
