"""The headline of the results page: coverages on one scale, and value minus random."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from django.utils.translation import gettext, ngettext

from annotation_site.analysis import written
from annotation_site.analysis.controls import compared
from annotation_site.analysis.unjudged import most_moved
from annotation_site.results.pages.people import Behind
from annotation_site.results.pages.people_like_these import (
    NOTHING,
    TABLE,
    ForPeople,
    common_reason,
    for_people,
    rows_by,
)
from annotation_site.results.pages.remarks import no_significance, one_annotator, remark
from annotation_site.results.pages.values import (
    Row,
    between,
    kind_heading,
    minus_control,
    part_of_lists,
)


@dataclass(frozen=True)
class Coverage:
    """One kind's coverage; `low`, `value` and `high` are places on the axis, 0 to 100."""

    name: str
    text: str
    between: str
    lists: str
    href: str
    value: str
    low: str
    high: str
    warning: str
    people: ForPeople = NOTHING


@dataclass(frozen=True)
class Difference:
    """A kind minus its control in points, and how far lists without annotation could move it."""

    name: str
    text: str
    between: str
    test: str
    moved: str
    moved_href: str
    warning: str
    people: ForPeople = NOTHING


@dataclass(frozen=True)
class Headline:
    """The headline of one model; `model` is empty where the study has one alone.

    `no_people` says why no number has an interval for people like these, where it is one reason.
    """

    model: str
    coverages: Sequence[Coverage]
    difference: Difference | None

    @property
    def no_people(self) -> str:
        lines = [one.people for one in self.coverages]
        lines += [self.difference.people] if self.difference else []
        return common_reason([one for one in lines if one != NOTHING])


def headlines(rows: Mapping[str, Sequence[Row]], behind: Behind) -> list[Headline]:
    """The headlines of a snapshot, from its tables."""
    shown = [row for row in rows["table_2"] if row["stopwords_concepts"] == "without"]
    people = rows_by(rows.get(TABLE, ()))
    found = []
    for model, of_model in groupby(shown, key=lambda row: row["model"]):
        found.append(
            Headline(
                model if behind.several_models else "",
                [
                    _coverage(row, behind, people.get(("coverage", model, row["kind"], "coverage")))
                    for row in of_model
                ],
                next(_differences(rows, model, behind, people), None),
            )
        )
    return found


def _coverage(row: Row, behind: Behind, people: Row | None) -> Coverage:
    place = {name: _place(row[key]) for name, key in _PLACES.items()}
    return Coverage(
        name=kind_heading(row["kind"]),
        text=written.share(row["coverage"]),
        between=between(row["low"], row["high"], written.share),
        lists=part_of_lists(row["lists"], row["lists_total"]),
        href=behind.lists_of(row),
        warning=remark(row["warning"]),
        people=for_people(people, written.share),
        **place,
    )


_PLACES = {"value": "coverage", "low": "low", "high": "high"}


def _place(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.2f}"


def _differences(
    rows: Mapping[str, Sequence[Row]], model: Any, behind: Behind, people: Mapping[Any, Row]
) -> Iterator[Difference]:
    kinds = compared(row["kind"] for row in rows["coverage"])
    name = minus_control(kinds)
    for row in rows["real_against_random"]:
        if row["model"] != model or row["layer"] is not None or row["measure"] != "coverage":
            continue
        if row["difference"] is None:
            yield Difference(name, written.MISSING, "", "", "", "", remark(row["warning"]))
            continue
        adjusted = row["p_adjusted"] is not None
        p = written.p_value(row["p_adjusted"] if adjusted else row["p"])
        said = gettext("Cliff’s delta %(delta)s; permutation %(p)s") % {
            "delta": written.decimal(row["cliffs_delta"]),
            "p": f"p {p}" if p.startswith("<") else f"p = {p}",
        }
        if adjusted:
            said = gettext("%(test)s, adjusted") % {"test": said}
        moved, href = _moved(rows["coverage"], row, kinds, behind)
        said_too = no_significance(row)
        yield Difference(
            name,
            written.points(row["difference"]),
            between(row["low"], row["high"], written.points_bound),
            f"{said}; {said_too}" if said_too else said,
            moved,
            href,
            remark(row["warning"]) if row["low"] is None else one_annotator(row),
            for_people(people.get(("difference", model, None, "coverage")), written.points_bound),
        )


def _moved(
    coverage: Sequence[Row], row: Row, kinds: tuple[str, str], behind: Behind
) -> tuple[str, str]:
    """The sentence on lists without annotation, and the address of those lists."""
    of_kinds = [
        one
        for one in coverage
        if one["model"] == row["model"] and one["layer"] is not None and one["kind"] in kinds
    ]
    missing = sum(one["lists_total"] - one["lists"] for one in of_kinds)
    if not missing:
        return "", ""
    said = ngettext(
        "The %(n)s list without annotation could move it by %(points)s points at most.",
        "The %(n)s lists without annotation could move it by %(points)s points at most.",
        missing,
    ) % {
        "n": written.count(missing),
        "points": written.points_bound(most_moved(of_kinds, row["difference"], kinds)),
    }
    model = {"model": row["model"]} if behind.several_models else {}
    return said, behind.lists(**model, state="none")
