"""`ffn-extract trace`, and traces in a process of their own."""

import json
import shutil

import pytest
from click.testing import CliRunner

from ffn_extract.apart import TracingApart
from ffn_extract.cli import main
from ffn_extract.errors import FFNExtractError
from ffn_extract.progress import TRACE_STEPS
from ffn_extract.traces.table import trace_lines
from tests.ffn_extract.tiny_models import copied, edit_config
from tests.ffn_extract.traces.example import EXAMPLE
from tests.ffn_extract.traces.tiny_tracers import TEXT, traced, tracer_of


def run(*arguments):
    return CliRunner().invoke(main, ["trace", *map(str, arguments)])


def without_seconds(found):
    return {name: value for name, value in found.items() if name != "seconds"}


def test_as_json_the_command_prints_the_whole_trace(tiny_model):
    folder = tiny_model("gpt2")
    ended = run(folder, TEXT, "--format", "json", "--name", "x", "--new-tokens", 3,
                "--position", 2, "--token", "cat", "--set", "0:3=4.5", "--scale", "1:2=-1",
                "--zero", "1:9", "--from-position", 1)  # fmt: skip
    assert ended.exit_code == 0, ended.output
    found = json.loads(ended.stdout)
    assert list(found) == [
        "model", "prompt", "tokens", "token_ids", "position", "token", "seconds", "parts", "layers",
        "pushed_most", "continuation", "changed",
    ]  # fmt: skip
    assert list(found["seconds"]) == ["load", "trace"]
    assert found["changed"]["interventions"] == [
        {"layer": 0, "index": 3, "action": "set", "value": 4.5, "from_position": 1},
        {"layer": 1, "index": 2, "action": "scale", "value": -1.0, "from_position": 1},
        {"layer": 1, "index": 9, "action": "zero", "value": 0.0, "from_position": 1},
    ]
    assert list(found["changed"]) == [
        "interventions", "token", "parts", "layers", "pushed_most", "continuation",
        "first_difference",
    ]  # fmt: skip
    (layer, _), most = found["layers"], found["pushed_most"][0]
    assert list(layer) == [
        "layer", "before", "after", "rank_before", "rank_after", "ffn_push", "attention_push",
        "dominant",
    ]  # fmt: skip
    vector = ["index", "coefficient", "share", "push", "side", "tokens", "labels"]
    assert list(layer["dominant"][0]) == vector
    assert list(most) == ["layer", *vector]
    for part in ("before", "after", "dominant"):
        assert len(layer[part]) == len(found["pushed_most"]) == 10
    again = json.loads(run(folder, TEXT, "--format", "json", "--token", "cat").stdout)
    assert without_seconds(again) == {
        **without_seconds(traced(tracer_of(folder), token="cat")),
        "model": again["model"],
    }


TEXT_OUTPUT = """\
model:    tiny-gpt2
prompt:   ⋯the cat ␣ ⋯s ⋯a ⋯t ␣ ⋯o ⋯n the
position: 9, from 0, which is behind the
token:    \\xb3 (id 112)

layer  before the FFN  after it   rank of \\xb3  vector      m  share  its tokens
"""


def test_as_text_it_prints_a_line_for_each_layer(tiny_model):
    found = json.loads(EXAMPLE.read_text(encoding="utf-8"))
    lines = list(trace_lines(found))
    assert "\n".join(lines).startswith(TEXT_OUTPUT)
    first = found["layers"][0]
    vector = first["dominant"][0]
    assert lines[6].split()[:7] == [
        "0", first["before"][0]["token"], f"{100 * first['before'][0]['probability']:.1f}%",
        first["after"][0]["token"], f"{100 * first['after'][0]['probability']:.1f}%",
        str(first["rank_before"]), "→",
    ]  # fmt: skip
    assert f"0:{vector['index']}" in lines[6]
    assert lines[6].endswith(" ".join(vector["tokens"][:6]))
    changed = "With 0:3 set to 40; 1:5 scaled by -2.5 from position 2 on; 1:7 set to zero:"
    assert changed in lines
    assert lines[lines.index(changed) - 2].startswith("pushed most: ")
    assert lines[-1] == "The continuations differ from new token 1 on."
    assert lines[6].index("  0:") == lines[7].index("  1:")  # columns stand below each other


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["", "--format", "json"], "The prompt is empty. Give a text of at least one token."),
        ([TEXT, "--set", "3"], "--set is LAYER:INDEX=X, as 13:1852=3, not '3'."),
        ([TEXT, "--scale", "1:2=x"], "--scale is LAYER:INDEX=X, as 13:1852=3, not '1:2=x'."),
        ([TEXT, "--zero", "1:2=0"], "--zero is LAYER:INDEX, as 13:1852, not '1:2=0'."),
        ([TEXT, "--new-tokens", "51"], "The number of new tokens must be a whole number from 0 to"),
        ([TEXT, "--zero", "7:0"], "The model has the layers 0 to 1, not 7."),
        ([TEXT, "--max-tokens", "3"], "The prompt has 9 tokens; at most 3 are traced."),
    ],
)
def test_a_refusal_is_a_sentence_without_a_traceback(tiny_model, arguments, sentence):
    ended = run(tiny_model("gpt2"), *arguments)
    assert ended.exit_code == 1
    assert f"Error: {sentence}" in ended.output
    assert not ended.stdout.strip() or ended.stdout == ended.output


def test_an_encoder_is_refused(tiny_model):
    ended = run(tiny_model("bert"), TEXT)
    assert ended.exit_code == 1
    assert "A bert model is an encoder" in ended.output


def test_nothing_in_a_prompt_acts_on_a_terminal(tiny_model):
    for form in ("text", "json"):
        ended = run(tiny_model("gpt2"), "a\x1b]0;b\x07\x7f\u202e", "--format", form)
        assert ended.exit_code == 0, ended.output
        assert not set(ended.stdout) & set("\x1b\x07\x7f\u202e")
    assert json.loads(ended.stdout)["prompt"] == "a\x1b]0;b\x07\x7f\u202e"


@pytest.fixture(scope="module")
def tracing():
    process = TracingApart()
    yield process
    process.close()


def test_apart_the_answer_is_the_same_and_the_model_is_kept(tiny_model, tmp_path, tracing):
    folder = copied(tiny_model("gpt2"), tmp_path)
    request = {"prompt": TEXT, "new_tokens": 3}
    seen = []
    first = tracing.trace(str(folder), {"name": "x"}, request, lambda one: seen.append(one.step))
    assert list(dict.fromkeys(seen)) == [key for key, _ in TRACE_STEPS]
    assert first["seconds"]["load"] > 0
    plain = traced(tracer_of(tiny_model("gpt2")), new_tokens=3)
    mark = first["fingerprint"]
    assert len(mark) == 64
    assert without_seconds(first) == {**without_seconds(plain), "model": "x", "fingerprint": mark}
    seen.clear()
    again = tracing.trace(str(folder), {"name": "x"}, request, lambda one: seen.append(one.step))
    assert without_seconds(again) == without_seconds(first)
    assert again["seconds"]["load"] == 0
    assert "model" not in seen


def test_apart_a_refusal_or_a_cancel_leaves_it_ready(tiny_model, tmp_path, tracing):
    folder = str(tiny_model("gpt2"))
    with pytest.raises(FFNExtractError, match="The prompt is empty"):
        tracing.trace(folder, {}, {"prompt": ""})
    with pytest.raises(FFNExtractError, match="Unknown option: beams"):
        tracing.trace(folder, {"beams": 3}, {"prompt": "x"})
    with pytest.raises(FFNExtractError, match="is an encoder"):
        tracing.trace(str(tiny_model("bert")), {}, {"prompt": "x"})
    assert tracing.trace(folder, {}, {"prompt": TEXT})["seconds"]["load"] > 0

    def stop(progress):
        if progress.step == "trace":
            raise RuntimeError("cancelled")

    changed = [{"layer": 0, "index": 3, "action": "set", "value": 40.0}]
    with pytest.raises(RuntimeError, match="cancelled"):
        tracing.trace(folder, {}, {"prompt": TEXT, "interventions": changed}, stop)
    after = tracing.trace(folder, {}, {"prompt": TEXT})
    assert after["seconds"]["load"] == 0
    assert without_seconds(after) == {
        **without_seconds(traced(tracer_of(tiny_model("gpt2")))), "model": after["model"],
            "fingerprint": after["fingerprint"],
    }  # fmt: skip


def test_apart_a_model_whose_files_changed_is_loaded_again(tiny_model, tmp_path, tracing):
    folder = copied(tiny_model("gpt2"), tmp_path)
    assert tracing.trace(str(folder), {}, {"prompt": TEXT})["seconds"]["load"] > 0
    edit_config(folder, layer_norm_epsilon=0.001)
    assert tracing.trace(str(folder), {}, {"prompt": TEXT})["seconds"]["load"] > 0
    other = tracing.trace(str(folder), {}, {"prompt": TEXT, "dtype": "bfloat16"})
    assert other["seconds"]["load"] > 0
    shutil.rmtree(folder)
    with pytest.raises(FFNExtractError, match="copy"):
        tracing.trace(str(folder), {}, {"prompt": TEXT, "dtype": "bfloat16"})
