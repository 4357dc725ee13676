"""Readings of a tiny causal model from hidden states and edited weights alone.

A second implementation that imports only torch and transformers: it knows no hook, no family's
declaration and nothing of ffn_extract. x̃ is a hidden state. x is the same hidden state of a model
whose layer has value vectors of zeros. m is read from a model whose value vectors are unit vectors,
as many at a time as there are dimensions.
"""

import copy

import torch
from torch import nn
from transformers.pytorch_utils import Conv1D

FINAL_NORMS = ("ln_f", "norm", "final_layer_norm", "final_layernorm", "norm_f")
NORMS_AFTER = ("post_feedforward_layernorm", "post_mlp_layernorm")
VALUES = ("c_proj", "fc_out", "fc2", "dense_4h_to_h", "down_proj", "wo")


class PlainReading:
    """Everything of one layer at every position of one text, from edited copies of a model."""

    def __init__(self, model, ids, layer):
        self.ids, self.layer = torch.tensor([ids, ids]), layer
        self.model = without_final_norm(model)
        self.factor = getattr(model.config, "residual_multiplier", 1.0)
        self.after = self.state(self.model)
        self.before = self.state(self.edited(zeroed))
        self.m = self.coefficients()
        self.update = self.after - self.before

    def state(self, model):
        """The residual stream after the layer, shape (positions, d_model), in float64."""
        with torch.inference_mode():
            states = model(input_ids=self.ids, output_hidden_states=True, use_cache=False)
        return states.hidden_states[self.layer + 1][0].double()

    def edited(self, edit):
        model = copy.deepcopy(self.model)
        for name, weight in value_parameters(block_of(model, self.layer)):
            edit(name, weight)
        return model

    def coefficients(self):
        """m of every vector, from how much of each unit vector the layer adds."""
        d = self.after.shape[1]
        sizes = [n for _, _, n, _ in value_views(block_of(self.model, self.layer))]
        parts = []
        for part, n in enumerate(sizes):
            for start in range(0, n, d):
                width = min(d, n - start)

                model = self.edited(zeroed)
                block = block_of(model, self.layer)
                without_norm_after(block)
                views = value_views(block)
                _, view, _, _ = views[part]
                view[start : start + width] = torch.eye(d)[:width]
                added = self.state(model) - self.before
                parts.append(added[:, :width] / self.factor)
        return torch.cat(parts, dim=1)


def zeroed(_name, weight):
    weight.data.zero_()


def without_final_norm(model):
    """A copy whose last hidden state is the residual stream: transformers gives it normed."""
    model = copy.deepcopy(model)
    parent = decoder_of(model)
    name = next(name for name in FINAL_NORMS if hasattr(parent, name))
    setattr(parent, name, nn.Identity())
    return model


def final_norm_of(model):
    parent = decoder_of(model)
    return getattr(parent, next(name for name in FINAL_NORMS if hasattr(parent, name)))


def decoder_of(model):
    base = model.model if model.base_model is model else model.base_model
    return getattr(base, "decoder", base)


def block_of(model, layer):
    decoder = decoder_of(model)
    names = ("layers", "h", "blocks")
    return next(getattr(decoder, name) for name in names if hasattr(decoder, name))[layer]


def ffn_of(block):
    names = ("mlp", "ffn", "feed_forward")
    return next((getattr(block, name) for name in names if hasattr(block, name)), block)


def without_norm_after(block):
    for name in NORMS_AFTER:
        if hasattr(block, name):
            setattr(block, name, nn.Identity())


def value_parameters(block):
    """The value matrices of a block, and the biases that are added to what they give."""
    ffn = ffn_of(block)
    for name, weight in ffn.named_parameters():
        parts = name.removesuffix(".weight").removesuffix(".bias").removesuffix("_bias").split(".")
        if parts[-1] in VALUES:
            yield name, weight


def value_views(block):
    """(name, view with vectors as rows, number, parameter) of each value matrix, in order."""
    ffn = ffn_of(block)
    found = []
    for name, weight in value_parameters(block):
        if name.endswith("bias"):
            continue
        if weight.ndim == 3:  # stacked experts
            rows = type(ffn.experts).__name__ in ("GptOssExperts", "Llama4TextExperts")
            for expert in weight.data:
                view = expert if rows else expert.T
                found.append((name, view, len(view), weight))
            continue
        module = ffn.get_submodule(name.rpartition(".")[0])
        view = weight.data if isinstance(module, Conv1D) else weight.data.T
        found.append((name, view, len(view), weight))
    return found


def values_of(block):
    """Value vectors of a block in float64, shape (n, d_model)."""
    return torch.cat([view.double() for _, view, _, _ in value_views(block)])


def gain_after(block):
    """The gain and epsilon of the norm after the FFN, from what it does to known vectors."""
    name = next((name for name in NORMS_AFTER if hasattr(block, name)), None)
    if name is None:
        return None
    norm = getattr(block, name)
    ones = torch.full((1, norm.weight.shape[0]), 1e4)  # so large that epsilon is nothing
    return norm(ones)[0].detach().double(), norm
