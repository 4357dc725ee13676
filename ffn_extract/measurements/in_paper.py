"""Where a measurement stands in Geva et al. (2022), and the paper's numbers beside ours.

A declaration is data for the page of `ffn_extract.paper`. `[^name]` in a text refers to a footnote
of the declaration, or to one of `EVERYWHERE`.
"""

import re
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

Key = tuple[str | int | float | None, ...]
"""The cells that name a row."""

EVERYWHERE = {
    "layers": "The paper counts layers from 1; the tables here count from 0, and a row has the "
    "paper's layer of the same place. Its models have other numbers of layers: WikiLM 16, GPT2 "
    "(gpt2-medium) 24.",
    "prefix": "The released code reads prefixes from 1 token on. By default the shortest prefix "
    "here has 2 tokens where no token is put before the text, because a model uses the first "
    "position of a text as an attention sink (--min-prefix).",
    "corpus": "The paper's examples are sentences of the validation set of WikiText-103: 2,000 in "
    "its sections 5.1, 5.2 and A.3, and 10,000 in 6.2 and A.5.",
    "prediction": "Predictions, not the corpus, decide: w is the token that the model predicts.",
}
"""Footnotes that several measurements refer to."""
MOST_ROWS = 20
_REFERENCE = re.compile(r"\[\^([a-z0-9-]+)\]")


@dataclass(frozen=True)
class Numbers:
    """A column of numbers: those of `column` in the rows where other columns have given cells.

    Attributes
    ----------
    heading
        For people.
    form
        A format of one number, such as "{:.1%}".
    where
        Cells of other columns, which tell this column from others of the same name.
    interval
        Whether the columns `low` and `high` hold the ends of its interval.
    """

    column: str
    heading: str
    form: str = "{:,}"
    where: Mapping[str, str | int] = field(default_factory=dict)
    interval: bool = False


@dataclass(frozen=True)
class Beside:
    """A table of the page: some numbers of one table of a measurement, the paper's beside.

    Attributes
    ----------
    table
        The measurement's table.
    row
        How a row is called, a format over its columns, such as "layer {layer}". Their cells are its
        key.
    where
        Cells that a row must have to be shown.
    paper
        By heading of a column, by key: what the paper has there.
    most
        A column: only the `MOST_ROWS` rows with its largest numbers are shown.
    """

    table: str
    caption: str
    row: str
    numbers: Sequence[Numbers]
    where: Mapping[str, str | int] = field(default_factory=dict)
    paper: Mapping[str, Mapping[Key, str]] = field(default_factory=dict)
    most: str | None = None

    @property
    def keys(self) -> tuple[str, ...]:
        """The columns that name a row."""
        return tuple(name for _, name, _, _ in string.Formatter().parse(self.row) if name)


@dataclass(frozen=True)
class InPaper:
    """A measurement's section on the page.

    Attributes
    ----------
    section
        Of the paper, such as "5.1" or "A.3": sections stand in this order.
    says
        What the paper finds, in a few sentences.
    tables
        In the order of the page.
    footnotes
        Deviations of the paper from itself, of its released code and of our defaults, by name.
    """

    section: str
    says: str
    tables: Sequence[Beside]
    footnotes: Mapping[str, str] = field(default_factory=dict)

    @property
    def references(self) -> list[str]:
        """The footnotes that its texts refer to, each once, in their order."""
        texts = [self.says]
        for one in self.tables:
            texts += [one.caption, *(number.heading for number in one.numbers)]
            for heading, cells in one.paper.items():
                texts += [heading, *cells.values()]
        texts += self.footnotes.values()
        return list(dict.fromkeys(name for text in texts for name in references_in(text)))


def references_in(text: str) -> list[str]:
    """The names of the footnotes that a text refers to.

    Examples
    --------
    >>> references_in("1,184[^swapped] events[^layers]")
    ['swapped', 'layers']
    """
    return _REFERENCE.findall(text)


def split_references(text: str) -> list[str]:
    """Text and names of footnotes by turns, text first: an odd number of strings."""
    return _REFERENCE.split(text)
