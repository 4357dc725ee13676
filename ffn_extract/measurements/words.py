"""Tokens of value vectors, and how common they are in the corpus that is measured."""

from collections.abc import Sequence
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray

from ffn_extract.architectures import ModelWeights
from ffn_extract.projection.projector import project
from ffn_extract.vocabulary import Vocabulary

Floats = NDArray[np.float64]
Ids = NDArray[np.int64]
TOP = 10


class Words:
    """A model's value vectors, the tokens that they promote, and unigram ranks.

    `counts` are those of each token in the corpus, shape (vocab,).
    """

    def __init__(self, weights: ModelWeights, vocabulary: Vocabulary, counts: Ids) -> None:
        self._weights, self._vocabulary, self._counts = weights, vocabulary, counts

    def vectors(self, layer: int, indices: Sequence[int]) -> Floats:
        """Value vectors of a layer, shape (n, d_model)."""
        rows = [self._weights.value_rows(layer, index, index + 1) for index in indices]
        found: Floats = torch.cat(rows).double().numpy()
        return found

    def top(self, vectors: Floats) -> Ids:
        """The 10 tokens with the highest score e·v of each vector, shape (n, 10)."""
        rows = self._weights.dimensions.vocab_size
        allowed = self._vocabulary.allowed(rows, drop_special=False)
        found = project(
            self._weights.before_unembedding(vectors),
            self._weights.unembedding,
            allowed,
            min(TOP, int(allowed.sum())),
            both_sides=False,
        )
        return found.top.token_ids

    def shown(self, token_ids: Ids) -> str:
        """Tokens as people see them, separated by spaces."""
        return " ".join(self._vocabulary.form(token_id).display for token_id in token_ids.tolist())

    @cached_property
    def ranks(self) -> Floats:
        """1 for the most common token of the corpus; equally common ones share their mean rank."""
        return unigram_ranks(self._counts)


def unigram_ranks(counts: Ids) -> Floats:
    """Ranks by descending count, equal ones sharing the mean of theirs, shape (vocab,).

    Examples
    --------
    >>> unigram_ranks(np.array([0, 5, 9, 0])).tolist()
    [3.5, 2.0, 1.0, 3.5]
    """
    _, inverse, sizes = np.unique(-counts, return_inverse=True, return_counts=True)
    last = np.cumsum(sizes)
    found: Floats = (last - (sizes - 1) / 2)[inverse]
    return found
