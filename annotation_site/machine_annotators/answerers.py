"""Answerers of requests: a language model at an endpoint, or on the worker's own machine.

Light: a web process reads what is configured and loads neither a client nor a model.
"""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from urllib.parse import urlsplit

from django.conf import settings

from annotation_site.machine_annotators.asking import Answerer, Messages, NoReply, Reply, Request
from annotation_site.machine_annotators.local import LocalAnswerer

__all__ = [
    "Answerer",
    "Configured",
    "Messages",
    "NoReply",
    "Reply",
    "Request",
    "answerer_open",
    "configured",
]


@dataclass(frozen=True)
class Configured:
    """The language model that this site's settings name, without its key.

    Prices are of a million tokens, in `currency`; None where none is set.
    """

    model: str
    endpoint_host: str  # empty for a local model
    price_input: Decimal | None
    price_output: Decimal | None
    currency: str
    budget: Decimal | None  # most that all runs may cost in 30 days
    keep_days: int
    most_reply_tokens: int

    @property
    def is_local(self) -> bool:
        """Whether the site's own workers run the model."""
        return not self.endpoint_host


def configured() -> Configured | None:
    """The language model of the site's settings; None where none is set."""
    if not settings.LLM_MODEL:
        return None
    return Configured(
        model=settings.LLM_MODEL,
        endpoint_host=urlsplit(settings.LLM_ENDPOINT).netloc,
        price_input=settings.LLM_PRICE_INPUT,
        price_output=settings.LLM_PRICE_OUTPUT,
        currency=settings.LLM_CURRENCY if settings.LLM_PRICE_INPUT is not None else "",
        budget=settings.LLM_BUDGET,
        keep_days=settings.LLM_KEEP_DAYS,
        most_reply_tokens=settings.LLM_REPLY_TOKENS,
    )


def answerer_open(is_wanted: Callable[[], object] = lambda: None) -> Answerer:
    """Open the language model of the site's settings; only in workers.

    A local model calls `is_wanted` while it replies; what that raises ends its replies. Raises
    NoReply, final, where none is set, or the client's package is missing.
    """
    if not settings.LLM_MODEL:
        raise NoReply(
            "No language model is set up. Set LLM_MODEL in the site's settings.", is_final=True
        )
    if not settings.LLM_ENDPOINT:
        return LocalAnswerer(settings.LLM_MODEL, is_wanted=is_wanted)
    try:
        from annotation_site.machine_annotators.endpoint import EndpointAnswerer
    except ModuleNotFoundError as error:
        raise NoReply(
            f"The worker lacks the package {error.name}, which asks an endpoint. Run pip install "
            "openai there, or install the requirements of this version again.",
            is_final=True,
        ) from error
    return EndpointAnswerer(
        address=settings.LLM_ENDPOINT,
        model=settings.LLM_MODEL,
        key=settings.LLM_API_KEY,
        at_once=settings.LLM_PARALLEL,
        seconds=settings.LLM_SECONDS,
    )
