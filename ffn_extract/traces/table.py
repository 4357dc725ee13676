"""A trace as lines of text, for a terminal; importable without torch."""

import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

TOKENS_SHOWN = 6
MOST_COLUMNS = 18  # of a token in a table
_RIGHT = {0, 5, 6}  # columns of numbers


def trace_lines(found: Mapping[str, Any]) -> Iterator[str]:
    """Lines about a trace: its prompt, a line for each layer, what pushed the token most."""
    tokens, position = found["tokens"], found["position"]
    token = found["token"]
    yield f"model:    {found['model']}"
    yield f"prompt:   {' '.join(tokens)}"
    yield f"position: {position}, from 0, which is behind {tokens[position]}"
    yield f"token:    {token['token']} (id {token['token_id']})"
    yield ""
    yield from _one(found)
    changed = found["changed"]
    if changed is None:
        return
    yield ""
    yield f"With {'; '.join(map(_intervention, changed['interventions']))}:"
    yield ""
    yield from _one(changed)
    place = changed["first_difference"]
    if place is None:
        yield "The continuations are equal."
    else:
        yield f"The continuations differ from new token {place + 1} on."


def _one(found: Mapping[str, Any]) -> Iterator[str]:
    token, parts = found["token"], found["parts"]
    yield from _table(
        ("layer", "before the FFN", "after it", f"rank of {_cut(token['token'])}", "vector", "m",
         "share", "its tokens"),
        [_row(layer) for layer in found["layers"]],
    )  # fmt: skip
    yield ""
    sums = ", ".join(f"{name} {_signed(value)}" for name, value in parts.items())
    yield (
        f"{token['token']}: probability {_percent(token['probability'])}, logit "
        f"{_signed(token['logit'])} = {sums}"
    )
    if found["continuation"]:
        yield f"continuation: {' '.join(one['token'] for one in found['continuation'])}"
    most = "; ".join(
        f"{one['layer']}:{one['index']} {_signed(one['push'])} ({_tokens(one, 3)})"
        for one in found["pushed_most"]
    )
    yield f"pushed most: {most}."


def _row(layer: Mapping[str, Any]) -> tuple[str, ...]:
    (before, *_), (after, *_) = layer["before"], layer["after"]
    dominant = layer["dominant"][0]
    return (
        str(layer["layer"]),
        _predicted(before),
        _predicted(after),
        f"{layer['rank_before']:,} → {layer['rank_after']:,}",
        f"{layer['layer']}:{dominant['index']}",
        _signed(dominant["coefficient"]),
        _percent(dominant["share"]),
        _tokens(dominant, TOKENS_SHOWN),
    )


def _predicted(one: Mapping[str, Any]) -> str:
    return f"{_cut(one['token'])} {_percent(one['probability'])}"


def _tokens(vector: Mapping[str, Any], count: int) -> str:
    shown = " ".join(_cut(token) for token in vector["tokens"][:count])
    return f"lowest: {shown}" if vector["side"] == "lowest" else shown


def _intervention(one: Mapping[str, Any]) -> str:
    done = {
        "set": f"set to {one['value']:g}",
        "scale": f"scaled by {one['value']:g}",
        "zero": "set to zero",
    }[one["action"]]
    start = one["from_position"]
    return f"{one['layer']}:{one['index']} {done}{f' from position {start} on' if start else ''}"


def _signed(value: float) -> str:
    return f"{value:+.2f}".replace("-", "\N{MINUS SIGN}")


def _percent(share: float) -> str:
    return f"{100 * share:.1f}%"


def _cut(token: str) -> str:
    return token if len(token) <= MOST_COLUMNS else f"{token[: MOST_COLUMNS - 1]}…"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(map(_width, column)) for column in zip(head, *rows, strict=True)]
    for row in (head, *rows):
        cells = []
        for place, (cell, width) in enumerate(zip(row, widths, strict=True)):
            space = " " * (width - _width(cell))
            cells.append(space + cell if place in _RIGHT else cell + space)
        yield "  ".join(cells).rstrip()


def _width(text: str) -> int:
    """Columns of a terminal: two for wide letters, none for marks on the letter before."""
    return sum(
        0 if unicodedata.combining(one) else 1 + (unicodedata.east_asian_width(one) in "WF")
        for one in text
    )
