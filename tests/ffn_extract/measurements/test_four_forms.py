"""Every measurement that runs a model, in one pass, on four forms of FFN; against plain loops."""

import math
import sys

import numpy as np
import pytest
import transformers
from scipy.cluster.hierarchy import fcluster, linkage

from ffn_extract.corpora import open_corpus
from ffn_extract.measurements import MEASUREMENTS
from ffn_extract.measurements.examples import drawn_order
from ffn_extract.measurements.run import measure
from ffn_extract.measurements.suppression_options import SuppressionOptions
from tests.ffn_extract.measurements import plain_keys, plain_measures, plain_suppression
from tests.ffn_extract.measurements.small_runs import (
    OPTIONS,
    number,
    options_with,
    plain_examples,
    rows_of,
)
from tests.ffn_extract.tracing.plain_reading import block_of, values_of

FORMS = {"gpt2": "plain", "llama": "gated", "falcon": "parallel", "qwen2_moe": "experts"}
EXAMPLES, CLUSTERS = 10, 12
TURNED = ((0, 5, 12.0), (1, 3, -20.0))
TEXTS = ["the cat sat on a mat", "dogs saw the cat", "a mat and dogs", "running the cat and saw"]


@pytest.fixture(scope="module", params=FORMS)
def tables(request, tiny_model, tmp_path_factory):
    """The folder of a form's measurements, the plain examples, and the model."""
    folder, out = tiny_model(request.param), tmp_path_factory.mktemp(request.param) / "out"
    corpus = out.with_name("texts.txt")
    corpus.write_text("".join(f"{text} {i}\n" for i, text in enumerate(TEXTS * 5)))
    suppression = SuppressionOptions(
        set=TURNED, prompt_count=2, prompt_rows=2, perplexity_tokens=40, window=20, beams=1
    )
    given = options_with(str(corpus), examples=EXAMPLES, clusters=CLUSTERS, suppression=suppression)
    running = [name for name in MEASUREMENTS if name != "norm"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "matplotlib.figure", None)
        measure(running, folder, out, given)
    assert sorted(path.name for path in out.iterdir()) == sorted(running)
    model = transformers.AutoModelForCausalLM.from_pretrained(
        folder, attn_implementation="eager"
    ).eval()
    return out, plain_examples(folder, out), model


def test_tables_of_plain_gated_parallel_and_expert_models(tables):
    out, plain, model = tables
    checked = set()
    for name in MEASUREMENTS:
        check = CHECKS.get(name)
        if check is not None:
            check(out / name, plain, model)
            checked.add(name)
    assert checked == set(MEASUREMENTS) - {"norm"}  # which runs no model


def contribution(folder, plain, _):
    shares, effective = plain_measures.contribution(plain)
    for row in rows_of(folder, "contribution"):
        key = int(row["layer"]), row["group"], int(row["k"])
        assert number(row["share"]) == pytest.approx(shares[key][0], rel=1e-4)
    for row in rows_of(folder, "effective"):
        layer = int(row["layer"])
        assert number(row["effective_number"]) == pytest.approx(effective[layer], rel=1e-4)


def saturation(folder, plain, _):
    layers = [one.saturation() for one in plain]
    for row in rows_of(folder, "saturation"):
        own = [one for one in plain if one.saturation() == int(row["layer"])]
        assert int(row["examples"]) == len(own) == layers.count(int(row["layer"]))
        assert int(row["induced_by_ffn"]) == sum(one.induced() for one in own)


def promotion(folder, plain, _):
    expected = plain_measures.promotion(plain)
    for row in rows_of(folder, "promotion"):
        mean, events = expected[row["event"], row["layers"], row["group"], row["statistic"]]
        assert int(row["events"]) == events
        assert number(row["score"]) == (
            None if mean is None else pytest.approx(mean, rel=1e-3, abs=1e-5)
        )


def top_candidate(folder, plain, _):
    expected = plain_measures.top_candidate(plain, -math.inf, math.inf)
    for row in rows_of(folder, "top_candidate"):
        if row["extreme"] == "with":
            mean, n = expected[int(row["layer"]), row["group"], "with", row["statistic"]]
            assert int(row["n"]) == n
            assert number(row["score"]) == pytest.approx(mean, rel=1e-3, abs=1e-5)


def clusters(folder, _, model):
    import pyarrow.parquet as pq

    rows = pq.read_table(folder / "clusters.parquet").to_pylist()
    vectors = np.concatenate(
        [values_of(block_of(model, i)).numpy() for i in range(model.config.num_hidden_layers)]
    )
    assert len(rows) == len(vectors)
    plain = fcluster(linkage(vectors, "complete", metric="cosine"), CLUSTERS, "maxclust")
    found = [row["cluster"] for row in rows]
    assert len({*zip(found, plain.tolist(), strict=True)}) == CLUSTERS == len(set(found))


def early_exit(folder, plain, _):
    by_layer = [one.saturation() for one in plain]
    rows = {(row["method"], row["variant"]): row for row in rows_of(folder, "early_exit")}
    assert len(rows) == 9
    assert number(rows["oracle", ""]["accuracy"]) == 1.0
    members = [number(row["examples"]) for row in rows_of(folder, "members")]
    assert sum(members) == pytest.approx(EXAMPLES - EXAMPLES // 10)
    for layer, mean in enumerate(members):
        assert by_layer.count(layer) - 1 <= mean <= by_layer.count(layer)


def suppression(folder, _, model):
    import json

    parameters = json.loads((folder / "manifest.json").read_text())["parameters"]
    conditions = {"none": (), "chosen": TURNED, "random": parameters["random"]}
    (lines,) = [(folder / "continuations.jsonl").read_text().splitlines()]
    for line in map(json.loads, lines):
        edited = plain_suppression.turned_on(model, conditions[line["condition"]])
        banned = parameters["ending_tokens"]
        assert line["new_ids"] == plain_suppression.continued(edited, line["prompt_ids"], 1, banned)


def key_value_agreement(folder, _, model):
    """The second layer's row; the corpus and the model's folder are where the fixture has them."""
    corpus = open_corpus(str(folder.parents[1] / "texts.txt"))
    drawn = sorted(drawn_order(corpus, OPTIONS.seed)[:EXAMPLES])
    tokenizer = transformers.AutoTokenizer.from_pretrained(model.name_or_path)
    ids = [tokenizer(corpus.texts[number])["input_ids"] for number in drawn]
    found = [number(cell) for cell in rows_of(folder, "agreement")[1].values()]
    assert found == pytest.approx([1, *plain_keys.agreement(model, ids, 1)], rel=1e-6)


def composition(folder, plain, _):
    expected = plain_measures.composition(plain)
    found = [[number(cell) for cell in row.values()] for row in rows_of(folder, "composition")]
    assert found == [
        [layer, pytest.approx(active), composed if composed is None else pytest.approx(composed), n]
        for layer, (active, composed, n) in enumerate(expected)
    ]


def residual(folder, plain, _):
    found = [[number(cell) for cell in row.values()] for row in rows_of(folder, "residual")]
    assert found == [
        [layer, *map(pytest.approx, shares), EXAMPLES]
        for layer, shares in enumerate(plain_measures.residual(plain))
    ]


CHECKS = {
    "contribution": contribution,
    "saturation": saturation,
    "promotion": promotion,
    "top-candidate": top_candidate,
    "clusters": clusters,
    "early-exit": early_exit,
    "suppression": suppression,
    "key-value-agreement": key_value_agreement,
    "composition": composition,
    "residual": residual,
}
