"""What an export holds in memory does not grow with the study."""

import gc
import io
import os

import pytest

from annotation_site.annotation.models import Assignment
from annotation_site.exports import labels_parquet
from annotation_site.exports.annotation_records import AnnotationRecord
from annotation_site.results.files import labels_export
from annotation_site.results.files.jobs import CONTENTS
from benchmarks.exports import MOST_GROWTH, measure
from tests.annotation_site.annotation.answering import submit
from tests.annotation_site.factories import answer, make_extraction, make_study, pattern


def records_alive() -> int:
    # Asking a lazy object for its class, as isinstance does, would evaluate it.
    return sum(type(thing) is AnnotationRecord for thing in gc.get_objects())


@pytest.mark.django_db
@pytest.mark.parametrize("content", ["jsonl", "parquet"])
def test_only_one_chunk_of_records_is_alive_while_a_file_is_written(content, monkeypatch):
    monkeypatch.setattr(labels_export, "CHUNK", 2)
    monkeypatch.setattr(labels_parquet, "ROWS", 2)
    study = make_study(extraction=make_extraction(per_layer=2, kinds=("value",)))
    for assignment in Assignment.objects.filter(item__study=study):
        submit(assignment, answer(pattern(1, [1, 2, 3, 4])))
    gc.collect()
    before, alive = records_alive(), []  # other tests may have left some

    def count(done: int, total: int) -> None:
        alive.append(records_alive() - before)
        assert total == 8

    CONTENTS[content].write(study, io.BytesIO(), with_names=False, report=count)
    assert len(alive) == 5  # before the first chunk, and after each
    assert max(alive) <= 2


@pytest.mark.long
def test_ten_times_the_labels_take_hardly_more_memory(monkeypatch):
    """The benchmark's own measurement, on sizes that take seconds and the database of the tests."""
    monkeypatch.setenv("DATABASE_URL", os.environ.get("TEST_DATABASE_URL", ""))
    small, large = measure(3_000), measure(30_000)
    for name in small:
        assert large[name]["bytes"] > 2 * small[name]["bytes"]
        assert large[name]["peak"] - small[name]["peak"] < MOST_GROWTH / 2
