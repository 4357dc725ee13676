"""The page as one file of HTML: figures inside, nothing fetched from anywhere."""

import re
from collections.abc import Iterator
from html import escape
from itertools import groupby

from ffn_extract.measurements.drawing import inline_svg
from ffn_extract.measurements.folder import NO_MATPLOTLIB
from ffn_extract.measurements.in_paper import split_references
from ffn_extract.paper.page import ABOUT, Page, PageCell, PageFigure, PageTable, Section

LONG_TABLE = 12
"""Tables with more rows are folded; in print they are open."""
_CODE = re.compile(r"`([^`]+)`")
_STYLE = """
:root { color-scheme: light dark; --ink: #1c1b1a; --paper: #fff; --muted: #5c5953; --line: #d9d7d0;
  --soft: #f6f5f1; --link: #0b57a4; }
@media (prefers-color-scheme: dark) { :root { --ink: #eae8e3; --paper: #191817; --muted: #aca89f;
  --line: #45423d; --soft: #242220; --link: #86b7f0; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 1rem/1.55 system-ui, sans-serif; overflow-wrap: break-word; }
main { max-width: 46rem; margin: 0 auto; padding: 1.5rem 1rem 4rem; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0 0 1rem; }
h2 { font-size: 1.25rem; margin: 3rem 0 .5rem; padding-top: 1rem;
  border-top: 1px solid var(--line); }
h3 { font-size: 1rem; margin: 1.5rem 0 .25rem; }
a { color: var(--link); }
a:focus-visible, summary:focus-visible { outline: 2px solid var(--link); outline-offset: 2px; }
.muted, .interval, figcaption, dt { color: var(--muted); }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .15rem 1rem; margin: 1rem 0; }
dd { margin: 0; }
nav ol { padding-left: 0; list-style: none; }
nav li { display: grid; grid-template-columns: 2.75rem 1fr; }
nav .part { color: var(--muted); }
figure { margin: 1.25rem 0; }
figure svg { display: block; width: 100%; max-width: 36rem; height: auto; }
figure svg text { fill: currentColor; }
.wide { overflow-x: auto; margin: 1.25rem 0; }
details { margin: .75rem 0; }
summary { cursor: pointer; font-weight: 600; font-size: .9rem; }
details .wide { margin: .5rem 0 0; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums;
  font-size: .9rem; }
caption { text-align: left; font-weight: 600; padding-bottom: .4rem; }
th, td { padding: .2rem .5rem; text-align: right; vertical-align: top;
  border-bottom: 1px solid var(--line); }
th:first-child { text-align: left; padding-left: 0; }
thead th { vertical-align: bottom; }
tbody th { font-weight: 400; }
td.text { text-align: left; overflow-wrap: anywhere; }
td.paper { background: var(--soft); }
.interval { display: block; font-size: .8em; }
.refused { border-left: 4px solid var(--line); padding: .25rem .75rem; background: var(--soft); }
code { font-size: .9em; }
sup { line-height: 0; }
sup + sup { margin-left: .25em; }
@media (max-width: 30rem) { table { font-size: .8rem; } th, td { padding: .2rem .25rem; } }
@media print { :root { color-scheme: light; --ink: #000; --paper: #fff; --muted: #444;
  --line: #bbb; --soft: #f3f3f3; --link: #000; } body { font-size: 10pt; } nav { display: none; }
  main { max-width: none; padding: 0; } h2, caption { break-after: avoid; }
  details::details-content { content-visibility: visible; block-size: auto; }
  summary { display: none; } figure, tr { break-inside: avoid; }
  thead { display: table-header-group; } }
"""


def html_of(page: Page) -> str:
    """The page as HTML."""
    return "".join(f"{line}\n" for line in _Writer(page).lines())


class _Writer:
    """Writes one page; it knows which references to a footnote were written before."""

    def __init__(self, page: Page) -> None:
        self._page = page
        self._numbers = {name: i for i, name in enumerate(page.footnotes, start=1)}
        self._written: set[str] = set()

    def lines(self) -> Iterator[str]:
        page = self._page
        yield "<!doctype html>"
        yield '<html lang="en">'
        yield "<head>"
        yield '<meta charset="utf-8">'
        yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
        yield (
            '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; '
            "style-src 'unsafe-inline'\">"
        )
        yield f"<title>{escape(page.title)}</title>"
        yield f"<style>{_STYLE}</style>"
        yield "</head>"
        yield "<body><main>"
        yield f"<h1>{escape(page.title)}</h1>"
        yield f"<p>{escape(ABOUT)}</p>"
        yield "<dl>"
        for name, value in page.facts:
            yield f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>"
        yield "</dl>"
        for note in (*page.notes, *([NO_MATPLOTLIB] if page.without_figures else [])):
            yield f"<p>{escape(note)}</p>"
        yield '<nav aria-label="Sections"><ol>'
        for section in page.sections:
            yield (
                f'<li><span class="part">{_part(section)}</span> '
                f'<a href="#{section.name}">{escape(section.title)}</a></li>'
            )
        yield "</ol></nav>"
        for section in page.sections:
            yield from self._section(section)
        if page.footnotes:
            yield '<h2 id="footnotes">Footnotes</h2>'
            yield "<ol>"
            for name, text in page.footnotes.items():
                back = f' <a href="#to-{name}" aria-label="Back to the text">↩</a>'
                yield f'<li id="note-{name}">{self._text(text)}{back}</li>'
            yield "</ol>"
        yield "</main></body>"
        yield "</html>"

    def _section(self, section: Section) -> Iterator[str]:
        yield f'<section aria-labelledby="{section.name}">'
        yield f'<h2 id="{section.name}">{_part(section)} {escape(section.title)}</h2>'
        for paragraph in section.definition.split("\n\n"):
            yield f"<p>{self._text(paragraph)}</p>"
        yield f'<p class="muted">{escape(section.source)}</p>'
        if section.in_paper:
            yield "<h3>In the paper</h3>"
            yield f"<p>{self._text(section.in_paper.says)}</p>"
        yield "<h3>In this model</h3>"
        if section.refused:
            yield f'<p class="refused">Not measured. {escape(section.refused)}</p>'
        for are_items, lines in groupby(section.words, lambda line: line.startswith("- ")):
            if are_items:
                items = (f"<li>{self._text(line[2:])}</li>" for line in lines)
                yield f"<ul>{''.join(items)}</ul>"
            else:
                yield from (f"<p>{self._text(line)}</p>" for line in lines)
        for figure in section.figures:
            yield from _figure(figure)
        for table in section.tables:
            yield from self._table(table)
        yield "</section>"

    def _table(self, table: PageTable) -> Iterator[str]:
        long = len(table.rows) > LONG_TABLE
        if long:
            caption = "".join(split_references(table.caption)[::2])
            yield f"<details><summary>{escape(caption)}: {len(table.rows)} rows</summary>"
        yield '<div class="wide"><table>'
        yield f"<caption>{self._text(table.caption)}</caption>"
        heads = "".join(f'<th scope="col">{self._text(one)}</th>' for one in table.headings)
        yield f'<thead><tr><th scope="col">{escape(table.head)}</th>{heads}</tr></thead>'
        yield "<tbody>"
        own = len(table.headings) - table.of_paper
        for name, cells in table.rows:
            row = "".join(
                self._cell(cell, "paper" if place >= own else "text" if cell.is_text else "")
                for place, cell in enumerate(cells)
            )
            yield f'<tr><th scope="row">{escape(name)}</th>{row}</tr>'
        yield "</tbody></table></div>"
        if long:
            yield "</details>"

    def _cell(self, cell: PageCell, kind: str) -> str:
        interval = f'<span class="interval">{escape(cell.interval)}</span>' if cell.interval else ""
        kind = f' class="{kind}"' if kind else ""
        return f"<td{kind}>{self._text(cell.text)}{interval}</td>"

    def _text(self, text: str) -> str:
        """Escaped text with `code`, and references to footnotes as links."""
        parts = []
        for i, part in enumerate(split_references(text)):
            if i % 2:
                own = "" if part in self._written else f' id="to-{part}"'
                self._written.add(part)
                number = self._numbers[part]
                parts.append(
                    f'<sup><a href="#note-{part}"{own} aria-label="Footnote {number}">{number}'
                    "</a></sup>"
                )
            else:
                parts.append(_CODE.sub(r"<code>\1</code>", escape(part)))
        return "".join(parts)


def _part(section: Section) -> str:
    return "" if section.in_paper is None else f"§{section.in_paper.section}"


def _figure(figure: PageFigure) -> Iterator[str]:
    svg = inline_svg(figure.figure)
    if svg is None:
        return
    label = escape(figure.alternative, quote=True)
    yield "<figure>"
    yield svg.replace("<svg ", f'<svg role="img" aria-label="{label}" ', 1)
    yield f"<figcaption>{escape(figure.figure.title)}</figcaption>"
    yield "</figure>"
