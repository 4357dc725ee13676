"""Shared drawing of figures: two themes, two layouts, and the bytes of SVG, PDF and PNG.

An SVG is one file for every page: it holds the figure for a wide and for a narrow place, and its
colours are CSS variables with the values of a light and of a dark page.

Text in an SVG stays text, so that it can be read, searched and copied. matplotlib places it by
the widths of DejaVu Sans, which it brings along; the page shows the reader's own font. That is
narrower as a rule, so nothing overlaps, and the bytes do not depend on the fonts of the server.
"""

import io
import logging
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import lru_cache
from html import escape
from typing import Any, Literal

from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import TextPath
from matplotlib.transforms import Affine2D, Transform

Theme = Literal["light", "dark"]
Layout = Literal["wide", "narrow"]

_FONTS = "system-ui, 'Noto Sans', 'Helvetica Neue', Arial, 'DejaVu Sans', sans-serif"
WIDTHS: dict[Layout, int] = {"wide": 900, "narrow": 390}
PX = 0.75  # points in a CSS pixel; matplotlib counts in points, 72 to the inch
_PRINT_DPI = 300
# It tells about every font that a PDF takes letters from.
logging.getLogger("fontTools").setLevel(logging.WARNING)


@dataclass(frozen=True)
class Ink:
    """Colours of a theme; bands keep theirs, so that one legend fits both."""

    text: str
    soft: str
    grid: str
    empty: str
    edge: str
    under: str  # beside a line that crosses other marks


INKS: dict[Theme, Ink] = {
    "light": Ink(
        text="#1d1f21", soft="#5f6367", grid="#e4e3de", empty="#eeede8", edge="#3c4043",
        under="#ffffff",
    ),
    "dark": Ink(
        text="#e8e8e6", soft="#9aa0a6", grid="#30343a", empty="#292d33", edge="#c4c7cb",
        under="#1d2024",
    ),
}  # fmt: skip

# Colours that no figure uses, one for each that a theme changes: `_themed` finds them.
_MARKS = Ink(
    text="#01f1a1", soft="#01f1a2", grid="#01f1a3", empty="#01f1a4", edge="#01f1a5",
    under="#01f1a6",
)  # fmt: skip
_NAMES = {colour: name for name, colour in asdict(_MARKS).items()}


def _values(ink: Ink) -> str:
    return "".join(f" --{name}: {colour};" for name, colour in asdict(ink).items())


_STYLE = f"""svg {{{_values(INKS["light"])} }}
@media (prefers-color-scheme: dark) {{ svg {{{_values(INKS["dark"])} }} }}
@media (max-width: 420px) {{ .wide {{ display: none }} .narrow {{ display: inline }} }}"""
_HEAD = """<?xml version="1.0" encoding="utf-8"?>
<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" \
width="100%" height="100%" role="img" aria-labelledby="title" aria-describedby="description">
<title id="title">{title}</title>
<desc id="description">{description}</desc>
<style>
{style}
</style>
"""

Draw = Callable[[Ink, int], Figure]
"""Draws one figure with an ink, so many pixels wide."""


Size = tuple[int, int]
"""Width and height in CSS pixels."""


@dataclass(frozen=True)
class PageFigure:
    """A figure's SVG, and how large it is in each layout: the file itself says no size."""

    content: bytes
    sizes: dict[Layout, Size]


def page_figure(width: int, height: float) -> tuple[Figure, Transform]:
    """An empty figure, and its coordinates in CSS pixels from the top left corner."""
    figure = Figure(figsize=(width * PX / 72, height * PX / 72), dpi=72)
    return figure, Affine2D().scale(1 / width, -1 / height).translate(0, 1) + figure.transFigure


def axes_at(
    figure: Figure, *, x: float, y: float, width: float, height: float, page: tuple[float, float]
) -> Axes:
    """Axes at a place in pixels from the top left corner of a page (width, height)."""
    wide, high = page
    return figure.add_axes((x / wide, 1 - (y + height) / high, width / wide, height / high))


def quiet(axes: Axes, ink: Ink, *, grid: Literal["x", "y", "both"] = "y") -> None:
    """Style axes with a faint grid, without frame and ticks."""
    axes.grid(axis=grid, color=ink.grid, linewidth=0.6, zorder=1)
    axes.set_axisbelow(True)
    axes.set_facecolor("none")
    axes.tick_params(length=0, pad=5, labelsize=12 * PX, labelcolor=ink.soft)
    axes.spines[["left", "top", "right"]].set_visible(False)
    axes.spines["bottom"].set_color(ink.soft)


def svg(draw: Draw, *, title: str, description: str) -> PageFigure:
    """An SVG for the page, named and described; the same bytes for the same arguments."""
    parts, sizes = [], {}
    for layout, width in WIDTHS.items():
        options = {"svg.fonttype": "none", "svg.hashsalt": f"{title} {layout}"}
        with style.context(["default", options]):
            file = io.BytesIO()
            figure = draw(_MARKS, width)
            # No date and no version of matplotlib: the same data give the same file.
            figure.savefig(
                file, format="svg", transparent=True, metadata={"Date": None, "Creator": None}
            )
        sizes[layout] = (width, round(float(figure.get_figheight()) * 72 / PX))
        parts.append(_drawing(file.getvalue().decode(), layout))
    text = _HEAD.format(title=escape(title), description=escape(description), style=_STYLE)
    return PageFigure(f"{text}{''.join(parts)}</svg>\n".encode(), sizes)


def printed(draw: Draw, extension: str, *, title: str) -> bytes:
    """The figure to download and print, on white: PDF with its fonts inside, or PNG."""
    named: dict[str, Any] = {"Title": title}
    undated = {"CreationDate": None} if extension == "pdf" else {"Software": None}
    # Type 42 embeds the font itself, as journals ask.
    with style.context(["default", {"pdf.fonttype": 42}]):
        file = io.BytesIO()
        draw(INKS["light"], WIDTHS["wide"]).savefig(
            file, format=extension, facecolor="white", dpi=_PRINT_DPI, metadata=named | undated
        )
    return file.getvalue()


@lru_cache(maxsize=10_000)  # each theme and layout asks for the same texts
def text_width(text: str, size: float) -> float:
    """Width of a text, in the unit of its size."""
    path = TextPath((0, 0), text, size=size, prop=FontProperties(family="DejaVu Sans"))
    return float(path.get_extents().width) if text else 0.0


def clipped(text: str, room: float, size: float) -> str:
    """The end of a text as far as it fits: long names of models differ there."""
    room *= 0.97  # letters fitted to pixels, as in PNG, are a little wider
    while len(text) > 2 and text_width(text, size) > room:
        text = "…" + text.removeprefix("…")[1:]
    return text


def write(
    figure: Figure,
    pixels: Transform,
    x: float,
    y: float,
    text: str,
    *,
    size: float,
    color: str,
    weight: str = "normal",
) -> None:
    figure.text(
        x,
        y,
        text,
        transform=pixels,
        fontsize=size * PX,
        color=color,
        fontweight=weight,
        ha="left",
        parse_math=False,
    )


def _drawing(svg: str, layout: Layout) -> str:
    """One layout's part of the file: themed, with the page's fonts, and hidden in the other."""
    box = re.search(r'viewBox="([^"]+)"', svg)
    assert box is not None  # noqa: S101  # for the type checker
    inner = svg[svg.index("<defs>", box.end()) : svg.rindex("</svg>")]
    # Both parts number what is in them from one.
    inner = re.sub(r'( id="|href="#|url\(#)', rf"\1{layout}-", inner)
    inner = re.sub(r"(fill|stroke|color): (#[0-9a-f]{6})", _themed, inner)
    inner = inner.replace("'DejaVu Sans'", _FONTS)
    hidden = ' display="none"' if layout == "narrow" else ""
    size = f'viewBox="{box[1]}" width="100%" height="100%"'
    return f'<svg class="{layout}" {size}{hidden}>\n{inner}</svg>\n'


def _themed(found: re.Match[str]) -> str:
    """A mark with the light page's colour, and with a CSS variable for viewers that know those."""
    name = _NAMES.get(found[2])
    if name is None:
        return found[0]
    return f"{found[1]}: {getattr(INKS['light'], name)}; {found[1]}: var(--{name})"
