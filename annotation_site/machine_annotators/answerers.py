"""What answers requests: a language model at an endpoint, or on the worker's own machine.

Light: a web process reads what is configured and loads neither a client nor a model.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol
from urllib.parse import urlsplit

from django.conf import settings

Messages = Sequence[dict[str, str]]
# Of a chat template: what it puts around each message, and before the reply.
_TOKENS_AROUND_A_MESSAGE, _TOKENS_AROUND_ALL = 64, 256


@dataclass(frozen=True)
class Request:
    """One request: what is sent, and how the reply is to be drawn."""

    messages: Messages
    temperature: float
    seed: int
    max_tokens: int  # most tokens of the reply


@dataclass(frozen=True)
class Reply:
    """A language model's reply, as it came.

    Tokens are None where the endpoint did not say, or said what cannot be.
    """

    text: str
    model_version: str  # as the reply names it, at most 200 characters
    input_tokens: int | None
    output_tokens: int | None
    seconds: float


class NoReply(Exception):
    """A request got no reply. `sentence` says why and what to do, in English.

    `is_final`: no other request would get one either, such as where the key is refused.
    `retry_after`: seconds after which the endpoint asks to be tried again, where it said.
    """

    def __init__(
        self, sentence: str, *, is_final: bool = False, retry_after: float | None = None
    ) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.is_final = is_final
        self.retry_after = retry_after


class Answerer(Protocol):
    """An open language model. `at_once`: how many requests it works at together."""

    at_once: int

    def ask(self, requests: Sequence[Request]) -> Iterator[tuple[int, Reply | NoReply]]:
        """Each request's number in `requests` with its reply, in the order in which they come.

        Closing the iterator ends the requests that are under way.
        """
        ...

    def most_input_tokens(self, messages: Messages) -> int:
        """An upper bound of the tokens of a request's messages."""
        ...

    def close(self) -> None:
        """End what it holds open."""
        ...


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


def answerer_open() -> Answerer:
    """Open the language model of the site's settings; only in workers.

    Raises NoReply, final, where none is set or a package is missing.
    """
    if not settings.LLM_MODEL:
        raise NoReply(
            "No language model is set up. Set LLM_MODEL in the site's settings.", is_final=True
        )
    if settings.LLM_ENDPOINT:
        from annotation_site.machine_annotators.endpoint import EndpointAnswerer

        return EndpointAnswerer.of_settings()
    from annotation_site.machine_annotators.local import LocalAnswerer

    return LocalAnswerer.of_settings()


def most_tokens_of(messages: Messages) -> int:
    """An upper bound of the tokens of messages for any tokenizer that falls back to bytes.

    Such a tokenizer never makes more tokens of a text than it has bytes; a chat template adds some.

    Examples
    --------
    >>> most_tokens_of([{"role": "user", "content": "ä"}])
    322
    """
    return _TOKENS_AROUND_ALL + sum(
        len(message["content"].encode("utf-8", "surrogatepass")) + _TOKENS_AROUND_A_MESSAGE
        for message in messages
    )
