"""Model families in GGUF files: one set of names for all, values always as columns.

llama.cpp transposes GPT-2's matrices and adds 1 to the gains of Gemma and its kin when it writes
them, so that both are as in other families there. It stacks a layer's experts, gate and up apart.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ffn_extract.architectures.declaration import FFN, Architecture, Matrix, NormNames
from ffn_extract.errors import ArchitectureError

IN_GGUF = "in_gguf"
"""Marks settings that come from a GGUF file."""

MODEL_TYPES = {
    "bloom": "bloom", "cohere2": "cohere2", "command-r": "cohere", "deepseek2": "deepseek_v3",
    "exaone4": "exaone4", "falcon": "falcon", "gemma": "gemma", "gemma2": "gemma2",
    "gemma3": "gemma3_text", "glm4": "glm4", "glm4moe": "glm4_moe", "gpt-oss": "gpt_oss",
    "gpt2": "gpt2", "gptneox": "gpt_neox", "granite": "granite", "llama": "llama",
    "llama4": "llama4_text", "mistral3": "ministral3", "mpt": "mpt", "olmo": "olmo",
    "olmo2": "olmo2", "olmoe": "olmoe", "phi2": "phi", "phi3": "phi3", "qwen2": "qwen2",
    "qwen2moe": "qwen2_moe", "qwen3": "qwen3", "qwen3moe": "qwen3_moe", "smollm3": "smollm3",
    "stablelm": "stablelm", "starcoder": "gpt_bigcode", "starcoder2": "starcoder2",
}  # fmt: skip
"""The families that are read from GGUF files: GGUF's name, and the model_type."""
RUN = frozenset(
    ("bloom", "falcon", "gemma2", "gemma3_text", "gpt2", "llama", "phi3", "qwen2", "qwen3",
     "stablelm", "starcoder2")
)  # fmt: skip
"""Those of which transformers makes a model that runs; the others have no updates."""


WITH_EXPERTS = {"llama": "mixtral"}
"""The model_type of a file with experts, where GGUF has one name for it and for one without."""


def model_type_in_gguf(family: str, experts: object) -> str:
    """The model_type of a family by GGUF's name; an unknown name stays as it is."""
    known = WITH_EXPERTS.get(family) if experts else None
    return known or MODEL_TYPES.get(family, family)


def in_gguf(family: Architecture, config: Mapping[str, Any]) -> Architecture:
    """A family's declaration with the names that GGUF files have.

    Raises ArchitectureError for a family that is known and not read from GGUF files, and for a
    model with experts.
    """
    stacked = any(ffn.experts_keys for ffn in family.ffns)
    if config.get("num_experts") and not stacked:
        raise ArchitectureError(
            f"The GGUF file's FFN has {config['num_experts']} experts in each layer; "
            f"a {family.model_type} model with experts cannot be read. Give the model from which "
            "the file was made, as a folder with config.json and safetensors."
        )
    if family.model_type not in {*MODEL_TYPES.values(), *WITH_EXPERTS.values()}:
        raise ArchitectureError(
            f"GGUF files of the family {family.model_type} cannot be read. Give the model from "
            "which the file was made, as a folder with config.json and safetensors."
        )
    return replace(
        family,
        prefixes=("",),
        ffns=tuple(
            _experts(ffn) if ffn.experts_keys else _ffn(ffn, stacked) for ffn in family.ffns
        ),
        embedding="token_embd.weight",
        heads=("output.weight",),
        norm=family.norm and _norm(family.norm, "output_norm"),
        after_ffn=family.after_ffn and _norm(family.after_ffn, "blk.{layer}.post_ffw_norm"),
        value_module=family.value_module if family.model_type in RUN else None,
        layers_keys=("num_hidden_layers",),
        d_model_keys=("hidden_size",),
    )


def _ffn(ffn: FFN, among_experts: bool) -> FFN:
    up = Matrix("blk.{layer}.ffn_up.weight", "row")
    value = Matrix("blk.{layer}.ffn_down.weight", "col")
    if ffn.up is None:
        return FFN(key=up, value=value)
    if ffn.key is not None and ffn.key.part != "all":  # one tensor holds gate and up
        gate, up = (replace(up, part=matrix.part) for matrix in (ffn.key, ffn.up))
        return FFN(key=gate, value=value, up=up)
    return _gated("") if among_experts else replace(_gated(""), d_ff_keys=("intermediate_size",))


def _experts(ffn: FFN) -> FFN:
    shared = None if ffn.then is None else _gated("_shexp")
    return replace(_gated("_exps"), experts_keys=("num_experts",), then=shared)


def _gated(ending: str) -> FFN:
    """A gated FFN as wide as the file's matrices."""
    key, up, value = (f"blk.{{layer}}.ffn_{name}{ending}.weight" for name in ("gate", "up", "down"))
    return FFN(Matrix(key, "row"), Matrix(value, "col"), Matrix(up, "row"), d_ff_keys=())


def _norm(norm: NormNames, name: str) -> NormNames:
    return replace(
        norm,
        gain=(f"{name}.weight",) if norm.gain else (),
        bias=(f"{name}.bias",) if norm.bias else (),
        epsilon_key="rms_norm_eps" if norm.kind == "rms" else "layer_norm_eps",
        gain_offset=0.0,
    )
