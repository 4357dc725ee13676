"""The reader on a tiny model of every family, against hidden states of edited models."""

import weakref

import numpy as np
import pytest
import torch

from ffn_extract.architectures import ARCHITECTURES
from ffn_extract.errors import ArchitectureError, OptionError
from ffn_extract.traceable import require_traceable
from ffn_extract.tracing.batches import BatchPlan, batch_of
from ffn_extract.tracing.reader import Reader
from ffn_extract.tracing.unembed import ranks, top
from tests.ffn_extract.tiny_families import TINY_FAMILIES
from tests.ffn_extract.tiny_models import weights_of
from tests.ffn_extract.tracing.causal_families import READ, REFUSED, causal_model, reader_of
from tests.ffn_extract.tracing.plain_reading import (
    PlainReading,
    block_of,
    gain_after,
    values_of,
)

IDS = [3, 5, 8, 4, 9, 7, 11]
WITH_NORM_AFTER = ["exaone4", "gemma2", "gemma3_text", "glm4", "olmo2", "olmo3"]
EVERY_FAMILY = pytest.mark.parametrize("family", READ)


def close(found, expected):
    np.testing.assert_allclose(found.double().numpy(), expected, rtol=1e-4, atol=2e-5)


def test_every_family_is_read_or_refused():
    assert {name.split("+")[0] for name in {*READ, *REFUSED}} | {"wikilm"} == set(ARCHITECTURES)


@pytest.mark.parametrize(("family", "reason"), REFUSED.items())
def test_a_model_without_such_readings_is_refused_with_the_reason(tiny_model, family, reason):
    model = TINY_FAMILIES[family].head.from_pretrained(tiny_model(family))
    with pytest.raises(ArchitectureError, match=reason):
        Reader(model, ARCHITECTURES[family.split("+")[0]])


def test_the_sentences_of_refusals_say_what_to_do(tiny_model):
    said = {}
    for family in ("bert", "bart", "opt+350m"):
        model = TINY_FAMILIES[family].head.from_pretrained(tiny_model(family))
        with pytest.raises(ArchitectureError) as caught:
            Reader(model, ARCHITECTURES[family.split("+")[0]])
        said[family] = str(caught.value)
    with pytest.raises(ArchitectureError) as caught:
        require_traceable(ARCHITECTURES["wikilm"], None)
    said["wikilm"] = str(caught.value)
    assert said == {
        "bert": "A bert model is an encoder: it predicts no next token, and its blocks norm the "
        "residual stream. Measurements and traces need a causal model, such as gpt2.",
        "bart": "A bart model has an encoder and a decoder; only models that read and continue one "
        "text can be measured and traced. Give a causal model, such as gpt2.",
        "opt+350m": "This opt model norms the residual stream after the FFN update was added "
        "(do_layer_norm_before is False), so there is no sum x + o that the next layer reads. It "
        "cannot be measured or traced.",
        "wikilm": "This wikilm model cannot be run, because transformers does not know its form, "
        "so it cannot be measured or traced. Its lists can be extracted with the kinds value and "
        "random.",
    }


@EVERY_FAMILY
def test_readings_are_those_of_hidden_states_of_edited_models(tiny_model, family):
    """x, o, x̃ and m at every position of both layers; x + o = x̃; o = Σ s_i (+ bias)."""
    model, reader = causal_model(tiny_model(family)), reader_of(tiny_model(family), family)
    for reading in reader.read(IDS, range(len(IDS))):
        plain = PlainReading(model, IDS, reading.layer)
        close(reading.after, plain.after)
        close(reading.before, plain.before)
        close(reading.update, plain.update)
        close(reading.m, plain.m)
        close(reading.before + reading.update, reading.after.double())
        block = block_of(model, reading.layer)
        sub_updates = plain_sub_updates(block, plain)
        every = torch.arange(reading.m.shape[1]).expand(len(IDS), -1)
        close(reading.sub_updates(every), sub_updates)
        close(reading.sizes(), sub_updates.norm(dim=-1))
        bias = plain.update - sub_updates.sum(dim=1)
        if family == "gpt_oss":  # each expert has a bias of its own
            router = model.model.layers[reading.layer].mlp.router
            assert bias.std(dim=0).max() > 0.01
            assert router.top_k == 2
        else:
            close(bias, bias.mean(dim=0).expand_as(bias))
        if family not in WITH_NORM_AFTER and bias.abs().max() < 1e-5:
            close(reading.update, sub_updates.sum(dim=1))


def plain_sub_updates(block, plain):
    """m_i·v_i, through the norm after the FFN where there is one: that of all of them together."""
    added = plain.m[..., None] * values_of(block) * plain.factor
    after = gain_after(block)
    if after is None:
        return added
    gain, norm = after
    u = added.sum(dim=1)
    with torch.inference_mode():
        normed = norm(u.float()).double()
    largest = u.abs().argmax(dim=1, keepdim=True)
    one_over_rms = normed.gather(1, largest) / (u * gain).gather(1, largest)
    return added * gain * one_over_rms[..., None]


@EVERY_FAMILY
def test_predictions_of_the_last_layer_are_the_models_logits(tiny_model, family):
    model, reader = causal_model(tiny_model(family)), reader_of(tiny_model(family), family)
    (reading,) = reader.read(IDS, range(len(IDS)), layers=[1])
    with torch.inference_mode():
        logits = model(input_ids=torch.tensor([IDS])).logits[0]
    scores = reader.unembed.scores(reading.after)
    torch.testing.assert_close(reader.unembed.logits(scores), logits, rtol=1e-4, atol=1e-4)
    assert torch.equal(top(scores), logits.argmax(dim=1))


@EVERY_FAMILY
def test_a_prefix_alone_reads_as_in_a_longer_text(tiny_model, family):
    """Alone, in a longer text, and padded at its end beside longer texts."""
    reader = reader_of(tiny_model(family), family)
    alone = reader.read(IDS[:4], [3])
    longer = reader.read(IDS, [3])
    padded = []
    plan = BatchPlan(rows=3, multiple=8)
    reader.run(batch_of([IDS[:4], IDS], [3, 6], plan, limit=32), padded.append)
    for one, other, third in zip(alone, longer, padded, strict=True):
        for part in ("m", "update", "after"):
            expected = getattr(one, part)[0].double().numpy()
            close(getattr(other, part)[0], expected)
            close(getattr(third, part)[0], expected)


@EVERY_FAMILY
def test_indices_are_those_of_extractions(tiny_model, family):
    reader, weights = reader_of(tiny_model(family), family), weights_of(tiny_model(family))
    for layer in reader.layers:
        n = weights.n_values(layer)
        assert len(reader.values[layer]) == n
        rows = weights.value_rows(layer, 0, n)
        gain = 1.0 if reader.values[layer]._gain is None else reader.values[layer]._gain
        torch.testing.assert_close(
            reader.values[layer].take(torch.arange(n)), rows * gain, rtol=0, atol=0
        )


def test_coefficients_leave_a_layers_visit_only_if_they_are_taken_out(tiny_model):
    """One layer's coefficients are in memory at a time."""
    reader = reader_of(tiny_model("gpt2"), "gpt2")
    kept, alive = [], []

    def visit(reading):
        kept.append(weakref.ref(reading.m))
        alive.append(sum(one() is not None for one in kept))

    reader.run(batch_of([IDS, IDS], [6, 6], BatchPlan(2, 8)), visit)
    assert alive == [1, 1]
    assert all(ffn._read.numel() == 0 for ffn in reader.ffns)


def test_hooks_are_gone_after_a_pass_that_was_broken_off(tiny_model):
    model = causal_model(tiny_model("mixtral"))
    reader = reader_of(tiny_model("mixtral"), "mixtral")

    def stop(_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        reader.run(batch_of([IDS, IDS], [6, 6], BatchPlan(2, 8)), stop)
    modules = list(model.modules())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in modules)


def test_batches_depend_on_lengths_and_plan_alone():
    plan = BatchPlan(rows=2, multiple=4)
    assert plan.batches([5, 3, 3, 9, 1]) == [[4, 1], [2, 0], [3]]
    batch = batch_of([[7, 8, 9], [1, 2, 3, 4, 5]], [2, 4], plan, padding=0, limit=6)
    assert batch.ids.tolist() == [[7, 8, 9, 0, 0, 0], [1, 2, 3, 4, 5, 0]]
    assert batch.mask.tolist() == [[1, 1, 1, 0, 0, 0], [1, 1, 1, 1, 1, 0]]
    filled = batch_of([[7, 8]], [1], plan)
    assert filled.ids.tolist() == [[7, 8, 0, 0], [7, 8, 0, 0]]
    assert filled.columns.tolist() == [1, 1]
    with pytest.raises(OptionError, match="Give 2 or more"):
        BatchPlan(rows=1)


def test_readings_are_the_same_bits_for_any_number_of_threads(tiny_model):
    reader = reader_of(tiny_model("llama"), "llama")
    before, found = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 4):
            torch.set_num_threads(threads)
            parts = []
            reader.run(
                batch_of([IDS, IDS[:3]], [6, 2], BatchPlan(8, 8), limit=32),
                lambda r, parts=parts: parts.extend((r.m, r.before, r.after)),
            )
            found.append(b"".join(part.numpy().tobytes() for part in parts))
    finally:
        torch.set_num_threads(before)
    assert found[0] == found[1] == found[2]


def test_the_rank_counts_higher_scores_and_equal_ones_with_a_lower_id():
    scores = torch.tensor([[1.0, 3.0, 3.0, 2.0], [0.0, 0.0, 0.0, 0.0]])
    assert ranks(scores, torch.tensor([2, 3])).tolist() == [2, 4]
    assert ranks(scores, torch.tensor([0, 0])).tolist() == [4, 1]
    assert top(scores).tolist() == [1, 0]
