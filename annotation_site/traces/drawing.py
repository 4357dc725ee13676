"""The column of layers as coordinates: the rank of a token on a log axis. Pure.

Each layer is a row of an SVG of its own, `WIDTH` by `HEIGHT`, stretched to its cell: 1st at the
right. Within a row the rank goes down from the layer before through attention to the FFN, and
through the FFN to the rank after the layer.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext_lazy as _

WIDTH, HEIGHT = 100.0, 19.0
FFN_TOP, FFN_BOTTOM = 6.0, 14.0
NEAR = 10  # ranks that stand out
_NAMES = (_("1st"), "10", "100", _("1k"), _("10k"), _("100k"), _("1M"), _("10M"))


@dataclass(frozen=True)
class Tick:
    """A labelled place on the axis, in per cent of its width."""

    text: str
    at: float


@dataclass(frozen=True)
class Row:
    """A layer's lines: of attention, of the FFN, and of the trace with changes, if there is one."""

    attention: str
    ffn: str
    is_raised: bool
    is_lowered: bool
    changed: str


@dataclass(frozen=True)
class Column:
    """All rows on one axis; `ticks` go from the worst rank to the first."""

    ticks: list[Tick]
    rows: list[Row]


def column_of(
    layers: Sequence[Mapping[str, Any]],
    changed: Sequence[Mapping[str, Any]] = (),
    first_changed: int = 0,
) -> Column:
    """The column of a trace's layers, and of those of the trace with changes."""
    ranks = [one[name] for one in (*layers, *changed) for name in ("rank_before", "rank_after")]
    powers = max(1, math.ceil(math.log10(max(ranks, default=1)) - 1e-9))
    ticks = [Tick(_name(p), round(WIDTH * (1 - p / powers), 1)) for p in range(powers, -1, -1)]

    def x(rank: int) -> float:
        return round(WIDTH * (1 - math.log10(rank) / powers), 1)

    rows = []
    for number, layer in enumerate(layers):
        before, after = layer["rank_before"], layer["rank_after"]
        start = layers[number - 1]["rank_after"] if number else before
        attention = f"M{x(start)} 0L{x(before)} {FFN_TOP:g}M{x(after)} {FFN_BOTTOM:g}V{HEIGHT:g}"
        ffn = f"M{x(before)} {FFN_TOP:g}L{x(after)} {FFN_BOTTOM:g}"
        rows.append(Row(attention, ffn, after < before, after > before, ""))
    if changed:
        for number in range(first_changed, min(len(changed), len(rows))):
            one = changed[number]
            is_first = number == first_changed
            start, top = (
                (one["rank_before"], FFN_TOP)
                if is_first
                else (changed[number - 1]["rank_after"], 0.0)
            )
            path = f"M{x(start)} {top:g}L{x(one['rank_after'])} {HEIGHT:g}"
            rows[number] = Row(*_four(rows[number]), path)
    return Column(ticks, rows)


def _four(row: Row) -> tuple[str, str, bool, bool]:
    return row.attention, row.ffn, row.is_raised, row.is_lowered


def _name(power: int) -> str:
    return str(_NAMES[power]) if power < len(_NAMES) else f"10^{power}"
