"""Replies of a chat model through transformers, several conversations at once.

The beginning that all conversations share (instructions) is read once, and its keys and values are
kept for the next batch. Shorter conversations are padded between that beginning and their rest.
"""

import copy
import inspect
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from transformers.cache_utils import DynamicCache, DynamicLayer

from ffn_extract.architectures import ARCHITECTURES
from ffn_extract.chat_tokens import Messages, chat_tokens
from ffn_extract.checkpoints.config import context_of
from ffn_extract.checkpoints.find import Checkpoint, find_checkpoint
from ffn_extract.checkpoints.fingerprint import fingerprint
from ffn_extract.errors import FFNExtractError
from ffn_extract.free_memory import free_bytes
from ffn_extract.measurements.memory import parameters_of
from ffn_extract.options import ExtractOptions
from ffn_extract.pipeline import open_device
from ffn_extract.progress import Report, Steps, ignore
from ffn_extract.running import Purpose, files_of, load_model
from ffn_extract.text_tokens import ending_tokens
from ffn_extract.vocabulary import open_vocabulary

REPLIES = Purpose("annotating", "Give another model", head=True)
MOST_AT_ONCE, MOST_REPLY_TOKENS = 16, 100_000
_LEAST_PREFIX = 32  # tokens: a shorter common beginning is not worth a pass of its own
_LIBRARIES = 600e6  # bytes of Python with torch and transformers
_ROOM = 1.2  # for keys, values and a pass, beside the weights


@dataclass(frozen=True)
class ChatRequest:
    """A conversation to reply to. At temperature 0 the most likely tokens are taken."""

    messages: Messages
    temperature: float
    seed: int
    max_tokens: int

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "ChatRequest":
        """Read what `asdict` gave. Raises FFNExtractError."""
        request = cls(**data)
        if not 0 < request.max_tokens <= MOST_REPLY_TOKENS or not 0 <= request.temperature <= 10:
            raise FFNExtractError(
                f"A reply has 1 to {MOST_REPLY_TOKENS:,} tokens, and a temperature from 0 to 10."
            )
        return request


@dataclass(frozen=True)
class ChatReply:
    """A reply. `refused` says why there is none, for a conversation that is too long."""

    text: str
    input_tokens: int
    output_tokens: int
    refused: str = ""

    def to_json(self) -> dict[str, Any]:
        """The reply for another process."""
        return asdict(self)


class LastChatModel:
    """Replies, and keeps the last model that was loaded; another one takes its place."""

    def __init__(self) -> None:
        self._key: tuple[Any, ...] = ()
        self._model: ChatModel | None = None

    def open(self, model: str, options: ExtractOptions, report: Report = ignore) -> "ChatModel":
        """The model (a folder, a GGUF file or a hub id), ready to reply. Raises FFNExtractError."""
        steps = Steps(report)
        key = (model, repr(options.to_json()))
        kept = self._model
        if kept is not None and self._key == (*key, _files_now(kept.checkpoint)):
            return kept
        self._key, self._model, kept = (), None, None  # before another one is loaded
        with steps.step("checkpoint") as done:
            found = find_checkpoint(model, options.revision, done, gguf_file=options.gguf_file)
        with steps.step("model") as done:
            self._model = ChatModel(found, open_device(options.device))
            done(1, 1)
        self._key = (*key, files_of(found))
        return self._model


def _files_now(checkpoint: Checkpoint) -> tuple[Any, ...] | None:
    try:
        return files_of(checkpoint)
    except OSError:  # gone: the model is asked for again, and refused
        return None


def reply(
    model: str | os.PathLike[str], messages: Messages, *, max_tokens: int = 1_000
) -> ChatReply:
    """The most likely reply of a chat model (a folder, a GGUF file or a hub id).

    Raises FFNExtractError.
    """
    opened = LastChatModel().open(os.fspath(model), ExtractOptions(kinds=("value",), glosses=()))
    return opened.replies([ChatRequest(messages, 0.0, 0, max_tokens)])[0]


class ChatModel:
    """A loaded chat model, in float32. Raises FFNExtractError where it cannot reply."""

    def __init__(self, checkpoint: Checkpoint, device: torch.device) -> None:
        self.checkpoint, self.name = checkpoint, checkpoint.name
        _require_decoder(checkpoint)
        self._tokenizer, _ = open_vocabulary(checkpoint)
        chat_tokens(self._tokenizer, [{"role": "user", "content": "x"}], self.name)
        _require_memory(checkpoint, device)
        self._device = device
        self._model = load_model(checkpoint, REPLIES).to(device)
        self._ending = frozenset(
            ending_tokens(self._model, self._tokenizer, self._model.config.vocab_size)
        )
        self._context = context_of(checkpoint.config)
        known = inspect.signature(self._model.forward).parameters
        self._options: dict[str, Any] = {"use_cache": True}
        if "logits_to_keep" in known:
            self._options["logits_to_keep"] = 1
        self._takes_positions = "position_ids" in known
        self._prefix: list[int] = []
        self._prefix_cache: Any = None
        self._is_plain: bool | None = None  # whether its cache can be cut, copied and padded

    def version(self) -> str:
        """The weights' fingerprint, shortened."""
        files = self.checkpoint.tensors
        return f"{self.name} ({fingerprint(files, files.names)[:16]})"

    def count(self, messages: Messages) -> int:
        """The tokens of a conversation."""
        return len(chat_tokens(self._tokenizer, messages, self.name))

    @torch.inference_mode()
    def replies(
        self,
        requests: Sequence[ChatRequest],
        done: Callable[[int, int], object] = lambda done, total: None,
    ) -> list[ChatReply]:
        """A reply to each conversation, at most MOST_AT_ONCE.

        `done` is called after each token with the tokens so far and the most; what it raises
        cancels. In the last bits, and so now and then in a token, a reply depends on the batch.
        """
        if len(requests) > MOST_AT_ONCE:
            raise FFNExtractError(f"At most {MOST_AT_ONCE} conversations are replied to at once.")
        coded = [chat_tokens(self._tokenizer, one.messages, self.name) for one in requests]
        found: dict[int, ChatReply] = {}
        asked = []
        for number, ids in enumerate(coded):
            room = (self._context or len(ids) + MOST_REPLY_TOKENS) - len(ids)
            if room < 1:
                sentence = f"{self.name} reads {self._context:,} tokens at most; these are more."
                found[number] = ChatReply("", len(ids), 0, sentence)
            else:
                asked.append((number, min(room, requests[number].max_tokens)))
        for batch in self._batches(asked):
            written = self._written(
                [coded[number] for number, _ in batch],
                [most for _, most in batch],
                [_Choice(requests[number]) for number, _ in batch],
                done,
            )
            for (number, _), ids in zip(batch, written, strict=True):
                text: Any = self._tokenizer.decode(
                    ids, skip_special_tokens=True, clean_up_tokenization_spaces=False
                )
                found[number] = ChatReply(str(text), len(coded[number]), len(ids))
        return [found[number] for number in range(len(requests))]

    def _batches(self, asked: list[tuple[int, int]]) -> list[list[tuple[int, int]]]:
        """All at once, or one at a time where the model's cache is of another kind."""
        if not asked:
            return []
        if self._is_plain is None:
            cache = self._pass(torch.tensor([[0]]), None, None, None).past_key_values
            self._is_plain = (
                self._takes_positions
                and type(cache) is DynamicCache
                and all(type(layer) is DynamicLayer for layer in cache.layers)
            )
        return [asked] if self._is_plain else [[one] for one in asked]

    def _written(
        self,
        coded: list[list[int]],
        most: list[int],
        choices: list["_Choice"],
        done: Callable[[int, int], object],
    ) -> list[list[int]]:
        """The ids that follow each conversation, without the one that ends it."""
        shared, cache = self._shared(coded)
        rest = [ids[shared:] for ids in coded]
        longest = max(map(len, rest))
        ids = torch.tensor([[0] * (longest - len(one)) + one for one in rest])
        mask = torch.tensor(
            [[1] * shared + [0] * (longest - len(one)) + [1] * len(one) for one in rest]
        )
        places = (mask.cumsum(1) - 1).clamp(min=0)[:, shared:]
        output = self._pass(ids, mask, places, cache)
        cache, scores = output.past_key_values, output.logits[:, -1]
        written: list[list[int]] = [[] for _ in coded]
        alive = list(range(len(coded)))
        while True:
            following = [choices[n].token(row) for n, row in zip(alive, scores, strict=True)]
            kept = []
            for row, (number, token) in enumerate(zip(alive, following, strict=True)):
                if token not in self._ending:
                    written[number].append(token)
                    if len(written[number]) < most[number]:
                        kept.append(row)
            done(max(map(len, written)), max(most))
            if not kept:
                return written
            if len(kept) < len(alive):
                cache.batch_select_indices(torch.tensor(kept, device=self._device))
                mask, alive = mask[kept], [alive[row] for row in kept]
            mask = torch.cat([mask, torch.ones(len(kept), 1, dtype=mask.dtype)], 1)
            ids = torch.tensor([[following[row]] for row in kept])
            output = self._pass(ids, mask, mask.sum(1, keepdim=True) - 1, cache)
            cache, scores = output.past_key_values, output.logits[:, -1]

    def _pass(self, ids: torch.Tensor, mask: Any, places: Any, cache: Any) -> Any:
        options = dict(self._options)
        if mask is not None:
            options["attention_mask"] = mask.to(self._device)
        if places is not None and self._takes_positions:
            options["position_ids"] = places.to(self._device)
        return self._model(ids.to(self._device), past_key_values=cache, **options)

    def _shared(self, coded: list[list[int]]) -> tuple[int, Any]:
        """The length of the beginning that the conversations share, and a copy of its cache."""
        if not self._is_plain:
            return 0, None
        length = _common_length([ids[:-1] for ids in coded])  # each has something left to read
        kept = len(self._prefix)
        if kept > length or kept < 0.8 * length or coded[0][:kept] != self._prefix:
            self._prefix, self._prefix_cache, kept = [], None, 0
            if length >= _LEAST_PREFIX:
                self._prefix, kept = coded[0][:length], length
                first = torch.tensor([self._prefix])
                self._prefix_cache = self._pass(
                    first, torch.ones_like(first), torch.arange(length)[None], None
                ).past_key_values
        if not kept:
            return 0, None
        cache = copy.deepcopy(self._prefix_cache)
        cache.batch_repeat_interleave(len(coded))
        return kept, cache


def _common_length(coded: list[list[int]]) -> int:
    """The length of the beginning that all have in common.

    Examples
    --------
    >>> _common_length([[1, 2, 3], [1, 2], [1, 2, 4]])
    2
    """
    first, last = min(coded), max(coded)
    equal = (place for place, (a, b) in enumerate(zip(first, last, strict=False)) if a != b)
    return next(equal, min(len(first), len(last)))


class _Choice:
    """Chooses the tokens of one reply, whatever else is in the batch."""

    def __init__(self, request: ChatRequest) -> None:
        self._temperature = request.temperature
        self._random = torch.Generator().manual_seed(request.seed)

    def token(self, scores: torch.Tensor) -> int:
        """The next token by the scores of all tokens, shape (vocabulary,)."""
        scores = scores.float().cpu()
        if not bool(torch.isfinite(scores).all()):
            raise FFNExtractError("The model's numbers are not finite. Give another model.")
        if not self._temperature:
            return int(scores.argmax())
        shares = torch.softmax(scores.double() / self._temperature, 0)
        return int(torch.multinomial(shares, 1, generator=self._random))


def _require_decoder(checkpoint: Checkpoint) -> None:
    known = ARCHITECTURES.get(str(checkpoint.config.get("model_type")))
    form = known.form if known is not None else None
    if form in ("encoder", "encoder-decoder") or checkpoint.config.get("is_encoder_decoder"):
        raise FFNExtractError(
            f"{checkpoint.name} is an encoder, or has one; only a chat model that continues a text "
            "can annotate. Give one such as SmolLM2-135M-Instruct."
        )


def _require_memory(checkpoint: Checkpoint, device: torch.device) -> None:
    free = free_bytes() if device.type == "cpu" else None
    needed = _LIBRARIES + _ROOM * 4 * parameters_of(checkpoint)
    if free is not None and needed > free:
        raise FFNExtractError(
            f"{checkpoint.name} needs about {needed / 1e9:.1f} GB of memory to reply, and "
            f"{free / 1e9:.1f} GB are free. Use a larger machine or a smaller model."
        )
