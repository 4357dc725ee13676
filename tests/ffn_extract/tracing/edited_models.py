"""Copies of tiny models whose weights do what an intervention does at every position."""

import copy

from torch import nn

from tests.ffn_extract.tracing.plain_reading import block_of, ffn_of, value_views


class Adding(nn.Module):
    """A module that adds to what another gives; vectors of shape (d,) or (positions, d)."""

    def __init__(self, module, added):
        super().__init__()
        self.module, self.added = module, added

    def __getattr__(self, name):
        own = ("module", "added")
        return super().__getattr__(name) if name in own else getattr(self.module, name)

    def forward(self, *args, **kwargs):
        output = self.module(*args, **kwargs)
        first = output[0] if isinstance(output, tuple) else output
        added = (first + self.added.to(first)).reshape(first.shape)
        return (added, *output[1:]) if isinstance(output, tuple) else added


def with_added(model, layer, added):
    """A copy whose FFN gives more, at all positions or at each its own."""
    model = copy.deepcopy(model)
    block = block_of(model, layer)
    ffn = ffn_of(block)
    if ffn is block:
        block.fc2 = Adding(block.fc2, added)
        return model
    name = next(name for name, child in block.named_children() if child is ffn)
    setattr(block, name, Adding(ffn, added))
    return model


def with_scaled_vector(model, layer, index, factor):
    model = copy.deepcopy(model)
    for _, view, n, _ in value_views(block_of(model, layer)):
        if index < n:
            view[index] *= factor
            return model
        index -= n
    raise AssertionError("no such vector")
