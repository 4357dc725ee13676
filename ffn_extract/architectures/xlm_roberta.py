"""XLM-RoBERTa: RoBERTa for a hundred languages."""

from dataclasses import replace

from ffn_extract.architectures import roberta

ARCHITECTURE = replace(roberta.ARCHITECTURE, model_type="xlm-roberta")
