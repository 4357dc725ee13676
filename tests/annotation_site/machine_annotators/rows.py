"""Rows of language models' runs, written by hand: no worker, no model."""

from decimal import Decimal
from typing import Any

from annotation_site.annotation.models import Study
from annotation_site.corpus.models import Vector
from annotation_site.machine_annotators.models import (
    MachineAnnotation,
    MachineExchange,
    MachineRun,
)
from tests.annotation_site.factories import answer, make_machine_run, pattern

MESSAGES = [
    {"role": "system", "content": "Find patterns.\n\nGuidelines: look closely."},
    {"role": "user", "content": "1. birds: an animal with feathers\n2. owls"},
]


def priced_run(study: Study, **changes: Any) -> MachineRun:
    """A ready run over the study's lists at an endpoint with prices; one list failed."""
    lists = study.items.filter(use="study").count()
    return make_machine_run(
        study,
        **{
            "endpoint": "models.example.org",
            "model_version": "tiny-2026-11",
            "price_input": Decimal("0.15"),
            "price_output": Decimal("0.6"),
            "currency": "USD",
            "most_requests": 2 * lists,
            "most_tokens": 40_000,
            "most_cost": Decimal("0.05"),
            "requests": lists + 2,
            "input_tokens": 12_345,
            "output_tokens": 2_001,
            "cost": Decimal("0.003052"),
            "done": lists,
            "failed": 1,
            "total": lists,
            **changes,
        },
    )


def finished_run(study: Study, **changes: Any) -> MachineRun:
    """A priced run with a row for each of the study's lists."""
    run = priced_run(study, **changes)
    for item in study.items.filter(use="study").select_related("vector"):
        annotation_row(run, item.vector)
    return run


def annotation_row(run: MachineRun, vector: Vector, **changes: Any) -> MachineAnnotation:
    """An annotation with a pattern."""
    content = answer(pattern(1, [1, 2, 3, 4], description="birds that sing"))
    return MachineAnnotation.objects.create(
        **{"run": run, "vector": vector, "annotation": content, **changes}
    )


def exchange_row(run: MachineRun, vector: Vector, **changes: Any) -> MachineExchange:
    """A request that was replied to."""
    return MachineExchange.objects.create(
        **{
            "run": run,
            "vector": vector,
            "number": 1,
            "state": MachineExchange.State.REPLIED,
            "messages": MESSAGES,
            "reply": '{"patterns": [], "no_pattern": true, "comment": ""}',
            "input_tokens": 512,
            "output_tokens": 17,
            "cost": Decimal("0.000087"),
            "seconds": 1.25,
            **changes,
        }
    )
