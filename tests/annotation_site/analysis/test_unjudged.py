"""How far lists without annotation could move a difference, worked out by hand."""

import pytest

from annotation_site.analysis.unjudged import most_moved

KINDS = ("value", "random")


def row(kind, layer, coverage, lists, total):
    return {
        "kind": kind, "layer": layer, "coverage": coverage, "lists": lists, "lists_total": total,
    }  # fmt: skip


def test_a_list_without_annotation_is_taken_at_its_worst():
    rows = [
        row("value", 0, 0.6, 9, 10), row("random", 0, 0.2, 10, 10),
        row("value", 1, 0.4, 10, 10), row("random", 1, 0.2, 10, 10),
        row("update", 0, 0.5, 1, 10),  # is in no difference
    ]  # fmt: skip
    # At worst the list has 0: layer 0 has 0.54 − 0.2, and the mean of both layers is 0.27.
    assert most_moved(rows, 0.3, KINDS) == pytest.approx(0.03)


def test_a_layer_without_any_annotation_of_a_kind_enters_at_its_worst():
    rows = [
        row("value", 0, 0.5, 2, 2), row("random", 0, 0.5, 2, 2),
        row("value", 1, None, 0, 2), row("random", 1, 0.5, 2, 2),
    ]  # fmt: skip
    # Layer 1 lies between −0.5 and 0.5, and weighs as much as layer 0.
    assert most_moved(rows, 0.0, KINDS) == pytest.approx(0.25)


def test_nothing_moves_where_every_list_has_an_annotation():
    rows = [row("value", 0, 0.6, 10, 10), row("random", 0, 0.2, 10, 10)]
    assert most_moved(rows, 0.4, KINDS) == 0
