"""mT5: T5's decoder, gated. The published files have a head of their own, which is read."""

from dataclasses import replace

from ffn_extract.architectures import t5

ARCHITECTURE = replace(t5.ARCHITECTURE, model_type="mt5")
