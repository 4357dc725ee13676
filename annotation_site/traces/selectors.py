"""Queries of traces: whose are shown to whom, which models can be traced, and who is next."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from django.db.models import Q, QuerySet

from annotation_site.accounts.models import User
from annotation_site.corpus.models import UNFINISHED, Extraction, LanguageModel
from annotation_site.measurements.selectors import measurable_models
from annotation_site.traces.models import Trace
from annotation_site.traces.services import trace_refusal

MOST_MODELS = 200
MOST_NAMED = 3
EXAMPLES = {"smollm2": "The capital of France is"}
"""Prompts by the beginning of a model's name, in lower case, with which its form is filled."""


def traces_of(user: User) -> QuerySet[Trace]:
    """The traces that a person may see, newest first: their own and shared ones; all for an admin.

    `page.trace_seen_by` decides what they see of one.
    """
    found = Trace.objects.select_related("model", "requested_by")
    if not user.is_researcher:
        return found.none()
    return found if user.is_admin else found.filter(Q(requested_by=user) | Q(is_shared=True))


@dataclass(frozen=True)
class TraceableModel:
    """A model that was extracted here, and why it cannot be traced, if so."""

    model: LanguageModel
    refusal: str

    @property
    def example(self) -> str:
        """A prompt to begin with, where one is known."""
        return example_of(self.model)


def example_of(model: LanguageModel) -> str:
    """A prompt of `EXAMPLES` for a model; empty if it has none."""
    name = model.name.rpartition("/")[2].lower()
    return next((prompt for begin, prompt in EXAMPLES.items() if name.startswith(begin)), "")


def traceable_models() -> list[TraceableModel]:
    """The models with a ready extraction here, those that can be traced first."""
    found = [TraceableModel(one, trace_refusal(one)) for one in measurable_models()[:MOST_MODELS]]
    return sorted(found, key=lambda one: bool(one.refusal))


def being_extracted() -> list[Extraction]:
    """A few extractions at work or waiting, whose models can perhaps be traced afterwards."""
    return list(Extraction.objects.filter(state__in=UNFINISHED).order_by("pk")[:MOST_NAMED])


def traces_before(trace: Trace) -> int:
    """How many traces have their turn before one that waits, those at work included.

    In the order of `workers.claims`: people with the fewest at work come first, then by time.
    """
    at_work = Trace.being_done().values_list("requested_by", flat=True)
    waiting = Trace.waiting().order_by("created_at", "pk").values_list("requested_by", "pk")
    return len(at_work) + _turn(list(waiting), trace.pk, Counter(at_work))


def _turn(waiting: Sequence[tuple[int | None, int]], pk: int, taken: Counter[int | None]) -> int:
    """The number of those before a row: each person's next one comes when the others had theirs."""
    turns = []
    for place, (person, key) in enumerate(waiting):
        turns.append((taken[person], place, key))
        taken[person] += 1
    return next((n for n, (*_, key) in enumerate(sorted(turns)) if key == pk), 0)
