"""Measurements from a model's folder to folders of tables, against plain loops."""

import json
import sys

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from click.testing import CliRunner

from ffn_extract.bundle.manifest import digest_of
from ffn_extract.cli import main
from ffn_extract.errors import ArchitectureError, CorpusError, FFNExtractError, OptionError
from ffn_extract.keys.passes import KeyPass
from ffn_extract.measurements.memory import require_memory
from ffn_extract.measurements.options import MeasureOptions
from ffn_extract.measurements.passes import Pass
from ffn_extract.measurements.run import measure
from ffn_extract.tracing.reader import Reader
from tests.ffn_extract.measurements import plain_measures
from tests.ffn_extract.measurements.small_runs import (
    OPTIONS,
    number,
    options_with,
    plain_examples,
    rows_of,
)
from tests.ffn_extract.tiny_gguf import write_gguf

OF_2021 = ["key-value-agreement", "composition", "residual"]
FOUR = ["contribution", "saturation", "promotion", "top-candidate"]
FAMILIES = [
    "gemma2", "gpt2", "qwen2_moe",
    *(pytest.param(family, marks=pytest.mark.long) for family in ("falcon", "gpt_oss", "llama")),
]  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def without_figures():
    """Drawing takes most of a small measurement's time; test_figures.py draws."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "matplotlib.figure", None)
        yield


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    path = tmp_path_factory.mktemp("corpus") / "texts.txt"
    words = ["the cat", "sat on", "a mat", "and saw", "dogs", "running", "the"]
    lines = [" ".join(words[i % 7 :] + words[: i % 5])[: 8 + i] for i in range(30)]
    path.write_text("\n".join(["x", *lines]) + "\n")
    return str(path)


@pytest.fixture(scope="module")
def measured(tiny_model, corpus, tmp_path_factory):
    """The four measurements of a family in one pass, and the same by plain loops."""
    made = {}

    def make(family):
        if family not in made:
            out = tmp_path_factory.mktemp("measured") / family
            measure(FOUR, tiny_model(family), out, options_with(corpus))
            made[family] = out, plain_examples(tiny_model(family), out)
        return made[family]

    return make


@pytest.mark.parametrize("family", FAMILIES)
def test_contribution_is_that_of_plain_loops(measured, family):
    out, plain = measured(family)
    shares, effective = plain_measures.contribution(plain)
    rows = rows_of(out / "contribution", "contribution")
    assert {(int(r["layer"]), r["group"], int(r["k"])) for r in rows} == set(shares)
    for row in rows:
        found = number(row["share"]), number(row["median"])
        key = int(row["layer"]), row["group"], int(row["k"])
        assert found == pytest.approx(shares[key], rel=1e-4)
        assert number(row["low"]) <= found[0] <= number(row["high"]) + 1e-12
        assert row["n"] == "10"
    for row in rows_of(out / "contribution", "effective"):
        assert number(row["effective_number"]) == pytest.approx(
            effective[int(row["layer"])], rel=1e-4
        )
        assert (row["undefined"], row["n"]) == ("0", "10")


@pytest.mark.parametrize("family", FAMILIES)
def test_saturation_is_that_of_plain_loops(measured, family):
    out, plain = measured(family)
    layers, n_layers = [one.saturation() for one in plain], len(plain[0].layers)
    expected = [
        (
            "trained",
            str(layer),
            str(layers.count(layer)),
            str(sum(one.induced() for one in plain if one.saturation() == layer)),
            layers.count(layer) / 10,
        )
        for layer in range(n_layers)
    ]
    found = [
        (*list(r.values())[:4], float(r["share"]))
        for r in rows_of(out / "saturation", "saturation")
    ]
    assert found == expected
    saved = sum((n_layers - (layer + 1)) / n_layers for layer in layers) / 10
    (oracle,) = rows_of(out / "saturation", "oracle")
    assert float(oracle["saved_share"]) == pytest.approx(saved)


@pytest.mark.parametrize("family", FAMILIES)
def test_promotion_is_that_of_plain_loops(measured, family):
    out, plain = measured(family)
    expected = plain_measures.promotion(plain)
    rows = rows_of(out / "promotion", "promotion")
    assert len(rows) == len(expected)
    for row in rows:
        mean, events = expected[row["event"], row["layers"], row["group"], row["statistic"]]
        assert int(row["events"]) == events
        assert number(row["score"]) == (
            None if mean is None else pytest.approx(mean, rel=1e-3, abs=1e-5)
        )
    layers = [one.elimination(0) for one in plain]
    found = rows_of(out / "promotion", "elimination")
    assert [int(row["events"]) for row in found] == [layers.count(i) for i in range(len(found))]


@pytest.mark.parametrize("family", FAMILIES)
def test_top_candidates_are_those_of_plain_loops(measured, family):
    out, plain = measured(family)
    parameters = json.loads((out / "top-candidate" / "manifest.json").read_text())["parameters"]
    scores = [
        abs(score)
        for one in plain
        for layer, at in enumerate(one.layers)
        for score in one.scores(layer, "dominant", plain_measures.top(at["before"]))
    ]
    above = parameters["extreme_above"]
    assert above == pytest.approx(np.percentile(scores, 99.9), rel=1e-3)
    expected = plain_measures.top_candidate(plain, -above, above)
    rows = rows_of(out / "top-candidate", "top_candidate")
    assert len(rows) == len(expected)
    for row in rows:
        mean, n = expected[int(row["layer"]), row["group"], row["extreme"], row["statistic"]]
        assert int(row["n"]) == n
        assert number(row["score"]) == pytest.approx(mean, rel=1e-3, abs=1e-5)


def content(folder):
    """Every file of a folder, the manifest without its environment."""
    found = {p.name: p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}
    for name in [name for name in found if name == "manifest.json"]:
        manifest = json.loads(found[name])
        found[name] = {k: v for k, v in manifest.items() if not k.startswith("environment")}
    return found


def test_the_same_bytes_for_any_number_of_threads_and_workers(tiny_model, corpus, tmp_path):
    before = torch.get_num_threads()
    found = []
    try:
        for threads, workers in ((1, 1), (2, 1), (2, 3)):
            torch.set_num_threads(threads)
            out = tmp_path / f"{threads}-{workers}"
            given = options_with(corpus, workers=workers)
            measure(["promotion", *OF_2021], tiny_model("llama"), out, given)
            found.append([content(out / name) for name in ("promotion", *OF_2021)])
    finally:
        torch.set_num_threads(before)
    assert found[0] == found[1] == found[2]
    assert set(found[0][0]) == {
        "README.md", "draws.parquet", "elimination.csv", "elimination.parquet", "examples.jsonl",
        "manifest.json", "promotion.csv", "promotion.parquet",
    }  # fmt: skip
    assert set(found[0][1]) == {
        "README.md", "agreement.csv", "agreement.parquet", "agreement_bins.csv",
        "agreement_bins.parquet", "manifest.json",
    }  # fmt: skip


def test_cancelled_measurements_of_keys_go_on_where_they_stood(tiny_model, tmp_path, monkeypatch):
    """Blocks of the pass over keys, and layers of values, are kept; nothing is left behind."""
    texts = tmp_path / "texts.txt"
    texts.write_text("".join(f"the cat sat on a mat {i}\n" for i in range(70)))
    given = options_with(str(texts), examples=70, batch_rows=32)
    wanted = ["key-value-agreement", "composition"]
    measure(wanted, tiny_model("gpt2"), tmp_path / "whole", given)

    class Cancelled(Exception):
        pass

    def cancelled_at(step, done):
        def cancel(progress):
            if progress.step == step and progress.done >= done:
                raise Cancelled

        with pytest.raises(Cancelled):
            measure(wanted, tiny_model("gpt2"), tmp_path / "out", given, cancel)

    cancelled_at("triggers", 64)
    cancelled_at("values", 1)
    ran, real = [], KeyPass._found
    monkeypatch.setattr(KeyPass, "_found", lambda *given: ran.append(1) or real(*given))
    seen = []
    measure(wanted, tiny_model("gpt2"), tmp_path / "out", given, seen.append)
    assert not ran
    assert max(one.before for one in seen if one.step == "values") == 1
    for name in wanted:
        assert content(tmp_path / "out" / name) == content(tmp_path / "whole" / name)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "texts.txt", "whole"]


def test_a_cancelled_run_goes_on_where_it_stood_with_the_same_bytes(
    tiny_model, corpus, tmp_path, monkeypatch
):
    given = options_with(corpus)
    measure(["saturation"], tiny_model("gpt2"), tmp_path / "whole", given)

    class Cancelled(Exception):
        pass

    def cancel(progress):
        if progress.step == "reading" and progress.done == 2:
            raise Cancelled

    with pytest.raises(Cancelled):
        measure(["saturation"], tiny_model("gpt2"), tmp_path / "out", given, cancel)
    assert not (tmp_path / "out").exists()
    (kept,) = tmp_path.glob(".out.*.parts")
    assert sorted(path.name for path in kept.iterdir()) == [
        "batch-000000.npz", "batch-000001.npz",
    ]  # fmt: skip
    ran, real = [], Pass.compute
    monkeypatch.setattr(Pass, "compute", lambda one, numbers: ran.append(1) or real(one, numbers))
    progress = []
    measure(["saturation"], tiny_model("gpt2"), tmp_path / "out", given, progress.append)
    assert len(ran) == 1  # of three batches
    reading = [one for one in progress if one.step == "reading"]
    assert (reading[-1].done, reading[-1].total, reading[-1].before) == (3, 3, 2)
    assert content(tmp_path / "out") == content(tmp_path / "whole")
    assert not list(tmp_path.glob(".out*"))


def test_several_measurements_share_one_pass(tiny_model, corpus, tmp_path, monkeypatch):
    ran, real = [], Reader.run
    monkeypatch.setattr(Reader, "run", lambda *given: ran.append(1) or real(*given))
    two = ["promotion", "contribution"]
    measure(two, tiny_model("gpt2"), tmp_path / "all", options_with(corpus))
    assert len(ran) == 3
    measure(["promotion"], tiny_model("gpt2"), tmp_path / "one", options_with(corpus))
    assert content(tmp_path / "one") == content(tmp_path / "all" / "promotion")


def test_the_control_is_the_same_model_with_random_weights(tiny_model, corpus, tmp_path):
    given = options_with(corpus, control=True)
    for name in ("one", "two"):
        measure(["saturation"], tiny_model("gpt2"), tmp_path / name, given)
    assert content(tmp_path / "one") == content(tmp_path / "two")
    rows = rows_of(tmp_path / "one", "saturation")
    assert [row["weights"] for row in rows] == ["trained"] * 2 + ["random"] * 2
    assert sum(int(row["examples"]) for row in rows if row["weights"] == "random") == 10


def test_a_manifest_tells_everything_that_the_tables_depend_on(measured):
    out, _ = measured("gpt2")
    manifest = json.loads((out / "contribution" / "manifest.json").read_text())
    unsigned = ("digest", "environment", "environment_digest")
    signed = {name: entry for name, entry in manifest.items() if name not in unsigned}
    assert manifest["digest"] == digest_of(signed)
    assert (manifest["format"], manifest["measurement"]) == (
        "ffn-concepts-measurement", "contribution",
    )  # fmt: skip
    assert manifest["model"]["model_type"] == "gpt2"
    parameters = manifest["parameters"]
    sha = parameters["examples"]["corpus"].pop("sha256")
    assert len(sha) == 64
    assert parameters == {
        "batch_plan": {"multiple": 8, "projected_rows": 32, "rows": 4},
        "batch_rows": 4, "cluster_sample": None, "clusters": 10_000, "control": False,
        "device": "cpu", "dominant": 10,
        "examples": {
            "at_position_0": 0, "corpus": {"name": "file", "texts": 31}, "count": 10, "cut": 0,
            "min_prefix": 2, "prepended": [],
            "skipped": parameters["examples"]["skipped"],
        },
        "extreme_above": None, "extreme_below": None, "length_multiple": 8, "longest": 32,
        "min_prefix": None, "precision": "float32", "prepend": None, "resamples": 100, "seed": 5,
        "split_sentences": False, "without_norm": False,
    }  # fmt: skip
    for name, record in manifest["files"].items():
        assert (out / "contribution" / name).stat().st_size == record["bytes"]


def test_a_readme_says_result_definition_source_and_files(measured):
    out, _ = measured("gpt2")
    text = (out / "saturation" / "README.md").read_text()
    assert text.startswith("# Saturation events: tiny\n\nWith trained weights, ")
    for part in ("## Definition", "appendix A.5, tables 9 and 10", "`oracle.csv`", "| layer |"):
        assert part in text


def test_tables_in_parquet_hold_what_those_in_csv_hold(measured):
    out, _ = measured("gpt2")
    for name in ("contribution", "effective"):
        table = pq.read_table(out / "contribution" / f"{name}.parquet").to_pylist()
        found = [{k: "" if v is None else str(v) for k, v in row.items()} for row in table]
        assert found == rows_of(out / "contribution", name)


@pytest.mark.parametrize(
    ("prepend", "lead", "shortest"),
    [(None, [], 2), ("none", [], 2), (7, [7], 1)],
)
def test_a_token_before_the_text_allows_prefixes_of_one_token(
    tiny_model, corpus, tmp_path, prepend, lead, shortest
):
    """Without one the first position is read by no example: it is an attention sink."""
    given = options_with(corpus, prepend=prepend, examples=20)
    measure(["saturation"], tiny_model("gpt2"), tmp_path / "out", given)
    parameters = json.loads((tmp_path / "out" / "manifest.json").read_text())["parameters"]
    assert parameters["examples"]["prepended"] == lead
    assert parameters["examples"]["min_prefix"] == shortest
    assert parameters["examples"]["at_position_0"] == 0
    lines = (tmp_path / "out" / "examples.jsonl").read_text().splitlines()
    for line in map(json.loads, lines):
        assert line["ids"][: len(lead)] == lead
        assert line["position"] == len(line["ids"]) - 1
        assert shortest <= len(line["ids"]) - len(lead)


def test_more_examples_only_add_to_fewer(tiny_model, corpus, tmp_path):
    drawn = []
    for count in (5, 9):
        out = tmp_path / str(count)
        measure(["saturation"], tiny_model("gpt2"), out, options_with(corpus, examples=count))
        drawn.append((out / "examples.jsonl").read_text().splitlines())
    assert drawn[0] == drawn[1][:5]


@pytest.mark.parametrize(
    ("family", "changes", "kind", "sentence"),
    [
        ("bert", {}, ArchitectureError, "is an encoder"),
        ("opt+350m", {}, ArchitectureError, "norms the residual stream after"),
        ("gpt2", {"examples": 500}, CorpusError, "500 examples need as many. Give a larger"),
        ("llama", {"prepend": 10_000}, OptionError, "has token ids 0 to"),
        ("gpt2", {"prepend": "bos"}, OptionError, "has no BOS token"),
    ],
)
def test_what_cannot_be_measured_is_refused_with_what_to_do(
    tiny_model, corpus, tmp_path, family, changes, kind, sentence
):
    with pytest.raises(kind, match=sentence):
        measure(
            ["saturation"], tiny_model(family), tmp_path / "out", options_with(corpus, **changes)
        )
    assert not (tmp_path / "out").exists()


def test_options_out_of_range_are_refused():
    for given in ({"batch_rows": 1}, {"prepend": "eos"}, {"extreme_above": 1.0}, {"examples": 1}):
        with pytest.raises(OptionError):
            MeasureOptions(**given)


def test_a_folder_with_something_in_it_is_not_overwritten(tiny_model, corpus, tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(OptionError, match=r"is not empty\. Give another folder"):
        measure(["saturation"], tiny_model("gpt2"), tmp_path, options_with(corpus))
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_an_unknown_measurement_is_refused_with_those_that_there_are(tmp_path):
    with pytest.raises(OptionError, match=r"no measurement saturations\. There are: norm, contrib"):
        measure(["saturations"], "gpt2", tmp_path / "out", OPTIONS)


def test_a_model_beyond_the_free_memory_is_refused_before_it_is_loaded():
    require_memory("gpt2", 5 * 10**9, None)
    require_memory("gpt2", 5 * 10**9, 6 * 10**9)
    with pytest.raises(OptionError) as caught:
        require_memory("gpt2", 5 * 10**9, 4 * 10**9)
    assert str(caught.value) == (
        "Measuring gpt2 needs about 5.0 GB of memory, and 4.0 GB are free. Give a smaller "
        "--batch-rows, --workers 1, or use a larger machine."
    )


def test_a_refusal_of_another_process_is_its_sentence(tiny_model, corpus, tmp_path, monkeypatch):
    def broken(*_):
        raise FFNExtractError("Layer 1's FFN gives values that are not finite numbers.")

    monkeypatch.setattr(Pass, "compute", broken)
    with pytest.raises(FFNExtractError, match="not finite numbers"):
        measure(
            ["saturation"], tiny_model("gpt2"), tmp_path / "out", options_with(corpus, workers=2)
        )


def test_the_command_prints_the_result_in_words(tiny_model, corpus, tmp_path):
    ended = CliRunner().invoke(
        main,
        ["measure", "contribution", str(tiny_model("gpt2")), "--out", str(tmp_path / "out"),
         "--corpus", corpus, "--examples", "8", "--resamples", "100", "--workers", "1"],
    )  # fmt: skip
    assert ended.exit_code == 0, ended.output
    assert "The 10 largest sub-updates contribute " in ended.stdout
    assert f"tables in {tmp_path / 'out'}" in ended.stdout
    assert "No figure was drawn: matplotlib is not installed" in ended.stderr


@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_a_gguf_file_gives_the_tables_of_the_model_it_was_made_from(
    tiny_model, corpus, tmp_path, family
):
    path = tmp_path / f"tiny-{family}.gguf"
    write_gguf(path, tiny_model(family))
    for model, out in ((tiny_model(family), "folder"), (path, "file")):
        measure(["saturation"], model, tmp_path / out, options_with(corpus))
    assert rows_of(tmp_path / "file", "saturation") == rows_of(tmp_path / "folder", "saturation")
