"""Declaration of a model family's tensors."""

from dataclasses import dataclass
from typing import Literal

Orientation = Literal["row", "col"]
Part = Literal["all", "first half", "second half", "even", "odd"]
Form = Literal["causal", "encoder", "encoder-decoder"]

NEVER_NEGATIVE = frozenset({"relu", "relu2", "relu6", "sigmoid"})
"""Activations whose result is never below zero, by their name in transformers' configs."""


@dataclass(frozen=True, slots=True)
class Matrix:
    """A matrix on disk, `{layer}` in its name. "row": vector i is row i of the stored matrix.

    Where one tensor holds two matrices (gate and up), `part` tells which of its vectors are meant.
    """

    name: str
    orientation: Orientation
    part: Part = "all"


@dataclass(frozen=True, slots=True)
class FFN:
    """The matrices of a feed-forward layer, or of each of its experts.

    Attributes
    ----------
    key, value
        The input matrix and the output matrix. No list needs the key matrix, so that of a family
        that somebody describes by hand may be None.
    up
        The key matrix's partner in a gated FFN, else None.
    d_ff_keys
        The width's name in config.json; of several the first that is there counts. Empty: the
        width is d_ff_factor · d_model or, without a factor, what the value matrix has.
    d_ff_factor
        d_ff / d_model where config.json gives no width; None where it always does.
    d_ff_times
        An entry of config.json by which that width is multiplied, where it is there.
    experts_keys
        The number of experts' name in config.json; empty for an FFN without experts. A name with
        `{expert}` is one expert's tensor, one without holds all experts along its first axis. Value
        i of expert e has the index e · d_ff + i.
    then
        An FFN beside this one whose vectors are numbered after all of these: a shared expert.
    gate_module
        In transformers' base model, the module whose output, through a sigmoid, multiplies what
        this FFN gives.
    routed
        Whether the router's weight multiplies what an expert gives or what it reads.
    """

    key: Matrix | None
    value: Matrix
    up: Matrix | None = None
    d_ff_keys: tuple[str, ...] = ("intermediate_size",)
    d_ff_factor: int | None = None
    d_ff_times: str | None = None
    experts_keys: tuple[str, ...] = ()
    then: "FFN | None" = None
    gate_module: str | None = None
    routed: Literal["output", "input"] = "output"

    @property
    def mark(self) -> Matrix:
        """The matrix that identifies a layer of this form: the key, else the value."""
        return self.key or self.value


@dataclass(frozen=True, slots=True)
class NormNames:
    """A norm's tensors; `{layer}` in a name makes it the layer's own.

    Of several names the first that the file has counts (old files name norms gamma and beta); no
    names for the gain: a norm without parameters. "layer" subtracts the mean, "rms" does not.
    `gain_offset` is added to the stored gain. `epsilon_key` is its name in config.json.
    """

    kind: Literal["layer", "rms"]
    gain: tuple[str, ...]
    bias: tuple[str, ...] = ()
    epsilon_key: str = "layer_norm_eps"
    default_epsilon: float = 1e-5
    gain_offset: float = 0.0


@dataclass(frozen=True, slots=True)
class MaskedHead:
    """The tensors of a masked-language-model head before its embeddings, without prefix.

    `dense` is a matrix of d_model columns with its vectors as rows; `gain` is that of the LayerNorm
    after it (the first name that the file has); `decoder` is the unembedding where the file has it.
    """

    dense: str
    gain: tuple[str, ...]
    decoder: str


@dataclass(frozen=True, slots=True)
class Architecture:
    """One family: names on disk, orientation, norm, and names in config.json.

    Attributes
    ----------
    model_type
        As in config.json.
    prefixes
        What may stand before the names of tensors, in the order tried.
    ffns
        The forms that a layer's FFN can have: a layer has the first whose key matrix (without one,
        value matrix) is in the file. Most families have one.
    embedding
        The input embeddings, which are the unembedding where the head is tied to them.
    heads
        Names (without prefix) of a separate unembedding.
    tied_by_default
        What an absent tie_word_embeddings in config.json means: whether the embeddings are the
        unembedding of a file without a head. None for a family without heads, whose vectors are
        projected straight onto the embeddings.
    adaptive
        Whether embeddings and head are fairseq's adaptive ones, in bands of their own widths.
    masked_head
        The head through which an encoder can be projected, if somebody asks for that.
    project_out
        What stands between d_model and an unembedding whose rows are narrower, where one is.
    norm
        The norm before the unembedding; None where there is none.
    after_ffn
        The family's RMSNorm between the FFN and the residual stream, if it has one.
    value_module
        In transformers' base model, the module whose output is the FFN update o (before the norm
        after the FFN): without experts, the one that holds the value matrix; with experts, the one
        whose child `experts` holds them. None where transformers cannot run the model.
    form
        How the model reads text; only causal models are traced.
    norm_after_adding
        The entry of config.json, and its value, with which blocks norm the residual stream after
        the FFN was added.
    norm_module
        In transformers' base model, the norm before the unembedding, where it has no gain whose
        name tells.
    update_factor_key
        The entry of config.json by which the FFN update is multiplied before it is added.
    layers_keys, d_model_keys, activation_key
        Names in config.json; of several the first that is there counts. Without any, the layers
        are counted in the file and d_model is the width of the unembedding.
    default_activation
        What an absent activation_key means.
    only
        Entries of config.json that make it another model where they are there with another value.
    """

    model_type: str
    prefixes: tuple[str, ...]
    ffns: tuple[FFN, ...]
    embedding: str
    norm: NormNames | None
    value_module: str | None
    heads: tuple[str, ...] = ()
    tied_by_default: bool | None = None
    adaptive: bool = False
    masked_head: MaskedHead | None = None
    project_out: Matrix | None = None
    after_ffn: NormNames | None = None
    layers_keys: tuple[str, ...] = ("num_hidden_layers",)
    d_model_keys: tuple[str, ...] = ("hidden_size",)
    activation_key: str = "hidden_act"
    default_activation: str | None = None
    only: tuple[tuple[str, int], ...] = ()
    form: Form = "causal"
    norm_after_adding: tuple[str, object] | None = None
    norm_module: str | None = None
    update_factor_key: str | None = None
