"""Language models' runs of a study into its archive, and back into a restored study.

An archive has ready runs alone: their annotations of the study's lists, what was asked and what it
cost. It never has requests and replies.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

from django.db.models import QuerySet
from django.utils import timezone

from annotation_site.accounts.models import User
from annotation_site.annotation.lists.annotation_format import (
    AnnotatedPattern,
    Annotation,
    Rules,
    annotation_parse,
)
from annotation_site.annotation.lists.markdown import text_check
from annotation_site.annotation.models import Item, Study
from annotation_site.errors import Invalid
from annotation_site.exports import Table
from annotation_site.machine_annotators.messages import DEFAULT_PROMPT
from annotation_site.machine_annotators.models import MachineAnnotation, MachinePrompt, MachineRun
from annotation_site.machine_annotators.selectors import ready_runs
from annotation_site.results.files.archive_machines import (
    FAILURE_COLUMNS,
    HOST,
    RUN_COLUMNS,
    ArchivedRun,
)
from annotation_site.results.files.archive_reading import saved

CHUNK = 1000  # rows of one statement
_CENT = Decimal("0.000001")  # the smallest part of a cost that is stored

Described = dict[tuple[str, int, int], str]
"""The description of each pattern, by annotator, item and the pattern's number."""


def runs_of(study: Study) -> QuerySet[MachineRun]:
    """The runs that an archive has, in the order of their requests."""
    return ready_runs(study).order_by("requested_at", "pk")


def run_tables(study: Study, numbers: Mapping[int, int]) -> dict[str, Table]:
    """The tables of runs, where the study has any; `numbers` has the number of each item."""
    runs = list(runs_of(study))
    if not runs:
        return {}
    failed = [
        (name, numbers[item], failure)
        for name, item, annotation, failure in _annotations(study)
        if annotation is None
    ]
    failed.sort(key=lambda row: row[:2])
    return {
        "machine_runs": Table("machine_runs", RUN_COLUMNS, run_rows(runs)),
        "machine_failures": Table("machine_failures", FAILURE_COLUMNS, failed),
    }


def run_rows(runs: Iterable[MachineRun]) -> list[tuple[Any, ...]]:
    """Rows of `RUN_COLUMNS`."""
    return [_row(run) for run in runs]


def descriptions(study: Study) -> Described:
    """The descriptions that language models gave to patterns."""
    return {
        (name, item, pattern["number"]): pattern["description"]
        for name, item, annotation, _ in _annotations(study)
        if annotation is not None
        for pattern in annotation["patterns"]
        if pattern["description"]
    }


def prompts_of(study: Study) -> dict[int, str]:
    """The text of each version of the prompt that an archived run used."""
    used = sorted(set(runs_of(study).values_list("prompt_version", flat=True)))
    own = dict(
        MachinePrompt.objects.filter(study=study, version__in=used).values_list("version", "text")
    )
    # A restored study has the text that version 0 was where its runs were made.
    return {version: own.get(version, DEFAULT_PROMPT) for version in used}


def _annotations(study: Study) -> Iterator[tuple[str, int, Any, str]]:
    """Annotator, item, annotation and failure of the study's own lists, run by run."""
    items = Item.objects.filter(study=study, use=Item.Use.STUDY)
    by_vector = dict(items.values_list("vector", "pk"))
    rows = MachineAnnotation.objects.filter(
        run__in=runs_of(study), vector__in=items.values("vector")
    )
    for name, vector, annotation, failure in rows.values_list(
        "run__name", "vector", "annotation", "failure"
    ).iterator(chunk_size=CHUNK):
        yield name, by_vector[vector], annotation, failure


def _row(run: MachineRun) -> tuple[Any, ...]:
    prices = (run.price_input, run.price_output)
    is_priced = bool(run.currency) and (run.restored or any(one is not None for one in prices))
    # Not where the site keeps a folder, nor more of an address than its host.
    model = run.model.rstrip("/").rpartition("/")[2] if _is_path(run) else run.model
    endpoint = run.endpoint.rpartition("@")[2]
    return (
        run.name,
        _printable(model),
        _printable(run.model_version) or None,
        endpoint if HOST.fullmatch(endpoint) else None,
        run.prompt_version,
        run.guidelines_version,
        run.temperature,
        run.seed,
        run.covers,
        run.done,
        run.failed,
        run.requests,
        run.input_tokens,
        run.output_tokens,
        float(run.cost) if is_priced else None,
        run.currency if is_priced else None,
        int(run.versions_differ),
    )


def _is_path(run: MachineRun) -> bool:
    return run.is_local and run.model.startswith(("/", "~", "."))


def _printable(text: str) -> str:
    """A text as an archive is read: what a reply said of itself can hold anything."""
    return "".join(one if one.isprintable() else "\N{REPLACEMENT CHARACTER}" for one in text)


def runs_restore(
    runs: Sequence[ArchivedRun],
    prompts: Mapping[int, str],
    *,
    study: Study,
    lists: Sequence[tuple[Item, int]],
    by: User,
) -> None:
    """Store the runs of an archive and the versions of the prompt that they used.

    They are ready, and cannot be continued: what they were asked is not here. `lists` are the
    study's, each with its length, in the order of the archive. Raises Invalid for what the study's
    rules forbid.
    """
    if set(prompts) != {run.told["prompt_version"] for run in runs}:
        raise Invalid(
            "The archive has other versions of the prompt than its language models used. Somebody "
            "changed the archive."
        )
    for version, text in prompts.items():
        text_check(text)
        MachinePrompt.objects.create(study=study, version=version, text=text)
    for told in runs:
        where = f"labels/machine_runs.csv: {told.told['name']}"
        run = saved(_run(told.told, study, by), where)
        rows = [
            MachineAnnotation(
                run=run, vector_id=lists[number - 1][0].vector_id, annotation=annotation.to_json()
            )
            for number, annotation in _parsed(told, study, lists)
        ]
        rows += [
            MachineAnnotation(run=run, vector_id=lists[number - 1][0].vector_id, failure=failure)
            for number, failure in told.failures.items()
        ]
        MachineAnnotation.objects.bulk_create(rows, batch_size=CHUNK)


def _run(told: Mapping[str, Any], study: Study, by: User) -> MachineRun:
    same = (
        "name", "model", "model_version", "endpoint", "prompt_version", "guidelines_version",
        "temperature", "seed", "covers", "failed", "requests", "input_tokens", "output_tokens",
        "currency",
    )  # fmt: skip
    now = timezone.now()
    return MachineRun(
        study=study,
        state=MachineRun.State.READY,
        restored=True,
        requested_by=by,
        started_at=now,
        finished_at=now,
        done=told["lists"],
        total=told["lists"],
        versions_differ=bool(told["versions_differ"]),
        cost=Decimal(repr(told["cost"] or 0)).quantize(_CENT),
        most_reply_tokens=0,  # the archive does not tell
        most_requests=told["requests"],
        most_tokens=told["input_tokens"] + told["output_tokens"],
        **{name: told[name] for name in same},
    )


def _parsed(
    told: ArchivedRun, study: Study, lists: Sequence[tuple[Item, int]]
) -> Iterator[tuple[int, Annotation]]:
    """Number of the list and annotation, by the rules that replies are read with."""
    for number, patterns in told.patterns.items():
        annotation = Annotation(
            tuple(
                AnnotatedPattern(
                    one.number, one.description, one.category, one.stopwords, tuple(one.ranks)
                )
                for one in patterns
            ),
            no_pattern=not patterns,
            comment="",
        )
        rules = Rules(
            lists[number - 1][1],
            study.categories,
            study.several_patterns_per_token,
            study.list_source,
        )
        try:
            yield number, annotation_parse(annotation.to_json(), rules)
        except Invalid as error:
            raise Invalid(
                f"labels/machines.csv: {told.told['name']}, list {number}: {error.message}"
            ) from error
