"""A configured language model and its runs."""

from decimal import Decimal
from typing import Any

from annotation_site.machine_annotators.models import MachineRun
from annotation_site.machine_annotators.services import run_request
from tests.annotation_site.factories import researcher_of


def request_run(study: Any, **changes: Any) -> MachineRun:
    """A run that the study's researcher requested, with limits that it does not reach."""
    wanted = {
        "by": researcher_of(study),
        "covers": "lists",
        "temperature": 0.0,
        "seed": 0,
        "most_reply_tokens": 500,
        "most_requests": 10_000,
        "most_tokens": 10**9,
        "most_cost": Decimal(100),
    }
    return run_request(study=study, **{**wanted, **changes})
