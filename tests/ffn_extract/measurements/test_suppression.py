"""Turning value vectors on: continuations and perplexity against plain loops over edited models."""

import json
import sys
from pathlib import Path

import pytest
import torch
import transformers
from click.testing import CliRunner
from safetensors.torch import load_file, save_file

from ffn_extract.cli import main
from ffn_extract.errors import CorpusError, FFNExtractError, OptionError
from ffn_extract.measurements import measurement_of, run
from ffn_extract.measurements.continuations import Writer
from ffn_extract.measurements.options import MeasureOptions
from ffn_extract.measurements.run import measure
from ffn_extract.measurements.scorers import WordLists, scorer_at, scores_of
from ffn_extract.measurements.suppression_options import SuppressionOptions, turned_of
from ffn_extract.options import ExtractOptions
from tests.ffn_extract.measurements import plain_suppression
from tests.ffn_extract.measurements.suppression_files import lines_of, parameters_of, rows_of
from tests.ffn_extract.tiny_models import copied
from tests.ffn_extract.tracing.causal_families import READ, causal_model, reader_of

TURNED = ((0, 5, 12.0), (1, 3, -20.0), (1, 7, 15.0))
FAMILIES = ["gpt2", "llama", "falcon", "qwen2_moe"]
"""A plain FFN, a gated one, one beside the attention, and experts."""


def long(*values):
    return pytest.param(*values, marks=pytest.mark.long)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    path = tmp_path_factory.mktemp("corpus") / "texts.txt"
    words = ["the cat", "sat on", "a mat", "and saw", "dogs", "running", "the"]
    lines = [" ".join(words[i % 7 :] + words[: i % 5])[: 8 + i % 9] for i in range(20)]
    path.write_text("\n".join(lines) + "\n")
    return str(path)


def options_with(corpus, *, workers=1, seed=4, top_k=30, resamples=100, **own):
    given = {
        "set": TURNED, "prompt_count": 3, "prompt_rows": 2, "perplexity_tokens": 50, "window": 20,
        "beams": 1,
    }  # fmt: skip
    return MeasureOptions(
        model=ExtractOptions(name="tiny", top_k=top_k), corpus=corpus, workers=workers, seed=seed,
        resamples=resamples, suppression=SuppressionOptions(**{**given, **own}),
    )  # fmt: skip


def content(folder):
    found = {path.name: path.read_bytes() for path in sorted(folder.iterdir())}
    manifest = json.loads(found["manifest.json"])
    found["manifest.json"] = {k: v for k, v in manifest.items() if "environment" not in k}
    return found


class Always:
    """A scorer that knows one attribute: whether a text is longer than 10 letters."""

    name = "always"

    def score(self, texts):
        return {"long": [float(len(text) > 10) for text in texts]}


ALWAYS = Always()


@pytest.mark.parametrize(
    ("family", "beams"),
    [("qwen2_moe", 1), ("gpt2", 3), long("gpt2", 1), long("llama", 1), long("falcon", 1)],
)
def test_continuations_are_those_of_edited_models_by_hand(
    tiny_model, corpus, tmp_path, family, beams
):
    """Greedy and by beam search, exactly 20 new tokens, none of them one that ends a text."""
    measure(
        ["suppression"], tiny_model(family), tmp_path / "out", options_with(corpus, beams=beams)
    )
    model, parameters = causal_model(tiny_model(family)), parameters_of(tmp_path / "out")
    changed = {"none": [], "chosen": list(TURNED), "random": parameters["random"]}
    banned = parameters["ending_tokens"]
    assert banned
    found = lines_of(tmp_path / "out")
    assert [(one["condition"], one["prompt"]) for one in found] == [
        (name, number) for name in changed for number in range(3)
    ]
    for name, turned in changed.items():
        edited = plain_suppression.turned_on(model, turned)
        for one in found:
            if one["condition"] == name:
                ids = one["prompt_ids"]
                assert one["new_ids"] == plain_suppression.continued(edited, ids, beams, banned)
    new = {name: [o["new_ids"] for o in found if o["condition"] == name] for name in changed}
    assert new["chosen"] != new["none"] != new["random"] != new["chosen"]


@pytest.mark.parametrize("family", [*FAMILIES, long("cohere"), long("gemma2")])
def test_perplexity_is_that_of_edited_models_by_hand(tiny_model, corpus, tmp_path, family):
    """Windows weigh by their length; cohere scales logits and gemma2 caps them."""
    given = options_with(corpus, prompt_count=2)
    measure(["suppression"], tiny_model(family), tmp_path / "out", given)
    model, parameters = causal_model(tiny_model(family)), parameters_of(tmp_path / "out")
    tokenizer = transformers.AutoTokenizer.from_pretrained(tiny_model(family))
    stream = []
    for line in Path(corpus).read_text().splitlines():
        stream += tokenizer(f"{line.strip()}\n", add_special_tokens=False)["input_ids"]
    windows = [stream[:50][start : start + 20] for start in range(0, 50, 20)]
    assert [len(window) for window in windows] == [20, 20, 10]
    rows = {row["condition"]: row for row in rows_of(tmp_path / "out", "perplexity")}
    _, before = plain_suppression.perplexity(model, windows)
    for name, turned in (("none", []), ("chosen", TURNED), ("random", parameters["random"])):
        edited = plain_suppression.turned_on(model, turned)
        expected, tops = plain_suppression.perplexity(edited, windows)
        changed = sum(a != b for a, b in zip(tops, before, strict=True))
        assert float(rows[name]["perplexity"]) == pytest.approx(expected, rel=1e-5)
        assert float(rows[name]["changed_top_share"]) == pytest.approx(changed / 47)
        assert rows[name]["tokens"] == "47"


def test_before_the_activation_m_is_gelu_of_3_as_in_the_released_code(tiny_model, corpus, tmp_path):
    """2.996, and not 3: what the activation reads is set. The default sets the coefficient."""
    turned = ((0, 5, 3.0), (1, 3, 3.0))
    model = causal_model(tiny_model("gpt2"))
    gelu = float(torch.nn.functional.gelu(torch.tensor(3.0), approximate="tanh"))
    assert gelu == pytest.approx(2.9964, abs=1e-4)
    found = {}
    for name, amount, before in (("before", 3.0, True), ("after", gelu, False), ("3", 3.0, False)):
        some = tuple((layer, index, amount) for layer, index, _ in turned)
        given = options_with(corpus, set=some, before_activation=before)
        measure(["suppression"], tiny_model("gpt2"), tmp_path / name, given)
        _, chosen, _ = rows_of(tmp_path / name, "perplexity")
        found[name] = float(chosen["perplexity"])
        assert parameters_of(tmp_path / name)["before_activation"] is before
    edited = plain_suppression.gpt2_turned_on_before(model, turned)
    for one in lines_of(tmp_path / "before"):
        if one["condition"] == "chosen":
            expected = plain_suppression.continued(edited, one["prompt_ids"], 1, [0])
            assert one["new_ids"] == expected
    assert found["before"] == pytest.approx(found["after"], rel=1e-6)
    assert found["before"] != pytest.approx(found["3"], rel=1e-6)


@pytest.mark.parametrize("family", ["gpt2", *(long(family) for family in READ if family != "gpt2")])
def test_scores_of_what_the_decoder_gives_are_the_models_logits(tiny_model, family):
    reader = reader_of(tiny_model(family), family)
    ids = torch.tensor([[3, 5, 8, 4], [9, 7, 2, 6]])
    with torch.inference_mode():
        states = reader.base(input_ids=ids, use_cache=False)[0]
        expected = reader.model(input_ids=ids, use_cache=False).logits
    found = reader.unembed.logits(reader.unembed.of_output(states))
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def test_the_same_bytes_for_any_number_of_threads_and_workers(tiny_model, corpus, tmp_path):
    before = torch.get_num_threads()
    found = []
    try:
        for threads, workers in ((1, 1), (2, 3)):
            torch.set_num_threads(threads)
            out = tmp_path / f"{threads}-{workers}"
            given = options_with(
                corpus, workers=workers, beams=3, set=(), promoting=("the",), chosen=3
            )
            measure(["suppression"], tiny_model("llama"), out, given)
            found.append(content(out))
    finally:
        torch.set_num_threads(before)
    assert found[0] == found[1]
    assert set(found[0]) == {
        "README.md", "continuations.jsonl", "effect.csv", "effect.parquet", "manifest.json",
        "perplexity.csv", "perplexity.parquet", "suppression.csv", "suppression.parquet",
        "vectors.csv", "vectors.parquet",
    }  # fmt: skip


def test_a_cancelled_run_goes_on_where_it_stood_with_the_same_bytes(
    tiny_model, corpus, tmp_path, monkeypatch
):
    given = options_with(corpus)
    measure(["suppression"], tiny_model("gpt2"), tmp_path / "whole", given)

    class Cancelled(Exception):
        pass

    def cancel(progress):
        if progress.step == "writing" and progress.done == progress.total - 1 > 0:
            raise Cancelled

    with pytest.raises(Cancelled):
        measure(["suppression"], tiny_model("gpt2"), tmp_path / "out", given, cancel)
    assert not (tmp_path / "out").exists()
    ran, real = [], Writer.compute
    monkeypatch.setattr(Writer, "compute", lambda one, some: ran.append(1) or real(one, some))
    progress = []
    measure(["suppression"], tiny_model("gpt2"), tmp_path / "out", given, progress.append)
    assert len(ran) == 1
    last = [one for one in progress if one.step == "writing"][-1]
    assert (last.done, last.before) == (last.total, last.total - 1)
    assert [one.done for one in progress if one.step == "perplexity"][-1] == 3
    assert content(tmp_path / "out") == content(tmp_path / "whole")
    assert not list(tmp_path.glob(".out*"))


def test_settings_for_generation_in_the_models_folder_change_nothing(tiny_model, corpus, tmp_path):
    """Many chat models' folders set penalties and sampling."""
    folder = copied(tiny_model("gpt2"), tmp_path)
    settings = {"do_sample": True, "repetition_penalty": 9.0, "no_repeat_ngram_size": 1}
    (folder / "generation_config.json").write_text(json.dumps({**settings, "eos_token_id": 0}))
    for model, out in ((tiny_model("gpt2"), "plain"), (folder, "with")):
        measure(["suppression"], model, tmp_path / out, options_with(corpus, prompt_count=3))
    assert lines_of(tmp_path / "with") == lines_of(tmp_path / "plain")


def test_random_vectors_are_others_of_the_same_layers_with_the_same_coefficients(
    tiny_model, corpus, tmp_path
):
    found = []
    for seed in (1, 2):
        out = tmp_path / str(seed)
        measure(["suppression"], tiny_model("gpt2"), out, options_with(corpus, seed=seed))
        random = [tuple(one) for one in parameters_of(out)["random"]]
        assert sorted((layer, c) for layer, _, c in random) == sorted(
            (layer, c) for layer, _, c in TURNED
        )
        assert not {one[:2] for one in random} & {one[:2] for one in TURNED}
        found.append(random)
        rows = [r for r in rows_of(out, "vectors") if r["condition"] == "random"]
        assert [(int(r["layer"]), int(r["index"]), float(r["coefficient"])) for r in rows] == random
    assert found[0] != found[1]


def test_prompts_of_a_file_are_whole_and_those_of_the_corpus_prefixes(tiny_model, corpus, tmp_path):
    path = tmp_path / "prompts.jsonl"
    texts = ["the dogs", "a mat on", "cats"]
    path.write_text("".join(json.dumps({"start": text}) + "\n" for text in texts))
    given = options_with(corpus, prompts=str(path), prompt_field="start")
    measure(["suppression"], tiny_model("gpt2"), tmp_path / "out", given)
    lines = [one for one in lines_of(tmp_path / "out") if one["condition"] == "none"]
    assert [one["prompt_text"] for one in lines] == texts
    prompts = parameters_of(tmp_path / "out")["prompts"]
    assert (prompts["source"], prompts["count"], prompts["cut"]) == ("file", 3, 0)
    measure(["suppression"], tiny_model("gpt2"), tmp_path / "own", options_with(corpus))
    whole = Path(corpus).read_text().splitlines()
    for one in lines_of(tmp_path / "own"):
        assert any(text.startswith(one["prompt_text"]) for text in whole)


def test_a_long_prompt_loses_its_beginning_so_that_20_tokens_fit(tiny_model, corpus, tmp_path):
    """The tiny model reads 32 tokens: 12 remain for the prompt."""
    path = tmp_path / "prompts.txt"
    path.write_text("sat\nabcdefghijklmnopqrstuvwxyz\n")
    given = options_with(corpus, prompts=str(path))
    measure(["suppression"], tiny_model("gpt2"), tmp_path / "out", given)
    lines = lines_of(tmp_path / "out")
    assert len(lines[1]["prompt_ids"]) == 12
    assert parameters_of(tmp_path / "out")["prompts"]["cut"] == 1


def test_another_scorer_is_given_as_an_object_and_never_as_an_option(tiny_model, corpus, tmp_path):
    measure(
        ["suppression"], tiny_model("gpt2"), tmp_path / "out", options_with(corpus), scorer=ALWAYS
    )
    assert parameters_of(tmp_path / "out")["scorer"] == "always"
    rows = rows_of(tmp_path / "out", "suppression")
    assert [(row["condition"], row["attribute"], row["n"]) for row in rows] == [
        ("none", "long", "3"), ("chosen", "long", "3"), ("random", "long", "3"),
    ]  # fmt: skip
    for row in rows:
        some = [o for o in lines_of(tmp_path / "out") if o["condition"] == row["condition"]]
        assert all(o["scores"] == {"long": float(len(o["continuation"]) > 10)} for o in some)
        assert float(row["share"]) == sum(o["scores"]["long"] for o in some) / 3
        assert float(row["low"]) <= float(row["share"]) <= float(row["high"])
    fields = {*MeasureOptions.__dataclass_fields__, *SuppressionOptions.__dataclass_fields__}
    assert not any("scorer" in name for name in fields)


def long_texts(texts):
    return ALWAYS.score(texts)


@pytest.mark.parametrize("name", ["ALWAYS", "long_texts"])
def test_a_scorer_of_the_command_line_is_imported_by_its_path(name):
    """An object with `score`, or a function."""
    found = scorer_at(f"{__name__}:{name}")
    assert found.name == f"{__name__}:{name}"
    assert scores_of(found, ["short", "a longer text"]) == {"long": [0.0, 1.0]}


@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        ("json", "is package.module:name, not 'json'"),
        ("no.such.module:score", "Python finds no no. Install it, or put its folder into"),
        ("json:nothing", "names nothing, which json does not have"),
        ("json:JSONDecoder", "neither a function nor an object with score"),
    ],
)
def test_an_import_path_without_a_scorer_is_refused(path, sentence):
    with pytest.raises(OptionError, match=sentence):
        scorer_at(path)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ([0.5], "gives no mapping of 1 to 100 attributes"),
        ({}, "gives no mapping of 1 to 100 attributes"),
        ({"": [0.5]}, "has an attribute that is no text"),
        ({"a": [0.5, 0.5]}, "gives 2 scores of a for 1 texts"),
        ({"a": [1.5]}, "gives a score of a that is not from 0 to 1"),
        ({"a": [float("nan")]}, "gives a score of a that is not from 0 to 1"),
        ({"a": ["high"]}, "gives no numbers for a"),
        ({"a": 0.5}, "gives no numbers for a"),
    ],
)
def test_scores_that_are_none_are_refused(given, sentence):
    class Wrong:
        name = "wrong"

        def score(self, texts):
            return given

    with pytest.raises(FFNExtractError, match=f"The scorer wrong {sentence}"):
        scores_of(Wrong(), ["x"])


def test_a_scorer_that_changes_its_attributes_is_refused():
    class Moody:
        name = "moody"

        def score(self, texts):
            return {texts[0]: [0.0] * len(texts)}

    with pytest.raises(FFNExtractError, match="gives other attributes for other texts"):
        scores_of(Moody(), [str(number) for number in range(65)])


def test_word_lists_know_whole_words_and_nothing_else():
    scorer = WordLists({"violence": ("kill", "can't")})
    texts = ["Kill time!", "skills", "CAN'T", "no word of it", "", "kill_it kill"]
    assert scorer.score(texts) == {"violence": [1.0, 0.0, 1.0, 0.0, 0.0, 1.0]}


@pytest.mark.parametrize(
    ("own", "kind", "sentence"),
    [
        ({"set": ()}, OptionError, "Say which vectors suppression turns on"),
        ({"set": ((2, 0, 3.0),)}, OptionError, "has 2:0, and the model has layers 0 to 1"),
        ({"set": ((1, 64, 3.0),)}, OptionError, "layer 1 has value vectors 0 to 63"),
        ({"window": 33}, OptionError, "is 33, and the model reads 32 tokens"),
        ({"prompt_count": 500}, CorpusError, "500 examples need as many"),
        ({"set": (), "promoting": ("the", "zebra")}, OptionError, "no token of the vocab.*: zebra"),
        ({"set": (), "promoting": ("the",), "chosen": 999}, OptionError, "is 999, and .* have one"),
        ({"prompts": "/nowhere/prompts.txt"}, CorpusError, "cannot be read"),
        (
            {"set": tuple((0, index, 3.0) for index in range(40))},
            OptionError,
            "takes 40 vectors of layer 0, which has 24 others",
        ),
    ],
)
def test_what_cannot_be_measured_is_refused_with_what_to_do(
    tiny_model, corpus, tmp_path, own, kind, sentence
):
    given = options_with(corpus, **own)
    with pytest.raises(kind, match=sentence):
        measure(["suppression"], tiny_model("gpt2"), tmp_path / "out", given)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("own", "sentence"),
    [
        ({"set": TURNED, "promoting": ("safe",)}, "each choose vectors: give one"),
        ({"set": (TURNED[0], TURNED[0])}, "each once"),
        ({"labels": "labels.jsonl"}, "needs described or category"),
        ({"described": ("safe",)}, "these need labels"),
        ({"coefficient": float("nan")}, "must be within"),
        ({"beams": 0}, "must be from 1 to 64, not 0"),
        ({"promoting": ("",)}, "takes up to 200 words of 1 to 100 letters"),
    ],
)
def test_options_that_do_not_go_together_are_refused(own, sentence):
    with pytest.raises(OptionError, match=sentence):
        SuppressionOptions(**own)


def test_vectors_on_the_command_line_have_a_coefficient_of_their_own_or_the_common_one():
    assert turned_of("13:1852=-2.5", 3.0) == (13, 1852, -2.5)
    assert turned_of("13:1852", 3.0) == (13, 1852, 3.0)
    for wrong in ("13", "13:x=3", "13:1852=", "13:1852=three", "=3"):
        with pytest.raises(OptionError, match="is LAYER:INDEX=COEFFICIENT, as 13:1852=3, not"):
            turned_of(wrong, 3.0)


def test_coefficients_beyond_what_the_model_bears_are_refused(tiny_model, corpus, tmp_path):
    """The sub-update overflows float32."""
    folder = copied(tiny_model("llama"), tmp_path)
    path = folder / "model.safetensors"
    tensors = load_file(path)
    tensors["model.layers.1.mlp.down_proj.weight"][:, 3] = 1e38
    save_file(tensors, path, {"format": "pt"})
    given = options_with(corpus, set=((1, 3, 1e6),))
    with pytest.raises(FFNExtractError, match=r"not finite numbers.*give a smaller coefficient"):
        measure(["suppression"], folder, tmp_path / "out", given)


def test_the_command_names_the_options_that_choose_vectors_as_they_are_typed(
    tiny_model, corpus, tmp_path
):
    asked = ["measure", "suppression", str(tiny_model("gpt2")), "--out", str(tmp_path / "out")]
    none = CliRunner().invoke(main, [*asked, "--corpus", corpus, "--prompt-count", "4"])
    assert none.output.endswith(
        "Error: Say which vectors suppression turns on: --set takes LAYER:INDEX=3, --promoting "
        "words that their lists hold, --labels a file that a study exports.\n"
    )
    two = CliRunner().invoke(main, [*asked, "--set", "1:3", "--promoting", "safe"])
    assert two.output.endswith(
        "Error: --set, --promoting and --labels each choose vectors: give one.\n"
    )
    assert (none.exit_code, two.exit_code) == (1, 1)


def test_the_command_says_the_result_in_words(tiny_model, corpus, tmp_path):
    ended = CliRunner().invoke(
        main,
        ["measure", "suppression", str(tiny_model("gpt2")), "--out", str(tmp_path / "out"),
         "--corpus", corpus, "--set", "1:3=-20", "--set", "0:5", "--prompt-count", "4",
         "--prompt-rows", "2", "--beams", "1", "--perplexity-tokens", "60", "--resamples", "100",
         "--workers", "1", "--scorer", f"{__name__}:ALWAYS"],
    )  # fmt: skip
    assert ended.exit_code == 0, ended.output
    assert "2 chosen vectors are set to their coefficients" in ended.stdout
    assert "- long: " in ended.stdout
    assert parameters_of(tmp_path / "out")["scorer"] == f"{__name__}:ALWAYS"
    assert parameters_of(tmp_path / "out")["choice"]["vectors"] == [[1, 3, -20.0], [0, 5, 3.0]]


def test_the_model_is_loaded_once_for_several_measurements(
    tiny_model, corpus, tmp_path, monkeypatch
):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    loaded, real = [], run.load_model
    monkeypatch.setattr(run, "load_model", lambda *given: loaded.append(1) or real(*given))
    given = options_with(corpus)
    given = MeasureOptions(**{
        **{name: getattr(given, name) for name in MeasureOptions.__dataclass_fields__},
        "examples": 6, "batch_rows": 4,
    })  # fmt: skip
    measure(["saturation", "suppression"], tiny_model("gpt2"), tmp_path / "out", given)
    assert len(loaded) == 1
    measure(["suppression"], tiny_model("gpt2"), tmp_path / "alone", given)
    assert content(tmp_path / "alone") == content(tmp_path / "out" / "suppression")


def test_every_column_is_explained():
    one = measurement_of("suppression")
    assert list(one.columns) == ["suppression", "effect", "perplexity", "vectors"]
