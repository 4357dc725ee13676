"""Asking a language model: a request, its reply, and what every answerer can do. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

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
    `is_hopeless`: this one never gets one, such as where it is too long; others may.
    `is_busy`: the model takes no request for now, which says nothing about this one.
    `retry_after`: seconds after which the endpoint asks to be tried again, where it said.
    """

    def __init__(
        self,
        sentence: str,
        *,
        is_final: bool = False,
        is_hopeless: bool = False,
        is_busy: bool = False,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.is_final = is_final
        self.is_hopeless = is_hopeless
        self.is_busy = is_busy
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
