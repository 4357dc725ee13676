"""Reading without the norm, in half precision, and of split sentences, against plain torch."""

import json
import sys

import pytest
import torch
import transformers

from ffn_extract.architectures import ARCHITECTURES
from ffn_extract.corpora import Corpus
from ffn_extract.measurements.memory import needed_bytes
from ffn_extract.measurements.options import MeasureOptions
from ffn_extract.measurements.run import measure
from ffn_extract.options import ExtractOptions
from ffn_extract.sentences import in_sentences
from ffn_extract.tracing.reader import Reader
from tests.ffn_extract.measurements.small_runs import rows_of
from tests.ffn_extract.tracing.plain_reading import block_of, ffn_of, final_norm_of

TEXTS = [" ".join(["the cat", "sat on", "a mat", "dogs"][i % 3 :]) + f" {i}" for i in range(12)]
HALF = ["bfloat16", "float16"]
FFNS = {"gpt2": "gpt2", "gemma2": "gemma2"}  # without and with a norm after the FFN
IDS = [3, 5, 8, 4, 9, 7, 11]


@pytest.fixture(autouse=True)
def without_figures(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)


def measured(folder, tmp_path, texts=TEXTS, names=("saturation",), **changes):
    corpus = tmp_path / "texts.jsonl"
    corpus.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    options = MeasureOptions(
        model=ExtractOptions(name="tiny"), corpus=str(corpus), batch_rows=4, workers=1,
        resamples=100, **{"examples": 10, **changes},
    )  # fmt: skip
    measure(list(names), folder, tmp_path / "out", options)
    return tmp_path / "out"


def examples_of(out):
    return [json.loads(line)["ids"] for line in (out / "examples.jsonl").read_text().splitlines()]


def manifest_of(out):
    return json.loads((out / "manifest.json").read_text())


def plain_states(model, ids, layer):
    """x̃ and o at the last position, by transformers and one hook of torch, in float64."""
    block, kept = block_of(model, layer), {}
    module = getattr(block, "post_feedforward_layernorm", ffn_of(block))
    hooks = [
        one.register_forward_hook(
            lambda _, __, given, name=name: kept.update(
                {name: (given[0] if isinstance(given, tuple) else given)[0, -1].double()}
            )
        )
        for name, one in (("o", module), ("after", block))
    ]
    with torch.inference_mode():
        model(input_ids=torch.tensor([ids, ids]), use_cache=False)
    for hook in hooks:
        hook.remove()
    return kept["after"], kept["o"]


def saturation_without_norm(model, ids):
    rows = model.get_output_embeddings().weight.detach().double()
    tops = [
        int((rows @ plain_states(model, ids, layer)[0]).argmax())
        for layer in range(model.config.num_hidden_layers)
    ]
    return min(i for i in range(len(tops)) if set(tops[i:]) == {tops[-1]})


def test_without_the_norm_states_are_read_as_they_are(tiny_model, tmp_path):
    out = measured(tiny_model("gpt2"), tmp_path, without_norm=True)
    model = transformers.AutoModelForCausalLM.from_pretrained(tiny_model("gpt2")).eval()
    layers = [saturation_without_norm(model, ids) for ids in examples_of(out)]
    found = [int(row["examples"]) for row in rows_of(out, "saturation")]
    assert found == [layers.count(layer) for layer in range(len(found))]
    assert manifest_of(out)["parameters"]["without_norm"] is True
    assert "w, the top token of the last layer, need not be" in (out / "README.md").read_text()


@pytest.mark.parametrize("dtype", HALF)
@pytest.mark.parametrize("family", FFNS)
def test_in_half_precision_x_is_subtracted_and_scored_after_conversion(tiny_model, family, dtype):
    half = getattr(torch, dtype)
    model = transformers.AutoModelForCausalLM.from_pretrained(
        tiny_model(family), dtype=half, attn_implementation="eager"
    ).eval()
    reader = Reader(model, ARCHITECTURES[FFNS[family]])
    wide = transformers.AutoModelForCausalLM.from_pretrained(
        tiny_model(family), dtype=torch.float32
    ).eval()
    wide.load_state_dict({name: one.float() for name, one in model.state_dict().items()})
    differs = False
    for reading in reader.read(IDS, [len(IDS) - 1]):
        after, update = plain_states(model, IDS, reading.layer)
        assert reading.before.dtype == torch.float32
        assert torch.equal(reading.after[0].double(), after)
        assert torch.equal(reading.update[0].double(), update)
        assert torch.equal(reading.before[0], after.float() - update.float())
        differs |= not torch.equal(reading.before, reading.before.to(half).float())
        with torch.inference_mode():
            expected = wide.get_output_embeddings()(final_norm_of(wide)(reading.before))
        torch.testing.assert_close(reader.unembed.scores(reading.before), expected)
        every = torch.arange(len(reading.values))[None]
        last = getattr(ffn_of(block_of(model, reading.layer)), "c_proj", None)
        bias = 0 if last is None else last.bias.detach().double()
        added = reading.sub_updates(every)[0].sum(dim=0) + bias
        torch.testing.assert_close(added, update, rtol=0.02, atol=0.02)
    assert differs  # in half precision x would have lost digits


@pytest.mark.parametrize("dtype", HALF)
def test_in_half_precision_the_manifest_says_so(tiny_model, tmp_path, dtype):
    out = measured(tiny_model("gpt2"), tmp_path, names=["promotion"], dtype=dtype)
    parameters = manifest_of(out)["parameters"]
    assert parameters["precision"] == dtype
    assert "dtype" not in parameters
    assert f"The model ran with weights in {dtype}; x̃ and o" in (out / "README.md").read_text()


def test_a_gguf_model_and_the_random_control_run_in_half_precision_too(tiny_model, tmp_path):
    from tests.ffn_extract.tiny_gguf import write_gguf

    path = tmp_path / "tiny.gguf"
    write_gguf(path, tiny_model("gpt2"))
    found = []
    for name, model in (("folder", tiny_model("gpt2")), ("file", path)):
        (tmp_path / name).mkdir()
        out = measured(model, tmp_path / name, dtype="bfloat16", control=True)
        found.append(rows_of(out, "saturation"))
    assert found[0] == found[1]
    assert {row["weights"] for row in found[0]} == {"trained", "random"}


def test_in_half_precision_less_memory_is_asked_for(tiny_model):
    from ffn_extract.checkpoints.find import find_checkpoint

    checkpoint = find_checkpoint(str(tiny_model("gpt2")))
    sizes = {"layers": 2, "d_model": 8, "d_ff": 8, "vocab_size": 64, "workers": 1}
    needed = {
        dtype: needed_bytes(checkpoint, MeasureOptions(dtype=dtype), **sizes)
        for dtype in ("float32", "bfloat16", "float16")
    }
    assert needed["bfloat16"] == needed["float16"] < needed["float32"]


def test_split_sentences_are_the_texts_and_their_digest_is_stored(tiny_model, tmp_path):
    texts = [f"{one.capitalize()}. Then {one}." for one in TEXTS]
    out = measured(tiny_model("gpt2"), tmp_path, texts=texts, examples=16, split_sentences=True)
    corpus = manifest_of(out)["parameters"]["examples"]["corpus"]
    assert corpus == {
        "name": "file", "texts": 24, "sha256": Corpus("file", list(in_sentences(texts))).digest,
    }  # fmt: skip
    lines = [json.loads(line) for line in (out / "examples.jsonl").read_text().splitlines()]
    assert {line["text"] for line in lines} <= set(in_sentences(texts))
    assert "was split into sentences" in (out / "README.md").read_text()
