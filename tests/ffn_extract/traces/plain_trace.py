"""A trace of a tiny causal model from hidden states and edited weights alone, in float64.

A second implementation that imports only torch and transformers, on top of `PlainReading`: it knows
no hook of ours, no family's declaration and no attribute of a norm, of which it reads gain, bias
and scale from what it does to known vectors.
"""

import copy

import torch

from tests.ffn_extract.tracing.plain_reading import (
    PlainReading,
    block_of,
    final_norm_of,
    gain_after,
    values_of,
    without_final_norm,
)


class PlainTrace:
    """What a trace says of one token at one position of a text."""

    def __init__(self, model, ids, position, token_id):
        self.model, self.position, self.token_id = model, position, token_id
        self.readings = [PlainReading(model, ids, layer) for layer in (0, 1)]
        self.before = [one.before[position] for one in self.readings]
        self.after = [one.after[position] for one in self.readings]
        self.update = [one.update[position] for one in self.readings]
        self.m = [one.m[position] for one in self.readings]
        self.sub_updates = [self._sub_updates(one) for one in self.readings]
        with torch.inference_mode():
            bare = without_final_norm(model)
            states = bare(torch.tensor([ids, ids]), output_hidden_states=True, use_cache=False)
        self.entry = states.hidden_states[0][0, position].double()
        self._norm = final_norm_of(model)
        self._read_norm(self.after[-1])

    def _sub_updates(self, one):
        block = block_of(one.model, one.layer)
        added = one.m[self.position, :, None] * values_of(block) * one.factor
        after = gain_after(block)
        if after is None:
            return added
        gain, norm = after
        u = added.sum(dim=0)
        with torch.inference_mode():
            normed = norm(u[None].float())[0].double()
        largest = u.abs().argmax()
        return added * gain * (normed[largest] / (u[largest] * gain[largest]))

    def _read_norm(self, state):
        d = len(state)
        signs = torch.tensor([1.0, -1.0]).repeat(d // 2)
        with torch.inference_mode():
            probes = torch.stack([torch.zeros(d), 1e4 * signs, torch.full((d,), 1e4)])
            self.norm_bias, of_signs, of_equal = self._norm(probes).double()
            normed = self._norm(state[None].float())[0].double()
        self.gain = (of_signs - self.norm_bias) / signs
        self.centres = bool((of_equal - self.norm_bias).abs().max() < 1e-3)
        unscaled = self.gain * self.centred(state)
        largest = unscaled.abs().argmax()
        self.one_over_sigma = (normed - self.norm_bias)[largest] / unscaled[largest]

    def centred(self, vectors):
        return vectors - vectors.mean(dim=-1, keepdim=True) if self.centres else vectors

    @property
    def factor(self):
        config = self.model.config
        times = getattr(config, "logit_scale", None) or 1.0
        return times / (getattr(config, "logits_scaling", None) or 1.0)

    def push(self, vectors):
        """e_w·(g ⊙ (s − mean(s)))/σ."""
        head = self.model.get_output_embeddings().weight.detach().double()
        normed = self.gain * self.centred(vectors) * self.one_over_sigma
        return normed @ head[self.token_id] * self.factor

    @property
    def bias(self):
        head = self.model.get_output_embeddings()
        found = head.weight.detach().double()[self.token_id] @ self.norm_bias
        if getattr(head, "bias", None) is not None:
            found = found + head.bias.detach().double()[self.token_id]
        return float(found * self.factor)

    def logits(self, states):
        """The model's own logits of states of the stream, before caps."""
        head = copy.deepcopy(self.model.get_output_embeddings()).double()
        with torch.inference_mode():
            return head(self._norm(states.float()).double()) * self.factor

    def probabilities(self, states):
        logits = self.logits(states)
        cap = getattr(self.model.config, "final_logit_softcapping", None)
        return torch.softmax(cap * torch.tanh(logits / cap) if cap else logits, dim=-1)

    def sizes(self, layer):
        return self.sub_updates[layer].norm(dim=-1)


def own_logit(model, ids, position, token_id):
    """What a plain run of the model gives, its cap undone."""
    with torch.inference_mode():
        logits = model(torch.tensor([ids]), use_cache=False).logits[0, position].double()
    cap = getattr(model.config, "final_logit_softcapping", None)
    found = float(logits[token_id])
    return cap * float(torch.atanh(torch.tensor(found / cap).double())) if cap else found
