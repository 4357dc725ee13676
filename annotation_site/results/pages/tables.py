"""Tables of the results page from the stored tables of a snapshot."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby, product

from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from annotation_site.analysis import written
from annotation_site.analysis.paper import PAPER_KEYS, PAPER_TABLE_2
from annotation_site.corpus.models import Kind
from annotation_site.results.pages.people import Behind
from annotation_site.results.pages.remarks import no_significance, warnings_of
from annotation_site.results.pages.values import (
    Cell,
    Row,
    agreed,
    duration,
    group_name,
    kind_heading,
    kind_name,
    lists_words,
    minus_control,
    number,
    translated,
    valued,
    words,
)

CONDITIONAL = _("Intervals are 95%, conditional on these annotators.")
PURPOSES = {"training": _("training"), "reference": _("silent reference")}
REAL_MEASURES = {
    "coverage": _("Coverage"),
    "coverage_with_stopwords": _("With stopwords concepts"),
}

CONTROL_MEANINGS = {
    "random": _("Random vectors have each dimension’s mean and spread alone."),
    "random-covariance": _(
        "Random vectors with covariance have the mean and the whole covariance of their layer’s "
        "value vectors."
    ),
    "permuted": _(
        "Permuted value vectors have the coordinates of a value vector, in random order."
    ),
    "shuffled": _(
        "Shuffled tokens come from many lists of their layer, so there is nothing to find: their "
        "coverage shows people’s false positives."
    ),
}
"""What each control of value vectors keeps."""


@dataclass(frozen=True)
class PageTable:
    """A table of a page: the first cell of each row is its heading."""

    name: str
    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    caption: str = ""
    warnings: Sequence[str] = field(default=())


def table_2(rows: Sequence[Row]) -> PageTable:
    """Table 2: kinds down, models across, beside the paper's two models."""
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
        cells += [
            Cell(written.share(figures.get((kind, stopwords == "with"))))
            for figures in PAPER_TABLE_2.values()
        ]
        body.append(cells)
    columns = [gettext("Lists of"), *models]
    columns += [gettext("the paper’s %(model)s") % {"model": name} for name in PAPER_TABLE_2]
    return PageTable(
        "table_2",
        gettext("As in table 2 of the paper"),
        columns,
        body,
        gettext(
            "The share of a list’s top tokens that people put into a concept: the mean over a "
            "list’s annotators, then over lists. Intervals are 95%, conditional on these "
            "annotators."
        ),
        warnings_of([(group_name(row), row) for row in rows]),
    )


def _headline(row: Row) -> Cell:
    cell = valued(row, written.share, "coverage")
    total = row["lists_total"]
    remark = gettext(
        "lists: %(lists)s of %(total)s, annotations: %(annotations)s, concepts per vector: "
        "%(concepts)s"
    ) % {
        "lists": written.count(row["lists"]),
        "total": written.count(total),
        "annotations": written.count(row["annotations"]),
        "concepts": written.decimal(row["concepts_per_list"]),
    }
    return Cell(cell.text, cell.between, remark)


def _warnings(rows: Sequence[Row], behind: Behind) -> list[str]:
    return warnings_of([(_group_of(row, behind).text, row) for row in rows])


def by_category(
    rows: Sequence[Row], categories: Sequence[str], behind: Behind, *, layers: bool
) -> PageTable:
    """Coverage by category with intervals, of all layers together or of each."""
    shown = [row for row in rows if (row["layer"] is not None) == layers]
    measures = ["coverage", *categories, "coverage_with_stopwords", "concepts_per_list"]
    labels = [
        gettext("Coverage"),
        *categories,
        gettext("With stopwords concepts"),
        gettext("Patterns per list"),
    ]
    body = []
    keys = ("model", "kind", "layer")
    for _key, group in groupby(shown, key=lambda row: [row[key] for key in keys]):
        known = {row["measure"]: row for row in group}
        first = next(iter(known.values()))
        cells = [words(behind.group(first), behind.lists_of(first))]
        for measure in measures:
            write = written.decimal if measure == "concepts_per_list" else written.share
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
        _warnings(shown, behind),
    )


def prefix_shares(
    rows: Sequence[Row], categories: Sequence[str], behind: Behind, *, layers: bool
) -> PageTable:
    """Shares of prefixes by category with intervals, of all layers together or of each."""
    shown = [row for row in rows if (row["layer"] is not None) == layers]
    labels = {f"only_{one}": gettext("%(category)s only") % {"category": one} for one in categories}
    labels = {name: label[:1].upper() + label[1:] for name, label in labels.items()}
    first, *rest = labels.items()
    columns = dict([first, *([("both", gettext("Both"))] if rest else []), *rest])
    columns |= {"none": gettext("No pattern"), "patterns_per_key": gettext("Patterns per key")}
    columns["with_pattern"] = gettext("Keys with a pattern")
    body = []
    keys = ("model", "kind", "layer")
    for _key, group in groupby(shown, key=lambda row: [row[key] for key in keys]):
        known = {row["measure"]: row for row in group}
        whole = known["none"]
        cells = [words(behind.group(whole), behind.lists_of(whole))]
        for measure in columns:
            write = written.decimal if measure == "patterns_per_key" else written.share
            cells.append(valued(known[measure], write))
        body.append([*cells, number(whole["lists"])])
    return PageTable(
        "prefix_shares",
        gettext("Prefixes by layer") if layers else gettext("Prefixes by category"),
        [gettext("Keys of"), *columns.values(), gettext("Keys")],
        body,
        gettext(
            "Shares of the prefixes that lists show: in patterns of one category alone, of both, "
            "or of none. They add up to 100%. Layers count from 0. Intervals are 95%, "
            "conditional on these annotators."
        ),
        _warnings(shown, behind),
    )


def paper_of_keys() -> str:
    """The numbers of the 2021 paper in a sentence, beside figure 2."""
    low, high = PAPER_KEYS.covered
    (first, last), (next_, end) = PAPER_KEYS.shallow_layers, PAPER_KEYS.semantic_layers
    return gettext(
        "For comparison, Geva et al. (2021) had %(keys)s keys of another model annotated by one "
        "expert each, and report a pattern in every key, %(patterns)s patterns per key, "
        "%(low)s%% to %(high)s%% of a layer’s prefixes in a pattern, and mostly shallow patterns "
        "in layers %(first)s to %(last)s and semantic ones in layers %(next)s to %(end)s, counted "
        "from 1."
    ) % {
        "keys": PAPER_KEYS.keys,
        "patterns": PAPER_KEYS.patterns_per_key,
        "low": round(100 * low),
        "high": round(100 * high),
        "first": first,
        "last": last,
        "next": next_,
        "end": end,
    }


def real_against_random(
    rows: Sequence[Row], kinds: tuple[str, str], behind: Behind, *, layers: bool
) -> PageTable:
    """A kind against its control, over all layers or in each."""
    name = minus_control(kinds)
    shown = [row for row in rows if (row["layer"] is not None) == layers]
    adjusted = any(row["p_adjusted"] is not None for row in shown)
    return PageTable(
        "real_against_random",
        gettext("%(difference)s, by layer") % {"difference": name} if layers else name,
        [gettext("What"), *map(kind_heading, kinds), *_real_columns(adjusted=adjusted)],
        [_real_row(row, "", behind, layers=layers) for row in shown],
        _real_caption(adjusted=adjusted, layers=layers),
        _warnings(shown, behind),
    )


def other_controls(rows: Sequence[Row], behind: Behind, *, layers: bool) -> PageTable:
    """Value vectors against each further control, over all layers or in each."""
    shown = [row for row in rows if (row["layer"] is not None) == layers]
    adjusted = any(row["p_adjusted"] is not None for row in shown)
    controls = dict.fromkeys(row["control"] for row in shown)
    title = gettext("Value minus other controls")
    caption = [str(CONTROL_MEANINGS[control]) for control in controls]
    return PageTable(
        "other_controls",
        gettext("%(difference)s, by layer") % {"difference": title} if layers else title,
        [
            gettext("Control and measure"),
            kind_heading(Kind.VALUE),
            gettext("Control"),
            *_real_columns(adjusted=adjusted),
        ],
        [
            _real_row(row, f"{kind_heading(row['control'])}, ", behind, layers=layers)
            for row in shown
        ],
        " ".join([*caption, _real_caption(adjusted=adjusted, layers=layers)]),
        _warnings(shown, behind),
    )


def _real_columns(*, adjusted: bool) -> list[str]:
    return [
        gettext("Difference in points"),
        gettext("Cliff’s delta"),
        gettext("p, adjusted") if adjusted else gettext("p"),
    ]


def _real_row(row: Row, before: str, behind: Behind, *, layers: bool) -> list[Cell]:
    """A difference, its two means and its test; `before` begins the row's heading."""
    return [
        words(
            f"{before}{REAL_MEASURES[row['measure']]}: {_all_layers(row, behind)}",
            behind.lists_of(row) if layers else "",
        ),
        Cell(written.share(row["mean_first"]), remark=lists_words(row["lists_first"])),
        Cell(written.share(row["mean_second"]), remark=lists_words(row["lists_second"])),
        valued(row, written.points, "difference", ends=written.points_bound),
        Cell(written.decimal(row["cliffs_delta"])),
        Cell(written.p_value(_p_shown(row)), remark=no_significance(row)),
    ]


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


def _p_shown(row: Row) -> float | None:
    p: float | None = row["p"] if row["p_adjusted"] is None else row["p_adjusted"]
    return p


def _all_layers(row: Row, behind: Behind) -> str:
    if row["layer"] is not None:
        return behind.group(row)
    if not behind.several_models:
        return gettext("all layers")
    return gettext("%(model)s, all layers") % {"model": row["model"]}


def agreement_across(
    name: str, title: str, rows: Sequence[Row], measures: Row, behind: Behind
) -> PageTable:
    """Table of agreement: measures across, groups down."""
    shown = [one for one in measures if any(row["measure"] == one for row in rows)]
    body = []
    for group, of_group in groupby(rows, key=lambda row: _group_of(row, behind)):
        known = {row["measure"]: row for row in of_group}
        body.append(
            [group]
            + [agreed(known[one]) if one in known else Cell() for one in shown]
            + [number(max(row["lists"] for row in known.values()))]
        )
    titles = (translated(measures[one]["title"]) for one in shown)
    columns = [gettext("Group"), *titles, gettext("Lists")]
    caption = str(CONDITIONAL) if any("low" in row for row in rows) else ""
    return PageTable(name, title, columns, body, caption, _warnings(rows, behind))


def _group_of(row: Row, behind: Behind) -> Cell:
    if "first" in row:
        return words(behind.pair(row))
    if "annotator" in row:
        return words(behind.named(row["annotator"]), behind.lists_by(row["annotator"]))
    return words(behind.group(row), behind.lists_of(row))


def reference(rows: Sequence[Row], behind: Behind) -> PageTable:
    body = [
        [
            words(
                f"{behind.named(row['annotator'])}, {PURPOSES.get(row['purpose'], row['purpose'])}"
            ),
            number(row["lists"]),
            Cell(written.share(row["mean_score"])),
            Cell(written.share(row["lowest"])),
        ]
        for row in rows
    ]
    columns = [gettext("Person"), gettext("Lists"), gettext("Mean score"), gettext("Lowest")]
    return PageTable(
        "reference", gettext("Against reference annotations"), columns, body,
        gettext("How near annotations came to the reference annotation: 100% is the same."),
    )  # fmt: skip


def people(rows: Sequence[Row], behind: Behind) -> PageTable:
    body = [
        [
            words(
                behind.named(row["annotator"]),
                behind.lists_by(row["annotator"]),
                row["annotator"] if row["annotator"] in behind.people else "",
            ),
            number(row["annotations"]),
            number(row["no_pattern"]),
            Cell(written.share(row["coverage"])),
            Cell(written.decimal(row["concepts"])),
            Cell(duration(row["median_seconds"])),
            Cell(written.decimal(row["percent_agreement_concept"])),
            Cell(written.decimal(row["krippendorff_alpha_concept"])),
            Cell(written.decimal(row["mean_matched_jaccard"])),
        ]
        for row in rows
    ]
    columns = [
        gettext("Person"),
        gettext("Annotations"),
        gettext("No pattern"),
        gettext("Coverage"),
        gettext("Patterns per list"),
        gettext("Median time"),
        gettext("Observed agreement"),
        gettext("Alpha"),
        gettext("Overlap"),
    ]
    return PageTable(
        "people", gettext("Each person’s annotations"), columns, body,
        gettext(
            "You see names; files and figures have the codes beside them. Agreement is with "
            "everybody who annotated the same lists."
        ),
    )  # fmt: skip
