"""FFN updates over a corpus."""

import json

import numpy as np
import pytest
import torch
import transformers

from ffn_extract.architectures import ARCHITECTURES, ModelWeights
from ffn_extract.checkpoints.find import find_checkpoint
from ffn_extract.corpora import Corpus
from ffn_extract.errors import CheckpointError, CorpusError
from ffn_extract.sampling import generator
from ffn_extract.updates import BATCH_TEXTS, UpdateReader
from ffn_extract.vocabulary import load_tokenizer
from tests.ffn_extract.tiny_families import SHARED, TINY_FAMILIES
from tests.ffn_extract.tiny_models import WORDS

TEXTS = ["the cat sat on a mat", "dogs running", "a mat, the cat.", "and saw", "the the the"]


def reader_of(folder, family, texts=TEXTS):
    return UpdateReader(
        find_checkpoint(str(folder)),
        ARCHITECTURES[family.split("+")[0]],
        load_tokenizer(folder),
        Corpus("file", texts),
        torch.device("cpu"),
    )


@pytest.mark.parametrize("family", sorted(set(TINY_FAMILIES) - set(SHARED)))
def test_an_update_is_what_the_models_ffn_gives_at_that_position(tiny_model, family):
    """Read in a batch of texts of several lengths, seen by a hook on one text at a time."""
    folder = tiny_model(family)
    model = transformers.AutoModel.from_pretrained(folder, attn_implementation="eager").eval()
    reader = reader_of(folder, family)
    name = ARCHITECTURES[family.split("+")[0]].value_module.format(layer=1)
    module = model.get_submodule(name.removeprefix("model."))
    outputs = []
    module.register_forward_hook(lambda _, inputs, output: outputs.append(update_in(output)))
    updates = reader.draw(1, 5, generator(0, "update", 1))
    assert len({len(update.text) for update in updates}) > 3
    for update in updates:
        inputs, read = inputs_of(model, load_tokenizer(folder), update.text)
        outputs.clear()
        with torch.inference_mode():
            model(**inputs)
        assert read[update.position] == update.token_id
        seen = outputs[0].flatten(0, -2)[update.position].numpy()
        np.testing.assert_allclose(update.vector, seen, rtol=1e-4, atol=1e-5)


def inputs_of(model, tokenizer, text):
    """What a model reads of a text, and the ids in which a position is counted."""
    ids = tokenizer(text, return_tensors="pt")["input_ids"]
    if not model.config.is_encoder_decoder:
        return {"input_ids": ids}, ids[0].tolist()
    read = torch.cat([torch.tensor([[model.config.decoder_start_token_id]]), ids], dim=1)
    return {"input_ids": ids, "decoder_input_ids": read}, read[0].tolist()


def update_in(output):
    """A copy, because some families add to an output in place; some give their router's scores."""
    return (output[0] if isinstance(output, tuple) else output).clone()


@pytest.mark.parametrize("family", ["t5", "t5+gated"])
def test_an_update_of_a_decoder_is_the_sum_of_coefficients_times_values(tiny_model, family):
    folder = tiny_model(family)
    checkpoint = find_checkpoint(str(folder))
    weights = ModelWeights(ARCHITECTURES["t5"], checkpoint.config, checkpoint.tensors)
    model = transformers.T5Model.from_pretrained(folder).eval()
    seen = []
    wo = model.decoder.block[1].layer[2].DenseReluDense.wo
    wo.register_forward_hook(lambda _, inputs, output: seen.append(inputs[0][0].clone()))
    updates = reader_of(folder, family).draw(1, 5, generator(0, "update", 1))
    assert {update.text for update in updates} == set(TEXTS)
    for update in updates:
        assert update.position > 0  # the start token is no word of the text
        seen.clear()
        with torch.inference_mode():
            model(**inputs_of(model, load_tokenizer(folder), update.text)[0])
        m = seen[0][update.position].to(torch.float64).numpy()
        values = weights.value_rows(1, 0, 24).to(torch.float64).numpy()
        np.testing.assert_allclose(update.vector, m @ values, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("family", ["bert", "gpt2", "t5"])
def test_updates_are_the_same_bits_however_many_are_wanted(tiny_model, family):
    texts = [" ".join(WORDS[: 1 + number % 9]) for number in range(3 * BATCH_TEXTS - 4)]
    many, few, alone = (
        reader_of(tiny_model(family), family, texts).draw(1, count, generator(0, "update", 1))
        for count in (len(texts), BATCH_TEXTS + 2, 1)
    )
    assert [bits(update) for update in few] == [bits(update) for update in many[: len(few)]]
    assert bits(alone[0]) == bits(many[0])


def bits(update):
    return update.vector.tobytes(), update.text, update.position, update.token_id


def test_a_batch_is_read_in_one_pass_up_to_the_layer(tiny_model):
    reader = reader_of(tiny_model("gpt2"), "gpt2", TEXTS * 5)
    layers, sizes = reader._model.h, []
    for layer in layers:
        layer.register_forward_pre_hook(lambda _, inputs: sizes.append(len(inputs[0])))
    reader.draw(0, BATCH_TEXTS + 1, generator(0, "update", 0))
    assert sizes == [BATCH_TEXTS, BATCH_TEXTS]


def test_a_text_is_used_once_and_never_at_a_token_that_the_tokenizer_added(tiny_model):
    folder = tiny_model("bert")
    special = set(load_tokenizer(folder).all_special_ids)
    for seed in range(10):
        drawn = reader_of(folder, "bert").draw(0, len(TEXTS), generator(seed, "update", 0))
        assert sorted(update.text for update in drawn) == sorted(TEXTS)
        assert not {update.token_id for update in drawn} & special


def test_updates_are_the_same_bits_whatever_the_threads(tiny_model):
    drawn = []
    before = torch.get_num_threads()
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            updates = reader_of(tiny_model("gpt2"), "gpt2").draw(1, 4, generator(0, "update", 1))
            drawn.append([update.vector.tobytes() for update in updates])
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    assert drawn[0] == drawn[1]


def test_long_texts_are_cut_to_what_the_model_can_read(tiny_model):
    reader = reader_of(tiny_model("bert"), "bert", ["the cat " * 500])
    for seed in range(5):
        (update,) = reader.draw(0, 1, generator(seed, "update", 0))
        assert 0 < update.position < 31


def test_positions_that_begin_after_the_paddings_are_not_overrun(tiny_model, tmp_path):
    """RoBERTa's table of positions is longer than what it can read."""
    tokenizer = load_tokenizer(tiny_model("bert"))
    config = transformers.RobertaConfig(
        vocab_size=len(tokenizer), hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=24, max_position_embeddings=32, pad_token_id=1,
    )  # fmt: skip
    transformers.RobertaModel(config).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    reader = reader_of(tmp_path, "bert", ["the cat " * 500])
    positions = {reader.draw(0, 1, generator(i, "update", 0))[0].position for i in range(60)}
    assert 25 < max(positions) < 30


def test_a_corpus_with_too_few_texts_is_refused(tiny_model):
    reader = reader_of(tiny_model("gpt2"), "gpt2", ["the cat", ""])
    with pytest.raises(CorpusError, match="has 1 texts with tokens; 2 updates per layer"):
        reader.draw(0, 2, generator(0, "update", 0))


def test_a_model_that_cannot_be_run_says_how_to_go_on(tiny_model, tmp_path):
    whole = tiny_model("gpt2")
    (tmp_path / "model.safetensors").write_bytes((whole / "model.safetensors").read_bytes())
    config = json.loads((whole / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "n_head": 7}))  # no divisor
    with pytest.raises(CheckpointError, match=r"cannot be run, .* --kinds value,random"):
        UpdateReader(
            find_checkpoint(str(tmp_path)),
            ARCHITECTURES["gpt2"],
            load_tokenizer(tiny_model("gpt2")),
            Corpus("file", TEXTS),
            torch.device("cpu"),
        )
