"""The bound on a result's change, were the lists without an annotation annotated."""

from collections.abc import Iterable, Mapping
from typing import Any


def most_moved(
    rows: Iterable[Mapping[str, Any]], difference: float, kinds: tuple[str, str]
) -> float:
    """How far the lists without annotation could move the difference of two kinds.

    Parameters
    ----------
    rows
        One model's coverage by kind and layer: ``kind``, ``layer``, ``coverage`` (of the judged
        lists; missing without any), ``lists`` (judged), ``lists_total``.
    difference
        The mean of the layers' differences, weighted by the study's lists of both kinds.
    kinds
        The two kinds, as `controls.compared` names them.

    Returns
    -------
    float
        The largest change, as a share: every list without annotation has a coverage of 0 or 1,
        whichever is worse. 0 where every list has an annotation.
    """
    layers: dict[int, dict[str, Mapping[str, Any]]] = {}
    for row in rows:
        layers.setdefault(row["layer"], {})[row["kind"]] = row
    low = high = total = 0.0
    missing = 0
    for of_kind in layers.values():
        if not set(kinds) <= set(of_kind):
            continue
        value, random = (of_kind[kind] for kind in kinds)
        weight = value["lists_total"] + random["lists_total"]
        total += weight
        missing += weight - value["lists"] - random["lists"]
        low += weight * (_mean_with(value, 0.0) - _mean_with(random, 1.0))
        high += weight * (_mean_with(value, 1.0) - _mean_with(random, 0.0))
    if not missing:
        return 0.0
    return max(high / total - difference, difference - low / total)


def _mean_with(row: Mapping[str, Any], coverage: float) -> float:
    """The mean of all lists of a row, if those without annotation had this coverage."""
    judged, lists = row["lists"], row["lists_total"]
    known = judged * row["coverage"] if judged else 0.0
    return float((known + (lists - judged) * coverage) / lists)
