"""Writing and reading bundles."""

import dataclasses
import json
import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ffn_extract.bundle import (
    BundleError,
    ModelInfo,
    TriggerPrefixRow,
    VectorRow,
    open_bundle,
    writing,
)
from ffn_extract.bundle.apart import open_bundle_apart
from ffn_extract.bundle.columns import PREFIXES_SCHEMA, VECTORS_SCHEMA
from ffn_extract.bundle.manifest import Counts, Manifest
from ffn_extract.bundle.optional_checks import PrefixCheck
from ffn_extract.bundle.validation import key_numbers
from ffn_extract.bundle.writing import require_target
from ffn_extract.options import VECTOR_KINDS
from tests.ffn_extract.small_bundles import (
    every_kind,
    small_prefixes,
    small_statistics,
    small_tokens,
    small_vectors,
    write_full_bundle,
    write_small_bundle,
)

SMALL = Manifest(
    ModelInfo("small", None, "bert", 2, 4, 8, 100, "subword", "0" * 64),
    {"top_k": 3}, Counts(1, 1, 0, {}), {},
)  # fmt: skip
OLD = Path(__file__).parents[2] / "fixtures" / "upgrade" / "0.1-bundle"


def test_rows_come_back_as_they_were_written(small_bundle):
    bundle = open_bundle(small_bundle)
    assert [row for rows in bundle.iter_vectors(5) for row in rows] == small_vectors()
    assert [row for rows in bundle.iter_tokens(4) for row in rows] == small_tokens()


def test_every_kind_and_optional_file_comes_back_as_it_was_written(tmp_path):
    write_full_bundle(tmp_path / "full")
    for bundle in (open_bundle(tmp_path / "full"), open_bundle_apart(tmp_path / "full")):
        assert rows_of(bundle, "vectors") == every_kind()
        assert rows_of(bundle, "value_statistics") == small_statistics()
        assert rows_of(bundle, "trigger_prefixes") == small_prefixes()
        assert [len(rows) for rows in bundle.iter_trigger_prefixes(20)] == [20, 20, 8]
    assert bundle.manifest.counts.to_json() == {
        "vectors": 32, "tokens": 6, "glossed": 1, "value_statistics": 16, "trigger_prefixes": 48,
        "kinds": dict.fromkeys(VECTOR_KINDS, 4),
        "keys": {kind: {"never_active": 0, "short": 4} for kind in ("key", "random-key")},
    }  # fmt: skip
    assert set(bundle.manifest.files) == {
        "tokens.parquet", "vectors.parquet", "value_statistics.parquet", "trigger_prefixes.parquet",
    }  # fmt: skip


def test_optional_files_may_be_empty_and_do_not_need_each_other(tmp_path):
    write_full_bundle(tmp_path / "a", value_statistics=None, trigger_prefixes=[])
    write_full_bundle(tmp_path / "b", trigger_prefixes=None)
    write_full_bundle(tmp_path / "c", trigger_prefixes=small_prefixes(gated=False))
    a, b, c = (open_bundle(tmp_path / name) for name in "abc")
    assert (a.manifest.counts.value_statistics, a.manifest.counts.trigger_prefixes) == (None, 0)
    assert rows_of(a, "value_statistics") == rows_of(a, "trigger_prefixes") == []
    assert rows_of(b, "value_statistics") == small_statistics()
    assert rows_of(c, "trigger_prefixes") == small_prefixes(gated=False)


def test_ranks_and_sentences_are_checked_across_batches(tmp_path):
    many = [
        TriggerPrefixRow("key", 0, index, side, rank, 100 - rank, 1, "a", 1, size / rank)
        for index in range(2)
        for side, size in (("positive", 9.0), ("negative", -9.0))
        for rank in range(1, 51)
    ]
    repeated = [*many[:30], dataclasses.replace(many[30], sentence=99), *many[31:]]
    for most in (1, 7, 50, 1000):
        check_prefixes(many, most)
        with pytest.raises(BundleError, match="two trigger prefixes of one sentence"):
            check_prefixes(repeated, most)


def check_prefixes(rows, most):
    check = PrefixCheck(SMALL, key_numbers(np.array([0, 0]), 0, np.arange(2)))
    for start in range(0, len(rows), most):
        part = [dataclasses.asdict(row) for row in rows[start : start + most]]
        check.add(pa.RecordBatch.from_pylist(part, PREFIXES_SCHEMA))


def test_a_long_prefix_loses_its_beginning(tmp_path):
    rows = [dataclasses.replace(row, prefix="ж" * 5_000 + "end") for row in small_prefixes()]
    write_full_bundle(tmp_path / "full", trigger_prefixes=rows)
    (row, *_) = rows_of(open_bundle(tmp_path / "full"), "trigger_prefixes")
    assert row.prefix == "…" + "ж" * ((4_000 - 3 - 3) // 2) + "end"


def test_batches_have_at_most_the_size_asked_for(small_bundle):
    assert [len(rows) for rows in open_bundle(small_bundle).iter_vectors(5)] == [5, 5, 2]


def test_the_manifest_counts_what_is_there(small_bundle):
    counts = open_bundle(small_bundle).manifest.counts
    assert counts.to_json() == {
        "vectors": 12,
        "tokens": 6,
        "glossed": 1,
        "kinds": {"value": 6, "update": 6},
    }


def test_the_digest_does_not_cover_the_environment(tmp_path):
    for name, python in (("a", "3.11"), ("b", "3.12")):
        write_small_bundle(tmp_path / name, environment={"python": python})
    a, b = (open_bundle(tmp_path / name).manifest for name in "ab")
    assert a.digest == b.digest
    assert a.environment != b.environment


def test_the_digest_covers_model_parameters_and_rows(tmp_path):
    row = small_vectors()[-1]
    statistics = small_statistics()
    changes = (
        {},
        {"model": dataclasses.replace(_model(tmp_path), name="other")},
        {"parameters": {"top_k": 3, "seed": 1}},
        {"vectors": [*small_vectors()[:-1], dataclasses.replace(row, context="another text")]},
        {"tokens": [*small_tokens()[:-1], dataclasses.replace(small_tokens()[-1], display="x")]},
        {"value_statistics": statistics},
        {"value_statistics": [*statistics[:-1], dataclasses.replace(statistics[-1], norm=0.0)]},
    )
    digests = set()
    for number, change in enumerate(changes):
        write_small_bundle(tmp_path / str(number), **change)
        digests.add(open_bundle(tmp_path / str(number)).manifest.digest)
    assert len(digests) == len(changes)


def test_row_groups_do_not_depend_on_how_rows_arrive(tmp_path):
    def slowly():
        yield from small_vectors()

    write_small_bundle(tmp_path / "a")
    write_small_bundle(tmp_path / "b", vectors=slowly())
    assert _content(tmp_path / "a") == _content(tmp_path / "b")


def test_many_rows_are_written_in_groups_and_read_back(tmp_path):
    rows = [VectorRow("random", 0, index, 1.0, [1, 2, 3], [3.0, 2.0, 1.0]) for index in range(9001)]
    write_small_bundle(tmp_path / "many", vectors=rows)
    bundle = open_bundle(tmp_path / "many")
    assert [row for batch in bundle.iter_vectors() for row in batch] == rows


def test_the_same_bundle_may_be_written_again(small_bundle):
    before = _content(small_bundle)
    write_small_bundle(small_bundle, environment={"python": "3.12"})
    assert _content(small_bundle) == before


def test_another_bundle_is_never_overwritten(small_bundle):
    with pytest.raises(BundleError, match="already holds a bundle with another digest"):
        write_small_bundle(small_bundle, parameters={"top_k": 3, "seed": 1})


def test_a_foreign_folder_is_refused_and_left_alone(tmp_path):
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "letter.txt").write_text("dear")
    with pytest.raises(BundleError, match="holds other files"):
        require_target(tmp_path / "home", "small", {})
    with pytest.raises(BundleError, match="Cannot write the bundle"):
        write_small_bundle(tmp_path / "home")
    assert os.listdir(tmp_path / "home") == ["letter.txt"]


def test_an_extraction_with_other_parameters_is_refused_before_the_work(small_bundle):
    require_target(small_bundle, "small", {"top_k": 3, "seed": 0})
    with pytest.raises(BundleError, match="already holds another extraction, of small"):
        require_target(small_bundle, "small", {"top_k": 3, "seed": 1})


def test_a_failure_while_writing_leaves_nothing(tmp_path):
    def failing():
        yield small_vectors()[0]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_small_bundle(tmp_path / "out", vectors=failing())
    assert os.listdir(tmp_path) == []


def test_an_empty_folder_is_filled(tmp_path):
    (tmp_path / "out").mkdir()
    write_small_bundle(tmp_path / "out")
    assert open_bundle(tmp_path / "out").manifest.counts.vectors > 0


def test_rows_that_a_reader_would_refuse_are_not_written(tmp_path):
    with pytest.raises(BundleError, match="a key that is not among the vectors"):
        write_small_bundle(tmp_path / "out", trigger_prefixes=small_prefixes())
    with pytest.raises(BundleError, match="is repeated or out of order"):
        write_small_bundle(tmp_path / "out", vectors=small_vectors()[::-1])
    assert os.listdir(tmp_path) == []


def test_others_may_read_a_bundle(small_bundle):
    assert small_bundle.stat().st_mode & 0o755 == 0o755 & ~_umask()


def test_a_bundle_of_version_1_is_read_as_it_was():
    bundle = open_bundle(OLD)
    assert bundle.manifest.format_version == 1
    assert bundle.manifest.digest == json.loads((OLD / "manifest.json").read_text())["digest"]
    assert bundle.manifest.to_bytes() == (OLD / "manifest.json").read_bytes()
    tokens = [row for rows in bundle.iter_tokens() for row in rows]
    assert len(tokens) == bundle.manifest.counts.tokens
    assert sum(row.gloss is not None for row in tokens) == bundle.manifest.counts.glossed
    assert {(row.gloss_part, row.senses) for row in tokens} == {(None, ())}
    assert list(open_bundle_apart(OLD).iter_tokens()) == list(bundle.iter_tokens())


def rows_of(bundle, what):
    return [row for rows in bundle.iter_rows(what) for row in rows]


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _model(tmp_path):
    write_small_bundle(tmp_path / "model")
    return open_bundle(tmp_path / "model").manifest.model


def _content(folder):
    return {name: (folder / name).read_bytes() for name in sorted(os.listdir(folder))}


@pytest.mark.parametrize("layers", [(5, 9, 0, 11), (25,), (7, 7), (1, 1, 1)])
def test_layers_of_any_length_give_the_bytes_that_their_rows_would_give(
    layers, tmp_path, monkeypatch
):
    monkeypatch.setattr(writing, "ROWS_PER_GROUP", 7)
    rows = [
        dataclasses.replace(row, index=number)
        for number in range(sum(layers))
        for row in small_vectors()[number % 3 : number % 3 + 1]
    ]
    batches, start = [], 0
    for number, length in enumerate(layers):
        part = tmp_path / f"part-{number}"
        writing.write_rows(part, VECTORS_SCHEMA, rows[start : start + length])
        batches += list(pq.ParquetFile(part).iter_batches(7))
        start += length
    writing.write_rows(tmp_path / "rows", VECTORS_SCHEMA, rows)
    count = writing.write_rows(tmp_path / "tables", VECTORS_SCHEMA, writing.grouped(batches))
    assert count == len(rows)
    assert (tmp_path / "tables").read_bytes() == (tmp_path / "rows").read_bytes()
