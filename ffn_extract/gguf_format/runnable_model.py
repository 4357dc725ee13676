"""Load a GGUF model into transformers, to read updates from it.

transformers' own loader leaves out in silence what it does not know. Here each tensor of the file
must have a place in the model, each parameter of the model a tensor, and each setting that changes
what is computed must have reached the model.
"""

from collections.abc import Iterator
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM
from transformers.initialization import no_init_weights
from transformers.integrations import ggml
from transformers.modeling_gguf_pytorch_utils import (
    TENSOR_PROCESSORS,
    TensorProcessor,
    get_gguf_hf_weights_map,
)

from ffn_extract.architectures.in_gguf import MODEL_TYPES
from ffn_extract.checkpoints.tensor_files import TensorFiles
from ffn_extract.errors import CheckpointError
from ffn_extract.gguf_format.model import GGUFModel

_auto: Any = AutoModelForCausalLM  # untyped, as what follows
_processors: Any = TENSOR_PROCESSORS
_table: Any = ggml.GGUF_CONFIG_MAPPING
_without_init: Any = no_init_weights
_EMBEDDINGS, _POSITIONS = "token_embd.weight", "position_embd.weight"
_HEAD = ("output.weight", "output.bias")  # behind the layers: no update depends on it
_NO_PART = frozenset(
    ("context_length", "vocab_size", "tensor_data_layout", "use_parallel_residual",
     "feed_forward_length", "final_logit_softcapping")
)  # fmt: skip
"""Settings that change no update, or that the shapes of the tensors say as well."""

_EPSILONS = ("layer_norm_epsilon", "layer_norm_eps", "norm_epsilon")
_SCALED_BY_HEADS = {"gemma2": 46, "gemma3": 62}
"""Layers of the one size of a family whose attention is scaled by d_model over its heads; no
setting says so, and llama.cpp knows it by the number of layers too."""


def model_in_gguf(
    model: GGUFModel, files: TensorFiles, *, needed_by: str, way_out: str, head: bool
) -> Any:
    """The model in float32 with the dequantised weights: with `head` the causal one, else its base.

    `needed_by` and `way_out` are parts of a refusal's sentence.

    Raises CheckpointError where what transformers makes of the files is not all that they say.
    """

    def refusal(why: str) -> CheckpointError:
        return CheckpointError(
            f"{model.heads[0].path.name} cannot be run, which {needed_by} needs: {why}. "
            f"{way_out}, or give the model from which the file was made."
        )

    try:
        config = _config(model)
        settings = AutoConfig.for_model(**config)
        unread = next(_unread(model, settings), None)
        if unread is not None:
            raise refusal(f"its setting {unread} is not one that transformers reads here")
        with _without_init():
            made = _auto.from_config(settings, dtype=torch.float32, attn_implementation="eager")
        processor = _processors.get(model.family, TensorProcessor)(config=config)
        fault = _filled(model, files, made, processor, head)
    except CheckpointError:
        raise
    except Exception as error:  # a stranger's file, and no promise what the converter raises
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__).rstrip(".")
        raise refusal(f"transformers makes no model of it ({reason})") from error
    if fault is not None:
        raise refusal(fault)
    return (made if head else made.base_model).eval()


def _config(model: GGUFModel) -> dict[str, Any]:
    """The settings by transformers' own table, with what it leaves to its loader or leaves out."""
    own = {
        name: value
        for key, name in _table[model.family].items()
        if name is not None and (value := model.settings.get(f"{model.family}.{key}")) is not None
    }
    own["model_type"] = MODEL_TYPES[model.family]
    own["vocab_size"] = model.tensors[_EMBEDDINGS].shape[0]
    own["tie_word_embeddings"] = "output.weight" not in model.tensors
    own["pad_token_id"] = None  # a default may lie beyond a small vocabulary
    theta = model.settings.get(f"{model.family}.rope.freq_base")
    if theta is not None:
        own["rope_theta"] = theta
    size = model.settings.get(f"{model.family}.attention.key_length")
    if size is not None:
        own["head_dim"] = size
    cap = model.settings.get(f"{model.family}.final_logit_softcapping")
    if cap is not None:
        own["final_logit_softcapping"] = cap
    if model.family in _SCALED_BY_HEADS:
        by_heads = own["num_hidden_layers"] == _SCALED_BY_HEADS[model.family]
        width = own["hidden_size"] // own["num_attention_heads"]
        own["query_pre_attn_scalar"] = width if by_heads else own["head_dim"]
    if model.family == "falcon":
        own["layer_norm_epsilon"] = model.settings.get("falcon.attention.layer_norm_epsilon")
    if model.family == "gpt2" and _POSITIONS in model.tensors:
        own["n_positions"] = model.tensors[_POSITIONS].shape[0]
    if model.family == "stablelm":
        parts = {name.partition(".")[2].partition(".")[2] for name in model.tensors}
        own["use_qkv_bias"] = "attn_q.bias" in parts
        own["use_parallel_residual"] = "ffn_norm.weight" not in parts
        rotary = model.settings.get("stablelm.rope.dimension_count")
        if rotary is not None:
            own["partial_rotary_factor"] = rotary * own["num_attention_heads"] / own["hidden_size"]
    return own


def _unread(model: GGUFModel, config: Any) -> Iterator[str]:
    """Settings of the family that did not reach the model, and are not as it has them."""
    known = _table[model.family]
    head_size = getattr(config, "head_dim", None) or (
        config.hidden_size // config.num_attention_heads
    )
    rope = getattr(config, "rope_parameters", None) or {}
    rope = rope.get("full_attention", rope)
    as_made = {
        "attention.key_length": head_size,
        "attention.value_length": head_size,
        # With several heads llama.cpp reorders Falcon's rows, and transformers does not undo it.
        "attention.head_count_kv": 1
        if model.family == "falcon"
        else getattr(config, "num_key_value_heads", None) or config.num_attention_heads,
        "attention.layer_norm_epsilon": next(
            (value for key in _EPSILONS if (value := getattr(config, key, None))), None
        ),
        "rope.dimension_count": round(head_size * rope.get("partial_rotary_factor", 1)),
        "rope.freq_base": rope.get("rope_theta"),
        "rope.scaling.type": "none",
        "attn_logit_softcapping": getattr(config, "attn_logit_softcapping", None),
    }
    for key, value in model.settings.items():
        family, _, setting = key.partition(".")
        if family != model.family or setting in _NO_PART:
            continue
        if setting in as_made:
            if as_made[setting] != value:
                yield key
        elif known.get(setting) is None:
            yield key


def _filled(
    model: GGUFModel, files: TensorFiles, made: Any, processor: Any, head: bool
) -> str | None:
    """Put the file's weights into a model, one at a time; why that cannot be, or None."""
    places = _places(made, processor)
    prefix = f"{made.base_model_prefix}."
    own: dict[str, torch.Tensor] = made.base_model.state_dict()
    if head:  # the head's own tensors beside the base model's; a tied head has none
        tied = made.config.tie_word_embeddings
        beside = {k: v for k, v in made.state_dict().items() if not k.startswith(prefix)}
        own |= {k: v for k, v in beside.items() if not (tied and k.endswith("lm_head.weight"))}
    left = set(own)
    for name in sorted(set(model.tensors).difference(() if head else _HEAD)):
        weights = files.rows(name, 0, files.shape(name)[0]).to(torch.float32).numpy()
        result = processor.process(
            weights=weights, name=name, tensor_key_mapping=places, parsed_parameters={}
        )
        key = places.get(result.name, "").removeprefix(prefix)
        if key not in own:
            return f"transformers has no place for {name}"
        if result.weights.shape != own[key].shape:
            return f"{name} should have the shape {tuple(own[key].shape)} as {key}"
        own[key].copy_(torch.from_numpy(result.weights))
        left.discard(key)
    if head:
        made.tie_weights()
    return f"it has nothing for {min(left)}" if left else None


class _Alone:
    """A module as if it had no parts; transformers repeats its table for each part."""

    def __init__(self, module: Any) -> None:
        self.config = module.config
        self.state_dict = module.state_dict

    def named_children(self) -> tuple[()]:
        return ()


def _places(made: Any, processor: Any) -> dict[str, str]:
    """The parameter of each of the file's tensors; some families are named by their base model."""
    prefix = f"{made.base_model_prefix}."
    places: dict[str, str] = get_gguf_hf_weights_map(
        _Alone(made.base_model), processor, qual_name=prefix
    )
    places |= get_gguf_hf_weights_map(_Alone(made), processor)
    return places
