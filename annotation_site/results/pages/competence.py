"""People beside a latent majority, from the stored table `competence`."""

from collections.abc import Sequence

from django.utils.translation import gettext

from annotation_site.analysis import written
from annotation_site.results.pages.people import Behind
from annotation_site.results.pages.remarks import remark, warnings_of
from annotation_site.results.pages.tables import PageTable
from annotation_site.results.pages.values import Cell, Row, between, number, words

RATES = ("sensitivity", "specificity")


def competence(rows: Sequence[Row], people: Sequence[Row], behind: Behind) -> PageTable:
    """A row per person, beside plain agreement with the others; none where nobody has a value.

    `people` are the rows of the table `people`.
    """
    plain = {row["annotator"]: row["percent_agreement_concept"] for row in people}
    known = any(row["majority_agreement"] is not None for row in rows)
    body = [
        [
            words(behind.named(row["annotator"]), behind.lists_by(row["annotator"])),
            *(_rate(row, name) for name in RATES),
            Cell(written.decimal(row["majority_agreement"])),
            Cell(written.decimal(plain.get(row["annotator"]))),
            number(row["lists"]),
            number(row["shared_lists"]),
        ]
        for row in rows
        if known
    ]
    columns = [
        gettext("Person"),
        gettext("Sensitivity"),
        gettext("Specificity"),
        gettext("Agreement with the latent majority"),
        gettext("Observed agreement"),
        gettext("Lists"),
        gettext("Shared lists"),
    ]
    return PageTable(
        "competence",
        gettext("Each person beside a latent majority"),
        columns,
        body,
        gettext(
            "By the model of Dawid and Skene: how often a person puts an entry into a pattern if "
            "the latent majority does (sensitivity), and into none if it does not (specificity). "
            "The latent majority is the answer that everybody together makes likely, and no "
            "truth: a person who differs can be right. It rejects nobody. Intervals are 95%, "
            "conditional on these annotators."
        ),
        warnings_of([(behind.named(row["annotator"]), row) for row in rows]),
    )


def too_few(rows: Sequence[Row]) -> str:
    """The reason why nobody has a value, where nobody has one."""
    if not rows or any(row["majority_agreement"] is not None for row in rows):
        return ""
    return remark(rows[0]["undefined"])


def _rate(row: Row, name: str) -> Cell:
    """A rate with its interval, or why it is missing."""
    bounds = between(row[f"{name}_low"], row[f"{name}_high"], written.decimal)
    reason = remark(row["undefined"]) if row[name] is None else ""
    return Cell(written.decimal(row[name]), bounds, reason)
