"""FFN updates: outputs of a layer's FFN at positions of a corpus. The only part that runs a model.

float32 products differ in their last bits between thread counts and batch shapes, so the model runs
on one thread, over batches that are always full: which texts share one depends on the seed and the
corpus alone, and not on how many updates are wanted.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerBase

from ffn_extract.architectures import Architecture
from ffn_extract.checkpoints.find import Checkpoint
from ffn_extract.checkpoints.tensor_files import first_present
from ffn_extract.corpora import Corpus
from ffn_extract.errors import CheckpointError, CorpusError, FFNExtractError, OptionError
from ffn_extract.running import UPDATES, load_model, one_thread
from ffn_extract.tokenizer_files import sentences_for

MAX_TOKENS = 512
"""Longer texts are cut; a position is drawn in what remains."""
BATCH_TEXTS = 10
"""Texts that the model reads at once; another number changes the updates' last bits."""


@dataclass(frozen=True)
class Update:
    """An FFN output o, shape (d_model,), at a 0-based position of a text's input tokens."""

    vector: NDArray[np.float64]
    text: str
    position: int
    token_id: int


@dataclass(frozen=True)
class _Place:
    """A position in a text, and the ids that the model's blocks of interest read there.

    `source` are an encoder's ids where there is one beside the decoder.
    """

    text: str
    ids: list[int]
    position: int
    source: list[int]


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
        self._checkpoint = checkpoint
        self._tokenizer = tokenizer
        self._corpus = corpus
        self._device = device
        added = tokenizer.added_tokens_decoder.items()
        self._special = {i for i, token in added if token.special}.union(tokenizer.all_special_ids)
        self._model = load_model(checkpoint, UPDATES).to(device)
        # RoBERTa has fewer places for tokens than position embeddings; its tokenizer knows.
        limit = positions_of(self._model)
        if limit is not None and self._model.config.is_encoder_decoder:
            limit -= 1  # the decoder reads its start token too
        places = limit or MAX_TOKENS
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
        left out; texts without any other token are passed over. A special token that a text spells
        is read as the characters it is spelled with, and a text of which the tokenizer makes a
        special token all the same is passed over. An encoder and decoder both read
        the text, and the position is the decoder's, whose input begins with a token more. A larger
        count only adds updates to those of a smaller one.

        Raises CorpusError when the corpus has too few texts.
        """
        order = random.permutation(len(self._corpus.texts))
        drawn = (self._place(self._corpus.texts[number], random) for number in order)
        places = (place for place in drawn if place is not None)
        updates: list[Update] = []
        while len(updates) < count and (batch := list(islice(places, BATCH_TEXTS))):
            outputs = self._ffn_outputs(layer, batch).to("cpu", torch.float64).numpy()
            if not np.isfinite(outputs).all():
                raise FFNExtractError(
                    f"Layer {layer}'s FFN gives values that are not finite numbers."
                )
            for place, vector in zip(batch[: count - len(updates)], outputs, strict=False):
                token_id = place.ids[place.position]
                updates.append(Update(vector, place.text, place.position, token_id))
                report(len(updates))
        if len(updates) < count:
            raise CorpusError(
                f"The corpus has {len(updates)} texts with tokens; {count} updates per layer, at "
                "one position per text, need more. Give a larger --corpus or a smaller --per-layer."
            )
        return updates

    def _place(self, text: str, random: np.random.Generator) -> _Place | None:
        with sentences_for(self._checkpoint.folder, "its tokenizer fails at a text of the corpus"):
            encoded = self._tokenizer(
                text,
                truncation=True,
                max_length=self._max_tokens,
                return_special_tokens_mask=True,
                split_special_tokens=True,
            )
        ids: list[int] = encoded["input_ids"]
        own = np.flatnonzero(np.array(encoded["special_tokens_mask"]) == 0)
        if not own.size or self._spells_special(text, [ids[place] for place in own]):
            return None
        position = int(random.choice(own))  # numpy's, with the run's seed  # nosec B311
        config = self._model.config
        if not config.is_encoder_decoder:
            return _Place(text, ids, position, [])
        start = getattr(config, "decoder_start_token_id", None)
        begin = [config.pad_token_id if start is None else start]
        return _Place(text, begin + ids, position + 1, ids)

    def _spells_special(self, text: str, own: Sequence[int]) -> bool:
        """Whether a text's own tokens hold a special one; the unknown token only if spelled.

        A Unigram model has its special tokens among its pieces, so it finds them in a text.
        """
        found = self._special.intersection(own)
        unknown = self._tokenizer.unk_token_id
        spelled = str(self._tokenizer.unk_token) in text
        return bool(found - {unknown}) or (unknown in found and spelled)

    def _ffn_outputs(self, layer: int, batch: Sequence[_Place]) -> torch.Tensor:
        """o of one layer at each place, shape (places, d_model)."""
        captured: list[torch.Tensor] = []

        def capture(_module: object, _inputs: object, output: Any) -> None:
            # Some modules with experts give their router's scores beside the update.
            captured.append((output[0] if isinstance(output, tuple) else output).detach())
            raise _Captured

        handle = self._value_module(layer).register_forward_hook(capture)
        try:
            with torch.inference_mode(), one_thread():
                self._model(**self._inputs(batch))
        except _Captured:
            pass
        finally:
            handle.remove()
        # Some modules see all tokens of a batch in one axis.
        outputs = captured[0].reshape(len(batch), -1, captured[0].shape[-1])
        return outputs[range(len(batch)), [place.position for place in batch]]

    def _inputs(self, batch: Sequence[_Place]) -> dict[str, torch.Tensor]:
        """Input of the model: ids of the batch, padded at their ends and masked there."""
        ids, mask = self._padded([place.ids for place in batch])
        if not self._model.config.is_encoder_decoder:
            return {"input_ids": ids, "attention_mask": mask}
        source, source_mask = self._padded([place.source for place in batch])
        return {
            "input_ids": source,
            "attention_mask": source_mask,
            "decoder_input_ids": ids,
            "decoder_attention_mask": mask,
        }

    def _padded(self, rows: Sequence[list[int]]) -> tuple[torch.Tensor, torch.Tensor]:
        """Ids and their mask, each of shape (rows, length of the longest)."""
        padding = self._tokenizer.pad_token_id or 0
        length = max(map(len, rows))
        ids = [row + [padding] * (length - len(row)) for row in rows]
        mask = [[1] * len(row) + [0] * (length - len(row)) for row in rows]
        return torch.tensor(ids, device=self._device), torch.tensor(mask, device=self._device)

    def require_modules(self, layers: Iterable[int]) -> None:
        """Refuse a model whose modules do not have the named value matrices.

        Raises CheckpointError.
        """
        for layer in layers:
            self._value_module(layer)

    def _value_module(self, layer: int) -> torch.nn.Module:
        """The module whose output is o; the model's names differ from the file's in front."""
        modules: dict[str, torch.nn.Module] = dict(self._model.named_modules())
        wanted = require_runnable(self._architecture).format(layer=layer)
        parts = wanted.split(".")
        tails = [".".join(parts[left_out:]) for left_out in range(len(parts))]
        found = [name for name in tails if name in modules]
        # Of a model in parts, the file and the model call the language model's place differently.
        own = [tail for tail in tails if str(layer) in tail.split(".")[1:2]]
        found += [name for tail in own for name in modules if name.endswith(f".{tail}")]
        name = next((name for name in found if self._holds_values(modules[name], layer)), None)
        if name is None:
            raise CheckpointError(
                f"The model that transformers makes of {type(self._model.config).__name__} has no "
                f"{wanted} with the file's value matrix, from which updates would be read. Leave "
                "them out with --kinds value,random."
            )
        if self._model.config.is_encoder_decoder and "decoder" not in name.split("."):
            raise CheckpointError(
                f"{name} is the encoder's, and updates of a model with encoder and decoder are "
                "read in the decoder. Leave them out with --kinds value,random."
            )
        return modules[name]

    def _holds_values(self, module: torch.nn.Module, layer: int) -> bool:
        """Whether a module's matrix is the file's value matrix; one without is taken as named."""
        weight = getattr(module, "weight", None)
        files = self._checkpoint.tensors
        value = self._architecture.ffns[0].value.name
        if not isinstance(weight, torch.Tensor) or "{expert}" in value:
            return True
        names = [p + value.format(layer=layer) for p in self._architecture.prefixes]
        stored = first_present(files, names)
        if stored is None or len(files.shape(stored)) != 2:
            return True
        row = files.rows(stored, 0, 1).to(weight)
        # A GGUF file has GPT-2's matrices transposed.
        return any(
            one.shape == files.shape(stored) and torch.equal(row, one[:1])
            for one in (weight, weight.T)
        )


def require_runnable(architecture: Architecture) -> str:
    """The family's value_module. Raises OptionError if transformers has no such model."""
    if architecture.value_module is None and "{layer}" not in architecture.ffns[0].value.name:
        raise OptionError(
            f"All layers of this {architecture.model_type} model share one FFN, so it has no "
            "updates of one layer. Leave them out with --kinds value,random."
        )
    if architecture.value_module is None:
        raise OptionError(
            f"A {architecture.model_type} model cannot be run, so it has no updates. "
            "Leave them out with --kinds value,random."
        )
    return architecture.value_module


def positions_of(model: Any) -> int | None:
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
