"""Counts of the annotations behind the tables, for the methods paragraph and for checks.

Knows no database: a reader of an archive counts again.
"""

from collections import Counter
from typing import Any

from annotation_site.analysis.annotation_frames import KINDS
from annotation_site.results.tables.request import TableRequest

PURPOSES = ("annotation", "training", "repeat", "reference", "pilot", "adjudication")
"""What submitted lists are for, in the order in which texts name them."""


def facts_of(request: TableRequest) -> dict[str, Any]:
    """The counts of `parameters.json` that follow from the tables' input alone."""
    labels = request.labels
    sizes = labels.members.groupby(["annotation_id", "pattern"]).size()
    kinds = Counter(labels.lists["kind"])
    of_list = labels.annotations["list_id"].value_counts()
    said = set(labels.members["annotation_id"])
    return {
        "lists": len(labels.lists),
        "judged": len(of_list),
        "lengths": sorted({int(length) for length in labels.lists["length"]}),
        "kinds": {kind: kinds[kind] for kind in KINDS if kind in kinds},
        "annotations": len(labels.annotations),
        "annotators": int(labels.annotations["annotator"].nunique()),
        "no_pattern": len(set(labels.annotations["annotation_id"]) - said),
        "annotations_per_list": {
            "median": float(of_list.median()),
            "least": int(of_list.min()),
            "most": int(of_list.max()),
        }
        if len(of_list)
        else None,
        "patterns": len(sizes),
        "patterns_too_small": int((sizes < request.min_tokens).sum()),
        "active_seconds": int(request.times["active_seconds"].sum()),
    }
