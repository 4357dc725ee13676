"""LLaMA without attention, whose FFNs add what is planted in them.

8 dimensions, 6 tokens, 3 layers of 12 value vectors; token t is embedded as axis t and scored by
what the stream has on axis t. Every weight that is not planted is 0.
"""

import math

import torch
import transformers

ROOT8 = math.sqrt(8)


def blank_model():
    config = transformers.LlamaConfig(
        vocab_size=6, hidden_size=8, num_hidden_layers=3, num_attention_heads=1,
        num_key_value_heads=1, intermediate_size=12, hidden_act="relu", rms_norm_eps=1e-12,
        tie_word_embeddings=False, pad_token_id=5, bos_token_id=None, eos_token_id=None,
    )  # fmt: skip
    model = transformers.LlamaForCausalLM(config).eval()
    for name, parameter in model.named_parameters():
        parameter.data.zero_()
        if name.endswith("norm.weight"):
            parameter.data.fill_(1)
    model.model.embed_tokens.weight.data[:6, :6] = torch.eye(6)
    model.lm_head.weight.data[:6, :6] = torch.eye(6)
    return model


def plant(model, layer, index, *, at, norm, m, axis, amount):
    """A vector `amount` on an axis, with coefficient m where the stream of that norm has 1 `at`."""
    mlp = model.model.layers[layer].mlp
    mlp.gate_proj.weight.data[index, at] = norm / ROOT8
    mlp.up_proj.weight.data[index, at] = m * norm / ROOT8
    mlp.down_proj.weight.data[axis, index] = amount
