"""CodeGen: GPT-J's layers."""

from dataclasses import replace

from ffn_extract.architectures import gptj

ARCHITECTURE = replace(gptj.ARCHITECTURE, model_type="codegen")
