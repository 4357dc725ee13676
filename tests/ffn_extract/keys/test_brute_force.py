"""Lists of tiny models of several families beside every coefficient of every sentence.

The coefficients come from edited copies of the model (`plain_reading`), which know no hook.
"""

import dataclasses

import numpy as np
import pytest
import torch
import transformers

from ffn_extract import ExtractOptions, extract, open_bundle
from ffn_extract.errors import OptionError
from ffn_extract.keys.random_keys import RandomKeys, RandomRows, activation_of
from ffn_extract.tracing.batches import Batch
from tests.ffn_extract.tiny_families import WITH_EXPERTS
from tests.ffn_extract.tiny_models import weights_of
from tests.ffn_extract.tracing.causal_families import READ, causal_model, reader_of
from tests.ffn_extract.tracing.plain_reading import PlainReading

SENTENCES = ("the cat", "a cat sat", "the cat", "the mat and", "on a")
FAMILIES = ["gpt2", "llama", "falcon", "mixtral"]  # plain, gated, parallel, with experts
TOLERANCE = 2e-4
OPTIONS = ExtractOptions(kinds=("key",), keys_of="all", top_k=2, glosses=(), name="it", workers=1)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    path = tmp_path_factory.mktemp("texts") / "texts.txt"
    path.write_text("\n".join(SENTENCES))
    return str(path)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_key_has_the_prefixes_of_its_largest_coefficients(
    tiny_model, tmp_path, corpus, family
):
    folder = tiny_model(family)
    extract(str(folder), tmp_path / "out", dataclasses.replace(OPTIONS, corpus=corpus))
    bundle = open_bundle(tmp_path / "out")
    lists = {}
    for rows in bundle.iter_trigger_prefixes(1_000):
        for row in rows:
            lists.setdefault((row.layer, row.index, row.side), []).append(row)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    ids = [tokenizer(text)["input_ids"] for text in SENTENCES]
    model = causal_model(folder)
    compared = 0
    for layer in range(2):
        m = [PlainReading(model, one, layer).m.numpy() for one in ids]
        for index in range(m[0].shape[1]):
            for side, sign in (("positive", 1), ("negative", -1)):
                rows = lists.get((layer, index, side), [])
                compare(rows, [sign * one[:, index] for one in m], ids, sign)
                compared += len(rows)
    assert compared > 100
    assert bundle.manifest.counts.trigger_prefixes == compared


def compare(rows, m, ids, sign):
    """One list beside its coefficients; sentence 2 is sentence 0."""
    listed = {row.sentence: row for row in rows}
    assert len(listed) == len(rows)
    for sentence, coefficients in enumerate(m):
        largest = coefficients[1:].max()
        row = listed.get(sentence)
        if row is None:
            # Nothing is active, or another sentence begins alike.
            same = [
                one for one in rows
                if ids[one.sentence][: one.position + 1] == ids[sentence][: one.position + 1]
                and one.sentence < sentence and one.copies > 1
            ]  # fmt: skip
            assert largest < TOLERANCE or same
            continue
        assert abs(sign * row.coefficient - coefficients[row.position]) < TOLERANCE
        assert coefficients[row.position] > largest - TOLERANCE
        assert row.token_id == ids[sentence][row.position]
        assert SENTENCES[sentence].startswith(row.prefix)
    assert 2 not in listed
    if 0 in listed:
        assert listed[0].copies >= 2


@pytest.mark.parametrize("family", ["llama", "phi3", "mixtral", "gpt_oss", "qwen2_moe"])
def test_signs_of_both_factors_are_those_of_the_matrices(tiny_model, family):
    """Gate and up from the module's input and the weights, without the reader's own formulas."""
    reader = reader_of(tiny_model(family), family)
    ids = torch.arange(24).reshape(2, 12) + 5
    batch = Batch(ids, torch.ones_like(ids), torch.zeros(1), torch.zeros(1))
    tokens = torch.arange(24)
    inputs, found = {}, {}
    blocks = reader.base.layers
    handles = [
        block.mlp.register_forward_pre_hook(
            lambda _, args, layer=layer: inputs.__setitem__(layer, args[0].reshape(24, -1))
        )
        for layer, block in enumerate(blocks)
    ]

    def visit(layer, ffn):
        m = ffn.coefficients(tokens)
        places, indices = torch.nonzero(m.abs() > 1e-4, as_tuple=True)
        found[layer] = m, places, indices, ffn.up_is_positive(tokens, places, indices)

    reader.run_ffns(batch, visit)
    for handle in handles:
        handle.remove()
    for layer, (m, places, indices, up) in found.items():
        factors = second_factors(blocks[layer].mlp, inputs[layer], family)
        expected = factors[:, : m.shape[1]][places[indices < factors.shape[1]],
                                            indices[indices < factors.shape[1]]] > 0  # fmt: skip
        assert torch.equal(up[indices < factors.shape[1]], expected)
        assert 0.05 < up.float().mean() < 0.95
        assert len(up) > 50


def second_factors(mlp, x, family):
    """The second factor of every coefficient (without a shared expert's), shape (tokens, n)."""
    with torch.inference_mode():
        if hasattr(mlp, "up_proj"):
            return mlp.up_proj(x)
        if hasattr(mlp, "gate_up_proj"):
            return mlp.gate_up_proj(x).chunk(2, dim=-1)[1]
        parts = []
        for expert, matrix in enumerate(mlp.experts.gate_up_proj):
            if family == "gpt_oss":
                up = (x @ matrix + mlp.experts.gate_up_proj_bias[expert])[:, 1::2]
                parts.append(up.clamp(-mlp.experts.limit, mlp.experts.limit) + 1)
            else:
                parts.append((x @ matrix.T).chunk(2, dim=-1)[1])
        return torch.cat(parts, dim=1)


@pytest.mark.parametrize("family", sorted(set(READ) - set(WITH_EXPERTS)))
def test_a_random_key_with_the_rows_of_a_key_has_its_coefficients(tiny_model, family):
    folder = tiny_model(family)
    reader, weights = reader_of(folder, family), weights_of(folder)
    ids = torch.arange(24).reshape(2, 12) + 5
    batch = Batch(ids, torch.ones_like(ids), torch.zeros(1), torch.zeros(1))
    tokens = torch.arange(24)
    n = weights.n_values(1)
    rows = RandomRows(
        weights.key_rows(1, 0, n).double().numpy(),
        weights.up_rows(1, 0, n).double().numpy() if weights.is_gated(1) else None,
    )
    random = RandomKeys(
        rows, reader.ffns[1], activation_of(reader.architecture, reader.config), 1, 0
    )
    biases = reader.ffns[1].biases()
    random.set_biases(*biases)
    found = {}

    def visit(layer, ffn):
        if layer == 1:
            found["m"] = ffn.coefficients(tokens)
            found["random"], found["up"] = random(tokens)
            places, indices = torch.nonzero(found["m"].abs() > 1e-3, as_tuple=True)
            found["own"] = ffn.up_is_positive(tokens, places, indices)
            found["places"] = places, indices

    reader.run_ffns(batch, visit)
    assert torch.allclose(found["m"], found["random"], rtol=1e-4, atol=1e-5)
    if found["own"] is not None:
        assert torch.equal(found["own"], found["up"][found["places"]])


def test_random_keys_have_the_moments_of_keys_and_need_no_experts(tiny_model, tmp_path, corpus):
    options = ExtractOptions(
        kinds=("random-key",), per_layer=500, top_k=2, glosses=(), corpus=corpus, name="it"
    )
    extract(str(tiny_model("llama")), tmp_path / "out", options)
    weights = weights_of(tiny_model("llama"))
    bundle = open_bundle(tmp_path / "out")
    norms = [row.norm for rows in bundle.iter_vectors(500) for row in rows if row.layer == 0]
    keys = weights.key_rows(0, 0, 24).double().numpy()
    expected = (keys.mean(axis=0) ** 2 + keys.var(axis=0)).sum()
    assert np.mean(np.square(norms)) == pytest.approx(expected, rel=0.1)
    assert bundle.manifest.counts.kinds == {"random-key": 1_000}
    with pytest.raises(OptionError, match="has experts, and a random key has no router"):
        extract(str(tiny_model("mixtral")), tmp_path / "refused", options)


def test_keys_of_an_encoder_are_refused(tiny_model, tmp_path, corpus):
    one = dataclasses.replace(OPTIONS, corpus=corpus)
    with pytest.raises(OptionError, match="does not read texts from left to right"):
        extract(str(tiny_model("bert")), tmp_path / "out", one)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"keys_of": "values", "kinds": ("value", "key"), "per_layer": 3}, "value"),
        ({"keys_of": "values", "kinds": ("value", "key"), "vectors": ((0, 5), (1, 7))}, "value"),
        ({"keys_of": "values", "kinds": ("value", "key"), "per_layer": "all"}, "value"),
        ({"keys_of": "sample", "kinds": ("value", "key"), "per_layer": 3}, None),
    ],
)
def test_which_keys_are_taken(tiny_model, tmp_path, corpus, options, expected):
    one = ExtractOptions(top_k=2, glosses=(), corpus=corpus, workers=1, **options)
    extract(str(tiny_model("gpt2")), tmp_path / "out", one)
    places = {"value": [], "key": []}
    for rows in open_bundle(tmp_path / "out").iter_vectors(500):
        for row in rows:
            places[row.kind].append((row.layer, row.index))
    if expected is not None:
        assert places["key"] == places[expected]
    else:
        assert len(places["key"]) == 6
        assert places["key"] != places["value"]


def test_threads_and_processes_change_no_byte(tiny_model, tmp_path):
    """300 sentences are four blocks; a stopped run goes on with what it kept."""
    corpus = tmp_path / "texts.txt"
    words = ("the", "cat", "sat", "on", "a", "mat")
    random = np.random.default_rng(0)
    texts = (" ".join(random.choice(words, random.integers(1, 7))) for _ in range(300))
    corpus.write_text("\n".join(texts))
    options = ExtractOptions(
        kinds=("key", "random-key"), per_layer=4, top_k=2, glosses=(), corpus=str(corpus),
        name="it",
    )  # fmt: skip
    model = str(tiny_model("llama"))
    digests = {}
    threads = torch.get_num_threads()
    try:
        for name, workers, n_threads in (("one", 1, 1), ("two", 1, 2), ("three", 3, 1)):
            torch.set_num_threads(n_threads)
            run = dataclasses.replace(options, workers=workers)
            digests[name] = extract(model, tmp_path / name, run).digest
    finally:
        torch.set_num_threads(threads)

    class Stopped(Exception):
        pass

    def stop(progress):
        if progress.step == "keys" and progress.done >= 128:
            raise Stopped

    run = dataclasses.replace(options, workers=1)
    with pytest.raises(Stopped):
        extract(model, tmp_path / "out", run, stop)
    assert not (tmp_path / "out").exists()
    seen = []
    digests["out"] = extract(model, tmp_path / "out", run, seen.append).digest
    assert max(p.before for p in seen if p.step == "keys") >= 128
    assert len(set(digests.values())) == 1
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "one", "out", "texts.txt", "three", "two",
    ]  # fmt: skip
