"""Which families of `TINY_FAMILIES` have readings, and why the others have none."""

from functools import cache

import transformers

from ffn_extract.architectures import ARCHITECTURES
from ffn_extract.tracing.reader import Reader
from tests.ffn_extract.tiny_families import TINY_FAMILIES

REFUSED = {
    "albert": "is an encoder",
    "bart": "has an encoder and a decoder",
    "bert": "is an encoder",
    "camembert": "is an encoder",
    "deberta-v2": "is an encoder",
    "distilbert": "is an encoder",
    "electra": "is an encoder",
    "electra+narrow": "is an encoder",
    "modernbert": "is an encoder",
    "mpnet": "is an encoder",
    "mt5": "has an encoder and a decoder",
    "opt+350m": "norms the residual stream after the FFN update was added",
    "roberta": "is an encoder",
    "t5": "has an encoder and a decoder",
    "t5+gated": "has an encoder and a decoder",
    "xlm-roberta": "is an encoder",
}
READ = sorted(set(TINY_FAMILIES) - set(REFUSED))


@cache
def causal_model(folder):
    """The model in a folder; one object for equal calls, so tests change copies of it."""
    return transformers.AutoModelForCausalLM.from_pretrained(
        folder, attn_implementation="eager"
    ).eval()


@cache
def reader_of(folder, family):
    """A reader of the model in a folder."""
    return Reader(causal_model(folder), ARCHITECTURES[family.split("+")[0]])
