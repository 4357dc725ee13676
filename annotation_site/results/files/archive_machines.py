"""Language models' runs in a replication archive: their tables of labels, read with bounds.

Archives of studies without such runs have none of them. Knows no database: the worker that writes
an archive, `python -m annotation_site.verify` and a restoring site all call this.
"""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from annotation_site.analysis.machine_annotators import MACHINE_ANNOTATORS
from annotation_site.bounds import ANSWER
from annotation_site.exports.table import Column

RUN_COLUMNS = (
    Column("name", "text"),
    Column("model", "text"),
    Column("model_version", "text"),
    Column("endpoint", "text"),
    Column("prompt_version", "number"),
    Column("guidelines_version", "number"),
    Column("temperature", "number"),
    Column("seed", "number"),
    Column("covers", "text"),
    Column("lists", "number"),
    Column("failed", "number"),
    Column("requests", "number"),
    Column("input_tokens", "number"),
    Column("output_tokens", "number"),
    Column("cost", "number"),
    Column("currency", "text"),
    Column("versions_differ", "number"),
)
"""A row per ready run of a language model, in the order of their requests."""

FAILURE_COLUMNS = (
    Column("annotator", "text"),
    Column("list", "number"),
    Column("failure", "text"),
)
"""A row per list of the study without an annotation of a run: no reply could be read."""

RUN_MEMBERS = ("labels/machine_runs.csv", "labels/machine_failures.csv")
PROMPT_MEMBER = "machine_prompts/version-{}.md"
"""The member of one version of the prompt; 0 is the text that the product came with."""
PROMPT = re.compile(r"machine_prompts/version-(0|[1-9][0-9]{0,8})\.md")

COVERS = ("lists", "vectors")
MOST_RUNS = 200
MOST_NUMBER = 2**31 - 1
MOST_TOKENS = 2**53
MOST_COST = 1e8
MOST_TEMPERATURE = 100
LONGEST_MODEL, LONGEST_FAILURE = 200, 300
# Names of models are slugs. The whole has at most 60 characters.
NAME = re.compile(r"machine-[0-9a-z](?:[0-9a-z._-]{0,50}[0-9a-z])?")
HOST = re.compile(r"[0-9A-Za-z:\[][0-9A-Za-z._:\[\]-]{0,252}")
_CURRENCY = re.compile(r"[A-Z]{3}")

FIELDS = """
`labels/machine_runs.csv` has a row per run of a language model that annotated the study's lists.
Its `name` is the `annotator` in labels/machines.csv. `model_version` is the version that the
replies named, and `endpoint` the host that was asked; it is empty for a model that ran on the
site's own machines. `prompt_version` names a file in machine_prompts/, and `guidelines_version` one
in guidelines/; 0 is no guidelines. `covers` is lists, or vectors if the run annotated every value
vector of the study's models. `lists` counts the lists that it annotated or failed at, and `failed`
the latter. `requests`, `input_tokens` and `output_tokens` count all requests; `cost` is in
`currency`, and missing if no price was set. `versions_differ` is 1 if later replies named another
version of the model than the first. `labels/machine_failures.csv` has a row per list of
labels/lists.csv of which the run has no annotation, with the reason: no reply that could be read,
or none at all. The requests and replies themselves are not in the archive.
"""


@dataclass(frozen=True)
class ArchivedPattern:
    """A pattern of a language model's annotation."""

    number: int
    category: str
    stopwords: bool
    description: str
    ranks: list[int] = field(default_factory=list)


@dataclass(frozen=True)
class ArchivedRun:
    """A run as its row tells it, with its annotations and failures by number of the list."""

    told: Mapping[str, Any]
    patterns: dict[int, list[ArchivedPattern]] = field(default_factory=dict)
    failures: dict[int, str] = field(default_factory=dict)


@dataclass(frozen=True)
class MachineRules:
    """The rules of a study that annotations of its language models keep."""

    categories: Collection[str]
    several_patterns: bool
    guidelines: Collection[int]

    @classmethod
    def of(cls, study: Mapping[str, Any], guidelines: Collection[int]) -> "MachineRules":
        """Those of `study` in parameters.json; `guidelines` are the versions in the archive.

        Raises KeyError for what no archive holds.
        """
        return cls(study["categories"], study["several_patterns_per_token"], guidelines)


def runs_by_name(rows: Iterable[Sequence[Any]]) -> dict[str, dict[str, Any]]:
    """Rows of `RUN_COLUMNS` by the name of the run, each by column."""
    names = [column.name for column in RUN_COLUMNS]
    return {row[0]: dict(zip(names, row, strict=True)) for row in rows}


def runs_from(
    runs: Iterable[Sequence[Any]],
    failures: Iterable[Sequence[Any]],
    machines: Iterable[Sequence[Any]],
    lists: Iterable[Sequence[Any]],
    rules: MachineRules,
) -> list[ArchivedRun]:
    """The runs of an archive, from rows of its tables, of `MACHINE_COLUMNS` and `LIST_COLUMNS`.

    Raises ValueError for rows that no archive holds.
    """
    lengths = {row[0]: row[6] for row in lists if row[7] == "study"}
    found: dict[str, ArchivedRun] = {}
    for number, row in enumerate(runs, start=1):
        where = f"labels/machine_runs.csv: row {number}"
        if number > MOST_RUNS:
            raise ValueError(f"labels/machine_runs.csv has more than {MOST_RUNS:,} runs.")
        told = _told(row, rules, where)
        if told["name"] in found:
            raise ValueError(f"{where}: the run {told['name']} is there twice.")
        found[told["name"]] = ArchivedRun(told)
    for number, row in enumerate(machines, start=1):
        _add_row(found, row, lengths, rules, f"labels/machines.csv: row {number}")
    for number, row in enumerate(failures, start=1):
        _add_failure(found, row, lengths, f"labels/machine_failures.csv: row {number}")
    for name, run in found.items():
        _check_whole(run, rules, f"labels/machines.csv: {name}")
    return list(found.values())


def _told(row: Sequence[Any], rules: MachineRules, where: str) -> dict[str, Any]:
    ((name, told),) = runs_by_name([row]).items()
    if not isinstance(name, str) or not NAME.fullmatch(name) or name in MACHINE_ANNOTATORS:
        raise ValueError(f"{where}: the name is none of a run: “machine-” and the model.")
    _check_text(told["model"], LONGEST_MODEL, f"{where}: model")
    for column in ("model_version", "endpoint", "currency"):
        told[column] = told[column] or ""
    if told["model_version"]:
        _check_text(told["model_version"], LONGEST_MODEL, f"{where}: model_version")
    if told["endpoint"] and not HOST.fullmatch(told["endpoint"]):
        raise ValueError(f"{where}: the endpoint is no name of a host.")
    for column in ("prompt_version", "seed", "lists", "failed", "requests"):
        _check_count(told[column], MOST_NUMBER, f"{where}: {column}")
    for column in ("input_tokens", "output_tokens"):
        _check_count(told[column], MOST_TOKENS, f"{where}: {column}")
    if told["guidelines_version"] not in {0, *rules.guidelines}:
        raise ValueError(f"{where}: the archive lacks this version of the guidelines.")
    if told["covers"] not in COVERS:
        raise ValueError(f"{where}: covers is {' or '.join(COVERS)}.")
    if told["failed"] > told["lists"]:
        raise ValueError(f"{where}: more lists failed than the run has.")
    if told["versions_differ"] not in (0, 1):
        raise ValueError(f"{where}: versions_differ is 0 or 1.")
    _check_number(told["temperature"], MOST_TEMPERATURE, f"{where}: temperature")
    if told["cost"] is not None:
        _check_number(told["cost"], MOST_COST, f"{where}: cost")
    priced = bool(_CURRENCY.fullmatch(told["currency"]))
    if (told["cost"] is not None) != priced or bool(told["currency"]) != priced:
        raise ValueError(f"{where}: a cost has a currency of three capitals, and only a cost.")
    return told


def _add_row(
    runs: Mapping[str, ArchivedRun],
    row: Sequence[Any],
    lengths: Mapping[int, int],
    rules: MachineRules,
    where: str,
) -> None:
    name, list_id, number, rank, category, stopwords, description = row
    if name in MACHINE_ANNOTATORS:
        return
    run = runs.get(name)
    if run is None:
        raise ValueError(f"{where}: labels/machine_runs.csv lacks the annotator.")
    if list_id not in lengths:
        raise ValueError(f"{where}: the list is none of the study's own.")
    is_new = list_id not in run.patterns
    patterns = run.patterns.setdefault(list_id, [])
    if is_new and number is None:
        if (rank, category, stopwords, description) != (None,) * 4:
            raise ValueError(f"{where}: without a pattern there is no rank, and nothing else.")
        return
    if not is_new and not patterns:
        raise ValueError(f"{where}: the list is there with a pattern and without one.")
    pattern = _pattern(number, category, stopwords, description, rules, where)
    if number == len(patterns) + 1:
        patterns.append(pattern)
    elif not patterns or patterns[-1] != replace(pattern, ranks=patterns[-1].ranks):
        raise ValueError(f"{where}: patterns are numbered 1, 2, 3 and so on, and each is one.")
    ranks = patterns[-1].ranks
    if not isinstance(rank, int) or not (ranks[-1] if ranks else 0) < rank <= lengths[list_id]:
        raise ValueError(f"{where}: the rank is none of the list's, or out of order.")
    ranks.append(rank)


def _pattern(
    number: int,
    category: object,
    stopwords: object,
    description: object,
    rules: MachineRules,
    where: str,
) -> ArchivedPattern:
    if not isinstance(category, str) or category not in rules.categories:
        raise ValueError(f"{where}: the category is none of the study's.")
    if stopwords not in (0, 1):
        raise ValueError(f"{where}: stopwords is 0 or 1.")
    if description is None:
        description = ""
    if not isinstance(description, str) or len(description) > ANSWER or "\0" in description:
        raise ValueError(f"{where}: the description is no text of {ANSWER:,} characters or fewer.")
    return ArchivedPattern(number, category, bool(stopwords), description)


def _add_failure(
    runs: Mapping[str, ArchivedRun], row: Sequence[Any], lengths: Mapping[int, int], where: str
) -> None:
    name, list_id, reason = row
    run = runs.get(name)
    if run is None:
        raise ValueError(f"{where}: labels/machine_runs.csv lacks the annotator.")
    if list_id not in lengths:
        raise ValueError(f"{where}: the list is none of the study's own.")
    if list_id in run.patterns or list_id in run.failures:
        raise ValueError(f"{where}: the list has an annotation of this run, or is there twice.")
    if not isinstance(reason, str) or not 0 < len(reason) <= LONGEST_FAILURE or "\0" in reason:
        raise ValueError(f"{where}: the reason is no text of 1 to {LONGEST_FAILURE} characters.")
    run.failures[list_id] = reason


def _check_whole(run: ArchivedRun, rules: MachineRules, where: str) -> None:
    """The run's numbers against its annotations, and each rank once where the study wants that."""
    lists, failed = run.told["lists"], run.told["failed"]
    if len(run.failures) > failed or len(run.patterns) > lists - failed:
        raise ValueError(f"{where}: labels/machine_runs.csv counts fewer lists, or failures.")
    if rules.several_patterns:
        return
    for list_id, patterns in run.patterns.items():
        ranks = [rank for pattern in patterns for rank in pattern.ranks]
        if len(set(ranks)) < len(ranks):
            raise ValueError(f"{where}: an entry of list {list_id} is in two patterns.")


def _check_text(text: object, longest: int, where: str) -> None:
    if not isinstance(text, str) or not 0 < len(text) <= longest or not text.isprintable():
        raise ValueError(f"{where} is no text of 1 to {longest} printable characters.")


def _check_count(number: object, most: int, where: str) -> None:
    if not isinstance(number, int) or not 0 <= number <= most:
        raise ValueError(f"{where} is no whole number from 0 to {most:,}.")


def _check_number(number: object, most: float, where: str) -> None:
    if not isinstance(number, int | float) or not 0 <= number <= most:
        raise ValueError(f"{where} is no number from 0 to {most:,.0f}.")
