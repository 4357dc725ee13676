"""Remarks below a table: warnings of ``docs/measures.md`` about its rows."""

from collections.abc import Mapping, Sequence
from typing import Any

from django.utils.translation import gettext

_NO_SIGNIFICANCE = "no significance is possible"


def warnings_of(rows: Sequence[tuple[str, Mapping[str, Any]]]) -> list[str]:
    """Each warning once, with the names of its rows."""
    found: dict[str, list[str]] = {}
    for name, row in rows:
        for warning in _parts(row):
            # That no significance is possible stands beside the p-value.
            if not warning.startswith(_NO_SIGNIFICANCE):
                found.setdefault(warning, []).append(name)
    names = {name for name, _ in rows}
    return [
        gettext("%(rows)s: %(warning)s.")
        % {"rows": _about(about, names), "warning": gettext(warning)}
        for warning, about in found.items()
    ]


def no_significance(row: Mapping[str, Any]) -> str:
    """The sentence that no significance is possible, if a row's warning says so."""
    return next((gettext(one) for one in _parts(row) if one.startswith(_NO_SIGNIFICANCE)), "")


def _parts(row: Mapping[str, Any]) -> list[str]:
    return [one for one in str(row.get("warning") or "").split("; ") if one]


def _about(about: Sequence[str], names: set[str]) -> str:
    """The rows a warning is about; what follows the same model stands behind it once."""
    if set(about) == names:
        return gettext("All rows")
    rest_of: dict[str, list[str]] = {}
    for name in dict.fromkeys(about):
        first, _, rest = name.partition(", ")
        rest_of.setdefault(first, []).append(rest)
    return "; ".join(
        f"{first} ({'; '.join(rest)})" if len(rest) > 1 else ", ".join(filter(None, (first, *rest)))
        for first, rest in rest_of.items()
    )
