"""The model families, one small file each; `docs/extending.md` shows how to add one."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ffn_extract.architectures import (
    albert,
    bart,
    bert,
    bloom,
    camembert,
    codegen,
    cohere,
    cohere2,
    deberta_v2,
    deepseek_v3,
    distilbert,
    electra,
    exaone4,
    falcon,
    gemma,
    gemma2,
    gemma3_text,
    glm4,
    glm4_moe,
    gpt2,
    gpt_bigcode,
    gpt_neo,
    gpt_neox,
    gpt_oss,
    gptj,
    granite,
    llama,
    llama4_text,
    ministral3,
    mistral,
    mixtral,
    modernbert,
    mpnet,
    mpt,
    mt5,
    olmo,
    olmo2,
    olmo3,
    olmoe,
    opt,
    phi,
    phi3,
    qwen2,
    qwen2_moe,
    qwen3,
    qwen3_5_text,
    qwen3_moe,
    roberta,
    smollm3,
    stablelm,
    starcoder2,
    t5,
    wikilm,
    xlm_roberta,
)
from ffn_extract.architectures.declaration import FFN, Architecture, Matrix, NormNames
from ffn_extract.architectures.given import GivenFamily, Shapes, given_family
from ffn_extract.architectures.in_gguf import IN_GGUF, in_gguf
from ffn_extract.architectures.naming import LIST_TENSORS
from ffn_extract.architectures.settings import text_part
from ffn_extract.errors import ArchitectureError

if TYPE_CHECKING:
    from ffn_extract.architectures.weights import Dimensions, ModelWeights
    from ffn_extract.options import ExtractOptions

__all__ = [
    "ARCHITECTURES",
    "FFN",
    "Architecture",
    "Dimensions",
    "Matrix",
    "ModelWeights",
    "NormNames",
    "architecture_of",
    "family_of",
    "given_family",
    "registry",
]


def __getattr__(name: str) -> Any:
    """Import lazily what reads weights, because it loads torch; declarations do not need it."""
    if name in ("Dimensions", "ModelWeights"):
        from ffn_extract.architectures import weights

        return getattr(weights, name)
    raise AttributeError(f"module {__name__} has no attribute {name}")


def registry(*architectures: Architecture) -> dict[str, Architecture]:
    """Architectures by model type. Raises ArchitectureError when a type is declared twice."""
    entries: dict[str, Architecture] = {}
    for architecture in architectures:
        if architecture.model_type in entries:
            raise ArchitectureError(f"The family {architecture.model_type} is declared twice.")
        entries[architecture.model_type] = architecture
    return entries


ARCHITECTURES = registry(
    albert.ARCHITECTURE,
    bart.ARCHITECTURE,
    bert.ARCHITECTURE,
    bloom.ARCHITECTURE,
    camembert.ARCHITECTURE,
    codegen.ARCHITECTURE,
    cohere.ARCHITECTURE,
    cohere2.ARCHITECTURE,
    deberta_v2.ARCHITECTURE,
    deepseek_v3.ARCHITECTURE,
    distilbert.ARCHITECTURE,
    electra.ARCHITECTURE,
    exaone4.ARCHITECTURE,
    falcon.ARCHITECTURE,
    gemma.ARCHITECTURE,
    gemma2.ARCHITECTURE,
    gemma3_text.ARCHITECTURE,
    glm4.ARCHITECTURE,
    glm4_moe.ARCHITECTURE,
    gpt2.ARCHITECTURE,
    gpt_bigcode.ARCHITECTURE,
    gpt_neo.ARCHITECTURE,
    gpt_neox.ARCHITECTURE,
    gpt_oss.ARCHITECTURE,
    gptj.ARCHITECTURE,
    granite.ARCHITECTURE,
    llama.ARCHITECTURE,
    llama4_text.ARCHITECTURE,
    ministral3.ARCHITECTURE,
    mistral.ARCHITECTURE,
    mixtral.ARCHITECTURE,
    modernbert.ARCHITECTURE,
    mpnet.ARCHITECTURE,
    mpt.ARCHITECTURE,
    mt5.ARCHITECTURE,
    olmo.ARCHITECTURE,
    olmo2.ARCHITECTURE,
    olmo3.ARCHITECTURE,
    olmoe.ARCHITECTURE,
    opt.ARCHITECTURE,
    phi.ARCHITECTURE,
    phi3.ARCHITECTURE,
    qwen2.ARCHITECTURE,
    qwen2_moe.ARCHITECTURE,
    qwen3.ARCHITECTURE,
    qwen3_5_text.ARCHITECTURE,
    qwen3_moe.ARCHITECTURE,
    roberta.ARCHITECTURE,
    smollm3.ARCHITECTURE,
    stablelm.ARCHITECTURE,
    starcoder2.ARCHITECTURE,
    t5.ARCHITECTURE,
    wikilm.ARCHITECTURE,
    xlm_roberta.ARCHITECTURE,
)


WITHOUT_FFN = frozenset({"mamba", "mamba2", "falcon_mamba"})
"""Families whose layers are state-space mixers alone."""


def architecture_of(config: Mapping[str, Any]) -> Architecture:
    """The family that a config.json names. Raises ArchitectureError when it is not known."""
    model_type = config.get("model_type")
    of_text = text_part(config).get("model_type")
    for one in (model_type, of_text):
        if isinstance(one, str) and one in ARCHITECTURES:
            family = ARCHITECTURES[one]
            return in_gguf(family, config) if config.get(IN_GGUF) else family
    if isinstance(model_type, str) and model_type in WITHOUT_FFN:
        raise ArchitectureError(
            f"A {model_type} model has no FFN: its layers only mix tokens in a state "
            "space, so it has no value vectors. Give a model of another family."
        )
    text = f", with a text part of model_type {of_text!r}" if of_text else ""
    raise ArchitectureError(
        f"The model's family (model_type {model_type!r}{text}) is not known. To read it "
        "anyway, name the FFN's value matrix and the unembedding, and say whether value i is row i "
        "or column i of the value matrix: --value-tensor NAME "
        "--unembedding-tensor NAME --orientation row|col, with {layer} for the layer's number and "
        f"{{expert}} for an expert's. {LIST_TENSORS} `python -m ffn_extract architectures` lists "
        "the known families, and docs/extending.md shows how to add one."
    )


def family_of(config: Mapping[str, Any], options: "ExtractOptions", shapes: Shapes) -> GivenFamily:
    """The family as options describe it, else as config.json names it, with its config.

    Raises ArchitectureError where it is not known, or the tensors are not as described.
    """
    if options.describes_family:
        return given_family(config, options, shapes)
    return GivenFamily(architecture_of(config), config)
