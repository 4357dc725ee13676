"""Writing and reading bundles."""

import dataclasses
import json
import os
from pathlib import Path

import pytest

from ffn_extract.bundle import BundleError, VectorRow, open_bundle
from ffn_extract.bundle.apart import open_bundle_apart
from ffn_extract.bundle.writing import require_target
from tests.ffn_extract.small_bundles import small_tokens, small_vectors, write_small_bundle

OLD = Path(__file__).parents[2] / "fixtures" / "upgrade" / "0.1-bundle"


def test_rows_come_back_as_they_were_written(small_bundle):
    bundle = open_bundle(small_bundle)
    assert [row for rows in bundle.iter_vectors(5) for row in rows] == small_vectors()
    assert [row for rows in bundle.iter_tokens(4) for row in rows] == small_tokens()


def test_batches_have_at_most_the_size_asked_for(small_bundle):
    assert [len(rows) for rows in open_bundle(small_bundle).iter_vectors(5)] == [5, 5, 2]


def test_the_manifest_counts_what_is_there(small_bundle):
    counts = open_bundle(small_bundle).manifest.counts
    assert dataclasses.asdict(counts) == {
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
    changes = (
        {},
        {"model": dataclasses.replace(_model(tmp_path), name="other")},
        {"parameters": {"top_k": 3, "seed": 1}},
        {"vectors": [*small_vectors()[:-1], dataclasses.replace(row, context="another text")]},
        {"tokens": [*small_tokens()[:-1], dataclasses.replace(small_tokens()[-1], display="x")]},
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


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _model(tmp_path):
    write_small_bundle(tmp_path / "model")
    return open_bundle(tmp_path / "model").manifest.model


def _content(folder):
    return {name: (folder / name).read_bytes() for name in sorted(os.listdir(folder))}
