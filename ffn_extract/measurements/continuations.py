"""Prompts, and what a model writes after them: exactly 20 new tokens (section 6.1).

Prompts that are continued together have the same length, so nothing is padded. A batch always has
the same number of rows, filled up with copies: it depends on the prompts and the plan alone.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import GenerationConfig

from ffn_extract.corpora import open_corpus
from ffn_extract.errors import CorpusError, OptionError
from ffn_extract.measurements.examples import draw_examples, prepended_ids
from ffn_extract.measurements.kept import Arrays
from ffn_extract.measurements.limits import MOST_TOKENS, NEW_TOKENS
from ffn_extract.measurements.measurement import Opened
from ffn_extract.running import one_thread
from ffn_extract.text_tokens import ending_tokens, tokens_of
from ffn_extract.tracing.reader import Reader

MOST_BYTES = 64 << 20  # of a file of prompts
_DRAWN = 3  # spawn key, as `turned_on` has 2


@dataclass(frozen=True)
class Prompt:
    """A text and its ids, with what is put before the text."""

    text: str
    ids: tuple[int, ...]


@dataclass(frozen=True)
class Prompts:
    """Drawn prompts in their order; `cut` were too long and lost their beginning."""

    drawn: Sequence[Prompt]
    source: str
    texts: int
    digest: str
    cut: int

    def to_json(self) -> dict[str, Any]:
        """The entry of a manifest; nothing of this machine."""
        return {
            "source": self.source,
            "texts": self.texts,
            "sha256": self.digest,
            "count": len(self.drawn),
            "cut": self.cut,
        }


def draw_prompts(opened: Opened) -> Prompts:
    """The prompts of a file, drawn by the seed, or prefixes of the corpus, as examples are.

    Of a file with fewer prompts than asked for, all are taken. Raises CorpusError and OptionError.
    """
    options = opened.options
    own = options.suppression
    room = MOST_TOKENS if opened.limit is None else min(MOST_TOKENS, opened.limit) - NEW_TOKENS
    if room < 2:
        raise OptionError(
            f"The model reads {opened.limit} tokens; {NEW_TOKENS} new ones leave no room for a "
            "prompt. Give another model."
        )
    if own.prompts is None:
        wanted = replace(options, examples=own.prompt_count)
        examples = draw_examples(opened.corpus, opened.tokenizer, opened.checkpoint, wanted, room)
        lead = len(examples.prepended)
        texts = [Prompt(_text(opened, one.ids[lead:]), one.ids) for one in examples.drawn]
        corpus = opened.corpus
        return Prompts(texts, corpus.name, len(corpus.texts), corpus.digest, examples.cut)
    path = Path(own.prompts)
    if path.is_file() and path.stat().st_size > MOST_BYTES:
        raise CorpusError(
            f"The prompts in {path.name} are more than {MOST_BYTES >> 20} MiB. Give a smaller file."
        )
    file = open_corpus(own.prompts, own.prompt_field)
    before = prepended_ids(opened.tokenizer, options)
    seeds = np.random.SeedSequence(options.seed, spawn_key=(_DRAWN,))
    order = np.random.Generator(np.random.PCG64(seeds)).permutation(len(file.texts))
    drawn: list[Prompt] = []
    cut = 0
    for number in sorted(order[: own.prompt_count].tolist()):
        text = file.texts[number]
        read = tokens_of(opened.tokenizer, opened.checkpoint, text)
        lead_ids, ids = read.lead, read.own
        lead_ids = lead_ids if before is None else before
        most = room - len(lead_ids)
        cut += len(ids) > most
        drawn.append(Prompt(text, (*lead_ids, *ids[-most:])))
    drawn = [prompt for prompt in drawn if prompt.ids]
    if len(drawn) < 2:
        raise CorpusError(f"The file {path.name} has fewer than 2 prompts. Give more.")
    return Prompts(drawn, "file", len(file.texts), file.digest, cut)


def batches_of(prompts: Sequence[Prompt], rows: int) -> list[list[int]]:
    """Numbers of prompts that are continued together, shorter ones first.

    Examples
    --------
    >>> batches_of([Prompt("", ids) for ids in ((1, 2), (3,), (4, 5), (6, 7))], rows=2)
    [[1], [0, 2], [3]]
    """
    lengths: dict[int, list[int]] = {}
    for number, prompt in enumerate(prompts):
        lengths.setdefault(len(prompt.ids), []).append(number)
    return [
        own[start : start + rows]
        for _, own in sorted(lengths.items())
        for start in range(0, len(own), rows)
    ]


@dataclass(frozen=True)
class Writer:
    """Continues prompts by beam search, or greedily with one beam.

    `banned` tokens, which end a text, are never written.
    """

    reader: Reader
    prompts: Sequence[Prompt]
    rows: int
    beams: int
    banned: Sequence[int]

    def compute(self, numbers: Sequence[int]) -> Arrays:
        """The new tokens of prompts of one length: `new_ids`, shape (prompts, 20)."""
        texts = [list(self.prompts[number].ids) for number in numbers]
        ids = torch.tensor([*texts, *[texts[-1]] * (self.rows - len(texts))])
        ids = ids.to(self.reader.device)
        settings = _settings(
            max_new_tokens=NEW_TOKENS,
            min_new_tokens=NEW_TOKENS,
            do_sample=False,
            num_beams=self.beams,
            use_cache=True,
            eos_token_id=list(self.banned) or None,
            pad_token_id=self.banned[0] if self.banned else 0,  # nothing is padded
        )
        model = self.reader.model
        with torch.inference_mode(), one_thread(), _without_settings(model):
            found = model.generate(
                ids, attention_mask=torch.ones_like(ids), generation_config=settings
            )
        new = found[: len(numbers), ids.shape[1] :].cpu().numpy().astype(np.int64)
        return {"new_ids": new}


def banned_tokens(opened: Opened) -> list[int]:
    """Ids that end a text, which continuations of a fixed length never hold."""
    n_rows = opened.weights.dimensions.vocab_size
    return ending_tokens(opened.reader.model, opened.tokenizer, n_rows)


def continuations_text(opened: Opened, new_ids: Iterable[Sequence[int]]) -> list[str]:
    """New tokens as texts, special ones left out."""
    return [_text(opened, ids) for ids in new_ids]


def lines_of(
    prompts: Sequence[Prompt],
    conditions: Sequence[tuple[str, Sequence[Sequence[int]], Sequence[str], Any]],
) -> bytes:
    """`continuations.jsonl`: an object per condition and prompt.

    A condition is its name, new ids and texts of each prompt, and scores by attribute.
    """
    lines = []
    for name, new_ids, texts, scores in conditions:
        for number, prompt in enumerate(prompts):
            row = {
                "condition": name,
                "prompt": number,
                "prompt_text": prompt.text,
                "prompt_ids": list(prompt.ids),
                "continuation": texts[number],
                "new_ids": list(new_ids[number]),
                "scores": {attribute: some[number] for attribute, some in scores.items()},
            }
            lines.append(f"{json.dumps(row, ensure_ascii=False)}\n")
    return "".join(lines).encode()


def _text(opened: Opened, ids: Sequence[int]) -> str:
    text: Any = opened.tokenizer.decode(
        list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False
    )
    return str(text)


def _settings(**values: Any) -> Any:
    """Settings for generation, those that are not given as transformers has them."""
    kind: Any = GenerationConfig  # untyped
    return kind(**values)


@contextmanager
def _without_settings(model: Any) -> Iterator[None]:
    """Leave out what the model's own file sets for generation, such as penalties."""
    before = model.generation_config
    model.generation_config = _settings()
    try:
        yield
    finally:
        model.generation_config = before
