"""The picture of the start page: from a marked list to coverage by layer, as coordinates.

An illustration with made-up numbers, and it says so. Its bars and its words come from the same two
tables here.
"""

from dataclasses import dataclass

# A shortened list: its tokens, with whether they are in the pattern.
LIST = (
    ("feet", True), ("metres", True), ("inches", True), ("near", False), ("miles", True),
    ("km", True), ("yards", True), ("toward", False), ("litres", True), ("pounds", True),
    ("long", False), ("acres", True),
)  # fmt: skip
# Mean coverage by layer: of semantic patterns, and of syntactic ones.
LAYERS = ((0.24, 0.10), (0.25, 0.08), (0.30, 0.07), (0.36, 0.06), (0.42, 0.05), (0.33, 0.04))
RANDOM = 0.158
GRID = (0.25, 0.5, 0.75, 1.0)

_LIST_TOP, _ROW = 34.0, 24.8
_BASE, _HEIGHT = 331.0, 264.0  # of an axis from 0 to 1
_BAR_LEFT, _BLOCK = 232.0, _HEIGHT / len(LIST)
_LAYERS_LEFT, _LAYER, _LAYER_WIDTH = 304.0, 19.5, 14.5


@dataclass(frozen=True)
class Token:
    """A line of the list; a marked one has a ribbon to its block of the bar."""

    rank: int
    text: str
    is_marked: bool
    top: float
    block: float | None
    ribbon: str

    @property
    def mark(self) -> float:
        """The top of its mark, a square of 16."""
        return round(self.top + 4.4, 1)

    @property
    def baseline(self) -> float:
        """The baseline of its text."""
        return round(self.top + 16.8, 1)


@dataclass(frozen=True)
class Layer:
    """A stacked bar of one layer."""

    number: int
    left: float
    middle: float
    semantic_top: float
    semantic_height: float
    syntactic_top: float
    syntactic_height: float


@dataclass(frozen=True)
class Picture:
    """Everything that the template draws."""

    tokens: tuple[Token, ...]
    layers: tuple[Layer, ...]
    grid: tuple[tuple[str, float], ...]
    random: float
    marked: int
    total: int
    share: str
    share_baseline: float


def picture() -> Picture:
    """The picture of `LIST` and `LAYERS`."""
    marked = sum(is_marked for _, is_marked in LIST)
    top_block = _height_of(marked / len(LIST))
    tokens, block = [], top_block
    for rank, (text, is_marked) in enumerate(LIST, 1):
        top = round(_LIST_TOP + (rank - 1) * _ROW, 1)
        tokens.append(
            Token(
                rank, text, is_marked, top,
                round(block, 1) if is_marked else None,
                _ribbon(top + 3, block) if is_marked else "",
            )
        )  # fmt: skip
        block += _BLOCK * is_marked
    return Picture(
        tokens=tuple(tokens),
        layers=tuple(_layer(number, *shares) for number, shares in enumerate(LAYERS)),
        grid=tuple((f"{share:.0%}", round(_height_of(share), 1)) for share in GRID),
        random=round(_height_of(RANDOM), 1),
        marked=marked,
        total=len(LIST),
        share=f"{marked / len(LIST):.0%}",
        share_baseline=round(top_block - 8, 1),
    )


def _height_of(share: float) -> float:
    return _BASE - share * _HEIGHT


def _ribbon(top: float, block: float) -> str:
    """A path from the right edge of a token to the left edge of its block."""
    bottom, end = top + 16.8, block + _BLOCK - 1.5
    return (
        f"M151 {top:.1f}C192 {top:.1f} 192 {block:.1f} {_BAR_LEFT:.0f} {block:.1f}V{end:.1f}"
        f"C192 {end:.1f} 192 {bottom:.1f} 151 {bottom:.1f}Z"
    )


def _layer(number: int, semantic: float, syntactic: float) -> Layer:
    left = _LAYERS_LEFT + number * _LAYER
    top, upper = _height_of(semantic), _height_of(semantic + syntactic)
    return Layer(
        number=number + 1,
        left=left,
        middle=left + _LAYER_WIDTH / 2,
        semantic_top=round(top, 1),
        semantic_height=round(_BASE - top, 1),
        syntactic_top=round(upper, 1),
        syntactic_height=round(top - upper - 1, 1),  # a gap, so that colour alone tells nothing
    )
