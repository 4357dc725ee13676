"""Cohere's Command R7B: Command's layers."""

from dataclasses import replace

from ffn_extract.architectures import cohere

ARCHITECTURE = replace(cohere.ARCHITECTURE, model_type="cohere2")
