"""The trace of a prompt in a model that is in memory, as an object of JSON."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import PreTrainedTokenizerBase

from ffn_extract.checkpoints.find import Checkpoint
from ffn_extract.errors import FFNExtractError, OptionError
from ffn_extract.running import one_thread
from ffn_extract.text_tokens import ending_tokens, tokens_of
from ffn_extract.traces.continuation import continuation, first_difference
from ffn_extract.traces.layers import (
    Prediction,
    PromptStates,
    best,
    parts_of,
    predictions,
    pushed_most,
    pushes_of,
    read_prompt,
    require_finite,
)
from ffn_extract.traces.request import TraceRequest
from ffn_extract.traces.vector_tokens import Side, VectorTokens
from ffn_extract.tracing.interventions import Intervention, intervened
from ffn_extract.tracing.reader import Reader
from ffn_extract.vocabulary import Vocabulary

LONGEST_SHOWN = 200
"""Characters of a token's display form; longer ones are cut."""


@dataclass(frozen=True)
class Prompt:
    """A prompt's token ids with those before the text, and the position that is read."""

    ids: list[int]
    position: int


@dataclass(frozen=True)
class Tracer:
    """Traces prompts in one model. `limit` is the number of tokens that it can read, if known.

    `fingerprint` is that of the weights, as the manifest of an extraction has it.
    """

    name: str
    reader: Reader
    tokenizer: PreTrainedTokenizerBase
    vocabulary: Vocabulary
    vectors: VectorTokens
    checkpoint: Checkpoint
    limit: int | None
    fingerprint: str = ""

    def read(self, request: TraceRequest) -> Prompt:
        """The tokens of the request's prompt. Raises OptionError where they cannot be traced."""
        found = tokens_of(self.tokenizer, self.checkpoint, request.prompt, what="the prompt")
        ids = [*found.lead, *found.own]
        if not found.own:
            raise OptionError("The prompt has no tokens. Give a text of at least one token.")
        n, most = len(ids), request.max_tokens
        if n > most:
            raise OptionError(
                f"The prompt has {n:,} tokens; at most {most:,} are traced. Give a shorter one."
            )
        if self.limit is not None and n + request.new_tokens > self.limit:
            new = f" and {request.new_tokens} new ones" if request.new_tokens else ""
            raise OptionError(
                f"The prompt has {n:,} tokens{new}, and the model reads at most {self.limit:,}. "
                f"Give a shorter prompt{' or fewer new tokens' if new else ''}."
            )
        position = n - 1 if request.position is None else request.position
        if position >= n:
            raise OptionError(
                f"The prompt has the positions 0 to {n - 1}, not {position:,}. Give one of them."
            )
        for one in request.interventions:
            if one.from_position >= n + request.new_tokens:
                raise OptionError(
                    f"The intervention on {one.layer}:{one.index} begins at position "
                    f"{one.from_position:,}, and the prompt and its new tokens end at "
                    f"{n + request.new_tokens - 1:,}. Give an earlier position."
                )
        return Prompt(ids, position)

    def trace(self, request: TraceRequest, step: Callable[[str], Any]) -> dict[str, Any]:
        """The whole answer but its seconds. `step` is that of `Steps`.

        It takes one thread: several change last bits, and wait for each other where other work
        keeps the processors busy. Raises FFNExtractError.
        """
        with one_thread():
            return self._traced(request, step)

    def _traced(self, request: TraceRequest, step: Callable[[str], Any]) -> dict[str, Any]:
        prompt = self.read(request)
        followed = self._asked_token(request)
        changes = self._changes(request)
        runs = 2 if changes else 1
        with step("trace") as done:
            count = len(self.reader.layers)
            plain = self._states(prompt, request, lambda layers: done(layers, runs * count))
            require_finite(plain, "", "Run it in float32.")
            changed = None
            if changes:
                with intervened(self.reader, changes):
                    changed = self._states(
                        prompt, request, lambda layers: done(count + layers, runs * count)
                    )
                require_finite(changed, " with these interventions", "Give smaller values.")
            if followed is None:
                followed = best(self.reader.unembed.scores(plain.final[None])[0], 1)[0]
            seen = _Seen(self, plain, followed)
            seen_changed = None if changed is None else _Seen(self, changed, followed)
        with step("tokens") as done:
            wanted = seen.sides() + (seen_changed.sides() if seen_changed else [])
            tokens = self.vectors.find(wanted)
            done(1, 1)
        with step("continuation") as done:
            total = max(1, runs * request.new_tokens)
            written = self._continued(prompt, request, plain, lambda n: done(n, total))
            after = None
            if changed is not None:
                with intervened(self.reader, changes):
                    after = self._continued(
                        prompt, request, changed, lambda n: done(request.new_tokens + n, total)
                    )
            done(total, total)
        answer: dict[str, Any] = {
            "model": self.name,
            "prompt": request.prompt,
            "tokens": [self.shown(token_id) for token_id in prompt.ids],
            "token_ids": prompt.ids,
            "position": prompt.position,
            **seen.to_json(tokens),
            "continuation": self._written(written),
            "changed": None,
        }
        if seen_changed is not None and after is not None:
            answer["changed"] = {
                "interventions": [one.to_json() for one in request.interventions],
                **seen_changed.to_json(tokens),
                "continuation": self._written(after),
                "first_difference": first_difference(written, after),
            }
        return answer

    def _changes(self, request: TraceRequest) -> list[Intervention]:
        """The interventions; one that the model cannot have is refused before it runs."""
        dtype: torch.dtype = self.reader.model.dtype
        name = str(dtype).removeprefix("torch.")
        for one in request.interventions:
            if one.action == "set" and abs(one.value) > torch.finfo(dtype).max:
                raise OptionError(
                    f"The value {one.value:g} is too large for {name}, in which the model "
                    "runs. Give a smaller one, or run it in float32."
                )
        changes = [
            Intervention(
                one.layer, one.index, one.action, one.value, from_position=one.from_position
            )
            for one in request.interventions
        ]
        with intervened(self.reader, changes):
            return changes

    def shown(self, token_id: int) -> str:
        """A token's display form; of a row that no entry of the tokenizer names, its number."""
        if token_id not in self.vocabulary.texts:
            return f"⟨{token_id}⟩"
        shown = self.vocabulary.form(token_id).display
        return shown if len(shown) <= LONGEST_SHOWN else f"{shown[: LONGEST_SHOWN - 1]}…"

    def _states(
        self, prompt: Prompt, request: TraceRequest, done: Callable[[int], None]
    ) -> PromptStates:
        return read_prompt(
            self.reader, prompt.ids, prompt.position, keep_cache=request.new_tokens > 1, done=done
        )

    def _continued(
        self,
        prompt: Prompt,
        request: TraceRequest,
        states: PromptStates,
        done: Callable[[int], None],
    ) -> list[int]:
        n_rows = self.reader.unembed.vocab_size
        return continuation(
            self.reader,
            states.output,
            states.cache,
            len(prompt.ids),
            request.new_tokens,
            ending_tokens(self.reader.model, self.tokenizer, n_rows),
            done,
        )

    def _written(self, ids: Sequence[int]) -> list[dict[str, Any]]:
        return [{"token_id": token_id, "token": self.shown(token_id)} for token_id in ids]

    def _asked_token(self, request: TraceRequest) -> int | None:
        n_rows = self.reader.unembed.vocab_size
        if request.token_id is not None and request.token_id >= n_rows:
            raise OptionError(
                f"The model has the tokens 0 to {n_rows - 1:,}, not {request.token_id:,}."
            )
        return request.token_id if request.token is None else self._token_of(request.token)

    def _token_of(self, text: str) -> int:
        """The token with a display form, or the one of which a text is made."""
        for token_id in self.vocabulary.texts:
            if self.vocabulary.form(token_id).display == text:
                return token_id
        ids = tokens_of(self.tokenizer, self.checkpoint, text, what="the token").own
        if len(ids) != 1:
            made = ", ".join(f"{self.shown(i)} ({i})" for i in ids[:5]) or "none"
            raise OptionError(
                f"The text {text[:50]!r} is {len(ids)} tokens, not one: {made}"
                f"{', …' if len(ids) > 5 else ''}. Give one of them, or its id."
            )
        return ids[0]


class _Seen:
    """One pass over a prompt as people see it: predictions, dominant sub-updates, pushes."""

    def __init__(self, tracer: Tracer, states: PromptStates, token_id: int) -> None:
        self._tracer, self._states, self._token_id = tracer, states, token_id
        reader = tracer.reader
        logit = reader.unembed.linear_logit(states.final, token_id, reader.final_norm)
        self._parts = parts_of(states, logit)
        self._pushes = pushes_of(reader, states, logit)
        self._most = pushed_most(self._pushes)
        before = [layer.before for layer in states.layers]
        after = [layer.after for layer in states.layers]
        every = predictions(reader, [*before, *after], token_id, states.final.dtype)
        self._before, self._after = every[: len(before)], every[len(before) :]
        self._dominant = [best(layer.sizes) for layer in states.layers]

    def sides(self) -> list[Side]:
        """Every vector that is shown, with the side of it that is."""
        dominant = ((n, i) for n, indices in enumerate(self._dominant) for i in indices)
        return [self._side(*place) for place in (*dominant, *self._most)]

    def to_json(self, tokens: dict[Side, list[int]]) -> dict[str, Any]:
        """The followed token, the parts of its logit, the layers, and what pushed it most."""
        last = self._after[-1]
        return {
            "token": {
                "token_id": self._token_id,
                "token": self._tracer.shown(self._token_id),
                "probability": _number(last.followed),
                "logit": _number(last.logit),
            },
            "parts": {
                "embedding": _number(self._parts.embedding),
                "attention": _number(sum(self._parts.attention)),
                "ffn": _number(sum(self._parts.ffn)),
                "bias": _number(self._parts.bias),
            },
            "layers": [self._layer(layer, tokens) for layer in range(len(self._dominant))],
            "pushed_most": [
                {"layer": layer, **self._vector(layer, index, tokens)}
                for layer, index in self._most
            ],
        }

    def _layer(self, layer: int, tokens: dict[Side, list[int]]) -> dict[str, Any]:
        before, after = self._before[layer], self._after[layer]
        return {
            "layer": layer,
            "before": self._predicted(before),
            "after": self._predicted(after),
            "rank_before": before.rank,
            "rank_after": after.rank,
            "ffn_push": _number(self._parts.ffn[layer]),
            "attention_push": _number(self._parts.attention[layer]),
            "dominant": [self._vector(layer, index, tokens) for index in self._dominant[layer]],
        }

    def _predicted(self, found: Prediction) -> list[dict[str, Any]]:
        return [
            {
                "token_id": token_id,
                "token": self._tracer.shown(token_id),
                "probability": _number(probability),
            }
            for token_id, probability in zip(found.token_ids, found.probabilities, strict=True)
        ]

    def _vector(self, layer: int, index: int, tokens: dict[Side, list[int]]) -> dict[str, Any]:
        states = self._states.layers[layer]
        side = self._side(layer, index)
        total = float(states.sizes.sum())
        return {
            "index": index,
            "coefficient": _number(float(states.m[index])),
            "share": _number(float(states.sizes[index]) / total if total else 0.0),
            "push": _number(float(self._pushes[layer][index])),
            "side": "lowest" if side[2] < 0 else "highest",
            "tokens": [self._tracer.shown(token_id) for token_id in tokens[side]],
            "labels": [],
        }

    def _side(self, layer: int, index: int) -> Side:
        return layer, index, -1 if float(self._states.layers[layer].m[index]) < 0 else 1


def _number(value: float) -> float:
    """Eight significant digits, which hold all that float32 does; no minus zero."""
    if value != value or abs(value) == float("inf"):
        raise FFNExtractError("The model's numbers are not finite, so nothing can be read.")
    return float(f"{value:.8g}") + 0.0
