"""A language model at an endpoint that speaks OpenAI's chat completions, by its own client.

The client's retries are off, because a run counts each request. Redirects are not followed: they
would carry the lists, and perhaps the key, to another place. Proxies are those of the environment.
Nothing that an endpoint says is quoted in a sentence: careless ones repeat the key.
"""

import asyncio
import json
import logging
import math
import threading
import time
from collections.abc import Coroutine, Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from queue import SimpleQueue
from typing import Any, cast

from openai import (
    APIConnectionError,
    APIStatusError,
    APITimeoutError,
    AsyncOpenAI,
    DefaultAsyncHttpxClient,
    Omit,
)

from annotation_site.machine_annotators.asking import (
    Messages,
    NoReply,
    Reply,
    Request,
    most_tokens_of,
)

MOST_BYTES = 1_000_000  # of a response
MOST_TOKENS = 10_000_000  # that a response can say: no model reads or writes more at once
LONGEST_WAIT = 300.0  # seconds that an endpoint can ask to be left alone
_VERSION_MOST = 200
_CLOSE_SECONDS = 5
# Statuses of an endpoint that takes no request for now, whatever is in it; and what says, in its
# different tongues, that a conversation is longer than the model reads.
_BUSY = (408, 409, 425, 429, 503, 529)
_TOO_LONG = ("context_length_exceeded", "exceed_context_size_error")
_TOO_LONG_WORDS = "maximum context length"
# What the client would add about this machine, and what its own variables could add.
_LEFT_OUT = (
    "OpenAI-Organization", "OpenAI-Project", "X-Stainless-Arch", "X-Stainless-Async",
    "X-Stainless-Lang", "X-Stainless-OS", "X-Stainless-Package-Version", "X-Stainless-Runtime",
    "X-Stainless-Runtime-Version", "X-Stainless-Read-Timeout", "X-Stainless-Retry-Count",
)  # fmt: skip
# Their debug lines hold what is sent, which is to be kept for a set number of days alone.
for _name in ("openai", "httpx2", "httpcore2"):
    logging.getLogger(_name).setLevel(logging.WARNING)


class EndpointAnswerer:
    """Asks an endpoint, `at_once` requests at a time, each at most `seconds` from end to end.

    The requests are made in a thread of their own, so a caller may be slow with the replies.
    """

    def __init__(self, *, address: str, model: str, key: str, at_once: int, seconds: float) -> None:
        self.at_once = at_once
        self._model, self._seconds = model, seconds
        self._limit = "max_tokens"
        left_out = _LEFT_OUT if key else (*_LEFT_OUT, "Authorization")
        headers: dict[str, str | Omit] = {name: Omit() for name in left_out}
        self._headers = headers | {"Accept-Encoding": "identity"}
        self._client = AsyncOpenAI(
            api_key=key or "none",
            base_url=address,
            max_retries=0,
            timeout=seconds,
            http_client=_BoundedClient(timeout=seconds, follow_redirects=False),
        )
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def ask(self, requests: Sequence[Request]) -> Iterator[tuple[int, Reply | NoReply]]:
        """Each request's number with its reply, in the order in which they come."""
        came: SimpleQueue[tuple[int, Reply | NoReply] | BaseException] = SimpleQueue()

        async def each() -> None:
            gate = asyncio.Semaphore(self.at_once)

            async def one(number: int, request: Request) -> None:
                async with gate:
                    came.put((number, await self._reply(request)))

            try:
                async with asyncio.TaskGroup() as group:
                    for number, request in enumerate(requests):
                        group.create_task(one(number, request))
            except Exception as error:  # a bug: the caller is to see it
                came.put(error)

        asked = asyncio.run_coroutine_threadsafe(each(), self._loop)
        try:
            for _ in requests:
                found = came.get()
                if isinstance(found, BaseException):
                    raise found
                yield found
        finally:
            asked.cancel()

    def most_input_tokens(self, messages: Messages) -> int:
        """An upper bound of the tokens of a request's messages: that of their bytes."""
        return most_tokens_of(messages)

    def close(self) -> None:
        """End the connections and the thread."""
        if self._loop.is_closed():
            return
        self._run(self._ended())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        with suppress(TimeoutError, CancelledError):  # the process's end closes what is left
            asyncio.run_coroutine_threadsafe(work, self._loop).result(_CLOSE_SECONDS)

    async def _ended(self) -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await self._client.close()

    async def _reply(self, request: Request) -> Reply | NoReply:
        start = time.monotonic()
        try:
            # The client's own limit is between two bytes, so one that drips them would never end.
            async with asyncio.timeout(self._seconds):
                body = await self._body(request)
            return _read(body, time.monotonic() - start)
        except NoReply as no_reply:
            return no_reply
        except (TimeoutError, APITimeoutError):
            return NoReply(
                f"The endpoint gave no whole reply within {self._seconds:g} seconds. Try again "
                "later, or raise LLM_SECONDS."
            )
        except APIStatusError as error:
            return self._refusal(error)
        except APIConnectionError:
            return NoReply(
                "The connection to the endpoint failed or ended before the reply did. Check "
                "LLM_ENDPOINT, the network and the endpoint's certificate."
            )

    async def _body(self, request: Request) -> bytes:
        raw = await self._client.chat.completions.with_raw_response.create(
            model=self._model,
            messages=cast(Any, list(request.messages)),
            temperature=request.temperature,
            seed=request.seed,
            extra_headers=cast(Any, self._headers),
            **cast(Any, {self._limit: request.max_tokens}),
        )
        body: bytes = raw.content
        return body

    def _refusal(self, error: APIStatusError) -> NoReply:
        status, code, param = error.status_code, str(error.code), str(error.param)
        said = f"(status {status})"
        if status in (401, 403):
            return NoReply(
                f"The endpoint refuses the key {said}. Check LLM_API_KEY.", is_final=True
            )
        if status == 404 or code == "model_not_found":
            return NoReply(
                f"The endpoint does not know the model or the address {said}. Check LLM_MODEL and "
                "LLM_ENDPOINT.",
                is_final=True,
            )
        if status == 402 or code == "insufficient_quota":
            return NoReply(
                f"The endpoint's account has no credit left {said}. Add some, then continue.",
                is_final=True,
            )
        if status == 400 and param == "max_tokens" and self._limit == "max_tokens":
            self._limit = "max_completion_tokens"  # as newer models call it
            return NoReply(
                f"The endpoint calls the limit of a reply otherwise {said}.",
                is_busy=True,
                retry_after=0,
            )
        if status == 400 and param in ("temperature", "seed"):
            return NoReply(
                f"The endpoint does not take the run's {param} {said}. Request a run with another "
                "one, or choose another model.",
                is_final=True,
            )
        if status in _BUSY or status >= 500:
            return NoReply(
                f"The endpoint is busy or out of order {said}.",
                is_busy=status in _BUSY,
                retry_after=_wait(error.response.headers.get("retry-after")),
            )
        if status == 413 or (status == 400 and _is_too_long(error)):
            return NoReply(
                f"The list with its prompt and guidelines is longer than the model reads {said}. "
                "Shorten the prompt or the guidelines.",
                is_hopeless=True,
            )
        if 300 <= status < 400:
            return NoReply(
                f"The endpoint redirects {said}, which is not followed. Set LLM_ENDPOINT to the "
                "address at which it replies."
            )
        return NoReply(f"The endpoint refuses the request {said}.")


class _BoundedClient(DefaultAsyncHttpxClient):
    """An HTTP client that reads at most MOST_BYTES, as they were sent, of any response."""

    async def send(self, request: Any, *, stream: bool = False, **options: Any) -> Any:
        """As the base class sends it. Raises NoReply for what is too long or encoded."""
        response = await super().send(request, stream=True, **options)
        try:
            if response.headers.get("content-encoding", "identity").lower() != "identity":
                raise NoReply("The endpoint encoded its reply, which it was asked not to do.")
            body = bytearray()
            async for part in response.aiter_raw():
                body += part
                if len(body) > MOST_BYTES:
                    raise NoReply(f"The endpoint sent more than {MOST_BYTES:,} bytes.")
        finally:
            await response.aclose()
        return type(response)(
            response.status_code, headers=response.headers, content=bytes(body), request=request
        )


def _is_too_long(error: APIStatusError) -> bool:
    said = {str(error.code), str(error.type)}
    return bool(said.intersection(_TOO_LONG)) or _TOO_LONG_WORDS in error.message.lower()


def _read(body: bytes, seconds: float) -> Reply:
    """The reply in a chat completion. Raises NoReply for what is none."""
    try:
        data = json.loads(body)
        message = data["choices"][0]["message"]
        content = message["content"]
    except (ValueError, KeyError, IndexError, TypeError, RecursionError):
        raise NoReply("The endpoint sent what is no chat completion. Check LLM_ENDPOINT.") from None
    if content is not None and not isinstance(content, str):
        raise NoReply("The endpoint sent a reply that is no text.")
    text = content or ""  # none: a model that used up its tokens before it replied, or refused
    usage = data.get("usage")
    said = usage if isinstance(usage, dict) else {}
    version = data.get("model")
    return Reply(
        text=text,
        model_version=_printable(version) if isinstance(version, str) else "",
        input_tokens=_count(said.get("prompt_tokens"), least=1),
        output_tokens=_count(said.get("completion_tokens"), least=1 if text else 0),
        seconds=seconds,
    )


def _count(said: object, *, least: int) -> int | None:
    """A number of tokens that can be, or None."""
    if isinstance(said, bool) or not isinstance(said, int):
        return None
    return said if least <= said <= MOST_TOKENS else None


def _printable(text: str) -> str:
    return "".join(c for c in text[:_VERSION_MOST] if c.isprintable())


def _wait(said: str | None) -> float | None:
    """Seconds in a Retry-After header, as a number or a date, between 0 and LONGEST_WAIT."""
    if not said:
        return None
    try:
        seconds = float(said)
    except ValueError:
        try:
            at = parsedate_to_datetime(said)
        except (ValueError, TypeError, OverflowError):
            return None
        seconds = (at.replace(tzinfo=at.tzinfo or UTC) - datetime.now(UTC)).total_seconds()
    return None if math.isnan(seconds) else min(max(seconds, 0.0), LONGEST_WAIT)
