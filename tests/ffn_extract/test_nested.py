"""Models of text and images: config.json nests the text part, and so do the tensors' names."""

import numpy as np
import pytest
import torch
import transformers as t

from ffn_extract.architectures import ModelWeights, architecture_of
from ffn_extract.bundle import open_bundle
from ffn_extract.checkpoints.find import find_checkpoint
from ffn_extract.options import ExtractOptions
from ffn_extract.pipeline import extract
from tests.ffn_extract.conftest import EXTRA_ROWS, byte_level_tokenizer
from tests.ffn_extract.tiny_families import TINY_FAMILIES

IMAGES = {
    "hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
    "image_size": 28, "patch_size": 14,
}  # fmt: skip
LLAMA4_IMAGES = {
    **IMAGES, "vision_output_dim": 16, "projector_input_dim": 16, "projector_output_dim": 16,
}  # fmt: skip
QWEN_IMAGES = {
    "hidden_size": 16, "depth": 1, "num_heads": 2, "intermediate_size": 16, "out_hidden_size": 16,
}  # fmt: skip
NESTED = {
    "gemma3": (
        t.Gemma3ForConditionalGeneration, "gemma3_text",
        {"vision_config": IMAGES, "mm_tokens_per_image": 4},
    ),
    "mistral3": (
        t.Mistral3ForConditionalGeneration, "mistral",
        {"vision_config": {**IMAGES, "model_type": "pixtral"}, "tie_word_embeddings": False},
    ),
    "mistral3 with ministral3": (
        t.Mistral3ForConditionalGeneration, "ministral3",
        {"vision_config": {**IMAGES, "model_type": "pixtral"}, "tie_word_embeddings": False},
    ),
    "llama4": (
        t.Llama4ForConditionalGeneration, "llama4_text", {"vision_config": LLAMA4_IMAGES}
    ),
    "qwen3_5": (
        t.Qwen3_5ForConditionalGeneration, "qwen3_5_text", {"vision_config": QWEN_IMAGES}
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", NESTED)
def test_the_text_part_is_read_and_run(tmp_path, name):
    """Value lists equal brute force over the model's own modules; updates exist."""
    kind, of_text, config = NESTED[name]
    backend = byte_level_tokenizer()
    torch.manual_seed(0)
    sizes = {"vocab_size": backend.get_vocab_size() + EXTRA_ROWS, "pad_token_id": 0}
    text = {**sizes, **TINY_FAMILIES[of_text].config, "model_type": of_text}
    model = kind(kind.config_class(text_config=text, **config)).eval()
    folder = tmp_path / "model"
    model.save_pretrained(folder)
    fast = t.PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="<|endoftext|>")
    fast.save_pretrained(folder)
    corpus = tmp_path / "texts.txt"
    corpus.write_text("the cat sat on a mat\nthe dogs saw the cat\na cat and a mat\n")
    options = ExtractOptions(per_layer=3, top_k=5, kinds=("value", "update"), corpus=str(corpus))
    extract(str(folder), tmp_path / "out", options)

    bundle = open_bundle(tmp_path / "out")
    assert bundle.manifest.model.model_type == of_text
    checkpoint = find_checkpoint(str(folder))
    family = architecture_of(checkpoint.config)
    weights = ModelWeights(family, checkpoint.config, checkpoint.tensors)
    output = model.get_output_embeddings().weight.detach().double().numpy()[:-EXTRA_ROWS]
    rows = [row for batch in bundle.iter_vectors() for row in batch]
    assert sorted(row.kind for row in rows) == ["update"] * 6 + ["value"] * 6
    for row in rows:
        if row.kind == "value":
            vector = weights.value_rows(row.layer, row.index, row.index + 1)[0].double().numpy()
            best = np.argsort(-(output @ vector), kind="stable")[:5]
            assert row.token_ids == best.tolist()
