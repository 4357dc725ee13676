"""FFN updates: what a layer's FFN adds at positions of a corpus. The only part that runs a model.

Results do not depend on the number of threads: the model runs one text at a time on one thread,
because float32 products differ in their last bits between thread counts and batch shapes.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import transformers
from numpy.typing import NDArray
from transformers import AutoModel, PreTrainedTokenizerBase

from ffn_extract.architectures import Architecture
from ffn_extract.checkpoints import Checkpoint
from ffn_extract.corpora import Corpus
from ffn_extract.errors import CheckpointError, CorpusError, FFNExtractError

MAX_TOKENS = 512
"""Longer texts are cut; a position is drawn in what remains."""


@dataclass(frozen=True)
class Update:
    """An FFN output o, shape (d_model,), at a 0-based position of a text's input tokens."""

    vector: NDArray[np.float64]
    text: str
    position: int
    token_id: int


class _Captured(Exception):
    """Ends a forward pass once the layer of interest has answered."""


class UpdateReader:
    """Runs one model over texts of a corpus.

    Raises CheckpointError on construction when transformers cannot load the model.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        architecture: Architecture,
        tokenizer: PreTrainedTokenizerBase,
        corpus: Corpus,
        device: torch.device,
    ) -> None:
        self._architecture = architecture
        self._tokenizer = tokenizer
        self._corpus = corpus
        self._device = device
        self._model = _load(checkpoint).to(device)
        # RoBERTa has fewer places for tokens than position embeddings; its tokenizer knows.
        places = _positions(self._model) or MAX_TOKENS
        self._max_tokens = min(MAX_TOKENS, places, tokenizer.model_max_length)

    def draw(
        self,
        layer: int,
        count: int,
        random: np.random.Generator,
        report: Callable[[int], None] = lambda done: None,
    ) -> list[Update]:
        """`count` updates of a layer: a text drawn without replacement, a position within it.

        Positions are uniform over the text's tokens, those that the tokenizer adds ([CLS], <s>)
        left out; texts without any other token are passed over. Raises CorpusError when the corpus
        has too few texts.
        """
        updates: list[Update] = []
        for place in random.permutation(len(self._corpus.texts)):
            if len(updates) == count:
                break
            update = self._update(self._corpus.texts[place], layer, random)
            if update is not None:
                updates.append(update)
                report(len(updates))
        if len(updates) < count:
            raise CorpusError(
                f"The corpus has {len(updates)} texts with tokens; {count} updates per layer, at "
                "one position per text, need more. Give a larger --corpus or a smaller --per-layer."
            )
        return updates

    def _update(self, text: str, layer: int, random: np.random.Generator) -> Update | None:
        encoded = self._tokenizer(
            text,
            truncation=True,
            max_length=self._max_tokens,
            return_special_tokens_mask=True,
            return_tensors="pt",
        )
        own = np.flatnonzero(encoded["special_tokens_mask"][0].numpy() == 0)
        if not own.size:
            return None
        position = int(random.choice(own))
        ids = encoded["input_ids"]
        output = self._ffn_output(layer, ids)[position]
        vector = output.to("cpu", torch.float64).numpy()
        if not np.isfinite(vector).all():
            raise FFNExtractError(f"Layer {layer}'s FFN gives values that are not finite numbers.")
        return Update(vector, text, position, int(ids[0, position]))

    def _ffn_output(self, layer: int, ids: torch.Tensor) -> torch.Tensor:
        """o of one layer at every position, shape (positions, d_model)."""
        captured: list[torch.Tensor] = []

        def capture(_module: object, _inputs: object, output: Any) -> None:
            # Some modules with experts give their router's scores beside the update.
            update = output[0] if isinstance(output, tuple) else output
            captured.append(update.detach().reshape(-1, update.shape[-1]))
            raise _Captured

        handle = self._value_module(layer).register_forward_hook(capture)
        inputs = {"input_ids": ids.to(self._device)}
        if self._model.config.is_encoder_decoder:
            inputs["decoder_input_ids"] = inputs["input_ids"]
        try:
            with torch.inference_mode(), _one_thread():
                self._model(**inputs)
        except _Captured:
            pass
        finally:
            handle.remove()
        return captured[0]

    def _value_module(self, layer: int) -> torch.nn.Module:
        """The module whose output is o; the base model's names lack leading parts of the file's."""
        modules: dict[str, torch.nn.Module] = dict(self._model.named_modules())
        wanted = self._architecture.value_module.format(layer=layer)
        parts = wanted.split(".")
        names = [".".join(parts[left_out:]) for left_out in range(len(parts))]
        found = next((name for name in names if name in modules), None)
        if found is None:
            raise CheckpointError(
                f"The model that transformers makes of {type(self._model.config).__name__} has no "
                f"{wanted}, from which updates would be read. Leave them out with "
                "--kinds value,random."
            )
        return modules[found]


def _load(checkpoint: Checkpoint) -> Any:
    """The base model in float32; transformers' own code only, whatever the folder brings."""
    try:
        with _quiet():
            model = AutoModel.from_pretrained(
                checkpoint.folder,
                local_files_only=True,
                trust_remote_code=False,
                dtype=torch.float32,
                attn_implementation="eager",
            )
    except (OSError, ValueError, RuntimeError, KeyError, ImportError) as error:
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise CheckpointError(
            f"{checkpoint.name} cannot be run, which the kind update needs: {reason} "
            "Leave it out with --kinds value,random."
        ) from error
    return model.eval()


def _positions(model: Any) -> int | None:
    """How many tokens the model can read at once, where it has a limit.

    RoBERTa and its kin number positions from after the padding's, so their table is longer than
    what they can read.
    """
    limit: int | None = getattr(model.config, "max_position_embeddings", None)
    for name, module in model.named_modules():
        if (
            name.endswith("position_embeddings")
            and getattr(module, "padding_idx", None) is not None
        ):
            return int(module.num_embeddings - module.padding_idx - 1)
    return limit


@contextmanager
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence transformers' loading report and bars: a head that is left out is no news."""
    logs: Any = transformers.utils.logging  # untyped
    level, bars = logs.get_verbosity(), logs.is_progress_bar_enabled()
    logs.set_verbosity(logging.ERROR)
    logs.disable_progress_bar()
    try:
        yield
    finally:
        logs.set_verbosity(level)
        if bars:
            logs.enable_progress_bar()
