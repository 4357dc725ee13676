"""Coverage of one answer on a page is the coverage that results compute."""

import pytest

from annotation_site.analysis.coverage import annotation_coverage
from annotation_site.analysis.one_annotation import coverage_of_annotation
from tests.annotation_site.analysis.hand_worked import hand_worked_labels


def test_it_is_the_same_as_in_tables():
    labels = hand_worked_labels()
    lengths = labels.lists.set_index("list_id")["length"]
    table = annotation_coverage(labels, min_tokens=4)
    assert table["coverage"].between(0, 1, inclusive="neither").any()
    for row in table.itertuples():
        own = labels.members[labels.members["annotation_id"] == row.annotation_id]
        patterns = [
            (list(members["rank"]), bool(members["stopwords"].iloc[0]))
            for _, members in own.groupby("pattern")
        ]
        found = coverage_of_annotation(patterns, length=int(lengths[row.list_id]), min_tokens=4)
        assert found == pytest.approx(row.coverage)
