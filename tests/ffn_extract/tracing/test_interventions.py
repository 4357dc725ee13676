"""Interventions against models whose weights are edited, or that compute what they change."""

import copy

import pytest
import torch
from torch import nn

from ffn_extract.architectures import ARCHITECTURES
from ffn_extract.errors import CheckpointError, OptionError
from ffn_extract.tracing.ffn_modules import DenseFFN
from ffn_extract.tracing.interventions import Intervention, intervened
from ffn_extract.tracing.reader import Reader
from tests.ffn_extract.tracing.causal_families import READ, causal_model, reader_of
from tests.ffn_extract.tracing.edited_models import with_added, with_scaled_vector
from tests.ffn_extract.tracing.plain_reading import (
    PlainReading,
    block_of,
    ffn_of,
    values_of,
)

IDS = [3, 5, 8, 4, 9, 7, 11]
ONE_OF_EACH_KIND = ["falcon", "gemma2", "gpt2", "gpt_oss", "llama", "llama4_text", "qwen2_moe"]
EXPERTS = ["deepseek_v3", "gpt_oss", "llama4_text", "mixtral", "qwen2_moe"]


def logits(model, ids=IDS):
    with torch.inference_mode():
        return model(input_ids=torch.tensor([ids]), use_cache=False).logits[0]


@pytest.mark.parametrize(
    ("family", "action"),
    [
        *((family, "set") for family in READ),
        *((family, action) for family in ONE_OF_EACH_KIND for action in ("zero", "scale")),
    ],
)
def test_changed_coefficients_are_edited_value_vectors(tiny_model, family, action):
    """Two vectors of the second layer and one of the first, at all positions."""
    reader = reader_of(tiny_model(family), family)
    places = [(0, 2), (1, 1), (1, len(reader.values[1]) - 1)]
    model = reader.model
    for place in places:
        model = with_scaled_vector(model, *place, 1.5 if action == "scale" else 0.0)
    for layer in (0, 1) if action == "set" else ():
        values = values_of(block_of(reader.model, layer))
        indices = [index for of, index in places if of == layer]
        model = with_added(model, layer, 3.0 * values[indices].sum(dim=0))
    amount = {"zero": 0.0, "scale": 1.5, "set": 3.0}[action]
    before = logits(reader.model)
    with intervened(reader, [Intervention(*place, action, amount) for place in places]):
        found = logits(reader.model)
    torch.testing.assert_close(found, logits(model), rtol=1e-4, atol=1e-4)
    assert (found - before).abs().max() > 1e-3
    torch.testing.assert_close(logits(reader.model), before, rtol=0, atol=0)


@pytest.mark.parametrize("family", ONE_OF_EACH_KIND)
def test_from_a_position_on_earlier_ones_stay_as_they_were(tiny_model, family):
    reader = reader_of(tiny_model(family), family)
    plain = PlainReading(reader.model, IDS, 1)
    for index in (1, len(reader.values[1]) - 1):
        missing = (2.0 - plain.m[:, index, None]) * values_of(block_of(reader.model, 1))[index]
        missing[:4] = 0
        expected = logits(with_added(reader.model, 1, missing))
        with intervened(reader, [Intervention(1, index, "set", 2.0, from_position=4)]):
            found = logits(reader.model)
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(found[:4], logits(reader.model)[:4], rtol=1e-5, atol=1e-5)
        assert (found[4:] - logits(reader.model)[4:]).abs().max() > 1e-3


@pytest.mark.parametrize("family", [*ONE_OF_EACH_KIND, "mixtral"])
@pytest.mark.parametrize("search", [{}, {"num_beams": 3}])
def test_generation_with_a_cache_writes_what_edited_weights_write(tiny_model, family, search):
    reader = reader_of(tiny_model(family), family)
    index = len(reader.values[1]) - 2
    edited = with_scaled_vector(reader.model, 1, index, 0.0)
    edited = with_added(edited, 1, -40.0 * values_of(block_of(reader.model, 1))[index])
    settings = {
        "max_new_tokens": 8, "min_new_tokens": 8, "do_sample": False, "pad_token_id": 0, **search,
    }  # fmt: skip
    prompt = torch.tensor([IDS])
    mask = torch.ones_like(prompt)
    plain = reader.model.generate(prompt, attention_mask=mask, **settings)
    expected = edited.generate(prompt, attention_mask=mask, use_cache=False, **settings)
    with intervened(reader, [Intervention(1, index, "set", -40.0)]):
        found = reader.model.generate(prompt, attention_mask=mask, use_cache=True, **settings)
    assert found.tolist() == expected.tolist()
    assert found.tolist() != plain.tolist()


def test_with_a_cache_positions_go_on_where_it_ends(tiny_model):
    """From the second new token on: the first is written as without, by greedy steps by hand."""
    reader = reader_of(tiny_model("llama"), "llama")
    change = [Intervention(0, 3, "set", 40.0, from_position=len(IDS))]
    ids = list(IDS)
    for _ in range(5):
        with intervened(reader, change):
            ids.append(int(logits(reader.model, ids)[-1].argmax()))
    with intervened(reader, change):
        found = reader.model.generate(
            torch.tensor([IDS]), attention_mask=torch.ones(1, len(IDS)), max_new_tokens=5,
            min_new_tokens=5, do_sample=False, pad_token_id=0,
        )  # fmt: skip
    assert found[0].tolist() == ids
    assert ids[len(IDS)] == int(logits(reader.model)[-1].argmax())


@pytest.mark.parametrize("family", ONE_OF_EACH_KIND)
def test_readings_show_the_changed_coefficients(tiny_model, family):
    reader = reader_of(tiny_model(family), family)
    index = len(reader.values[1]) - 1
    (plain,) = reader.read(IDS, range(len(IDS)), layers=[1])
    with intervened(reader, [Intervention(1, index, "set", 2.0, from_position=3)]):
        (reading,) = reader.read(IDS, range(len(IDS)), layers=[1])
    expected = plain.m.clone()
    expected[3:, index] = 2.0
    torch.testing.assert_close(reading.m, expected, rtol=1e-4, atol=1e-5)


def test_before_the_activation_gpt2_gets_gelu_of_it_as_the_released_code_does(tiny_model):
    """m = gelu(3) = 2.996: the released code of 2022 sets what the activation reads."""
    reader = reader_of(tiny_model("gpt2"), "gpt2")
    with intervened(reader, [Intervention(1, 5, "set", 3.0, before_activation=True)]):
        (reading,) = reader.read(IDS, range(len(IDS)), layers=[1])
        found = logits(reader.model)
    torch.testing.assert_close(reading.m[:, 5], torch.full((len(IDS),), 2.9964), atol=1e-3, rtol=0)
    edited = copy.deepcopy(reader.model)
    key = block_of(edited, 1).mlp.c_fc
    key.weight.data[:, 5] = 0
    key.bias.data[5] = 3.0
    torch.testing.assert_close(found, logits(edited), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("family", ["llama", "phi3", "falcon"])
@pytest.mark.parametrize(("action", "amount"), [("set", 3.0), ("scale", 2.0), ("zero", 0.0)])
def test_before_the_activation_a_row_of_the_key_matrix_is_edited(
    tiny_model, family, action, amount
):
    reader = reader_of(tiny_model(family), family)
    edited = copy.deepcopy(reader.model)
    ffn = ffn_of(block_of(edited, 0))
    names = ("gate_proj", "gate_up_proj", "dense_h_to_4h")
    key = getattr(ffn, next(name for name in names if hasattr(ffn, name)))
    if key.bias is None:
        key.bias = nn.Parameter(torch.zeros(len(key.weight)))
    key.weight.data[7] *= amount if action == "scale" else 0
    key.bias.data[7] = key.bias.data[7] * amount if action == "scale" else amount
    with intervened(reader, [Intervention(0, 7, action, amount, before_activation=True)]):
        found = logits(reader.model)
    torch.testing.assert_close(found, logits(edited), rtol=1e-4, atol=1e-4)
    assert (found - logits(reader.model)).abs().max() > 1e-4


@pytest.mark.parametrize("family", EXPERTS)
def test_before_the_activation_an_expert_changes_where_it_is_chosen(tiny_model, family):
    """The gate's side of one vector; elsewhere m stays 0."""
    reader = reader_of(tiny_model(family), family)
    (plain,) = reader.read(IDS, range(len(IDS)), layers=[1])
    width = 24 if family in ("gpt_oss", "llama4_text", "mixtral") else 12
    sums = plain.m[:, : 4 * width].reshape(len(IDS), 4, width).abs().sum(dim=(0, 2))
    expert = int(sums.argmax())
    index = expert * width + 4
    fill, unchanged = 2.5, logits(reader.model)
    with intervened(reader, [Intervention(1, index, "scale", 1.0, before_activation=True)]):
        (same,) = reader.read(IDS, range(len(IDS)), layers=[1])
        torch.testing.assert_close(logits(reader.model), unchanged, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(same.m, plain.m, rtol=1e-4, atol=1e-6)
    with intervened(reader, [Intervention(1, index, "set", fill, before_activation=True)]):
        (changed,) = reader.read(IDS, range(len(IDS)), layers=[1])
        found = logits(reader.model)
    chosen = plain.m[:, expert * width : (expert + 1) * width].abs().sum(dim=1) > 0
    assert torch.equal(changed.m[:, index] != plain.m[:, index], chosen)
    added = (changed.m - plain.m)[:, index, None].double() * values_of(block_of(reader.model, 1))[
        index
    ]
    expected = logits(with_added(reader.model, 1, added))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(
        changed.m[:, index], plain_gate(reader.model, index, width, fill, plain), rtol=1e-3,
        atol=1e-5,
    )  # fmt: skip


def plain_gate(model, index, width, fill, plain):
    """m of one expert's vector with its gate's input set, from what the FFN reads and its m."""
    expert, column = divmod(index, width)
    seen = []
    ffn = ffn_of(block_of(model, 1))
    handle = ffn.register_forward_pre_hook(lambda _, args: seen.append(args[0].clone()))
    logits(model)
    handle.remove()
    x = seen[0].reshape(len(IDS), -1)
    matrix = ffn.experts.gate_up_proj.detach()[expert]
    name = type(ffn.experts).__name__
    matrix = matrix.T if name in ("GptOssExperts", "Llama4TextExperts") else matrix
    silu = nn.functional.silu
    if name == "GptOssExperts":
        bias = ffn.experts.gate_up_proj_bias.detach()[expert]
        gate, up = (x @ matrix[2 * column + k] + bias[2 * column + k] for k in (0, 1))
        limit, alpha = ffn.experts.limit, ffn.experts.alpha
        up = up.clamp(-limit, limit)

        def act(g):
            return g.clamp(max=limit) * torch.sigmoid(g.clamp(max=limit) * alpha) * (up + 1)
    else:
        gate, up = x @ matrix[column], x @ matrix[width + column]
        if name == "Llama4TextExperts":
            scores = torch.sigmoid(x @ ffn.router.weight.detach().T)
            weight = torch.where(plain.m[:, index] != 0, scores[:, expert], 0)
            return torch.where(
                plain.m[:, index] != 0, silu(torch.tensor(fill)) * up * weight, 0
            ).float()

        def act(g):
            return silu(g) * up

    weight = torch.where(plain.m[:, index] != 0, plain.m[:, index] / act(gate), 0)
    return weight * act(torch.full_like(gate, fill))


@pytest.mark.parametrize(
    ("interventions", "sentence"),
    [
        ([Intervention(2, 0, "zero")], "has the layers 0 to 1, not 2"),
        ([Intervention(0, 64, "zero")], "has value vectors 0 to 63, not 64"),
        ([Intervention(0, 1, "zero"), Intervention(0, 1, "set", 1.0)], "0:1 is named twice"),
        ([Intervention(0, 1, "zero", from_position=-1)], "counted from 0"),
    ],
)
def test_vectors_that_are_not_there_or_named_twice_are_refused(tiny_model, interventions, sentence):
    reader = reader_of(tiny_model("gpt2"), "gpt2")
    with pytest.raises(OptionError, match=sentence), intervened(reader, interventions):
        pass


def test_an_unknown_key_matrix_is_said(tiny_model):
    model = causal_model(tiny_model("gpt2"))
    reader = Reader(model, ARCHITECTURES["gpt2"])
    reader.ffns[0] = DenseFFN(reader.ffns[0].update, None)
    wanted = [Intervention(0, 1, "zero", before_activation=True)]
    with (
        pytest.raises(CheckpointError, match="nothing can be set before"),
        intervened(reader, wanted),
    ):
        pass
