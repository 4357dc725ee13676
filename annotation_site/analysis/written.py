"""Numbers as people read them: each kind of number is written in one way, on pages and in texts.

Pure functions, in English; pages translate the words around them. A missing value is a dash.
"""

MISSING = "–"
_MINUS = "−"
_LEAST_P = 0.001


def share(value: float | None) -> str:
    """A share of something, such as coverage.

    Examples
    --------
    >>> share(0.4913)
    '49.1%'
    """
    return MISSING if value is None else f"{_rounded(100 * value, 1)}%"


def points(value: float | None) -> str:
    """A difference of two shares in percentage points, with its sign; the unit goes behind it.

    Examples
    --------
    >>> points(0.296), points(-0.012), points(-0.0001)
    ('+29.6', '−1.2', '0.0')
    """
    if value is None:
        return MISSING
    said = _rounded(100 * value, 1)
    return said if said.startswith(_MINUS) or not float(said) else f"+{said}"


def points_bound(value: float | None) -> str:
    """An end of a difference's interval: as `points`, with a sign only where it is negative."""
    return MISSING if value is None else _rounded(100 * value, 1)


def decimal(value: float | None) -> str:
    """A measure of agreement, a number of patterns per list, Cliff's delta.

    Examples
    --------
    >>> decimal(0.708), decimal(-0.051), decimal(-0.001)
    ('0.71', '−0.05', '0.00')
    """
    return MISSING if value is None else _rounded(value, 2)


def count(number: int | None) -> str:
    """A number of things.

    Examples
    --------
    >>> count(1440)
    '1,440'
    """
    return MISSING if number is None else f"{number:,}"


def p_value(value: float | None) -> str:
    """A p-value; the smallest as an upper bound, as 10,000 shuffles give no more."""
    if value is None:
        return MISSING
    return f"< {_LEAST_P}" if value < _LEAST_P else f"{value:.3f}"


def _rounded(value: float, places: int) -> str:
    """With a true minus, and never minus nought."""
    said = f"{value:,.{places}f}"
    return said.lstrip("-") if not float(said.replace(",", "")) else said.replace("-", _MINUS)
