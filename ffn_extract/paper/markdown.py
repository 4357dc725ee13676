"""The page as Markdown with tables and footnotes, figures as files beside it."""

import re
from collections.abc import Iterator
from itertools import groupby

from ffn_extract.measurements.folder import NO_MATPLOTLIB
from ffn_extract.measurements.in_paper import split_references
from ffn_extract.paper.page import ABOUT, Page, PageCell, PageTable, Section

_MARKS = re.compile(r"([\\*_\[\]<>|~$#])")
_CODE = re.compile(r"(`[^`]+`)")


def markdown_of(page: Page) -> str:
    """The page as Markdown."""
    return "\n".join(_lines(page)).rstrip() + "\n"


def _lines(page: Page) -> Iterator[str]:
    yield f"# {_text(page.title)}"
    yield from ("", _text(ABOUT), "", "| | |", "|---|---|")
    yield from (f"| {_text(name)} | {_text(value)} |" for name, value in page.facts)
    yield ""
    for note in (*page.notes, *([NO_MATPLOTLIB] if page.without_figures else [])):
        yield from (_text(note), "")
    for section in page.sections:
        yield from _section(section)
    for name, text in page.footnotes.items():
        yield from (f"[^{name}]: {_text(text)}", "")


def _section(section: Section) -> Iterator[str]:
    part = "" if section.in_paper is None else f"§{section.in_paper.section} "
    yield from (f"## {part}{_text(section.title)}", "")
    for paragraph in section.definition.split("\n\n"):
        yield from (_text(paragraph), "")
    yield from (f"Source: {_text(section.source)}", "")
    if section.in_paper:
        yield from (f"In the paper: {_text(section.in_paper.says)}", "")
    if section.refused:
        yield from (f"Not measured. {_text(section.refused)}", "")
    for are_items, lines in groupby(section.words, lambda line: line.startswith("- ")):
        if are_items:
            yield from (f"- {_text(line[2:])}" for line in lines)
            yield ""
        else:
            yield from (text for line in lines for text in (_text(line), ""))
    for figure in section.figures:
        yield from (f"![{_text(figure.alternative)}]({figure.file})", "")
    for table in section.tables:
        yield from _table(table)


def _table(table: PageTable) -> Iterator[str]:
    yield from (f"{_text(table.caption)}:", "")
    yield f"| {_text(table.head)} | {' | '.join(map(_text, table.headings))} |"
    yield f"|---|{'---:|' * len(table.headings)}"
    for name, cells in table.rows:
        yield f"| {_text(name)} | {' | '.join(map(_cell, cells))} |"
    yield ""


def _cell(cell: PageCell) -> str:
    return _text(f"{cell.text} ({cell.interval})" if cell.interval else cell.text)


def _text(text: str) -> str:
    """Text without effect as Markdown, but for `code` and references to footnotes."""
    parts = []
    for i, part in enumerate(split_references(" ".join(text.split()))):
        if i % 2:
            parts.append(f"[^{part}]")
        else:
            pieces = _CODE.split(part)
            pieces[::2] = [_MARKS.sub(r"\\\1", piece) for piece in pieces[::2]]
            parts.append(
                "".join(
                    piece.replace("|", "\\|") if piece[:1] == "`" else piece for piece in pieces
                )
            )
    return "".join(parts)
