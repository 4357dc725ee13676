"""Traces of tiny models against hidden states of edited models, and against plain generation."""

import json

import numpy as np
import pytest
import torch
from transformers import OPTConfig, OPTForCausalLM

from ffn_extract.errors import CheckpointError, FFNExtractError, OptionError
from ffn_extract.traces import RequestedIntervention, TraceRequest
from ffn_extract.traces.continuation import continuation
from ffn_extract.traces.layers import best, read_prompt
from tests.ffn_extract.tiny_models import EXTRA_ROWS, copied
from tests.ffn_extract.traces.example import EXAMPLE, as_stored, example_trace
from tests.ffn_extract.traces.plain_trace import PlainTrace, own_logit
from tests.ffn_extract.traces.tiny_tracers import generated, traced, tracer_of
from tests.ffn_extract.tracing.causal_families import READ
from tests.ffn_extract.tracing.edited_models import with_added, with_scaled_vector
from tests.ffn_extract.tracing.plain_reading import block_of, values_of

EVERY_FAMILY = pytest.mark.parametrize("family", READ)
ONE_OF_EACH_KIND = [
    "bloom", "cohere", "falcon", "gemma", "gemma2", "gpt2", "gpt_oss", "granite", "llama",
    "llama4_text", "olmo", "olmo2", "opt", "phi", "qwen2_moe",
]  # fmt: skip
CLOSE = {"rel": 1e-4, "abs": 2e-5}


@EVERY_FAMILY
def test_the_parts_add_up_to_the_tokens_logit_before_caps(tiny_model, family):
    tracer = tracer_of(tiny_model(family))
    for position in (None, 0, 2):
        found = traced(tracer, position=position, new_tokens=0)
        token, parts, layers = found["token"], found["parts"], found["layers"]
        assert sum(parts.values()) == pytest.approx(token["logit"], rel=1e-4)
        assert token["logit"] == pytest.approx(
            own_logit(tracer.reader.model, found["token_ids"], found["position"],
                      token["token_id"]),
            rel=1e-4,
        )  # fmt: skip
        for part in ("attention", "ffn"):
            assert sum(one[f"{part}_push"] for one in layers) == pytest.approx(parts[part], **CLOSE)
        assert layers[-1]["after"][0]["token_id"] == token["token_id"]
        assert layers[-1]["rank_after"] == 1


def test_parts_add_up_where_the_head_is_narrower_than_the_stream(tiny_model, tmp_path):
    folder = copied(tiny_model("opt"), tmp_path)
    torch.manual_seed(0)
    config = OPTConfig.from_pretrained(folder, word_embed_proj_dim=8)
    model = OPTForCausalLM(config)
    for parameter in model.parameters():
        parameter.data.add_(0.2 * torch.randn_like(parameter))
    model.save_pretrained(folder)
    tracer = tracer_of(folder)
    assert tracer.reader.model.model.decoder.project_out is not None
    found = traced(tracer, new_tokens=4)
    ids, token = found["token_ids"], found["token"]
    own = own_logit(model.eval(), ids, len(ids) - 1, token["token_id"])
    assert sum(found["parts"].values()) == pytest.approx(own, rel=1e-4)
    assert [one["token_id"] for one in found["continuation"]] == generated(model, ids, 4)
    vector = found["layers"][1]["dominant"][0]
    value = model.model.decoder.layers[1].fc2.weight.detach().double()[:, vector["index"]]
    scores = model.lm_head.weight.detach().double() @ (
        model.model.decoder.project_out.weight.detach().double() @ value
    )
    best_ten = torch.sort(scores[:-EXTRA_ROWS], descending=True, stable=True).indices[:10]
    assert vector["tokens"] == [tracer.shown(int(token_id)) for token_id in best_ten]


def test_a_very_long_token_is_cut(tiny_model, monkeypatch):
    tracer = tracer_of(tiny_model("gpt2"))
    monkeypatch.setattr("ffn_extract.traces.tracer.LONGEST_SHOWN", 3)
    assert tracer.shown(tracer.tokenizer(" cat")["input_ids"][0]) == "cat"
    assert tracer.shown(tracer.tokenizer("cat")["input_ids"][0]) == "⋯c…"


@pytest.mark.parametrize("family", ONE_OF_EACH_KIND)
def test_a_trace_is_what_plain_transformers_and_edited_weights_give(tiny_model, family):
    tracer = tracer_of(tiny_model(family))
    token_id, position = 70, 3
    found = traced(tracer, position=position, token_id=token_id, new_tokens=0)
    model = tracer.reader.model
    plain = PlainTrace(model, found["token_ids"], position, token_id)
    assert found["parts"]["embedding"] == pytest.approx(float(plain.push(plain.entry)), **CLOSE)
    assert found["parts"]["bias"] == pytest.approx(plain.bias, **CLOSE)
    entered = plain.entry
    for layer, one in enumerate(found["layers"]):
        require_predictions(plain, plain.before[layer], one["before"], one["rank_before"])
        require_predictions(plain, plain.after[layer], one["after"], one["rank_after"])
        assert one["ffn_push"] == pytest.approx(float(plain.push(plain.update[layer])), **CLOSE)
        attention = plain.push(plain.before[layer] - entered)
        assert one["attention_push"] == pytest.approx(float(attention), **CLOSE)
        entered = plain.after[layer]
        sizes, pushes = plain.sizes(layer), plain.push(plain.sub_updates[layer])
        order = torch.sort(sizes, descending=True, stable=True).indices[:10].tolist()
        assert [vector["index"] for vector in one["dominant"]] == order
        for vector in one["dominant"]:
            require_vector(plain, layer, vector, sizes, pushes)
    every = torch.cat([plain.push(one) for one in plain.sub_updates])
    widths = [len(one) for one in plain.sub_updates]
    largest = torch.sort(every, descending=True, stable=True).indices[:10].tolist()
    places = [(int(n >= widths[0]), n - widths[0] * (n >= widths[0])) for n in largest]
    assert [(one["layer"], one["index"]) for one in found["pushed_most"]] == places
    for vector in found["pushed_most"]:
        layer = vector["layer"]
        pushes = plain.push(plain.sub_updates[layer])
        require_vector(plain, layer, vector, plain.sizes(layer), pushes)


def require_predictions(plain, state, found, rank):
    logits, probabilities = plain.logits(state[None])[0], plain.probabilities(state[None])[0]
    order = torch.sort(logits, descending=True, stable=True).indices
    assert [one["token_id"] for one in found] == order[:10].tolist()
    assert rank == order.tolist().index(plain.token_id) + 1
    np.testing.assert_allclose(
        [one["probability"] for one in found], probabilities[order[:10]], rtol=1e-4
    )


def require_vector(plain, layer, vector, sizes, pushes):
    index = vector["index"]
    assert vector["coefficient"] == pytest.approx(float(plain.m[layer][index]), **CLOSE)
    assert vector["share"] == pytest.approx(float(sizes[index] / sizes.sum()), **CLOSE)
    assert vector["push"] == pytest.approx(float(pushes[index]), **CLOSE)
    assert vector["side"] == ("lowest" if vector["coefficient"] < 0 else "highest")


@pytest.mark.parametrize("family", ["gemma2", "gpt2", "llama", "qwen2_moe"])
def test_tokens_are_those_of_the_list_on_the_side_of_the_coefficient(tiny_model, family):
    """E·v without the gain of a norm after the FFN, over the rows that the tokenizer names."""
    tracer = tracer_of(tiny_model(family))
    found = traced(tracer, new_tokens=0)
    model = tracer.reader.model
    head = model.get_output_embeddings().weight.detach().double()[:-EXTRA_ROWS]
    sides = set()
    for layer, one in enumerate(found["layers"]):
        for vector in one["dominant"]:
            scores = head @ values_of(block_of(model, layer))[vector["index"]]
            sides.add(vector["side"])
            wanted = torch.sort(
                scores, descending=vector["side"] == "highest", stable=True
            ).indices[:10]
            assert vector["tokens"] == [tracer.shown(int(token_id)) for token_id in wanted]
    assert sides == ({"highest"} if family == "gpt2" else {"highest", "lowest"})


def test_lists_follow_the_options_for_special_tokens_and_for_another_unembedding(tiny_model):
    folder = tiny_model("llama")
    plain = traced(tracer_of(folder), new_tokens=0)
    named = traced(tracer_of(folder, unembedding_tensor="lm_head.weight"), new_tokens=0)
    assert named == plain
    dropped = traced(tracer_of(folder, drop_special=True), new_tokens=0)
    special = {"<unk>", "<s>", "</s>"}
    assert shown_in(plain) & special
    assert not shown_in(dropped) & special


def shown_in(found):
    dominant = (vector for layer in found["layers"] for vector in layer["dominant"])
    return {token for vector in dominant for token in vector["tokens"]}


@EVERY_FAMILY
def test_a_continuation_is_what_generate_writes_greedily(tiny_model, family):
    tracer = tracer_of(tiny_model(family))
    found = traced(tracer, new_tokens=6)
    written = [one["token_id"] for one in found["continuation"]]
    assert written == generated(tracer.reader.model, found["token_ids"], 6)


@pytest.mark.parametrize("family", [*ONE_OF_EACH_KIND, "qwen3_5_text"])
def test_interventions_equal_edited_weights(tiny_model, family):
    """Zero and set at all positions: the trace, the pushes and the continuation."""
    tracer = tracer_of(tiny_model(family))
    last = len(tracer.reader.values[1]) - 1
    model = tracer.reader.model
    changes = (
        RequestedIntervention(1, last, "set", 30.0),
        RequestedIntervention(1, 1, "zero"),
        RequestedIntervention(0, 2, "scale", -3.0),
    )
    found = traced(tracer, new_tokens=5, interventions=changes)
    edited = with_scaled_vector(model, 0, 2, -3.0)
    edited = with_scaled_vector(edited, 1, 1, 0.0)
    edited = with_scaled_vector(edited, 1, last, 0.0)
    edited = with_added(edited, 1, 30.0 * values_of(block_of(model, 1))[last])
    ids, token_id = found["token_ids"], found["token"]["token_id"]
    changed = found["changed"]
    assert changed["token"]["token_id"] == token_id
    own = own_logit(edited, ids, len(ids) - 1, token_id)
    assert changed["token"]["logit"] == pytest.approx(own, rel=1e-3, abs=1e-4)
    assert sum(changed["parts"].values()) == pytest.approx(changed["token"]["logit"], rel=1e-4)
    with torch.inference_mode():
        logits = edited(torch.tensor([ids]), use_cache=False).logits[0, -1]
    top = changed["layers"][-1]["after"][0]
    assert top["token_id"] == int(logits.argmax())
    written = [one["token_id"] for one in changed["continuation"]]
    assert written == generated(edited, ids, 5, use_cache=False)
    coefficients = {
        (one["layer"], v["index"]): v["coefficient"]
        for one in changed["layers"]
        for v in one["dominant"]
    }
    assert coefficients[1, last] == 30.0
    assert (1, 1) not in coefficients
    plain = [one["token_id"] for one in found["continuation"]]
    places = [n for n, (a, b) in enumerate(zip(plain, written, strict=False)) if a != b]
    assert changed["first_difference"] == (places[0] if places else None)
    again = traced(tracer, new_tokens=5)
    assert {**again, "changed": None} == {**found, "changed": None}


def test_from_a_position_on_earlier_readings_stay_and_new_tokens_change(tiny_model):
    tracer = tracer_of(tiny_model("llama"))
    n = len(traced(tracer, new_tokens=0)["token_ids"])
    late = (RequestedIntervention(0, 3, "set", 60.0, from_position=n),)
    found = traced(tracer, new_tokens=5, interventions=late)
    changed = found["changed"]
    assert changed["layers"] == found["layers"]
    assert changed["parts"] == found["parts"]
    assert changed["continuation"][0] == found["continuation"][0]
    assert changed["first_difference"] is not None


def test_the_model_ends_a_text_with_its_end_token(tiny_model):
    tracer = tracer_of(tiny_model("gpt2"))
    found = traced(tracer, new_tokens=6)
    first, ids = found["continuation"][0]["token_id"], found["token_ids"]
    read = read_prompt(tracer.reader, ids, len(ids) - 1, keep_cache=True, done=lambda _: None)
    written = continuation(
        tracer.reader, read.output, read.cache, len(ids), 6, {first}, lambda _: None
    )
    assert written == [first]


def test_the_same_request_gives_the_same_bytes(tiny_model, tmp_path):
    folder = tiny_model("qwen3_moe")
    threads = torch.get_num_threads()
    texts = []
    try:
        for n in (1, 2, 2):
            torch.set_num_threads(n)
            texts.append(json.dumps(traced(tracer_of(folder), new_tokens=5)))
    finally:
        torch.set_num_threads(threads)
    assert texts[0] == texts[1] == texts[2]


def test_the_example_for_other_tests_is_a_real_trace(tiny_model):
    found = json.loads(as_stored(example_trace(tiny_model("gpt2"))))
    stored = json.loads(EXAMPLE.read_text(encoding="utf-8"))
    assert without_numbers(found) == without_numbers(stored)
    assert numbers(found) == pytest.approx(numbers(stored), rel=1e-3, abs=1e-5)


def without_numbers(value):
    if isinstance(value, dict):
        return {name: without_numbers(one) for name, one in value.items()}
    if isinstance(value, list):
        return [without_numbers(one) for one in value]
    return None if isinstance(value, float) else value


def numbers(value):
    if isinstance(value, dict | list):
        parts = value.values() if isinstance(value, dict) else value
        return [number for one in parts for number in numbers(one)]
    return [value] if isinstance(value, float) else []


def test_of_equal_numbers_the_lower_place_comes_first():
    scores = torch.tensor([1.0, 5.0, 2.0, 5.0, 2.0, 2.0, 0.0])
    assert best(scores, 4) == [1, 3, 2, 4]
    assert best(scores) == [1, 3, 2, 4, 5, 0, 6]


def test_what_a_tokenizer_puts_before_the_prompt_stays_and_is_shown(tiny_model, tmp_path):
    tracer = tracer_of(tiny_model("llama"))
    found = traced(tracer, "the", new_tokens=0)
    encoded = tracer.tokenizer("the")["input_ids"]
    assert found["token_ids"] == encoded
    assert found["tokens"] == [tracer.shown(token_id) for token_id in encoded]


def test_one_token_is_traced_too(tiny_model):
    found = traced(tracer_of(tiny_model("gpt2")), "t", new_tokens=2)
    assert (found["position"], len(found["token_ids"]), len(found["continuation"])) == (0, 1, 2)


def test_a_row_that_no_entry_names_is_shown_by_its_number(tiny_model):
    tracer = tracer_of(tiny_model("gpt2"))
    last = tracer.reader.unembed.vocab_size - 1
    found = traced(tracer, token_id=last, new_tokens=0)
    assert found["token"]["token"] == f"⟨{last}⟩"


@pytest.mark.parametrize("typed", ["cat", " cat"])
def test_a_token_is_named_as_it_is_shown_or_as_it_is_written(tiny_model, typed):
    tracer = tracer_of(tiny_model("gpt2"))
    shown = traced(tracer, token=typed, new_tokens=0)["token"]
    assert shown["token"] == "cat"


@pytest.mark.parametrize(
    ("request_of", "sentence"),
    [
        ({"prompt": "x" * 40}, "The prompt has 40 tokens and 20 new ones, and the model reads at "
                               "most 32. Give a shorter prompt or fewer new tokens."),
        ({"prompt": "x" * 33, "new_tokens": 0},
         "The prompt has 33 tokens, and the model reads at most 32. Give a shorter prompt."),
        ({"prompt": "x" * 9, "max_tokens": 8},
         "The prompt has 9 tokens; at most 8 are traced. Give a shorter one."),
        ({"prompt": "xyz", "position": 3},
         "The prompt has the positions 0 to 2, not 3. Give one of them."),
        ({"prompt": "xyz", "token_id": 4000}, "The model has the tokens 0 to 265, not 4,000."),
        ({"prompt": "xyz", "token": "dogs"},
         "The text 'dogs' is 4 tokens, not one: ⋯d (68), ⋯o (79), ⋯g (71), ⋯s (83). Give one of "
         "them, or its id."),
        ({"prompt": "xyz", "interventions": (RequestedIntervention(2, 0, "zero"),)},
         "The model has the layers 0 to 1, not 2."),
        ({"prompt": "xyz", "interventions": (RequestedIntervention(1, 64, "zero"),)},
         "Layer 1 has value vectors 0 to 63, not 64."),
        ({"prompt": "xyz", "interventions": (RequestedIntervention(1, 6, "zero"),) * 2},
         "The vector 1:6 is named twice; name it once."),
        ({"prompt": "xyz", "new_tokens": 2,
          "interventions": (RequestedIntervention(1, 6, "zero", from_position=5),)},
         "The intervention on 1:6 begins at position 5, and the prompt and its new tokens end at "
         "4. Give an earlier position."),
    ],
)  # fmt: skip
def test_what_cannot_be_traced_is_refused_with_a_sentence(tiny_model, request_of, sentence):
    with pytest.raises(OptionError) as caught:
        traced(tracer_of(tiny_model("gpt2")), **request_of)
    assert str(caught.value) == sentence


def test_numbers_that_overflow_are_refused_and_the_next_trace_is_well(tiny_model):
    tracer = tracer_of(tiny_model("gpt2"), "float16")
    assert traced(tracer, new_tokens=2)["changed"] is None
    for action, sentence in (
        ("set", r"The value 1e\+06 is too large for float16, in which the model runs"),
        ("scale", "are not finite at this prompt with these interventions, so nothing"),
    ):
        huge = (RequestedIntervention(0, 3, action, 1e6),)
        with pytest.raises(FFNExtractError, match=sentence):
            traced(tracer, new_tokens=2, interventions=huge)
    assert traced(tracer, new_tokens=2)["changed"] is None


@pytest.mark.parametrize("family", ["gpt2", "gemma2", "mixtral"])
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_in_half_precision_parts_add_up_too(tiny_model, family, dtype):
    found = traced(tracer_of(tiny_model(family), dtype), new_tokens=3)
    assert sum(found["parts"].values()) == pytest.approx(found["token"]["logit"], rel=1e-4)


@pytest.mark.parametrize("family", ["bert", "t5", "opt+350m"])
def test_a_model_without_readings_is_refused_before_it_is_loaded(tiny_model, family):
    with pytest.raises(FFNExtractError, match=r"and traced|or traced|traces need"):
        tracer_of(tiny_model(family))


def test_a_model_that_does_not_fit_is_refused(tiny_model, monkeypatch):
    monkeypatch.setattr("ffn_extract.traces.run.free_bytes", lambda: 300_000_000)
    with pytest.raises(FFNExtractError, match=r"needs about 0.6 GB of memory, and 0.3 GB are free"):
        tracer_of.__wrapped__(tiny_model("gpt2"))


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"prompt": ""}, "The prompt is empty."),
        ({}, "The trace lacks prompt."),
        ([], "The trace is an object of JSON."),
        ({"prompt": 5}, "The prompt is empty."),
        ({"prompt": "x" * 100_001}, "The prompt has 100,001 characters; at most 100,000 are read."),
        ({"prompt": "\ud800"}, "The prompt holds half a character"),
        ({"prompt": "x", "beams": 3}, "Unknown entry of the trace: beams."),
        ({"prompt": "x", "position": -1}, "The position must be a whole number from 0 to"),
        ({"prompt": "x", "position": True}, "The position must be a whole number"),
        ({"prompt": "x", "new_tokens": 51}, "The number of new tokens must be a whole number from "
                                            "0 to 50, not 51."),
        ({"prompt": "x", "token_id": 1, "token": "a"}, "by its id or by its text, not both"),
        ({"prompt": "x", "dtype": "int8"}, "dtype is float32, bfloat16, float16, not 'int8'."),
        ({"prompt": "x", "interventions": {}}, "The interventions are a list."),
        ({"prompt": "x", "interventions": [{"layer": 0, "index": 0}]},
         "The intervention lacks action."),
        ({"prompt": "x", "interventions": [{"layer": 0, "index": 0, "action": "add"}]},
         "An intervention is set, scale or zero, not 'add'."),
        ({"prompt": "x",
          "interventions": [{"layer": 0, "index": 0, "action": "set", "value": float("nan")}]},
         "must be a number within ±1,000,000, not nan."),
        ({"prompt": "x", "interventions": [{"layer": 0, "index": 0, "action": "zero"}] * 101},
         "There are 101 interventions; at most 100 are made at once."),
    ],
)  # fmt: skip
def test_a_request_that_makes_no_sense_is_refused(values, sentence):
    with pytest.raises(OptionError) as caught:
        TraceRequest.from_json(values)
    assert sentence in str(caught.value)


def test_a_request_is_the_same_after_json():
    one = TraceRequest(
        "x", 1, 2, None, 3, (RequestedIntervention(0, 1, "scale", 2.0, 3),), 4, "bfloat16"
    )
    assert TraceRequest.from_json(json.loads(json.dumps(one.to_json()))) == one
    nothing = {"prompt": "x", "position": None, "token_id": None, "new_tokens": None}
    assert TraceRequest.from_json(nothing) == TraceRequest("x")


def test_a_tokenizer_that_fails_is_named(tiny_model, monkeypatch):
    tracer = tracer_of.__wrapped__(tiny_model("gpt2"))

    def fail(*_, **__):
        raise RuntimeError("no")

    monkeypatch.setattr(type(tracer.tokenizer), "__call__", fail)
    with pytest.raises(CheckpointError, match="its tokenizer fails at the prompt"):
        traced(tracer)
