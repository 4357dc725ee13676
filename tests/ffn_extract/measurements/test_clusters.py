"""Clusters of value vectors and of extreme sub-updates: by hand, and against plain loops."""

import csv
import json
import sys
from collections import Counter

import numpy as np
import pyarrow.parquet as pq
import pytest
import transformers
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import pdist
from tokenizers import Tokenizer, models, pre_tokenizers

from ffn_extract.environment import is_installed
from ffn_extract.errors import FFNExtractError
from ffn_extract.measurements import MEASUREMENTS, measurement_of
from ffn_extract.measurements.linkage import numbered
from ffn_extract.measurements.options import MeasureOptions
from ffn_extract.measurements.run import measure
from ffn_extract.options import ExtractOptions
from tests.ffn_extract.measurements.plain_measures import PlainExample, top
from tests.ffn_extract.measurements.planted import blank_model, plant

TOKENS = ("zero", "one", "two", "three", "four", "five")


@pytest.fixture(scope="module", autouse=True)
def without_figures():
    """Drawing takes most of a small measurement's time; test_figures.py draws."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "matplotlib.figure", None)
        yield


def rows_of(path):
    with path.open() as file:
        return list(csv.DictReader(file))


def test_extreme_sub_updates_of_planted_clusters(tmp_path):
    """At “zero”, vector 0 of layer 0 brings “one” to the top, of the direction of two others.

    Vector 9 of layer 1 takes 0.25 from it (m = −0.5), vector 5 of layer 2 adds 1 to it: the only
    sub-updates that score the top token. Vector 4 of layer 1 adds to “two”, which is never on top.
    """
    model = blank_model()
    plant(model, 0, 0, at=0, norm=1, m=1.0, axis=1, amount=3.0)
    plant(model, 1, 4, at=0, norm=10**0.5, m=1.0, axis=2, amount=0.5)
    plant(model, 1, 9, at=0, norm=10**0.5, m=-0.5, axis=1, amount=0.5)
    plant(model, 2, 5, at=0, norm=(1 + 2.75**2 + 0.25) ** 0.5, m=1.0, axis=1, amount=1.0)
    model.save_pretrained(tmp_path / "model")
    words = Tokenizer(models.WordLevel({word: i for i, word in enumerate(TOKENS)}, "five"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    transformers.PreTrainedTokenizerFast(tokenizer_object=words).save_pretrained(tmp_path / "model")
    texts = tmp_path / "texts.txt"
    texts.write_text("four zero three\nfour zero three\nthree zero one\nfour three five\n")
    given = MeasureOptions(
        corpus=str(texts), examples=4, batch_rows=2, workers=1, clusters=3, resamples=100,
        extreme_above=0.2, extreme_below=-0.2,
    )  # fmt: skip
    (done,) = measure(["clusters"], tmp_path / "model", tmp_path / "out", given)
    places = {
        (int(row["layer"]), int(row["index"])): int(row["cluster"])
        for row in rows_of(tmp_path / "out/clusters.csv")
    }
    planted = {(0, 0): 0, (1, 9): 0, (2, 5): 0, (1, 4): 2}
    assert places == {
        (layer, index): planted.get((layer, index), 1) for layer in range(3) for index in range(12)
    }
    assert (tmp_path / "out/extreme_clusters.csv").read_text() == (
        "cluster,size,layer,active,mean_token_rank,tokens\n"
        "0,3,1,3,3.5,zero two three four five one\n"
        "0,3,2,3,3.5,one zero two three four five\n"
    )
    assert done.result.words == [
        "The 36 value vectors are in 3 clusters; 1 hold one vector. 6 extreme sub-updates are of 1 "
        "clusters, which hold 8.3% of the vectors; 1 of these clusters have half of them or more."
    ]


@pytest.fixture(scope="module", params=["gpt2", pytest.param("gemma2", marks=pytest.mark.long)])
def measured(request, tiny_model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("clusters")
    words = ["the cat", "sat on", "a mat", "and saw", "dogs", "running", "the"]
    lines = [" ".join(words[i % 7 :] + words[: i % 5])[: 8 + i] for i in range(20)]
    (folder / "texts.txt").write_text("\n".join(lines))
    options = MeasureOptions(
        model=ExtractOptions(name="tiny"), corpus=str(folder / "texts.txt"), examples=8,
        batch_rows=4, workers=1, clusters=11, extreme_above=1e-3, extreme_below=-2e-3,
    )  # fmt: skip
    measure(["clusters"], tiny_model(request.param), folder / "out", options)
    return folder, tiny_model(request.param), lines


def test_extreme_clusters_are_those_of_plain_loops(measured):
    folder, path, lines = measured
    model = transformers.AutoModelForCausalLM.from_pretrained(
        path, attn_implementation="eager"
    ).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(path)
    examples = [
        PlainExample(model, json.loads(line)["ids"], [[0]] * model.config.num_hidden_layers)
        for line in (folder / "out/examples.jsonl").read_text().splitlines()
    ]
    name = "c_proj" if model.config.model_type == "gpt2" else "down_proj"
    values = [
        (weight if name == "c_proj" else weight.T).detach().double().numpy()
        for key, weight in model.named_parameters()
        if key.endswith(f"mlp.{name}.weight")
    ]
    labels = numbered(
        fcluster(linkage(pdist(np.concatenate(values), "cosine"), "complete"), 11, "maxclust")
    )
    table = pq.read_table(folder / "out/clusters.parquet").to_pydict()
    assert table["cluster"] == labels.tolist()
    n = len(values[0])
    assert list(zip(table["layer"], table["index"], strict=True)) == [
        (layer, index) for layer in range(len(values)) for index in range(n)
    ]
    active, sums = Counter(), {}
    for example in examples:
        for layer, one in enumerate(example.layers):
            scores = example.scores(layer, "dominant", top(one["before"]))
            for index, score in zip(one["dominant"], scores, strict=True):
                if score > 1e-3 or score < -2e-3:
                    v = values[layer][index]
                    sign = np.sign(
                        float((one["sub"][index].numpy() * v * gain_of(model, layer)).sum())
                    )
                    place = (int(labels[layer * n + index]), layer)
                    active[place] += 1
                    sums[place] = sums.get(place, 0) + sign * v / np.linalg.norm(v)
    assert len(active) > 5
    counts = Counter(token for line in lines for token in own_tokens(tokenizer, line))
    ranks = {
        token: np.mean([
            1 + sum(c > counts[token] for c in counts.values()),
            sum(counts[other] >= counts[token] for other in range(len(tokenizer))),
        ])
        for token in range(len(tokenizer))
    }  # fmt: skip
    # Rows of the unembedding beyond the tokenizer's are never common.
    rows = model.get_output_embeddings().weight.detach().double().numpy()
    extra = len(rows) - len(tokenizer)
    ranks = {t: r + (extra / 2 if counts[t] == 0 else 0) for t, r in ranks.items()}
    found = rows_of(folder / "out/extreme_clusters.csv")
    assert {(int(r["cluster"]), int(r["layer"])): int(r["active"]) for r in found} == active
    for row in found:
        place = (int(row["cluster"]), int(row["layer"]))
        best = np.argsort(-(rows[: len(tokenizer)] @ sums[place]), kind="stable")[:10]
        mean = np.mean([ranks[int(token)] for token in best])
        assert int(row["size"]) == labels.tolist().count(place[0])
        if not row["tokens"]:  # one vector, as often with either sign: no direction is left
            assert row["mean_token_rank"] == ""
            assert np.abs(sums[place]).max() == 0
            continue
        assert float(row["mean_token_rank"]) == pytest.approx(mean)
        assert len(row["tokens"].split(" ")) == 10


def gain_of(model, layer):
    """The gain of the norm after the FFN, by which a sub-update is multiplied; 1 without one."""
    block = model.model.layers[layer] if hasattr(model, "model") else None
    if block is None:
        return 1.0
    return 1.0 + block.post_feedforward_layernorm.weight.detach().double().numpy()


def own_tokens(tokenizer, line):
    return tokenizer(line, add_special_tokens=False)["input_ids"]


def test_the_number_of_clusters_and_the_sample_are_in_the_manifest(measured):
    folder, _, _ = measured
    manifest = json.loads((folder / "out/manifest.json").read_text())
    given = {name: manifest["parameters"][name] for name in ("clusters", "cluster_sample")}
    assert given == {"clusters": 11, "cluster_sample": None}
    assert manifest["environment"]["packages"]["fastcluster"]


def test_a_missing_package_is_refused_before_the_model_is_loaded(tiny_model, tmp_path, monkeypatch):
    monkeypatch.setattr("ffn_extract.measurements.run.is_installed", lambda package: False)
    with pytest.raises(FFNExtractError) as refused:
        measure(["clusters"], tiny_model("gpt2"), tmp_path / "out", MeasureOptions())
    assert str(refused.value) == (
        "clusters needs fastcluster, which this computer does not have. "
        "pip install 'ffn-concepts[extract]', then try again."
    )
    assert not (tmp_path / "out").exists()


def test_the_packages_of_a_measurement_are_those_that_are_installed():
    assert all(
        is_installed(package) for name in MEASUREMENTS for package in measurement_of(name).packages
    )
    assert not is_installed("a-package-that-nobody-has")
