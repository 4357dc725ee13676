"""LLaMA without attention, over whole words, whose keys fire where they are planted.

Word t is embedded as axis t, and scored by it. RMSNorm makes 4 of its 1 in 16 dimensions.
"""

import torch
import transformers
from tokenizers import Tokenizer, models, pre_tokenizers

WORDS = ("the", "cat", "dog", "sat", "ran", "running", "walking", "a", "and", ".")
AXIS = {word: axis for axis, word in enumerate(WORDS)}
SENTENCES = (
    "the cat sat .",  # 0
    "a dog ran .",  # 1
    "the cat ran and a dog sat",  # 2: begins as 0
    "cat and a dog",  # 3: the cat is at position 0
    "the dog running",  # 4
    "a walking cat",  # 5
    "the running dog walking",  # 6
    "running",  # 7: nothing is read
    "the cat sat .",  # 8: is 0
)


def word_model():
    """2 layers of 5 keys; a text is cut at 6 words."""
    config = transformers.LlamaConfig(
        vocab_size=16, hidden_size=16, num_hidden_layers=2, num_attention_heads=1,
        num_key_value_heads=1, intermediate_size=5, hidden_act="relu", rms_norm_eps=1e-12,
        tie_word_embeddings=True, max_position_embeddings=6, pad_token_id=15, bos_token_id=None,
        eos_token_id=None,
    )  # fmt: skip
    made = transformers.LlamaForCausalLM(config).eval()
    for name, parameter in made.named_parameters():
        parameter.data.zero_()
        if name.endswith("norm.weight"):
            parameter.data.fill_(1)
    made.model.embed_tokens.weight.data[:16, :16] = torch.eye(16)
    return made


def plant(model, index, strengths):
    """A key of layer 1 with these coefficients at words: relu(4 · 1/4) · (4 · strength/4)."""
    mlp = model.model.layers[1].mlp
    for word, strength in strengths.items():
        mlp.gate_proj.weight.data[index, AXIS[word]] = 1 / 4
        mlp.up_proj.weight.data[index, AXIS[word]] = strength / 4


def saved(model, folder):
    """The model's folder, with its tokenizer."""
    model.save_pretrained(folder)
    backend = Tokenizer(models.WordLevel({**AXIS, "[UNK]": 10}, unk_token="[UNK]"))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=backend, unk_token="[UNK]"
    ).save_pretrained(folder)
    return str(folder)
