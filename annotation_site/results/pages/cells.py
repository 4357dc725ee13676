"""Cells of stored tables for pages: percentages with intervals, missing values with reasons."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby, product
from typing import Any

from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from annotation_site.analysis.paper import PAPER_TABLE_2
from annotation_site.corpus.models import Kind
from annotation_site.results.pages.remarks import no_significance, remark, warnings_of

Row = Mapping[str, Any]
CONDITIONAL = _("Intervals are 95%, conditional on these annotators.")
MISSING = "–"
ALL_MODELS = _("All models")
PURPOSES = {"training": _("training"), "reference": _("silent reference")}
REAL_MEASURES = {
    "coverage": _("Coverage"),
    "coverage_with_stopwords": _("With stopwords concepts"),
}


@dataclass(frozen=True)
class Cell:
    """Content of a cell: the number, its interval beside it, and a remark below."""

    text: str = MISSING
    between: str = ""
    remark: str = ""
    is_number: bool = True


@dataclass(frozen=True)
class PageTable:
    """A table of a page: the first cell of each row is its heading."""

    name: str
    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    caption: str = ""
    warnings: Sequence[str] = field(default=())


def percent(value: float | None) -> str:
    return MISSING if value is None else f"{value:.1%}"


def points(value: float | None) -> str:
    """A difference of two shares in percentage points."""
    return MISSING if value is None else _minus(f"{100 * value:.1f}")


def decimal(value: float | None) -> str:
    return MISSING if value is None else _minus(f"{value:.2f}")


def _minus(figure: str) -> str:
    return figure.replace("-", "−")


def p_value(value: float | None) -> str:
    """Format a p-value; the smallest as an upper bound, as 10,000 shuffles give no more."""
    if value is None:
        return MISSING
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def translated(text: Any) -> str:
    """A message that a worker stored, in the language of the page."""
    return gettext(text) if text else ""


def short(person: Any) -> str:
    """A person's code, or a machine annotator's name."""
    return gettext("everybody") if person is None else str(person)


def valued(row: Row, write: Callable[[float | None], str], name: str = "value") -> Cell:
    """A value with its interval; a missing one with its reason, if known."""
    low, high = row.get("low"), row.get("high")
    between = ""
    if low is not None and high is not None:
        ends = {"low": write(low).rstrip("%"), "high": write(high)}
        between = gettext("%(low)s to %(high)s") % ends
    missing = "" if row.get(name) is not None else remark(row.get("undefined"))
    return Cell(write(row.get(name)), between, missing)


def words(text: Any) -> Cell:
    return Cell(str(text), is_number=False)


def number(value: Any) -> Cell:
    return Cell(MISSING if value is None else f"{value:,}")


def _seconds(value: float | None) -> Cell:
    return Cell(MISSING if value is None else gettext("%(n)s s") % {"n": f"{value:.0f}"})


def kind_name(kind: str) -> str:
    return str(Kind(kind).label)


def model_name(model: str | None) -> str:
    """A model's name; rows without one are of all models together."""
    return str(ALL_MODELS) if model is None else model


def group_name(row: Row) -> str:
    """Model, kind, layer and category of a row, as far as present."""
    parts = [model_name(row["model"])] if "model" in row else []
    if row.get("kind"):
        parts.append(kind_name(row["kind"]))
    if row.get("layer") is not None:
        parts.append(gettext("layer %(n)s") % {"n": row["layer"]})
    if row.get("category"):
        parts.append(str(row["category"]))
    return ", ".join(parts)


def table_2(rows: Sequence[Row], *, paper: bool) -> PageTable:
    """Table 2: kinds down, models across, with the paper's two models if wanted."""
    models = list(dict.fromkeys(row["model"] for row in rows))
    known = {(row["kind"], row["stopwords_concepts"], row["model"]): row for row in rows}
    there = {(row["kind"], row["stopwords_concepts"]) for row in rows}
    body = []
    for kind, stopwords in product(Kind.values, ("without", "with")):
        key = (kind, stopwords)
        if key not in there:
            continue
        label = kind_name(kind)
        if stopwords == "with":
            label = gettext("%(kind)s + stopwords concepts") % {"kind": label}
        cells = [words(label)]
        for model in models:
            row = known.get((*key, model))
            cells.append(Cell() if row is None else _headline(row))
        if paper:
            cells += [
                Cell(percent(figures.get((kind, stopwords == "with"))))
                for figures in PAPER_TABLE_2.values()
            ]
        body.append(cells)
    columns = [gettext("Lists of"), *models]
    if paper:
        columns += [gettext("the paper’s %(model)s") % {"model": name} for name in PAPER_TABLE_2]
    return PageTable(
        "table_2",
        gettext("By kind of vector and model"),
        columns,
        body,
        gettext(
            "The share of a list’s top tokens that people put into a concept: the mean over a "
            "list’s annotators, then over lists. Intervals are 95%, conditional on these "
            "annotators."
        ),
        _warnings(rows),
    )


def _headline(row: Row) -> Cell:
    cell = valued(row, percent, "coverage")
    total = row["lists_total"]
    remark = gettext(
        "lists: %(lists)s of %(total)s, annotations: %(annotations)s, concepts per vector: "
        "%(concepts)s"
    ) % {
        "lists": f"{row['lists']:,}",
        "total": f"{total:,}",
        "annotations": f"{row['annotations']:,}",
        "concepts": decimal(row["concepts_per_list"]),
    }
    return Cell(cell.text, cell.between, remark)


def _warnings(rows: Sequence[Row]) -> list[str]:
    return warnings_of([(group_name(row), row) for row in rows])


def by_category(rows: Sequence[Row], categories: Sequence[str], *, layers: bool) -> PageTable:
    """Coverage by category with intervals, of all layers together or of each."""
    shown = [row for row in rows if (row["layer"] is not None) == layers]
    measures = ["coverage", *categories, "coverage_with_stopwords", "concepts_per_list"]
    labels = [
        gettext("Coverage"),
        *categories,
        gettext("With stopwords concepts"),
        gettext("Concepts per vector"),
    ]
    body = []
    keys = ("model", "kind", "layer")
    for _key, group in groupby(shown, key=lambda row: [row[key] for key in keys]):
        known = {row["measure"]: row for row in group}
        first = next(iter(known.values()))
        cells = [words(group_name(first))]
        for measure in measures:
            write = decimal if measure == "concepts_per_list" else percent
            cells.append(valued(known[measure], write) if measure in known else Cell())
        body.append([*cells, number(first["lists"])])
    return PageTable(
        "coverage_intervals",
        gettext("Coverage by layer") if layers else gettext("Coverage by category"),
        [gettext("Lists of"), *labels, gettext("Lists")],
        body,
        gettext(
            "Layers count from 0. The categories add up to the coverage. Intervals are 95%, "
            "conditional on these annotators."
        ),
        _warnings(shown),
    )


def real_against_random(rows: Sequence[Row], *, layers: bool) -> PageTable:
    """Value vectors against random ones, over all layers or in each."""
    shown = [row for row in rows if (row["layer"] is not None) == layers]
    adjusted = any(row["p_adjusted"] is not None for row in shown)
    body = [
        [
            words(f"{REAL_MEASURES[row['measure']]}: {_all_layers(row)}"),
            Cell(percent(row["mean_first"]), remark=lists_words(row["lists_first"])),
            Cell(percent(row["mean_second"]), remark=lists_words(row["lists_second"])),
            valued(row, points, "difference"),
            Cell(decimal(row["cliffs_delta"])),
            Cell(p_value(_p_shown(row)), remark=no_significance(row)),
        ]
        for row in shown
    ]
    return PageTable(
        "real_against_random",
        gettext("Real against random, by layer") if layers else gettext("Real against random"),
        [
            gettext("What"),
            gettext("Value vectors"),
            gettext("Random vectors"),
            gettext("Difference in points"),
            gettext("Cliff’s delta"),
            gettext("p, adjusted") if adjusted else gettext("p"),
        ],
        body,
        _real_caption(adjusted=adjusted, layers=layers),
        _warnings(shown),
    )


def _real_caption(*, adjusted: bool, layers: bool) -> str:
    sentences = [
        gettext(
            "The difference is taken within each layer, then averaged with the study’s lists as "
            "weights, so it can differ from that of the two means where layers are unevenly judged."
        )
    ]
    if not adjusted:
        sentences.append(gettext("p is from a permutation test that shuffles kinds within layers."))
    elif layers:
        sentences.append(
            gettext(
                "p is from a permutation test that shuffles kinds within layers, adjusted by "
                "Holm’s method over layers and models."
            )
        )
    else:
        sentences.append(
            gettext(
                "p is from a permutation test that shuffles kinds within layers, adjusted by "
                "Holm’s method over models."
            )
        )
    return " ".join([*sentences, str(CONDITIONAL)])


def lists_words(count: int) -> str:
    return ngettext("%(n)s list", "%(n)s lists", count) % {"n": f"{count:,}"}


def _p_shown(row: Row) -> float | None:
    p: float | None = row["p"] if row["p_adjusted"] is None else row["p_adjusted"]
    return p


def _all_layers(row: Row) -> str:
    if row["layer"] is not None:
        return group_name(row)
    return gettext("%(model)s, all layers") % {"model": row["model"]}


def agreement_across(name: str, title: str, rows: Sequence[Row], measures: Row) -> PageTable:
    """Table of agreement: measures across, groups down."""
    shown = [one for one in measures if any(row["measure"] == one for row in rows)]
    body = []
    for group, of_group in groupby(rows, key=_group_of):
        known = {row["measure"]: row for row in of_group}
        body.append(
            [words(group)]
            + [valued(known[one], decimal) if one in known else Cell() for one in shown]
            + [number(max(row["lists"] for row in known.values()))]
        )
    titles = (translated(measures[one]["title"]) for one in shown)
    columns = [gettext("Group"), *titles, gettext("Lists")]
    caption = str(CONDITIONAL) if any("low" in row for row in rows) else ""
    return PageTable(name, title, columns, body, caption, _warnings(rows))


def pair_name(first: Any, second: Any) -> str:
    return gettext("%(first)s and %(second)s") % {"first": short(first), "second": short(second)}


def _group_of(row: Row) -> str:
    if "first" in row:
        return pair_name(row["first"], row["second"])
    if "annotator" in row:
        return short(row["annotator"])
    return group_name(row)


def reference(rows: Sequence[Row]) -> PageTable:
    body = [
        [
            words(f"{short(row['annotator'])}, {PURPOSES.get(row['purpose'], row['purpose'])}"),
            number(row["lists"]),
            Cell(percent(row["mean_score"])),
            Cell(percent(row["lowest"])),
        ]
        for row in rows
    ]
    columns = [gettext("Person"), gettext("Lists"), gettext("Mean score"), gettext("Lowest")]
    return PageTable(
        "reference", gettext("Against reference annotations"), columns, body,
        gettext("How near annotations came to the reference annotation: 100% is the same."),
    )  # fmt: skip


def machine_coverage(rows: Sequence[Row]) -> PageTable:
    body = [
        [
            words(f"{row['annotator']}: {group_name(row)}"),
            Cell(percent(row["coverage"])),
            Cell(decimal(row["concepts_per_list"])),
            number(row["lists"]),
        ]
        for row in rows
    ]
    columns = [
        gettext("Machine annotator"),
        gettext("Coverage"),
        gettext("Concepts per vector"),
        gettext("Lists"),
    ]
    return PageTable(
        "machine_coverage", gettext("Coverage of machine annotators"), columns, body,
        gettext(
            "Machine annotators are programs, not people. No other table includes them unless the "
            "filter says so."
        ),
    )  # fmt: skip


def people(rows: Sequence[Row]) -> PageTable:
    body = [
        [
            words(short(row["annotator"])),
            number(row["annotations"]),
            number(row["no_pattern"]),
            Cell(percent(row["coverage"])),
            Cell(decimal(row["concepts"])),
            _seconds(row["median_seconds"]),
            Cell(percent(row["percent_agreement_concept"])),
            Cell(decimal(row["krippendorff_alpha_concept"])),
            Cell(decimal(row["mean_matched_jaccard"])),
        ]
        for row in rows
    ]
    columns = [
        gettext("Person"),
        gettext("Annotations"),
        gettext("No pattern"),
        gettext("Coverage"),
        gettext("Concepts"),
        gettext("Median time"),
        gettext("Percent agreement"),
        gettext("Alpha"),
        gettext("Pattern overlap"),
    ]
    return PageTable(
        "people", gettext("Each person’s annotations"), columns, body,
        gettext(
            "People appear under codes, here and in files. Agreement is with everybody who "
            "annotated the same lists."
        ),
    )  # fmt: skip


@dataclass(frozen=True)
class Couple:
    """Two people's matched patterns of a list, or one without a partner."""

    first: str
    second: str
    overlap: str
    shared: str
    only_first: str
    only_second: str


@dataclass(frozen=True)
class Disagreement:
    """A list with low agreement, its patterns side by side."""

    label: str
    score: str
    annotations: int
    couples: Sequence[tuple[str, Sequence[Couple]]]


def disagreements(
    ranking: Sequence[Row],
    matched: Sequence[Row],
    tokens: Mapping[int, Sequence[str]],
    descriptions: Mapping[tuple[int, str, int], str],
) -> list[Disagreement]:
    """The lists with matched patterns, lowest agreement first."""
    by_list = {key: list(rows) for key, rows in groupby(matched, key=lambda row: row["list_id"])}

    def couple(row: Row) -> Couple:
        def called(side: str) -> str:
            pattern = row[f"{side}_pattern"]
            if pattern is None:
                return gettext("no such pattern")
            return descriptions.get(
                (row["list_id"], row[side], pattern), gettext("pattern %(n)s") % {"n": pattern}
            )

        def said(ranks: str) -> str:
            known = tokens.get(row["list_id"], ())
            found = [int(rank) for rank in ranks.split()]
            return ", ".join(known[rank - 1] for rank in found if rank <= len(known))

        shared, first, second = (said(row[key]) for key in ("shared", "only_first", "only_second"))
        return Couple(
            called("first"), called("second"), percent(row["jaccard"]), shared, first, second
        )

    return [
        Disagreement(
            group_name(row),
            decimal(row["score"]),
            row["annotations"],
            [
                (pair_name(first, second), [couple(one) for one in rows])
                for (first, second), rows in groupby(
                    by_list[row["list_id"]], key=lambda one: (one["first"], one["second"])
                )
            ],
        )
        for row in ranking
        if row["list_id"] in by_list
    ]
