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
from annotation_site.machine_annotators.selectors import rules_of
from tests.annotation_site.factories import answer, pattern, researcher_of

MESSAGES = [
    {"role": "system", "content": "Find patterns.\n\nGuidelines: look closely."},
    {"role": "user", "content": "1. birds: an animal with feathers\n2. owls"},
]


def run_row(study: Study, **changes: Any) -> MachineRun:
    """A ready run over the study's lists, asked for by its researcher, without annotations."""
    lists = study.items.filter(use="study").count()
    return MachineRun.objects.create(
        **{
            "study": study,
            "name": f"machine-smollm2-135m-instruct-{study.machine_runs.count() + 1}",
            "model": "HuggingFaceTB/SmolLM2-135M-Instruct",
            "endpoint": "models.example.org",
            "model_version": "smollm2-2024-11",
            "prompt_version": 0,
            "guidelines_version": 1,
            "most_reply_tokens": 800,
            "price_input": Decimal("0.15"),
            "price_output": Decimal("0.6"),
            "currency": "USD",
            "rules": rules_of(study),
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
            "state": MachineRun.State.READY,
            "requested_by": researcher_of(study),
            **changes,
        }
    )


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
