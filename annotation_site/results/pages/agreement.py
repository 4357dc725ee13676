"""Agreement as three questions, and every measure with its definition one fold away."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext

from annotation_site.analysis import written
from annotation_site.annotation.lists.nouns import Nouns
from annotation_site.results.pages.people_like_these import for_people
from annotation_site.results.pages.remarks import remark
from annotation_site.results.pages.values import (
    Row,
    agreed,
    between,
    by_chance,
    lists_words,
    model_name,
    translated,
)

OBSERVED = "percent_agreement_concept"
ASKED = ("krippendorff_alpha_concept", "mean_matched_jaccard", "matched_category_agreement")
"""The measures that answer the three questions; docs/measures.md defines them."""


@dataclass(frozen=True)
class Question:
    """A question in plain words, its answer, what that means and rests on, and the chance level."""

    heading: str
    text: str
    between: str
    meaning: str
    measure: str
    basis: str
    remark: str
    people: str = ""
    chance: str = ""


def questions(
    rows: Sequence[Row], measures: Row, nouns: Nouns, people: Sequence[Row] = ()
) -> list[Question]:
    """The three questions of a snapshot: of all models together where there are several.

    `nouns` are those of the study's lists, `people` the rows of `people_intervals`.
    """
    together = any(row["model"] is None for row in rows)
    known = {row["measure"]: row for row in rows if (row["model"] is None) == together}
    if not known:
        return []
    like_these = {
        row["measure"]: row
        for row in people
        if row["of"] == "agreement" and (row["model"] is None) == together
    }
    known = {name: {**row, "people": like_these.get(name)} for name, row in known.items()}
    return list(_questions(known, measures, {"entries": nouns.many}))


def _questions(known: Mapping[str, Row], measures: Row, said: dict[str, str]) -> Iterator[Question]:
    observed = known.get(OBSERVED)
    alpha = known.get("krippendorff_alpha_concept")
    one_list = observed is not None and observed["lists"] == 1
    heading = gettext("Do they mark the same %(entries)s?") % said
    if observed is not None and one_list:
        meaning = (
            gettext(
                "The share of the %(entries)s that two people judge alike. Chance is in it: one "
                "list is too few to take chance out."
            )
            % said
        )
        yield _question(heading, observed, meaning, measures)
    elif alpha is not None:
        meaning = gettext("1 is always, 0 is what chance would give.")
        if observed is not None and observed["value"] is not None:
            meaning += " " + gettext(
                "Without taking chance out, two people judge %(share)s of the %(entries)s alike."
            ) % {**said, "share": written.decimal(observed["value"])}
        yield _question(heading, alpha, meaning, measures)
    if overlap := known.get("mean_matched_jaccard"):
        meaning = (
            gettext(
                "Each pattern is laid beside the other person’s most similar one: %(entries)s in "
                "both, divided by %(entries)s in either. A pattern without a partner counts 0."
            )
            % said
        )
        yield _question(
            gettext("Do their patterns hold the same %(entries)s?") % said,
            overlap,
            meaning,
            measures,
        )
    if category := known.get("matched_category_agreement"):
        meaning = gettext(
            "The share of the matched patterns to which both people give the same category. "
            "Descriptions are never compared."
        )
        yield _question(
            gettext("Do they give them the same category?"), category, meaning, measures
        )


def _question(heading: str, row: Row, meaning: str, measures: Row) -> Question:
    unit = translated(row["unit"])
    basis = lists_words(row["lists"])
    if row["unit"] != "lists":
        basis = gettext("%(n)s %(unit)s of %(lists)s") % {
            "n": written.count(row["n"]),
            "unit": unit,
            "lists": basis,
        }
    return Question(
        heading,
        written.decimal(row["value"]),
        between(row["low"], row["high"], written.decimal),
        meaning,
        translated(measures[row["measure"]]["title"]),
        basis,
        remark(row["undefined"] if row["value"] is None else row["warning"]),
        "" if row["low"] is None else for_people(row["people"], written.decimal).text,
        by_chance(row),
    )


def by_model(rows: Sequence[Row], measures: Row) -> list[dict[str, Any]]:
    """Per model every measure with what it means."""
    models = dict.fromkeys(row["model"] for row in rows)
    return [
        {
            "model": model_name(model),
            "rows": [
                {
                    **row,
                    "about": measures[row["measure"]],
                    "cell": agreed(row),
                }
                for row in rows
                if row["model"] == model
            ],
        }
        for model in models
    ]
