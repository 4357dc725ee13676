"""Sentences of a methods text on intervals for people like the annotators."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from annotation_site.analysis.annotation_frames import KIND_NAMES
from annotation_site.analysis.controls import compared
from annotation_site.analysis.written import decimal, points_bound, share
from annotation_site.results.files.references import cite

_NONE = "no interval for people like these: "
_ALPHA = "krippendorff_alpha_concept"
_RESAMPLES = 1_000  # as `analysis.two_way` bounds them


def people_sentences(rows: Sequence[Mapping[str, Any]], resamples: int) -> Iterator[str]:
    """One sentence with the intervals of the headline, or on why there are none."""
    shown = [row for row in rows if _is_shown(row)]
    known = [row for row in shown if row["low"] is not None]
    if known:
        told = "; ".join(_told(row, known) for row in known)
        yield (
            "For people like these annotators, with the variance between people added "
            f"{cite('owen-2007-pigeonhole')}, from {min(resamples, _RESAMPLES):,} resamples of "
            f"people, the 95% intervals are: {told}."
        )
        return
    reasons = [row["warning"].split("; ")[0] for row in shown if row["warning"]]
    reason = next((one for one in reasons if one.startswith(_NONE)), "")
    if reason:
        yield f"There is {reason}."


def _is_shown(row: Mapping[str, Any]) -> bool:
    return bool(row["measure"] == (_ALPHA if row["of"] == "agreement" else "coverage"))


def _told(row: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> str:
    several = len({one["model"] for one in rows if one["model"]}) > 1
    of = f" of {row['model'] or 'all models together'}" if several else ""
    write = {"coverage": share, "difference": points_bound}.get(row["of"], decimal)
    if row["of"] == "coverage":
        what = f"coverage of the {KIND_NAMES[row['kind']]}{of}"
    elif row["of"] == "difference":
        first, second = compared(
            one["kind"] for one in rows if one["kind"] and one["model"] == row["model"]
        )
        what = f"{KIND_NAMES[first]} minus {KIND_NAMES[second]}{of}, in points"
    else:
        what = f"Krippendorff's alpha{of}"
    ends = f"{write(row['low'])} to {write(row['high'])}"
    return f"{what}, {ends} ({row['people']:,} people)"
