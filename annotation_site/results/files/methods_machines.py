"""Sentences of methods.md on language models that annotated the lists."""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from annotation_site.analysis.agreement.lists import PEOPLE, PEOPLE_AND_MACHINE
from annotation_site.analysis.alternative_sentences import UNDEFINED, YES, what_follows
from annotation_site.analysis.machine_annotators import MACHINE_ANNOTATORS
from annotation_site.analysis.written import count, decimal
from annotation_site.exports.table import Table
from annotation_site.results.files.references import cite

Row = dict[str, Any]
Runs = Mapping[str, Mapping[str, Any]]
"""Rows of labels/machine_runs.csv by the name of the run."""
NO_RUNS: Runs = {}
TABLES = ("machine_coverage", "machine_agreement", "alternative_annotators")
_ALPHA = "krippendorff_alpha_concept"


# What a settings file or a reply calls a model can hold anything; in a text it is a name.
_NO_NAME = re.compile(r"[^\w .,:/@+()=-]")


def language_models(covered: Iterable[Row]) -> list[str]:
    """The annotators of rows of `machine_coverage` that are language models."""
    names = dict.fromkeys(row["annotator"] for row in covered)
    return [name for name in names if name not in MACHINE_ANNOTATORS]


def machines(tables: Mapping[str, Table], runs: Runs) -> Iterator[str]:
    """Sentences on each language model; none where no language model was used.

    Nothing of tables of an older version.
    """
    if any(name not in tables for name in TABLES):
        return
    covered, agreed, tested = (list(_rows(tables[name])) for name in TABLES)
    for name in language_models(covered):
        if name in runs:
            yield _asked(name, runs[name])
        yield _annotated(name, [row for row in covered if row["annotator"] == name])
        yield from _agreement([row for row in agreed if row["annotator"] == name])
        yield from _test([row for row in tested if row["annotator"] == name])


def _asked(name: str, run: Mapping[str, Any]) -> str:
    model, version = (_NO_NAME.sub("", str(run[key] or "")) for key in ("model", "model_version"))
    said = f"The machine annotator {name} is the language model {model}"
    if version:
        said += f", version {version} as its {'first ' if run['versions_differ'] else ''}reply says"
    where = "over an endpoint" if run["endpoint"] else "on the site's own workers"
    changed = " Later replies named another version." if run["versions_differ"] else ""
    return (
        f"{said}. It ran {where} at temperature {run['temperature']:g}, with version "
        f"{run['prompt_version']} of the prompt.{changed}"
    )


def _annotated(name: str, rows: list[Row]) -> str:
    lists, failed = (sum(row[key] for row in rows) for key in ("lists", "failed"))
    them = "it" if failed == 1 else "them"
    without = (
        f"about {_lists(failed)} it gave no reply that could be read, so it has no annotation of "
        f"{them}"
        if failed
        else "its replies about all of them could be read"
    )
    return (
        f"The language model {name} annotated {_lists(lists)} in the format of people's "
        f"annotations, from entries, glosses and guidelines alone; {without}."
    )


def _agreement(rows: list[Row]) -> Iterator[str]:
    of = {row["between"]: row for row in rows if row["measure"] == _ALPHA}
    people, both = of.get(PEOPLE), of.get(PEOPLE_AND_MACHINE)
    if people is None or both is None:
        return
    if both["value"] is None:
        yield f"Its agreement with people is {str(both['undefined']).rstrip('.')}."
        return
    beside = f"{_value(people)} between people and " if people["value"] is not None else ""
    yield (
        f"On {_lists(both['lists'])} that people and this language model annotated, "
        f"Krippendorff's alpha {cite('krippendorff-2011-computing')} is {beside}{_value(both)} "
        "between people and the language model."
    )


def _value(row: Row) -> str:
    interval = row["warning"] or "no interval"
    if row["low"] is not None:
        interval = f"95% interval: {decimal(row['low'])} to {decimal(row['high'])}"
    return f"{decimal(row['value'])} ({interval})"


def _test(rows: list[Row]) -> Iterator[str]:
    row = next((one for one in rows if one["default"] == YES), None)
    if row is None:
        return
    if row["passed"] != UNDEFINED:
        tested = row["people_tested"]
        who = "1 person" if tested == 1 else f"{count(tested)} people"
        yield (
            "In the alternative annotator test "
            f"{cite('calderon-etal-2025-alternative', 'benjamini-yekutieli-2001-control')}, its "
            f"winning rate against {who} is {decimal(row['winning_rate'])} with an ε of "
            f"{decimal(row['epsilon'])}, and its average advantage probability "
            f"{decimal(row['advantage'])}."
        )
    yield what_follows(row).replace("The test", "The alternative annotator test", 1)


def _lists(number: int) -> str:
    return f"{count(number)} {'list' if number == 1 else 'lists'}"


def _rows(table: Table) -> Iterator[Row]:
    names = [column.name for column in table.columns]
    return (dict(zip(names, row, strict=True)) for row in table.rows)
