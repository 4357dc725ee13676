"""Which kinds of vector are compared with which random control."""

from collections.abc import Iterable

CONTROLS = {"key": "random-key", "value": "random"}
"""The kinds that have a random control, each with its own."""


def compared(kinds: Iterable[str]) -> tuple[str, str]:
    """The kind and its control that lists of these kinds compare; values, unless they are of keys.

    Examples
    --------
    >>> compared(["update", "random", "value"])
    ('value', 'random')
    >>> compared(["random-key", "key"])
    ('key', 'random-key')
    """
    held = set(kinds)
    first = next((kind for kind in CONTROLS if kind in held), "value")
    return first, CONTROLS[first]
