"""Granite: LLaMA's layers. Its positive multipliers of updates and logits keep every rank."""

from dataclasses import replace

from ffn_extract.architectures import llama

ARCHITECTURE = replace(llama.ARCHITECTURE, model_type="granite")
