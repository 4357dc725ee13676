"""Which models can be run and read; importable without torch."""

from types import SimpleNamespace
from typing import Any

from ffn_extract.architectures import ARCHITECTURES, Architecture, family_of
from ffn_extract.architectures.settings import settings_for
from ffn_extract.checkpoints.outline import Outline
from ffn_extract.errors import ArchitectureError
from ffn_extract.options import ExtractOptions


def require_outline_traceable(outline: Outline, options: ExtractOptions) -> None:
    """Refuse a model by its settings, before its weights are read. Raises ArchitectureError."""
    found = family_of(outline.config, options, outline.shapes)
    settings = settings_for(found.architecture, found.config)
    require_traceable(running_family(found.architecture), SimpleNamespace(**settings))


def running_family(architecture: Architecture) -> Architecture:
    """The family by transformers' names, where a GGUF file's family has its own ones for tensors.

    One that cannot be run stays as it is, to be refused.
    """
    known = ARCHITECTURES.get(architecture.model_type)
    if known is None or architecture.value_module != known.value_module:
        return architecture
    return known


def require_traceable(architecture: Architecture, config: Any) -> None:
    """Refuse models without readings: x̃ = x + o must be the stream that the next layer reads.

    Raises ArchitectureError.
    """
    name = architecture.model_type
    if architecture.form == "encoder":
        raise ArchitectureError(
            f"A {name} model is an encoder: it predicts no next token, and its blocks norm the "
            "residual stream. Measurements and traces need a causal model, such as gpt2."
        )
    if architecture.form == "encoder-decoder":
        raise ArchitectureError(
            f"A {name} model has an encoder and a decoder; only models that read and continue one "
            "text can be measured and traced. Give a causal model, such as gpt2."
        )
    if architecture.value_module is None:
        raise ArchitectureError(
            f"This {name} model cannot be run, because transformers does not know its form, so it "
            "cannot be measured or traced. Its lists can be extracted with the kinds value and "
            "random."
        )
    after = architecture.norm_after_adding
    if after is not None and getattr(config, after[0], None) == after[1]:
        raise ArchitectureError(
            f"This {name} model norms the residual stream after the FFN update was added "
            f"({after[0]} is {after[1]}), so there is no sum x + o that the next layer reads. It "
            "cannot be measured or traced."
        )
