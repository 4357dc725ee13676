"""Shared drawing of figures: two themes, two layouts, and the bytes of SVG, PDF and PNG.

Text in an SVG stays text, so that it can be read, searched and copied. matplotlib places it by
the widths of DejaVu Sans, which it brings along; the page shows the reader's own font. That is
narrower as a rule, so nothing overlaps, and the bytes do not depend on the fonts of the server.
"""

import hashlib
import io
import logging
import re
from collections.abc import Callable
from dataclasses import dataclass
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
PRINTED = ("pdf", "png")
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

Draw = Callable[[Ink, int], Figure]
"""Draws one figure with an ink, so many pixels wide."""


@dataclass(frozen=True)
class FigureFile:
    """One file of a figure; `variant` is a layout and a theme, or print."""

    variant: str
    extension: str
    content: bytes


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


def svg(draw: Draw, *, theme: Theme, layout: Layout, title: str, description: str) -> bytes:
    """An SVG for the page, named and described; the same bytes for the same arguments."""
    with style.context(["default", {"svg.fonttype": "none", "svg.hashsalt": f"{title}{theme}"}]):
        file = io.BytesIO()
        # No date and no version of matplotlib: the same data give the same file.
        draw(INKS[theme], WIDTHS[layout]).savefig(
            file, format="svg", transparent=True, metadata={"Date": None, "Creator": None}
        )
    return _accessible(file.getvalue().decode(), title=title, description=description)


def page_files(draw: Draw, *, title: str, description: str) -> list[FigureFile]:
    """The figure for the page: wide and narrow, light and dark."""
    layouts: tuple[Layout, ...] = ("wide", "narrow")
    themes: tuple[Theme, ...] = ("light", "dark")
    return [
        FigureFile(
            f"{layout}-{theme}",
            "svg",
            svg(draw, theme=theme, layout=layout, title=title, description=description),
        )
        for layout in layouts
        for theme in themes
    ]


def print_files(draw: Draw, *, title: str) -> list[FigureFile]:
    """The figure to download and print, on white: PDF with its fonts inside, and PNG."""
    return [_printed(draw, title, extension) for extension in PRINTED]


def _printed(draw: Draw, title: str, extension: str) -> FigureFile:
    named: dict[str, Any] = {"Title": title}
    undated = {"CreationDate": None} if extension == "pdf" else {"Software": None}
    # Type 42 embeds the font itself, as journals ask.
    with style.context(["default", {"pdf.fonttype": 42}]):
        file = io.BytesIO()
        draw(INKS["light"], WIDTHS["wide"]).savefig(
            file, format=extension, facecolor="white", dpi=_PRINT_DPI, metadata=named | undated
        )
    return FigureFile("print", extension, file.getvalue())


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


def _accessible(svg: str, *, title: str, description: str) -> bytes:
    """Name and describe the picture for screen readers, and give its text the page's fonts."""
    # Ids are global in a page that shows several figures.
    key = hashlib.sha256(svg.encode()).hexdigest()[:12]
    names = f'role="img" aria-labelledby="t{key}" aria-describedby="d{key}"'
    head = f'<title id="t{key}">{escape(title)}</title>\n <desc id="d{key}">{escape(description)}'
    opened = re.compile("<svg ([^>]*>)")
    svg = opened.sub(lambda tag: f"<svg {names} {tag[1]}\n {head}</desc>", svg, count=1)
    return svg.replace("'DejaVu Sans'", _FONTS).encode()
