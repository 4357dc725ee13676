"""Model families in GGUF files: one set of names for all, values always as columns.

llama.cpp transposes GPT-2's matrices and adds 1 to the gains of Gemma and its kin when it writes
them, so that both are as in other families there.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ffn_extract.architectures.declaration import FFN, Architecture, Matrix, NormNames
from ffn_extract.errors import ArchitectureError

IN_GGUF = "in_gguf"
"""Marks settings that come from a GGUF file."""

MODEL_TYPES = {
    "bloom": "bloom", "command-r": "cohere", "falcon": "falcon", "gemma": "gemma",
    "gemma2": "gemma2", "gemma3": "gemma3_text", "gpt2": "gpt2", "gptneox": "gpt_neox",
    "llama": "llama", "mpt": "mpt", "olmo2": "olmo2", "phi3": "phi3", "qwen2": "qwen2",
    "qwen3": "qwen3", "stablelm": "stablelm", "starcoder2": "starcoder2",
}  # fmt: skip
"""The families that are read from GGUF files: GGUF's name, and the model_type."""
RUN = frozenset(
    ("bloom", "falcon", "gemma2", "gemma3_text", "gpt2", "llama", "phi3", "qwen2", "qwen3",
     "stablelm", "starcoder2")
)  # fmt: skip
"""Those of which transformers makes a model that runs; the others have no updates."""


def in_gguf(family: Architecture, config: Mapping[str, Any]) -> Architecture:
    """A family's declaration with the names that GGUF files have.

    Raises ArchitectureError for a family that is known and not read from GGUF files, and for a
    model with experts.
    """
    if config.get("num_experts"):
        raise ArchitectureError(
            f"The GGUF file's FFN has {config['num_experts']} experts in each layer; "
            "GGUF files with experts cannot be read. Give the model from which the file was made, "
            "as a folder with config.json and safetensors."
        )
    if family.model_type not in MODEL_TYPES.values():
        raise ArchitectureError(
            f"GGUF files of the family {family.model_type} cannot be read. Give the model from "
            "which the file was made, as a folder with config.json and safetensors."
        )
    return replace(
        family,
        prefixes=("",),
        ffns=(_ffn(family.ffns[0]),),
        embedding="token_embd.weight",
        heads=("output.weight",),
        norm=family.norm and _norm(family.norm, "output_norm"),
        after_ffn=family.after_ffn and _norm(family.after_ffn, "blk.{layer}.post_ffw_norm"),
        value_module=family.value_module if family.model_type in RUN else None,
        layers_keys=("num_hidden_layers",),
        d_model_keys=("hidden_size",),
    )


def _ffn(ffn: FFN) -> FFN:
    up = Matrix("blk.{layer}.ffn_up.weight", "row")
    value = Matrix("blk.{layer}.ffn_down.weight", "col")
    if ffn.up is None:
        return FFN(key=up, value=value)
    if ffn.key is not None and ffn.key.part != "all":  # one tensor holds gate and up
        gate, up = (replace(up, part=matrix.part) for matrix in (ffn.key, ffn.up))
        return FFN(key=gate, value=value, up=up)
    return FFN(key=Matrix("blk.{layer}.ffn_gate.weight", "row"), value=value, up=up)


def _norm(norm: NormNames, name: str) -> NormNames:
    return replace(
        norm,
        gain=(f"{name}.weight",),
        bias=(f"{name}.bias",) if norm.bias else (),
        epsilon_key="rms_norm_eps" if norm.kind == "rms" else "layer_norm_eps",
        gain_offset=0.0,
    )
