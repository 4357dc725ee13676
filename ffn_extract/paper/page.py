"""The page of the whole paper as data, which the writers of HTML and Markdown turn into files."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ffn_extract.measurements.folder import Measured, reading_notes
from ffn_extract.measurements.in_paper import (
    EVERYWHERE,
    MOST_ROWS,
    Beside,
    InPaper,
    Numbers,
    references_in,
)
from ffn_extract.measurements.measurement import Cell, Figure, Line, Measurement, Table

_MINUS = re.compile(r"(?<!\S)-(?=\d)")
NOTHING = "–"
"""A cell without a number."""
LAST = "~"  # sorts behind every section of the paper
ABOUT = (
    "Each section has one experiment of Geva et al., Transformer Feed-Forward Layers Build "
    "Predictions by Promoting Concepts in the Vocabulary Space (EMNLP 2022), on this model. The "
    "paper's numbers are of its own models, texts and settings. They stand beside for orientation; "
    "no number here should equal them."
)


@dataclass(frozen=True)
class PageCell:
    """A number as people read it, and its interval where it has one; or a text."""

    text: str
    interval: str = ""
    is_text: bool = False


@dataclass(frozen=True)
class PageTable:
    """A table of the page: the headings of its columns, and of each row the name and the cells.

    The last `of_paper` columns are the paper's.
    """

    caption: str
    head: str
    headings: Sequence[str]
    rows: Sequence[tuple[str, Sequence[PageCell]]]
    of_paper: int = 0


@dataclass(frozen=True)
class PageFigure:
    """A figure, the words for a person who does not see it, and its file from the page's folder."""

    figure: Figure
    alternative: str
    file: str


@dataclass(frozen=True)
class Section:
    """One measurement on the page; one that was refused has the reason instead of results."""

    name: str
    title: str
    in_paper: InPaper | None
    definition: str
    source: str
    words: Sequence[str] = ()
    figures: Sequence[PageFigure] = ()
    tables: Sequence[PageTable] = ()
    refused: str = ""


@dataclass(frozen=True)
class Page:
    """The page: title, facts about model and examples, sections in the paper's order, footnotes.

    `footnotes` are numbered in the order in which the page refers to them.
    """

    title: str
    facts: Sequence[tuple[str, str]]
    notes: Sequence[str]
    sections: Sequence[Section]
    footnotes: Mapping[str, str]
    without_figures: bool


def page_of(
    measurements: Iterable[Measurement],
    measured: Mapping[str, Measured],
    refused: Mapping[str, str],
    manifests: Sequence[Mapping[str, Any]],
) -> Page:
    """The page of measurements that were run or refused, by their names.

    `manifests` are those of the folders, of which the facts are taken.
    """
    ordered = sorted(
        measurements, key=lambda one: LAST if one.in_paper is None else one.in_paper.section
    )
    sections = [_section(one, measured.get(one.name), refused.get(one.name, "")) for one in ordered]
    own: dict[str, str] = {}
    for one in ordered:
        own |= dict(one.in_paper.footnotes) if one.in_paper else {}
    missing = [one for one in measured.values() if one.result.figures and not one.has_figures]
    name = str(manifests[0]["model"]["name"]) if manifests else ""
    every = [one["parameters"] for one in manifests]
    parameters = next((one for one in every if "examples" in one), every[0] if every else {})
    return Page(
        title=f"FFN layers of {name}, measured as in Geva et al. (2022)",
        facts=_facts(manifests, parameters),
        notes=reading_notes(parameters),
        sections=sections,
        footnotes=_in_order(sections, {**EVERYWHERE, **own}),
        without_figures=bool(missing),
    )


def _section(one: Measurement, measured: Measured | None, refused: str) -> Section:
    told = (one.name, one.title, one.in_paper, one.definition, one.source)
    if measured is None:
        return Section(*told, refused=refused)
    tables = {table.name: table for table in measured.result.tables}
    return Section(
        *told,
        words=[_MINUS.sub("−", line) for line in measured.result.words if line],
        figures=[
            PageFigure(figure, alternative_of(figure), f"{one.name}/{figure.name}.svg")
            for figure in measured.result.figures
            if measured.has_figures
        ],
        tables=[
            shown(beside, tables[beside.table])
            for beside in (one.in_paper.tables if one.in_paper else ())
            if beside.table in tables
        ],
    )


def shown(beside: Beside, table: Table) -> PageTable:
    """A measurement's table as the page shows it, the paper's columns last."""
    rows = [dict(zip(table.columns, row, strict=True)) for row in table.rows]
    rows = [row for row in rows if _holds(row, beside.where)]
    if beside.most is not None:
        most = beside.most
        rows = sorted(rows, key=lambda row: -float(row[most] or 0))[:MOST_ROWS]
    by_key: dict[tuple[Cell, ...], list[dict[str, Cell]]] = {}
    for row in rows:
        by_key.setdefault(tuple(row[name] for name in beside.keys), []).append(row)
    made = []
    for key, own in by_key.items():
        cells = [_cell(numbers, own) for numbers in beside.numbers]
        cells += [PageCell(paper.get(key, NOTHING)) for paper in beside.paper.values()]
        made.append((beside.row.format(**own[0]).removesuffix(", "), cells))
    return PageTable(
        beside.caption,
        ", ".join(beside.keys),
        [*(one.heading for one in beside.numbers), *beside.paper],
        made,
        len(beside.paper),
    )


def _holds(row: Mapping[str, Cell], where: Mapping[str, str | int]) -> bool:
    return all(row[name] == cell for name, cell in where.items())


def _cell(numbers: Numbers, rows: Sequence[Mapping[str, Cell]]) -> PageCell:
    row = next((row for row in rows if _holds(row, numbers.where)), None)
    if row is None or row[numbers.column] is None:
        return PageCell(NOTHING)
    text = _said(numbers.form, row[numbers.column])
    if isinstance(row[numbers.column], str):
        return PageCell(text, is_text=True)
    if not numbers.interval or row["low"] is None:
        return PageCell(text)
    low, high = (_said(numbers.form, row[end]) for end in ("low", "high"))
    return PageCell(text, f"{low} to {high}")


def _said(form: str, number: Cell) -> str:
    if isinstance(number, str):
        return number
    said = form.format(number)
    minus = "−" if any(digit in said for digit in "123456789") else ""
    return f"{minus}{said[1:]}" if said.startswith("-") else said


def alternative_of(figure: Figure) -> str:
    """A figure in words: the lowest and the highest value of each line.

    Examples
    --------
    >>> line = Line("dominant", [0, 1, 2], [0.1, 0.3, 0.2])
    >>> alternative_of(Figure("share", "Share", "share", [line]))
    'Line chart of share by layer. dominant: from 0.1 in layer 0 to 0.3 in layer 1.'
    """
    parts = [f"Line chart of {figure.y_label} by layer."]
    for line in figure.lines:
        if len(line.values):
            parts.append(f"{line.label}: {_range(line)}.")
    return " ".join(parts)


def _range(line: Line) -> str:
    low, high = (
        choose(range(len(line.values)), key=line.values.__getitem__) for choose in (min, max)
    )
    first, last = (
        f"{_said('{:.3g}', float(line.values[i]))} in layer {line.layers[i]}" for i in (low, high)
    )
    return f"from {first} to {last}"


def _facts(
    manifests: Sequence[Mapping[str, Any]], parameters: Mapping[str, Any]
) -> list[tuple[str, str]]:
    if not manifests:
        return []
    model, examples = manifests[0]["model"], parameters.get("examples")
    facts = [("model", str(model["name"])), ("family", str(model["model_type"]))]
    facts += [
        (label, f"{model[key]:,}")
        for label, key in (
            ("layers", "n_layers"),
            ("width", "d_model"),
            ("vocabulary", "vocab_size"),
        )
        if isinstance(model.get(key), int)
    ]
    if isinstance(examples, Mapping):
        corpus = examples["corpus"]
        facts += [
            ("examples", f"{examples['count']:,}"),
            ("corpus", f"{corpus['name']}, {corpus['texts']:,} texts"),
            ("shortest prefix", f"{examples['min_prefix']:,} tokens"),
            ("read at position 0", f"{examples['at_position_0']:,}"),
            ("too short, skipped", f"{examples['skipped']:,}"),
        ]
    facts += [
        (label, str(parameters[key]))
        for label, key in (("seed", "seed"), ("precision", "precision"))
        if key in parameters
    ]
    return facts


def _in_order(sections: Sequence[Section], texts: Mapping[str, str]) -> dict[str, str]:
    """The footnotes that the page refers to, in the order in which it does."""
    found: dict[str, str] = {}
    for section in sections:
        if section.in_paper is None:
            continue
        referring = [section.in_paper.says]
        for table in section.tables:
            referring += [table.caption, *table.headings]
            referring += [cell.text for _, cells in table.rows for cell in cells]
        for name in (name for text in referring for name in references_in(text)):
            found.setdefault(name, texts[name])
    return found
