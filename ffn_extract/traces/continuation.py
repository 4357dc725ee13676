"""Greedy continuation of a prompt, going on from the cache of a pass over it."""

from collections.abc import Callable, Collection
from typing import Any

import torch

from ffn_extract.errors import FFNExtractError
from ffn_extract.tracing.reader import Reader
from ffn_extract.tracing.unembed import top


def continuation(
    reader: Reader,
    output: torch.Tensor,
    cache: Any,
    length: int,
    count: int,
    ending: Collection[int],
    done: Callable[[int], None],
) -> list[int]:
    """At most `count` new tokens after a prompt of `length` tokens.

    Each is the one with the highest score; ties: the lower id. `output` (1, width) is what the
    decoder gave at the prompt's last token. One of the `ending` tokens is the last. Raises
    FFNExtractError where the model's numbers are not finite.
    """
    written: list[int] = []
    while len(written) < count:
        scores = reader.unembed.of_output(output)
        if not bool(torch.isfinite(scores).all()):
            raise FFNExtractError(
                "The model's numbers are not finite in the continuation. Ask for fewer new "
                "tokens, give smaller values, or run it in float32."
            )
        written.append(int(top(scores)))
        done(len(written))
        if len(written) == count or written[-1] in ending:
            break
        output = reader.step(written[-1], length + len(written), cache)
    return written


def first_difference(one: list[int], other: list[int]) -> int | None:
    """The place of the first token in which two continuations differ; None if they are equal.

    Examples
    --------
    >>> first_difference([3, 4, 5], [3, 9, 5]), first_difference([3, 4], [3])
    (1, 1)
    """
    for place, (here, there) in enumerate(zip(one, other, strict=False)):
        if here != there:
            return place
    return None if len(one) == len(other) else min(len(one), len(other))
