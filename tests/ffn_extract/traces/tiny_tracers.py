"""Tracers of tiny models, one for each folder."""

from functools import cache

import torch

from ffn_extract.checkpoints.find import find_checkpoint
from ffn_extract.progress import Steps, ignore
from ffn_extract.traces import TraceRequest
from ffn_extract.traces.run import open_tracer, reading_options

TEXT = "the cat sat on"


@cache
def tracer_of(folder, dtype="float32"):
    return open_tracer(
        find_checkpoint(str(folder)), reading_options({}), dtype, torch.device("cpu"), Steps(ignore)
    )


def traced(tracer, prompt=TEXT, **request):
    return tracer.trace(TraceRequest(prompt, **request), Steps(ignore).step)
