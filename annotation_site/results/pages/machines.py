"""Machine annotators beside people, from the stored tables of a snapshot."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from annotation_site.analysis import written
from annotation_site.analysis.alternative_sentences import what_follows
from annotation_site.analysis.machine_annotators import MACHINE_ANNOTATORS
from annotation_site.results.pages.people import Behind
from annotation_site.results.pages.remarks import remark, warnings_of
from annotation_site.results.pages.tables import PageTable
from annotation_site.results.pages.values import (
    Cell,
    Row,
    agreed,
    group_name,
    number,
    translated,
    words,
)

PASSED = {"yes": _("passed"), "no": _("not passed"), "undefined": _("not tested")}
BEATEN = {"yes": _("yes"), "no": _("no"), "undefined": _("not tested")}


@dataclass(frozen=True)
class Beside:
    """People beside one machine annotator: a table, or why there is none."""

    name: str
    table: PageTable | None
    why: str = ""

    @property
    def is_language_model(self) -> bool:
        return self.name not in MACHINE_ANNOTATORS


@dataclass(frozen=True)
class Followed:
    """The conclusion from the test of one language model."""

    name: str
    sentence: str


def machine_coverage(rows: Sequence[Row]) -> PageTable:
    """Coverage by machine annotator, model and kind, with the share of failed replies."""
    body = [
        [
            words(f"{row['annotator']}: {group_name(row)}"),
            Cell(written.share(row["coverage"])),
            Cell(written.decimal(row["concepts_per_list"])),
            number(row["lists"]),
            _failed(row.get("failed") or 0, row["lists"] + (row.get("failed") or 0)),
        ]
        for row in rows
    ]
    columns = [
        gettext("Machine annotator"),
        gettext("Coverage"),
        gettext("Patterns per list"),
        gettext("Lists"),
        gettext("Failed replies"),
    ]
    return PageTable(
        "machine_coverage", gettext("Coverage of machine annotators"), columns, body,
        gettext(
            "Machine annotators are programs and language models, not people. No other table "
            "includes them unless the filter says so. Lists whose replies failed are in no mean."
        ),
    )  # fmt: skip


def _failed(failed: int, lists: int) -> Cell:
    """A number of lists whose replies failed, and their share."""
    return Cell(written.count(failed), written.share(failed / lists) if failed else "")


def machine_agreement(
    rows: Sequence[Row], measures: Mapping[str, Row], behind: Behind
) -> list[Beside]:
    """For each machine annotator the agreement between people beside that with the machine."""
    found = []
    for name, group in groupby(rows, key=lambda row: str(row["annotator"])):
        own = list(group)
        halves = {
            between: {row["measure"]: row for row in own if row.get("between") == between}
            for between in ("people", "people and machine")
        }
        shown = [one for one in measures if one in halves["people and machine"]]
        reasons = {halves["people and machine"][one]["undefined"] for one in shown}
        if not shown:  # of an older version
            continue
        if all(halves["people and machine"][one]["value"] is None for one in shown):
            found.append(Beside(name, None, remark(sorted(reasons, key=len)[-1])))
            continue
        found.append(Beside(name, _beside(name, halves, shown, measures)))
    return found


def _beside(
    name: str,
    halves: Mapping[str, Mapping[str, Row]],
    shown: Sequence[str],
    measures: Mapping[str, Row],
) -> PageTable:
    people, both = halves["people"], halves["people and machine"]
    body = [
        [
            words(translated(measures[one]["title"])),
            agreed(people[one]),
            agreed(both[one]),
            _part(both[one]["lists"], both[one]["lists_total"]),
        ]
        for one in shown
    ]
    left_out = next((both[one]["left_out"] for one in shown if both[one]["left_out"]), "")
    first = left_out.split("; ")[0]
    failed = [gettext("Left out: %(what)s.") % {"what": remark(first)}] if first else []
    rows = [
        (f"{translated(measures[one]['title'])}, {between}", half[one])
        for between, half in ((gettext("between people"), people), (gettext("with machine"), both))
        for one in shown
    ]
    return PageTable(
        "machine_agreement",
        gettext("Agreement: %(machine)s beside people") % {"machine": name},
        [
            gettext("Measure"),
            gettext("Between people"),
            gettext("People and machine"),
            gettext("Lists"),
        ],
        body,
        _same_lists(people),
        [*failed, *warnings_of(rows)],
    )


def _same_lists(people: Mapping[str, Row]) -> str:
    """The lists of the table: all that were annotated where no two people annotated one."""
    if any(row["lists"] for row in people.values()):
        return gettext(
            "On the same lists: those that this machine annotator and at least two people "
            "annotated. Intervals are 95%, conditional on these annotators."
        )
    return gettext(
        "On lists that this machine annotator and one person annotated: no list has annotations of "
        "two people. Intervals are 95%, conditional on these annotators."
    )


def _part(lists: int, total: int) -> Cell:
    """A number of lists, and below it of how many, where it is not all of them."""
    of = gettext("of %(n)s") % {"n": written.count(total)} if lists != total else ""
    return Cell(written.count(lists), of)


def alternative_test(rows: Sequence[Row], *, every: bool) -> PageTable:
    """The alternative annotator test: a row per machine annotator, or for each of its ε."""
    shown = [row for row in rows if (every and row["passed"] != "undefined") or _is_default(row)]
    body = [
        [
            words(
                f"{row['annotator']}: ε {written.decimal(row['epsilon'])}"
                if every
                else row["annotator"]
            ),
            Cell(str(PASSED[row["passed"]]), remark=_why(row)),
            Cell(written.decimal(row["winning_rate"]), remark=_beaten(row)),
            Cell(written.decimal(row["advantage"])),
            number(row["lists"]),
            _failed(row["failed"], row["lists"]),
        ]
        for row in shown
    ]
    default = next((row["epsilon"] for row in rows if _is_default(row)), None)
    return PageTable(
        "alternative_annotators",
        gettext("Alternative annotator test by ε")
        if every
        else gettext("Alternative annotator test"),
        [
            gettext("Machine annotator"),
            gettext("Result"),
            gettext("Winning rate"),
            gettext("Advantage"),
            gettext("Lists"),
            gettext("Failed replies"),
        ],
        body,
        gettext(
            "Each person in turn is compared with the machine annotator: which of the two agrees "
            "more with the other people of a list? The winning rate is the share of people whom "
            "it matches, and the test is passed from 0.5 on. The advantage is the share of lists "
            "on which it agrees at least as much as the person. A failed reply counts for the "
            "person. The cost–benefit ε is by how much a person may be ahead: here %(epsilon)s."
        )
        % {"epsilon": written.decimal(default)}
        if not every
        else gettext("The default ε is %(epsilon)s: 0.2 for experts, 0.1 for a crowd.")
        % {"epsilon": written.decimal(default)},
        [] if every else warnings_of([(str(row["annotator"]), row) for row in shown]),
    )


def _is_default(row: Row) -> bool:
    return bool(row["default"] == "yes")


def _why(row: Row) -> str:
    return remark(row["undefined"]) if row["undefined"] else ""


def _beaten(row: Row) -> str:
    """How many of the people tested the machine annotator matches."""
    if row["passed"] == "undefined":
        return ""
    return ngettext(
        "%(beaten)s of %(n)s person", "%(beaten)s of %(n)s people", row["people_tested"]
    ) % {"beaten": written.count(row["people_beaten"]), "n": written.count(row["people_tested"])}


def people_of_test(rows: Sequence[Row], behind: Behind) -> PageTable:
    """Each person beside each machine annotator, at the default ε."""
    body = [
        [
            words(
                f"{row['annotator']}: {behind.named(row['person'])}",
                behind.lists_by(row["person"]),
            ),
            Cell(written.decimal(row["advantage"])),
            Cell(written.decimal(row["person_advantage"])),
            Cell(written.decimal(row["difference"])),
            Cell(written.p_value(row["p"])),
            Cell(written.p_value(row["p_adjusted"])),
            Cell(str(BEATEN[row["beaten"]])),
            number(row["lists"]),
        ]
        for row in rows
    ]
    return PageTable(
        "alternative_annotator_people",
        gettext("Alternative annotator test by person"),
        [
            gettext("Machine annotator and person"),
            gettext("Machine’s advantage"),
            gettext("Person’s advantage"),
            gettext("Difference"),
            gettext("p"),
            gettext("p, adjusted"),
            gettext("Matched"),
            gettext("Lists"),
        ],
        body,
        gettext(
            "Advantages are shares of lists; where both agree with the others as much, both have "
            "it. p is from a one-sided paired t test that the difference is at least ε, adjusted "
            "by the method of Benjamini and Yekutieli. People with fewer than 30 such lists are "
            "not tested."
        ),
    )


def followed(rows: Sequence[Row]) -> list[Followed]:
    """The conclusion from the test of each language model, at the default ε.

    Programs are a lower reference, which nobody thinks of putting in a person's place.
    """
    return [
        Followed(
            str(row["annotator"]),
            what_follows(
                row, machine=gettext("this machine annotator"), say=gettext, because=remark
            ),
        )
        for row in rows
        if _is_default(row) and row["annotator"] not in MACHINE_ANNOTATORS
    ]
