"""Tracers of tiny models, one for each folder."""

from functools import cache

import torch

from ffn_extract.checkpoints.find import find_checkpoint
from ffn_extract.progress import Steps, ignore
from ffn_extract.traces import TraceRequest
from ffn_extract.traces.run import open_tracer, reading_options

TEXT = "the cat sat on"


@cache
def tracer_of(folder, dtype="float32", **reading):
    return open_tracer(
        find_checkpoint(str(folder)), reading_options(reading), dtype, torch.device("cpu"),
        Steps(ignore),
    )  # fmt: skip


def traced(tracer, prompt=TEXT, **request):
    return tracer.trace(TraceRequest(prompt, **request), Steps(ignore).step)


def generated(model, ids, count, **settings):
    prompt = torch.tensor([ids])
    found = model.generate(
        prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=count, do_sample=False,
        pad_token_id=0, **settings,
    )  # fmt: skip
    return found[0, len(ids) :].tolist()
