"""A site with a language model, a model that replies as a test says, and runs of it."""

import json
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from typing import Any

from annotation_site.machine_annotators import runs
from annotation_site.machine_annotators.asking import NoReply, Reply, Request, most_tokens_of
from annotation_site.machine_annotators.models import MachineRun
from annotation_site.machine_annotators.services import run_request
from tests.annotation_site.factories import researcher_of

MODEL = "acme/Tiny-Model-1.5"
NONE = json.dumps({"patterns": [], "no_pattern": True})
FOUND = json.dumps(
    {
        "patterns": [
            {"description": "a pattern", "category": "semantic", "ranks": [1, 2, 3, 5]},
        ],
        "no_pattern": False,
    }
)
Said = str | Reply | NoReply


class Answering:
    """A language model in the test's own process. It keeps each request."""

    def __init__(self, say: Callable[[Request, int], Said], at_once: int = 3) -> None:
        self.say, self.at_once = say, at_once
        self.requests: list[Request] = []
        self.closed = 0

    def ask(self, requests: Sequence[Request]) -> Iterator[tuple[int, Reply | NoReply]]:
        for number in reversed(range(len(requests))):  # as they come, not as they were sent
            self.requests.append(requests[number])
            said = self.say(requests[number], len(self.requests))
            yield number, reply(said) if isinstance(said, str) else said

    def most_input_tokens(self, messages: Sequence[dict[str, str]]) -> int:
        return most_tokens_of(messages)

    def close(self) -> None:
        self.closed += 1


def reply(text: str, **changes: Any) -> Reply:
    """A reply with 100 tokens of input and 10 of output."""
    usual = {"model_version": "v1", "input_tokens": 100, "output_tokens": 10, "seconds": 0.1}
    return Reply(text=text, **{**usual, **changes})


def set_up(settings: Any, **changes: Any) -> None:
    """Name a language model in the site's settings, with a price unless a test changes it."""
    named = {
        "LLM_MODEL": MODEL,
        "LLM_ENDPOINT": "https://llm.example.org/v1",
        "LLM_API_KEY": "k" * 40,
        "LLM_PRICE_INPUT": Decimal(1),
        "LLM_PRICE_OUTPUT": Decimal(4),
        "LLM_CURRENCY": "USD",
        "LLM_BUDGET": None,
        "LLM_REPLY_TOKENS": 1_000,
        "LLM_KEEP_DAYS": 90,
    }
    for name, value in {**named, **changes}.items():
        setattr(settings, name, value)


def request_run(study: Any, **changes: Any) -> MachineRun:
    """A run that the study's researcher requested, with limits that it does not reach."""
    wanted = {
        "by": changes.pop("by") if "by" in changes else researcher_of(study),
        "covers": "lists",
        "temperature": 0.0,
        "seed": 0,
        "most_reply_tokens": 500,
        "most_requests": 10_000,
        "most_tokens": 10**9,
        "most_cost": Decimal(100),
    }
    return run_request(study=study, **{**wanted, **changes})


def work(run: MachineRun, monkeypatch: Any, say: Callable[[Request, int], Said]) -> Answering:
    """Do a run with a model that says what `say` does; returns the model, and renews the run."""
    model = Answering(say)
    monkeypatch.setattr(runs, "answerer_open", lambda is_wanted: model)
    monkeypatch.setattr(runs, "PAUSE", 0.0)
    runs.machine_run_work(run_id=run.pk)
    run.refresh_from_db()
    return model
