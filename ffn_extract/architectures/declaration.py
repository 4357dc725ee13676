"""What a model family declares about its tensors."""

from dataclasses import dataclass
from typing import Literal

Orientation = Literal["row", "col"]

NEVER_NEGATIVE = frozenset({"relu", "relu2", "relu6", "sigmoid"})
"""Activations whose result is never below zero, by their name in transformers' configs."""


@dataclass(frozen=True, slots=True)
class Matrix:
    """A matrix on disk, `{layer}` in its name. "row": vector i is row i of the stored matrix."""

    name: str
    orientation: Orientation


@dataclass(frozen=True, slots=True)
class NormNames:
    """The norm before the unembedding; `{layer}` in a name makes it the layer's own.

    Of several names the first that the file has counts (old files name norms gamma and beta).
    "layer" subtracts the mean, "rms" does not. `epsilon_key` is its name in config.json.
    """

    kind: Literal["layer", "rms"]
    gain: tuple[str, ...]
    bias: tuple[str, ...] = ()
    epsilon_key: str = "layer_norm_eps"
    default_epsilon: float = 1e-5


@dataclass(frozen=True, slots=True)
class Architecture:
    """One family: names on disk, orientation, norm, and names in config.json.

    Attributes
    ----------
    model_type
        As in config.json.
    prefixes
        What may stand before the names of tensors, in the order tried.
    key, value
        The FFN's input matrix and output matrix.
    up
        The key matrix's partner in a gated FFN, else None.
    embedding
        The input embeddings, which are the unembedding where the file has no head.
    heads
        Names (without prefix) of a separate unembedding.
    value_module
        In transformers' base model, the module that holds the value matrix: its input are the
        coefficients m and its output is the FFN update o.
    layers_key, d_model_key, d_ff_key, activation_key
        Names in config.json.
    d_ff_factor
        d_ff / d_model where config.json gives no d_ff; None where it always does.
    """

    model_type: str
    prefixes: tuple[str, ...]
    key: Matrix
    value: Matrix
    embedding: str
    norm: NormNames
    value_module: str
    up: Matrix | None = None
    heads: tuple[str, ...] = ()
    layers_key: str = "num_hidden_layers"
    d_model_key: str = "hidden_size"
    d_ff_key: str = "intermediate_size"
    d_ff_factor: int | None = None
    activation_key: str = "hidden_act"

    def signed(self, activation: object) -> bool:
        """Whether coefficients can be negative, so that a list's bottom means something too."""
        return self.up is not None or activation not in NEVER_NEGATIVE
