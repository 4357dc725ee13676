"""Figures of measurements as files, and as SVG that stands inside a page."""

import io
import re
from collections.abc import Sequence
from typing import Any

from ffn_extract.measurements.measurement import Figure

_STYLES = (
    ("#0072b2", "o", "-"), ("#d55e00", "s", "--"), ("#009e73", "^", "-."), ("#cc79a7", "D", ":"),
    ("#56b4e9", "v", "-"), ("#e69f00", "P", "--"),
)  # fmt: skip
"""Colours (Okabe and Ito's), markers and dashes: no need to tell colours apart."""
_FOR_FILES, _FOR_PAGES = (6.4, 3.6), (4.6, 3.4)  # inches; a page may be as narrow as a phone
_INK, _GRID = "#000000", "#e4e3de"
_ID = re.compile(r'(\bid="|url\(#|href="#)')


def files_of(figures: Sequence[Figure], name: str) -> dict[str, bytes]:
    """Each figure as SVG and PDF, without a time; nothing where matplotlib is not installed."""
    try:
        import matplotlib as mpl
        import matplotlib.figure
    except ImportError:
        return {}
    files: dict[str, bytes] = {}
    for figure in figures:
        canvas = _canvas(figure, _FOR_FILES, f"{figure.title}\n{name}")
        for form, without in (("svg", {"Date": None}), ("pdf", {"CreationDate": None})):
            drawn = io.BytesIO()
            with mpl.rc_context({"svg.hashsalt": "ffn-concepts"}):
                canvas.savefig(drawn, format=form, metadata=without)
            files[f"{figure.name}.{form}"] = drawn.getvalue()
    return files


def inline_svg(figure: Figure) -> str | None:
    """The figure as an SVG element for a page of HTML; None where matplotlib is not installed.

    Its text is text in the page's font, ink and grid are the page's `currentColor` and `--line`,
    and its ids begin with the figure's name, so that several stand in one page.
    """
    try:
        import matplotlib as mpl
        import matplotlib.figure
    except ImportError:
        return None
    drawn = io.BytesIO()
    settings: dict[str, Any] = {
        "svg.hashsalt": "ffn-concepts", "svg.fonttype": "none", "font.size": 9,
    }  # fmt: skip
    with mpl.rc_context(settings):
        _canvas(figure, _FOR_PAGES, None).savefig(
            drawn, format="svg", metadata={"Date": None}, transparent=True
        )
    svg = drawn.getvalue().decode()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r"font: ([0-9.]+px) [^;\"]*", r"font: \1 system-ui, sans-serif", svg)
    svg = _ID.sub(lambda found: f"{found.group(1)}{figure.name}-", svg)
    return svg.replace(_INK, "currentColor").replace(_GRID, "var(--line)").strip()


def _canvas(figure: Figure, size: tuple[float, float], title: str | None) -> Any:
    from matplotlib.figure import Figure as Canvas
    from matplotlib.ticker import MaxNLocator

    canvas = Canvas(figsize=size, layout="constrained")
    axes = canvas.add_subplot()
    for line, (colour, marker, dash) in zip(figure.lines, _STYLES, strict=False):
        if line.low is not None and line.high is not None:
            axes.fill_between(
                line.layers, line.low, line.high, color=colour, alpha=0.15, linewidth=0
            )
        axes.plot(
            line.layers, line.values, color=colour, marker=marker, markersize=4,
            linestyle=dash, label=line.label,
        )  # fmt: skip
    axes.set_xlabel("layer (counted from 0)")
    axes.set_ylabel(figure.y_label)
    if title is not None:
        axes.set_title(title, fontsize=10)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(axis="y", color=_GRID)
    axes.spines[["top", "right"]].set_visible(False)
    if title is not None:
        axes.legend(frameon=False)
    else:  # above the axes: in a small figure it would lie on the lines
        canvas.legend(loc="outside upper left", ncols=2, frameon=False, fontsize=9)
    return canvas
