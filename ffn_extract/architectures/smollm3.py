"""SmolLM3: LLaMA's layers; the head is tied unless config.json says otherwise."""

from dataclasses import replace

from ffn_extract.architectures import llama

ARCHITECTURE = replace(llama.ARCHITECTURE, model_type="smollm3", tied_by_default=True)
