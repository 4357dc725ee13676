"""A tiny random model for every family, some in more than one form."""

from dataclasses import dataclass
from typing import Any

import torch
import transformers as t

GPT = {"n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 32}
PLAIN = {
    "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24,
    "max_position_embeddings": 32,
}  # fmt: skip
LLAMA = {**PLAIN, "num_key_value_heads": 2}
NARROW = {**LLAMA, "head_dim": 8}
OPT = {
    "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "ffn_dim": 24,
    "max_position_embeddings": 32,
}  # fmt: skip
T5 = {"d_model": 16, "d_kv": 8, "d_ff": 24, "num_layers": 2, "num_heads": 2,
      "decoder_start_token_id": 0}  # fmt: skip
EXPERTS = {"num_experts_per_tok": 2}
MIXED = {**EXPERTS, "num_experts": 4, "moe_intermediate_size": 12, "mlp_only_layers": [0]}


@dataclass(frozen=True)
class TinyFamily:
    """A transformers class, what its config says, and where its final norm is.

    `final_norm` is the module in front of the head; in encoders, which norm after each block, the
    module (with `{layer}`) of the base model that does so.
    """

    head: type[t.PreTrainedModel]
    config: dict[str, Any]
    final_norm: str
    causal: bool = True

    def build(self, vocab_size: int) -> t.PreTrainedModel:
        """The model with random weights; norms and biases are away from their neutral values."""
        torch.manual_seed(0)
        special = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
        values = {**special, "vocab_size": vocab_size, **self.config}
        model = self.head(self.head.config_class(**values))
        for parameter in model.parameters():
            parameter.data.add_(0.2 * torch.randn_like(parameter))
        return model


DEEPSEEK = {
    **LLAMA, **EXPERTS, "n_routed_experts": 4, "n_group": 1, "topk_group": 1,
    "moe_intermediate_size": 12, "first_k_dense_replace": 1, "n_shared_experts": 2,
}  # fmt: skip
BERT_NORM = "encoder.layer.{layer}.output.LayerNorm"

TINY_FAMILIES = {
    "bert": TinyFamily(t.BertForMaskedLM, PLAIN, BERT_NORM, causal=False),
    "bloom": TinyFamily(
        t.BloomForCausalLM, {"hidden_size": 16, "n_layer": 2, "n_head": 2}, "transformer.ln_f"
    ),
    "cohere": TinyFamily(t.CohereForCausalLM, LLAMA, "model.norm"),
    "distilbert": TinyFamily(
        t.DistilBertForMaskedLM,
        {"dim": 16, "hidden_dim": 24, "n_layers": 2, "n_heads": 2, "max_position_embeddings": 32},
        "transformer.layer.{layer}.output_layer_norm",
        causal=False,
    ),
    "electra": TinyFamily(
        t.ElectraForMaskedLM, {**PLAIN, "embedding_size": 16}, BERT_NORM, causal=False
    ),
    "electra+narrow": TinyFamily(
        t.ElectraForMaskedLM, {**PLAIN, "embedding_size": 8}, BERT_NORM, causal=False
    ),
    "falcon": TinyFamily(
        t.FalconForCausalLM,
        {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2},
        "transformer.ln_f",
    ),
    "gemma": TinyFamily(t.GemmaForCausalLM, NARROW, "model.norm"),
    "gemma2": TinyFamily(
        t.Gemma2ForCausalLM, {**NARROW, "final_logit_softcapping": 3.0}, "model.norm"
    ),
    "gemma3_text": TinyFamily(t.Gemma3ForCausalLM, NARROW, "model.norm"),
    "gpt2": TinyFamily(t.GPT2LMHeadModel, GPT, "transformer.ln_f"),
    "gpt_bigcode": TinyFamily(t.GPTBigCodeForCausalLM, GPT, "transformer.ln_f"),
    "gpt_neo": TinyFamily(
        t.GPTNeoForCausalLM,
        {
            "hidden_size": 16,
            "num_layers": 2,
            "num_heads": 2,
            "max_position_embeddings": 32,
            "attention_types": [[["global", "local"], 1]],
        },
        "transformer.ln_f",
    ),
    "gpt_oss": TinyFamily(
        t.GptOssForCausalLM,
        {
            **NARROW,
            **EXPERTS,
            "max_position_embeddings": 64,
            "num_local_experts": 4,
            "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0},
        },
        "model.norm",
    ),
    "gpt_neox": TinyFamily(t.GPTNeoXForCausalLM, PLAIN, "gpt_neox.final_layer_norm"),
    "gptj": TinyFamily(t.GPTJForCausalLM, {**GPT, "rotary_dim": 4}, "transformer.ln_f"),
    "llama": TinyFamily(t.LlamaForCausalLM, LLAMA, "model.norm"),
    "mistral": TinyFamily(t.MistralForCausalLM, LLAMA, "model.norm"),
    "mixtral": TinyFamily(
        t.MixtralForCausalLM, {**LLAMA, **EXPERTS, "num_local_experts": 4}, "model.norm"
    ),
    "mpt": TinyFamily(
        t.MptForCausalLM,
        {"d_model": 16, "n_layers": 2, "n_heads": 2, "max_seq_len": 512},
        "transformer.norm_f",
    ),
    "olmo": TinyFamily(t.OlmoForCausalLM, LLAMA, "model.norm"),
    "olmo2": TinyFamily(t.Olmo2ForCausalLM, LLAMA, "model.norm"),
    "opt": TinyFamily(
        t.OPTForCausalLM, {**OPT, "word_embed_proj_dim": 16}, "model.decoder.final_layer_norm"
    ),
    "opt+350m": TinyFamily(
        t.OPTForCausalLM,
        {**OPT, "word_embed_proj_dim": 8, "do_layer_norm_before": False},
        "model.decoder.layers.1.final_layer_norm",
    ),
    "phi": TinyFamily(t.PhiForCausalLM, LLAMA, "model.final_layernorm"),
    "phi3": TinyFamily(t.Phi3ForCausalLM, LLAMA, "model.norm"),
    "qwen2": TinyFamily(t.Qwen2ForCausalLM, LLAMA, "model.norm"),
    "qwen2_moe": TinyFamily(
        t.Qwen2MoeForCausalLM,
        {**LLAMA, **MIXED, "shared_expert_intermediate_size": 20},
        "model.norm",
    ),
    "qwen3": TinyFamily(t.Qwen3ForCausalLM, NARROW, "model.norm"),
    "qwen3_moe": TinyFamily(t.Qwen3MoeForCausalLM, {**NARROW, **MIXED}, "model.norm"),
    "roberta": TinyFamily(
        t.RobertaForMaskedLM, {**PLAIN, "max_position_embeddings": 514}, BERT_NORM, causal=False
    ),
    "stablelm": TinyFamily(t.StableLmForCausalLM, LLAMA, "model.norm"),
    "starcoder2": TinyFamily(t.Starcoder2ForCausalLM, LLAMA, "model.norm"),
    "t5": TinyFamily(t.T5ForConditionalGeneration, T5, "decoder.final_layer_norm"),
    "t5+gated": TinyFamily(
        t.T5ForConditionalGeneration,
        {**T5, "feed_forward_proj": "gated-gelu", "tie_word_embeddings": False},
        "decoder.final_layer_norm",
    ),
    "albert": TinyFamily(
        t.AlbertForMaskedLM,
        {**PLAIN, "embedding_size": 8},
        "encoder.albert_layer_groups.0.albert_layers.0.full_layer_layer_norm",
        causal=False,
    ),
    "bart": TinyFamily(
        t.BartForConditionalGeneration,
        {
            "d_model": 16,
            "encoder_layers": 3,
            "decoder_layers": 2,
            "encoder_attention_heads": 2,
            "decoder_attention_heads": 2,
            "encoder_ffn_dim": 20,
            "decoder_ffn_dim": 24,
            "max_position_embeddings": 32,
            "decoder_start_token_id": 0,
        },
        "model.decoder.layers.1.final_layer_norm",
    ),
    "camembert": TinyFamily(
        t.CamembertForMaskedLM, {**PLAIN, "max_position_embeddings": 514}, BERT_NORM, causal=False
    ),
    "codegen": TinyFamily(
        t.CodeGenForCausalLM, {**GPT, "n_head": 4, "rotary_dim": 4}, "transformer.ln_f"
    ),
    "cohere2": TinyFamily(t.Cohere2ForCausalLM, LLAMA, "model.norm"),
    "deberta-v2": TinyFamily(t.DebertaV2ForMaskedLM, PLAIN, BERT_NORM, causal=False),
    "deepseek_v3": TinyFamily(
        t.DeepseekV3ForCausalLM,
        {
            **DEEPSEEK,
            "q_lora_rank": 8,
            "kv_lora_rank": 8,
            "qk_rope_head_dim": 4,
            "qk_nope_head_dim": 4,
            "v_head_dim": 8,
        },
        "model.norm",
    ),
    "exaone4": TinyFamily(t.Exaone4ForCausalLM, NARROW, "model.norm"),
    "glm4": TinyFamily(t.Glm4ForCausalLM, NARROW, "model.norm"),
    "glm4_moe": TinyFamily(t.Glm4MoeForCausalLM, {**DEEPSEEK, "head_dim": 8}, "model.norm"),
    "granite": TinyFamily(
        t.GraniteForCausalLM,
        {**LLAMA, "residual_multiplier": 0.5, "logits_scaling": 2.0},
        "model.norm",
    ),
    "llama4_text": TinyFamily(
        t.Llama4ForCausalLM,
        {
            **NARROW,
            "intermediate_size_mlp": 20,
            "num_local_experts": 4,
            "interleave_moe_layer_step": 2,
        },
        "model.norm",
    ),
    "ministral3": TinyFamily(t.Ministral3ForCausalLM, NARROW, "model.norm"),
    "modernbert": TinyFamily(
        t.ModernBertForMaskedLM,
        {**PLAIN, "cls_token_id": 1, "sep_token_id": 2},
        "final_norm",
        causal=False,
    ),
    "mpnet": TinyFamily(
        t.MPNetForMaskedLM, {**PLAIN, "max_position_embeddings": 514}, BERT_NORM, causal=False
    ),
    "mt5": TinyFamily(t.MT5ForConditionalGeneration, T5, "decoder.final_layer_norm"),
    "olmo3": TinyFamily(t.Olmo3ForCausalLM, LLAMA, "model.norm"),
    "olmoe": TinyFamily(t.OlmoeForCausalLM, {**LLAMA, **EXPERTS, "num_experts": 4}, "model.norm"),
    "qwen3_5_text": TinyFamily(
        t.Qwen3_5ForCausalLM,
        {
            **NARROW,
            "layer_types": ["full_attention", "linear_attention"],
            "linear_num_value_heads": 2,
            "linear_num_key_heads": 2,
            "linear_key_head_dim": 8,
            "linear_value_head_dim": 8,
        },
        "model.norm",
    ),
    "smollm3": TinyFamily(t.SmolLM3ForCausalLM, LLAMA, "model.norm"),
    "xlm-roberta": TinyFamily(
        t.XLMRobertaForMaskedLM, {**PLAIN, "max_position_embeddings": 514}, BERT_NORM, causal=False
    ),
}
WITH_EXPERTS = [
    "deepseek_v3", "glm4_moe", "gpt_oss", "llama4_text", "mixtral", "olmoe", "qwen2_moe",
    "qwen3_moe",
]  # fmt: skip
SHARED = ["albert"]
"""One FFN for all layers."""
WITHOUT_EXPERTS = sorted(set(TINY_FAMILIES) - set(WITH_EXPERTS) - set(SHARED))
CAUSAL = sorted(name for name, tiny in TINY_FAMILIES.items() if tiny.causal)
ENCODERS = sorted(set(TINY_FAMILIES) - set(CAUSAL))
