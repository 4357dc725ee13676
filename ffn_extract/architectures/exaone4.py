"""EXAONE 4: OLMo 2's layers, an RMSNorm after the FFN instead of before."""

from dataclasses import replace

from ffn_extract.architectures import olmo2

ARCHITECTURE = replace(olmo2.ARCHITECTURE, model_type="exaone4")
