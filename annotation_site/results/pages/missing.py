"""The part of the results page on annotations that are missing, or in no number, and why."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from annotation_site.analysis import written
from annotation_site.analysis.paper import PREFIXES_SHOWN
from annotation_site.annotation.lists.nouns import Nouns, nouns_of
from annotation_site.annotation.models import Study
from annotation_site.results.pages.people import Behind
from annotation_site.results.pages.tables import PageTable
from annotation_site.results.pages.values import (
    Cell,
    Row,
    kind_name,
    number,
    words,
)

_LEFT = ("unblinded", "skipped", "expired", "withdrawn", "not_given")
_COLUMNS = {
    "lists": _("Lists"),
    "slots": _("Asked for"),
    "annotations": _("Given"),
    "not_given": _("Not given yet"),
    "skipped": _("Skipped"),
    "expired": _("Not submitted in time"),
    "unblinded": _("Not blind"),
    "withdrawn": _("Opened by people who withdrew"),
}


@dataclass(frozen=True)
class Gap:
    """Something that is missing: how many of what, what that does to the numbers, and details."""

    what: str
    count: str
    of: str
    effect: str
    detail: str = ""
    href: str = ""


def gaps(
    study: Study, rows: Mapping[str, Sequence[Row]], counts: Mapping[str, Any], behind: Behind
) -> list[Gap]:
    """Everything that stays out of a snapshot's numbers, or of some of them."""
    wholes = [row for row in rows["missing"] if row["layer"] is None]
    return [
        *_lists(study, rows, behind),
        *_lost(wholes, behind),
        *_not_counted(counts, rows, nouns_of(study.list_source)),
        *_keys([row for row in rows.get("keys", ()) if row["layer"] is None]),
    ]


def _lists(study: Study, rows: Mapping[str, Sequence[Row]], behind: Behind) -> Iterator[Gap]:
    total = gettext("of %(n)s lists") % {"n": written.count(len(rows["lists"]))}
    given = Counter(row["annotations"] for row in rows["lists"])
    without = Counter(row["kind"] for row in rows["lists"] if not row["annotations"])
    if given[0]:
        detail = ", ".join(f"{written.count(n)} {kind_name(kind)}" for kind, n in without.items())
        yield Gap(
            gettext("Lists without an annotation"), written.count(given[0]), total,
            gettext("In no number"), detail, behind.lists(state="none"),
        )  # fmt: skip
    k = study.annotators_per_list
    if given[1] and k > 1:
        yield Gap(
            gettext("Lists with one annotation"), written.count(given[1]), total,
            gettext("In coverage, not in agreement"), "", behind.lists(state="some"),
        )  # fmt: skip
    few = sum(given[n] for n in range(2, k))
    if few:
        yield Gap(
            gettext("Lists with two annotations or more, but fewer than %(n)s") % {"n": k},
            written.count(few), total, gettext("In coverage and in agreement"), "",
            behind.lists(state="some"),
        )  # fmt: skip


def _reasons(of_kinds: Iterable[str]) -> str:
    """The reasons of all kinds together, the most frequent first: "2 × offensive; 1 × too hard"."""
    counts: Counter[str] = Counter()
    for said in of_kinds:
        for count, reason in re.findall(r"(\d+) × (.+?)(?=; \d+ × |$)", said):
            counts[reason.rstrip(".")] += int(count)
    ordered = sorted(counts.items(), key=lambda one: (-one[1], one[0]))
    return "; ".join(f"{written.count(count)} × {reason}" for reason, count in ordered)


def _lost(wholes: Sequence[Row], behind: Behind) -> Iterator[Gap]:
    """Slots that hold no annotation that counts."""
    known = [row["slots"] for row in wholes if row["slots"] is not None]
    slots = gettext("of %(n)s slots") % {"n": written.count(sum(known))} if known else ""
    reasons = _reasons(row["skip_reasons"] for row in wholes if row["skip_reasons"])
    for name, what, effect, of, detail, state in (
        (
            "not_given", gettext("Slots without an annotation yet"), gettext("In no number"), slots,
            "", "some",
        ),
        (
            "skipped", gettext("Skipped"),
            gettext("In no number; somebody else annotates the list"), "", reasons, "skipped",
        ),
        (
            "expired", gettext("Opened and not submitted in time"),
            gettext("In no number; somebody else annotates the list"), "", "", "",
        ),
        (
            "unblinded", gettext("Annotated by somebody who was not blind"),
            gettext("In no number"), slots, "", "",
        ),
        (
            "withdrawn", gettext("Opened by people who withdrew"), gettext("In no number"), "", "",
            "",
        ),
    ):  # fmt: skip
        count = sum(row[name] or 0 for row in wholes)
        if count:
            href = behind.lists(state=state) if state else ""
            yield Gap(what, written.count(count), of, effect, detail, href)


def _not_counted(
    counts: Mapping[str, Any], rows: Mapping[str, Sequence[Row]], nouns: Nouns
) -> Iterator[Gap]:
    if counts["surplus"]:
        yield Gap(
            gettext("Surplus annotations, beyond the number per list"),
            written.count(counts["surplus"]), "", gettext("In no number"),
        )  # fmt: skip
    told = counts.get("methods", {}).get("counts", {})
    if told.get("patterns_too_small"):
        least = counts["methods"]["tables"]["min_tokens"]
        patterns = written.count(told["patterns"])
        yield Gap(
            gettext("Patterns of fewer than %(counted)s") % {"counted": nouns.counted(least)},
            written.count(told["patterns_too_small"]),
            gettext("of %(n)s patterns") % {"n": patterns},
            gettext("Kept in files; their %(entries)s count as in no pattern")
            % {"entries": nouns.many},
        )


def _keys(wholes: Sequence[Row]) -> Iterator[Gap]:
    """Keys of the extractions without a list, and the study's lists that are short."""
    never = sum(row["never_active"] for row in wholes)
    if never:
        yield Gap(
            gettext("Keys that are never active"), written.count(never),
            gettext("of %(n)s keys") % {"n": written.count(sum(row["keys"] for row in wholes))},
            gettext("They have no prefix and no list: in no number"),
        )  # fmt: skip
    short = sum(row["lists_short"] for row in wholes)
    if short:
        yield Gap(
            gettext("Lists with fewer than %(n)s prefixes") % {"n": PREFIXES_SHOWN},
            written.count(short),
            gettext("of %(n)s lists") % {"n": written.count(sum(row["lists"] for row in wholes))},
            gettext("In all numbers; shares are of the prefixes that the list shows"),
        )


def keys(rows: Sequence[Row], behind: Behind) -> PageTable | None:
    """Keys without a list and with a short one, by kind and layer; None where lists are tokens."""
    if not rows:
        return None
    names = ("keys", "never_active", "short", "lists", "lists_short")
    body = [
        [words(behind.group(row), behind.lists_of(row)), *(number(row[name]) for name in names)]
        for row in rows
    ]
    return PageTable(
        "keys",
        gettext("Keys without a list, or with a short one"),
        [
            gettext("Keys of"),
            gettext("Extracted"),
            gettext("Never active"),
            gettext("Short lists"),
            gettext("Lists of the study"),
            gettext("Short ones"),
        ],
        body,
        gettext(
            "A key that is never active has a positive coefficient at no prefix of the corpus. A "
            "short list has fewer than %(n)s prefixes."
        )
        % {"n": PREFIXES_SHOWN},
    )


def missing(rows: Sequence[Row], behind: Behind) -> PageTable | None:
    """Missing annotations by kind and layer; None if there are none."""
    if not any(row[name] for row in rows for name in _LEFT):
        return None
    # A filter by people or days takes a part of the annotations: empty slots say nothing then.
    names = [n for n in _COLUMNS if any(row[n] is not None for row in rows)]
    body = [
        [words(behind.group(row), behind.lists_of(row)), *(_cell(row, name) for name in names)]
        for row in rows
    ]
    return PageTable(
        "missing",
        gettext("Missing annotations by kind and layer"),
        [gettext("Lists of"), *(str(_COLUMNS[name]) for name in names)],
        body,
        gettext(
            "People seldom skip lists at random. If one kind loses more than another, a "
            "difference between the two may come from that. Another person annotates a skipped "
            "list, so skips are not counted in “Not given yet”."
        ),
    )


def _cell(row: Row, name: str) -> Cell:
    if name != "skipped":
        return number(row[name])
    return Cell(written.count(row["skipped"]), remark=row["skip_reasons"])
