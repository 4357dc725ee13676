"""A local language model, run by transformers in a process apart.

The process opens strangers' files and keeps the model between batches; `close` ends it.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

from annotation_site.corpus.locations import model_location
from annotation_site.errors import SiteError
from annotation_site.machine_annotators.asking import (
    Messages,
    NoReply,
    Reply,
    Request,
    most_tokens_of,
)
from annotation_site.sentences import english
from ffn_extract.apart import ChattingApart
from ffn_extract.errors import FFNExtractError, ProcessEnded
from ffn_extract.progress import Progress, Report

AT_ONCE = 8  # requests of one batch: a processor reads the weights once for all of them

WANTED_SECONDS = 1.0  # between two looks whether a batch is still wanted


class Process(Protocol):
    """The part of `ffn_extract.apart.ChattingApart` that is needed."""

    def replies(
        self,
        model: str,
        reading: dict[str, Any],
        requests: list[dict[str, Any]],
        report: Report,
    ) -> dict[str, Any]:
        """Reply to conversations; what `report` raises ends that."""

    def close(self) -> None:
        """End the process."""


class LocalAnswerer:
    """Asks a model in MODELS_DIR or of the hub, AT_ONCE requests in a batch.

    `is_wanted` is called each second of a batch, which takes minutes; what it raises ends the batch
    and comes out of `ask`.
    """

    at_once = AT_ONCE

    def __init__(
        self,
        model: str,
        start: type[Process] = ChattingApart,
        *,
        is_wanted: Callable[[], object] = lambda: None,
    ) -> None:
        self._model, self._start, self._is_wanted = model, start, is_wanted
        self._asked_at = time.monotonic()
        self._process: Process | None = None

    def ask(self, requests: Sequence[Request]) -> Iterator[tuple[int, Reply | NoReply]]:
        """Each request's number with its reply, batch by batch."""
        for first in range(0, len(requests), AT_ONCE):
            batch = requests[first : first + AT_ONCE]
            yield from enumerate(self._replies(batch), first)

    def most_input_tokens(self, messages: Messages) -> int:
        """An upper bound of the tokens of a request's messages: that of their bytes."""
        return most_tokens_of(messages)

    def close(self) -> None:
        """End the process; the next request would start another."""
        process, self._process = self._process, None
        if process is not None:
            process.close()

    def _replies(self, batch: Sequence[Request]) -> list[Reply | NoReply]:
        asked = [
            {
                "messages": list(one.messages),
                "temperature": one.temperature,
                "seed": one.seed,
                "max_tokens": one.max_tokens,
            }
            for one in batch
        ]
        start = time.monotonic()
        try:
            found = self._opened().replies(model_location(self._model), {}, asked, self._report)
        except FFNExtractError as error:
            return [NoReply(str(error), is_final=True)] * len(batch)
        except SiteError as error:
            return [NoReply(english(error.sentence), is_final=True)] * len(batch)
        except ModuleNotFoundError as error:
            sentence = (
                f"The worker lacks the package {error.name}, which runs a local model. Install "
                "the requirements of the worker again."
            )
            return [NoReply(sentence, is_final=True)] * len(batch)
        except ProcessEnded as error:
            self.close()
            return [NoReply(str(error))] * len(batch)
        seconds = (time.monotonic() - start) / len(batch)
        version = str(found["version"])
        return [_reply(one, version, seconds) for one in found["replies"]]

    def _report(self, progress: Progress) -> None:
        now = time.monotonic()
        if now - self._asked_at >= WANTED_SECONDS:
            self._is_wanted()
            self._asked_at = now

    def _opened(self) -> Process:
        if self._process is None:
            self._process = self._start()
        return self._process


def _reply(said: dict[str, Any], version: str, seconds: float) -> Reply | NoReply:
    if said["refused"]:
        sentence = f"{said['refused']} Shorten the prompt or the guidelines."
        return NoReply(sentence, is_hopeless=True)
    return Reply(
        text=str(said["text"]),
        model_version=version[:200],
        input_tokens=int(said["input_tokens"]),
        output_tokens=int(said["output_tokens"]),
        seconds=seconds,
    )
