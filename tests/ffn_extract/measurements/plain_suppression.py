"""Continuations and perplexity of edited models, by plain loops without a cache.

It imports only torch and what edits weights: m := c at every position is a value vector of zeros
and c·v added to what the FFN gives.
"""

import copy
import math

import torch

from tests.ffn_extract.tracing.edited_models import with_added, with_scaled_vector
from tests.ffn_extract.tracing.plain_reading import block_of, values_of


def turned_on(model, turned):
    """A copy of a model with the coefficients of (layer, index, coefficient) set."""
    edited = model
    for layer, index, _ in turned:
        edited = with_scaled_vector(edited, layer, index, 0.0)
    for layer in sorted({one[0] for one in turned}):
        values = values_of(block_of(model, layer))
        added = sum(c * values[index] for of, index, c in turned if of == layer)
        edited = with_added(edited, layer, added)
    return edited


def gpt2_turned_on_before(model, turned):
    """The same of what GPT-2's activation reads: a key of zeros with the coefficient as bias."""
    edited = copy.deepcopy(model)
    for layer, index, coefficient in turned:
        key = block_of(edited, layer).mlp.c_fc
        key.weight.data[:, index] = 0
        key.bias.data[index] = coefficient
    return edited


def log_probabilities(model, ids):
    with torch.inference_mode():
        logits = model(input_ids=torch.tensor([ids]), use_cache=False).logits[0]
    return torch.log_softmax(logits.double(), dim=-1)


def continued(model, prompt, beams, banned, new_tokens=20):
    """The best of `beams` continuations; the whole text is read again for every token."""
    found = [(0.0, [])]
    for _ in range(new_tokens):
        longer = []
        for score, new in found:
            last = log_probabilities(model, [*prompt, *new])[-1].clone()
            last[list(banned)] = -math.inf
            for token in last.topk(beams).indices.tolist():
                longer.append((score + float(last[token]), [*new, token]))
        found = sorted(longer, key=lambda one: -one[0])[:beams]
    return found[0][1]


def perplexity(model, windows):
    """Perplexity over windows without a token before them, and the tokens predicted there."""
    losses, tops = [], []
    for ids in windows:
        known = log_probabilities(model, ids)[:-1]
        losses += [-float(row[token]) for row, token in zip(known, ids[1:], strict=True)]
        tops += known.argmax(dim=1).tolist()
    return math.exp(math.fsum(losses) / len(losses)), tops
