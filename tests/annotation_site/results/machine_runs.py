"""Finished runs of language models, as tables read them."""

from typing import Any

from annotation_site.annotation.models import Study
from annotation_site.machine_annotators.models import MachineAnnotation, MachineRun


def make_run(study: Study, name: str, state: str = MachineRun.State.READY) -> MachineRun:
    return MachineRun.objects.create(
        study=study,
        name=name,
        model=name.removeprefix("machine-"),
        prompt_version=0,
        guidelines_version=0,
        most_reply_tokens=100,
        most_requests=100,
        most_tokens=10_000,
        state=state,
    )


def annotate(run: MachineRun, number: int, annotation: dict[str, Any] | None) -> None:
    """The run's annotation of the study's list with this number, from 0; None for a failure."""
    item = run.study.items.order_by("pk")[number]
    MachineAnnotation.objects.create(
        run=run,
        vector=item.vector,
        annotation=annotation,
        failure="" if annotation else "It was no JSON.",
    )
