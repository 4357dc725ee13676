"""Which kinds of vector are compared with which controls."""

from collections.abc import Iterable

CONTROLS = {
    "key": ("random-key",),
    "value": ("random", "random-covariance", "permuted", "shuffled"),
}
"""The kinds that have controls, each with its own; the first is the paper's."""


def compared(kinds: Iterable[str]) -> tuple[str, str]:
    """The kind and the control of the headline; values, unless lists are of keys.

    The control is the first of the kind's that there are lists of; without any, the paper's.

    Examples
    --------
    >>> compared(["update", "random", "value"])
    ('value', 'random')
    >>> compared(["shuffled", "value", "permuted"])
    ('value', 'permuted')
    >>> compared(["random-key", "key"])
    ('key', 'random-key')
    """
    held = set(kinds)
    first = next((kind for kind in CONTROLS if kind in held), "value")
    controls = CONTROLS[first]
    return first, next((control for control in controls if control in held), controls[0])


def other_controls(kinds: Iterable[str]) -> tuple[str, ...]:
    """The controls of value vectors that there are lists of and that the headline leaves out.

    Examples
    --------
    >>> other_controls(["shuffled", "value", "random", "permuted"])
    ('permuted', 'shuffled')
    >>> other_controls(["random", "shuffled"])
    ()
    """
    held = set(kinds)
    if "value" not in held:
        return ()
    shown = compared(held)
    return tuple(
        control for control in CONTROLS["value"] if control in held and ("value", control) != shown
    )
