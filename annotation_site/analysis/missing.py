"""Missing annotations: skips, expired leases and empty slots.

Skips are rarely random: people skip lists that offend or tire them. So each table of coverage says
how many there are, and `missing_table` counts them with their reasons, for a test of missingness.
"""

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

from annotation_site.analysis.annotation_frames import KINDS, AnnotationFrames

MISSING_COLUMNS = {"list_id": int, "annotator": str, "state": str, "reason": str}
"""A row per list that one person had and that gave no annotation that counts."""

MISSING_STATES = ("unblinded", "skipped", "expired", "withdrawn")
"""``unblinded``: submitted by somebody who could see where lists come from; ``skipped``: given
back, with a reason; ``expired``: opened, and not submitted before its lease ended; ``withdrawn``:
opened by somebody whose annotations were removed when they left the study."""

_GROUPS = ["model", "kind", "layer"]


def skips_by_group(
    lists: pd.DataFrame, missing: pd.DataFrame, by: Sequence[str]
) -> "pd.Series[int]":
    """Count skips in each group of lists; the index holds the columns of `by`."""
    skipped = missing.loc[missing["state"] == "skipped", "list_id"]
    counts = skipped.value_counts().reindex(lists["list_id"], fill_value=0)
    keys = [lists[name].astype("str") if name == "kind" else lists[name] for name in by]
    return pd.Series(counts.to_numpy(), index=lists.index, dtype=np.int64).groupby(keys).sum()


def missing_table(
    labels: AnnotationFrames, missing: pd.DataFrame, *, slots: int | None
) -> pd.DataFrame:
    """Count missing annotations, over all layers and then by layer.

    Parameters
    ----------
    labels
        The annotations that count.
    missing
        The columns of `MISSING_COLUMNS`; states are those of `MISSING_STATES`.
    slots
        Annotators per list, k; None where the annotations are a part of the study's, so that empty
        slots say nothing.

    Returns
    -------
    DataFrame
        ``model``, ``kind``, ``layer`` (missing: all layers), ``lists``, ``slots`` (k per list),
        ``annotations``, one column for each of `MISSING_STATES`, ``not_given`` (slots that hold no
        submitted annotation yet), ``skip_reasons`` ("2 × offensive; 1 × too hard": most frequent
        first). Without `slots`, ``slots`` and ``not_given`` are missing.
    """
    lists = labels.lists.sort_values("list_id", ignore_index=True)
    # All lists first: those without an annotation that counts have missing ones too.
    counts = pd.DataFrame(index=pd.Index(lists["list_id"]))
    counts["annotations"] = labels.annotations["list_id"].value_counts()
    for state in MISSING_STATES:
        counts[state] = missing.loc[missing["state"] == state, "list_id"].value_counts()
    counts = counts.fillna(0).astype(np.int64)
    reasons = missing[missing["state"] == "skipped"].groupby("list_id")["reason"].agg(list)
    said = [list(reasons.get(list_id, ())) for list_id in lists["list_id"]]
    lists = lists.join(counts.reset_index(drop=True))
    lists["reasons"] = pd.Series(said, index=lists.index, dtype="object")
    lists["kind"] = pd.Categorical(lists["kind"], categories=KINDS, ordered=True)
    rows = [
        _row(dict(zip(by, key, strict=True)), group, slots)
        for by in (_GROUPS[:2], _GROUPS)
        for key, group in lists.groupby(by, observed=True)
    ]
    columns = [*_GROUPS, "lists", "slots", "annotations", *MISSING_STATES]
    columns += ["not_given", "skip_reasons"]
    table = pd.DataFrame(rows, columns=columns)
    numbers = ["layer", "lists", "slots", "annotations", *MISSING_STATES, "not_given"]
    return table.astype(dict.fromkeys(numbers, "Int64"))


def _row(key: dict[str, object], group: pd.DataFrame, slots: int | None) -> dict[str, object]:
    counted = {name: int(group[name].sum()) for name in ("annotations", *MISSING_STATES)}
    given = counted["annotations"] + counted["unblinded"]  # these hold slots
    return {
        "layer": None,
        **key,
        "kind": str(key["kind"]),
        "lists": len(group),
        "slots": None if slots is None else slots * len(group),
        **counted,
        "not_given": None if slots is None else slots * len(group) - given,
        "skip_reasons": _reasons(one for reasons in group["reasons"] for one in reasons),
    }


def _reasons(reasons: Iterable[str]) -> str:
    counts = Counter(" ".join(reason.split()) for reason in reasons)
    ordered = sorted(counts.items(), key=lambda one: (-one[1], one[0]))
    return "; ".join(f"{count} × {reason}" for reason, count in ordered)
