"""CamemBERT: RoBERTa for French."""

from dataclasses import replace

from ffn_extract.architectures import roberta

ARCHITECTURE = replace(roberta.ARCHITECTURE, model_type="camembert")
