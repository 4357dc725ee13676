"""Trace one prompt: which FFN sub-updates made a model's prediction; importable without torch.

Of each layer at one position: the prediction before and after the FFN, the ten largest sub-updates
with what each adds to the logit of one token, and the same with changed coefficients. `trace` is
`ffn_extract.trace`.
"""

from ffn_extract.traces.request import RequestedIntervention, TraceRequest

__all__ = ["RequestedIntervention", "TraceRequest"]
