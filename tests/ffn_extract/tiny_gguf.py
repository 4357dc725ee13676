"""Writes a model of transformers as a GGUF file, as llama.cpp's converter would."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import torch
import transformers
from gguf import GGMLQuantizationType, GGUFWriter
from safetensors.torch import load_file

FAMILIES = {
    "bloom": "bloom", "cohere": "command-r", "cohere2": "cohere2", "deepseek_v3": "deepseek2",
    "exaone4": "exaone4", "falcon": "falcon", "gemma": "gemma", "gemma2": "gemma2",
    "gemma3_text": "gemma3", "glm4": "glm4", "glm4_moe": "glm4moe", "gpt2": "gpt2",
    "gpt_bigcode": "starcoder", "gpt_neox": "gptneox", "gpt_oss": "gpt-oss", "granite": "granite",
    "llama": "llama", "llama4_text": "llama4", "ministral3": "mistral3", "mixtral": "llama",
    "mpt": "mpt", "olmo": "olmo", "olmo2": "olmo2", "olmoe": "olmoe", "phi": "phi2", "phi3": "phi3",
    "qwen2": "qwen2", "qwen2_moe": "qwen2moe", "qwen3": "qwen3", "qwen3_moe": "qwen3moe",
    "smollm3": "smollm3", "stablelm": "stablelm", "starcoder2": "starcoder2",
}  # fmt: skip
"""GGUF's name of each family that is read, by its model_type."""
ONE_ADDED = {"gemma", "gemma2", "gemma3"}
LAYER_NORMS = {
    "bloom", "cohere2", "command-r", "falcon", "gpt2", "gptneox", "mpt", "olmo", "phi2", "stablelm",
    "starcoder", "starcoder2",
}  # fmt: skip
_ONE_EXPERT = re.compile(r"(.*\.experts)\.(\d+)\.(.*)")


def write_gguf(
    path: Path,
    folder: Path,
    *,
    family: str | None = None,
    arrays: Mapping[str, np.ndarray] | None = None,
    types: Mapping[str, GGMLQuantizationType] | None = None,
    renamed: Mapping[str, str] | None = None,
    tokenizer: str | None = None,
    **settings: Any,
) -> Mapping[str, np.ndarray]:
    """Write the model in `folder`; returns the arrays as they are in the file, in float32.

    By hand can be given: the family's name, the arrays with types, tokens by other names, the kind
    of tokenizer ("none" for none) and further settings, a double underscore for a point.
    """
    config = json.loads((folder / "config.json").read_text())
    own = FAMILIES[config["model_type"]]
    model = transformers.AutoConfig.from_pretrained(folder)
    whole = _arrays(load_file(folder / "model.safetensors"), own, model)
    written = whole if arrays is None else arrays
    writer = GGUFWriter(path, family or own)
    _settings(writer, own, model, whole)
    if tokenizer != "none":
        content = json.loads((folder / "tokenizer.json").read_text())
        _tokenizer(writer, content, model.vocab_size, renamed or {}, tokenizer)
    for key, value in settings.items():
        for data in writer.kv_data:
            data.pop(key.replace("__", "."), None)
        writer.add_key_value(key.replace("__", "."), value, gguf.GGUFValueType.get_type(value))
    for name, array in written.items():
        writer.add_tensor(name, array, raw_dtype=(types or {}).get(name))
    finish(writer)
    return written


def finish(writer: GGUFWriter) -> None:
    """Write everything and close the file."""
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def write_tensors(
    path: Path, arrays: Mapping[str, np.ndarray], types: Mapping[str, GGMLQuantizationType]
) -> None:
    """A file of tensors in the given types; quantised ones are given as their bytes."""
    writer = GGUFWriter(path, "llama")
    writer.add_block_count(1)
    writer.add_embedding_length(256)
    for name, array in arrays.items():
        writer.add_tensor(name, array, raw_dtype=types[name])
    finish(writer)


def _arrays(state: Mapping[str, Any], family: str, config: Any) -> dict[str, np.ndarray]:
    arch = next(key for key, name in gguf.MODEL_ARCH_NAMES.items() if name == family)
    archs = (arch, gguf.MODEL_ARCH.LLAMA) if family in ("qwen2moe", "qwen3moe") else (arch,)
    maps = [gguf.get_tensor_name_map(one, config.num_hidden_layers) for one in archs]
    arrays = {}
    for name, tensor in _one_matrix_each(state).items():
        # The table has BLOOM's names as they are published, without a prefix.
        known = name.removeprefix("transformer.") if family == "bloom" else name
        # Its Qwen families with experts have no layer without, as the tiny ones do.
        found = next(filter(None, (m.get_name(known, (".weight", ".bias")) for m in maps)), None)
        if found is None:
            beside = (".bias", "attn.masked_bias", "_bias", "sinks", "bias_correction")
            assert name.endswith(beside), name
            continue
        arrays[found] = np.ascontiguousarray(_as_written(found, tensor.numpy(), family, config))
    return arrays


def _one_matrix_each(state: Mapping[str, Any]) -> dict[str, Any]:
    """Tensors with a layer's experts stacked, gate and up apart, values as columns."""
    experts: dict[str, dict[int, Any]] = {}
    made = {}
    for name, tensor in state.items():
        if match := _ONE_EXPERT.fullmatch(name):
            experts.setdefault(f"{match[1]}.{match[3]}", {})[int(match[2])] = tensor
        elif name.endswith("experts.down_proj"):
            made[f"{name}.weight"] = tensor.transpose(1, 2)
        elif name.endswith("experts.gate_up_proj"):
            in_turn = "feed_forward" not in name  # gpt-oss; Llama 4 has two halves
            half = tensor.shape[-1] // 2
            for n, part in enumerate(("gate_proj", "up_proj")):
                own = slice(n, None, 2) if in_turn else slice(n * half, (n + 1) * half)
                made[name.replace("gate_up_proj", part) + ".weight"] = tensor[..., own].transpose(
                    1, 2
                )
        else:
            made[name] = tensor
    stacks = {n: torch.stack([one[i] for i in sorted(one)]) for n, one in experts.items()}
    return made | stacks


def _as_written(name: str, array: np.ndarray, family: str, config: Any) -> np.ndarray:
    """What llama.cpp makes of an array before it writes it."""
    if family in ONE_ADDED and name.endswith("norm.weight"):
        return array + 1
    if family == "gpt2" and array.ndim == 2 and name.startswith("blk"):
        return array.T
    if family == "llama" and (".attn_q." in name or ".attn_k." in name):
        heads = config.num_attention_heads if "_q" in name else config.num_key_value_heads
        halves = array.reshape(heads, 2, array.shape[0] // heads // 2, *array.shape[1:])
        return halves.swapaxes(1, 2).reshape(array.shape)
    if family == "bloom" and "attn_qkv" in name:
        size = config.hidden_size // config.n_head
        parts = array.reshape(config.n_head, 3, size, *array.shape[1:])
        return np.concatenate([parts[:, n].reshape(-1, *array.shape[1:]) for n in range(3)])
    return array


def _settings(
    writer: GGUFWriter, family: str, config: Any, arrays: Mapping[str, np.ndarray]
) -> None:
    down = [array for name, array in arrays.items() if name.endswith("ffn_down.weight")]
    stacks = [array for name, array in arrays.items() if name.endswith("ffn_down_exps.weight")]
    writer.add_block_count(config.num_hidden_layers)
    writer.add_embedding_length(arrays["token_embd.weight"].shape[1])
    writer.add_feed_forward_length((down or stacks)[0].shape[-1])
    if stacks:
        writer.add_expert_count(stacks[0].shape[0])
        writer.add_expert_feed_forward_length(stacks[0].shape[-1])
    writer.add_context_length(getattr(config, "max_position_embeddings", None) or 512)
    writer.add_head_count(config.num_attention_heads)
    own = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    writer.add_head_count_kv(1 if family == "falcon" else own)
    epsilons = ("rms_norm_eps", "layer_norm_eps", "layer_norm_epsilon", "norm_epsilon")
    own_epsilons = (value for key in epsilons if (value := getattr(config, key, None)))
    epsilon = next(own_epsilons, 1e-5)  # OLMo's, of which its config says nothing
    add = writer.add_layer_norm_eps if family in LAYER_NORMS else writer.add_layer_norm_rms_eps
    add(epsilon)
    rope = getattr(config, "rope_parameters", None) or {}
    theta = rope.get("full_attention", rope).get("rope_theta")
    if theta is not None:
        writer.add_rope_freq_base(theta)
    if family in ("qwen3", "gemma", "gemma2", "gemma3"):
        writer.add_key_length(config.head_dim)
        writer.add_value_length(config.head_dim)
    if family == "stablelm":
        size = config.hidden_size // config.num_attention_heads
        writer.add_rope_dimension_count(int(size * rope["partial_rotary_factor"]))
    if family in ("gemma2", "gemma3"):
        writer.add_sliding_window(config.sliding_window)
    if family == "gemma2":
        writer.add_attn_logit_softcapping(config.attn_logit_softcapping)
        writer.add_final_logit_softcapping(config.final_logit_softcapping)


def _tokenizer(
    writer: GGUFWriter,
    content: Mapping[str, Any],
    n_rows: int,
    renamed: Mapping[str, str],
    kind: str | None,
) -> None:
    vocab = sorted(content["model"]["vocab"], key=content["model"]["vocab"].get)
    special = {added["id"] for added in content["added_tokens"] if added["special"]}
    types = [3 if i in special else 1 for i in range(len(vocab))]
    filled = range(len(vocab), n_rows)
    by_pieces = "<0x00>" in content["model"]["vocab"]
    if by_pieces:
        types = [6 if text.startswith("<0x") else t for text, t in zip(vocab, types, strict=True)]
        writer.add_tokenizer_model("llama")
        writer.add_token_scores([-float(i) for i in range(n_rows)])
    else:
        writer.add_tokenizer_model(kind or "gpt2")
        writer.add_tokenizer_pre("gpt-2")
    merges = [m if isinstance(m, str) else " ".join(m) for m in content["model"]["merges"]]
    writer.add_token_merges(merges)
    writer.add_token_list(
        [*(renamed.get(text, text) for text in vocab), *(f"[PAD{i}]" for i in filled)]
    )
    writer.add_token_types([*types, *(5 for _ in filled)])
    for place, text in enumerate(vocab):
        if text in ("<|endoftext|>", "</s>"):
            writer.add_eos_token_id(place)
        if text == "<s>":
            writer.add_bos_token_id(place)
            writer.add_add_bos_token(False)
        if text == "<unk>":
            writer.add_unk_token_id(place)
