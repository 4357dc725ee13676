"""Names of a checkpoint's tensors: folded over layers and experts, and similar names."""

import difflib
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

Shape = tuple[int, ...]
_NEAR = 3
_LEAST_RATIO = 0.6
_MOST_DIGITS = 6  # a longer number is no layer's and no expert's


@dataclass(frozen=True)
class Folded:
    """Tensors of one shape and type whose names differ only in layer and expert.

    `layers` and `experts` are the numbers that occur, ascending; empty where the name has none.
    """

    pattern: str
    shape: Shape
    dtype: str
    layers: tuple[int, ...]
    experts: tuple[int, ...]


def folded_name(name: str) -> tuple[str, int | None, int | None]:
    """A name with `{layer}` and `{expert}` for its numbers, and the two numbers.

    The first number of a name is the layer's; one behind a part such as `experts` is an expert's.
    Later numbers (T5's `layer.2`) stay.

    Examples
    --------
    >>> folded_name("model.layers.3.mlp.experts.17.down_proj.weight")
    ('model.layers.{layer}.mlp.experts.{expert}.down_proj.weight', 3, 17)
    """
    layer = expert = None
    parts = name.split(".")
    for place, part in enumerate(parts):
        if not (part.isascii() and part.isdecimal() and len(part) <= _MOST_DIGITS):
            continue
        if place and "expert" in parts[place - 1].lower():
            if expert is None:
                expert, parts[place] = int(part), "{expert}"
        elif layer is None:
            layer, parts[place] = int(part), "{layer}"
    return ".".join(parts), layer, expert


def folded(tensors: Iterable[tuple[str, Shape, str]]) -> list[Folded]:
    """Tensors (name, shape, type) folded over layers and experts, by pattern and first layer."""
    numbers: dict[tuple[str, Shape, str], tuple[set[int], set[int]]] = defaultdict(
        lambda: (set(), set())
    )
    for name, shape, dtype in tensors:
        pattern, layer, expert = folded_name(name)
        layers, experts = numbers[pattern, shape, dtype]
        layers.update(() if layer is None else (layer,))
        experts.update(() if expert is None else (expert,))
    rows = [
        Folded(*key, tuple(sorted(layers)), tuple(sorted(experts)))
        for key, (layers, experts) in numbers.items()
    ]
    return sorted(rows, key=lambda row: (row.pattern, row.layers, row.shape))


def ranges(numbers: Iterable[int]) -> str:
    """Format ascending numbers: `0–2, 5`."""
    runs: list[tuple[int, int]] = []
    for number in numbers:
        if runs and runs[-1][1] == number - 1:
            runs[-1] = (runs[-1][0], number)
        else:
            runs.append((number, number))
    return ", ".join(str(a) if a == b else f"{a}–{b}" for a, b in runs)


def pattern_of(name: str) -> re.Pattern[str]:
    """A name with `{layer}` and `{expert}` as an expression with these groups."""
    pieces = re.split(r"(\{layer\}|\{expert\})", name)
    return re.compile(
        "".join(
            rf"(?P<{piece[1:-1]}>0|[1-9]\d{{0,5}})"
            if piece in ("{layer}", "{expert}")
            else re.escape(piece)
            for piece in pieces
        )
    )


def near_names(name: str, shapes: Mapping[str, Shape], axes: Iterable[int] = (1, 2, 3)) -> str:
    """A sentence with names similar to a missing one.

    A name with braces is compared with folded names. `axes` are the numbers of axes that count.
    """
    wanted = set(axes)
    known: dict[str, Shape] = {}
    for full, shape in shapes.items():
        if len(shape) in wanted:
            known.setdefault(folded_name(full)[0] if "{" in name else full, shape)
    near = difflib.get_close_matches(name, sorted(known), _NEAR, _LEAST_RATIO)
    if not near:
        return "`python -m ffn_extract tensors MODEL` lists the names that it has."
    shown = ", ".join(f"{one} {known[one]}" for one in near)
    return f"Near names: {shown}; `python -m ffn_extract tensors MODEL` lists all."
