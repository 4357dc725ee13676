"""MPNet: RoBERTa's encoder and head under another prefix."""

from dataclasses import replace

from ffn_extract.architectures import roberta

ARCHITECTURE = replace(roberta.ARCHITECTURE, model_type="mpnet", prefixes=("mpnet.", ""))
