"""Granite: LLaMA's layers. Its positive multipliers of updates and logits keep every rank.

The multiplier of updates is part of what a running model adds.
"""

from dataclasses import replace

from ffn_extract.architectures import llama

ARCHITECTURE = replace(
    llama.ARCHITECTURE, model_type="granite", update_factor_key="residual_multiplier"
)
