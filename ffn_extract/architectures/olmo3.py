"""OLMo 3: OLMo 2's layers."""

from dataclasses import replace

from ffn_extract.architectures import olmo2

ARCHITECTURE = replace(olmo2.ARCHITECTURE, model_type="olmo3")
