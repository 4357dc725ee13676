"""Context of the results page from a snapshot."""

from collections.abc import Sequence
from typing import Any

from django.utils.translation import gettext

from annotation_site.annotation.models import Study
from annotation_site.results.models import Snapshot
from annotation_site.results.pages import cells as presentation
from annotation_site.results.pages.cells import PageTable, Row, agreement_across
from annotation_site.results.pages.missing import missing
from annotation_site.results.snapshots import selectors

# What an overview names first; the tables below it have every measure.
OVERVIEW = (
    "percent_agreement_concept",
    "krippendorff_alpha_concept",
    "krippendorff_alpha_category",
    "krippendorff_alpha_masi",
    "mean_matched_jaccard",
    "pattern_f1",
)


def page_context(study: Study, snapshot: Snapshot, *, paper: bool) -> dict[str, Any]:
    """Tables, figures and lists of a snapshot, ready for the template: three queries."""
    rows = {name: selectors.rows_of(snapshot, name) for name in snapshot.tables}
    if "table_2" not in rows:  # computed by an older version; the next one is on its way
        return {"older": True}
    measures = snapshot.measures
    few = {name: measures[name] for name in OVERVIEW if name in measures}
    worst = [row["list_id"] for row in rows["side_by_side"]]
    intervals, categories = rows["coverage_intervals"], study.categories
    real = rows["real_against_random"]
    return {
        "headline": presentation.table_2(rows["table_2"], paper=paper),
        "by_category": presentation.by_category(intervals, categories, layers=False),
        "by_layer": presentation.by_category(intervals, categories, layers=True),
        "real": _filled(presentation.real_against_random(real, layers=False)),
        "real_by_layer": _filled(presentation.real_against_random(real, layers=True)),
        "agreements": _agreements(rows["agreement"], measures),
        "agreement_tables": [
            agreement_across(name, title, rows[name], measures)
            for name, title in (
                ("agreement_by_kind", gettext("By kind")),
                ("agreement_by_layer", gettext("By kind and layer")),
                ("agreement_by_category", gettext("By category")),
                ("agreement_of_pairs", gettext("By pair of people")),
            )
            if rows[name]
        ],
        "retest": _filled(
            agreement_across("retest", gettext("The same person, twice"), rows["retest"], few)
        ),
        "reference": _filled(presentation.reference(rows["reference"])),
        "machine_coverage": _filled(presentation.machine_coverage(rows["machine_coverage"])),
        "machine_agreement": _filled(
            agreement_across(
                "machine_agreement",
                gettext("Agreement of machine annotators with people"),
                rows["machine_agreement"],
                few,
            )
        ),
        "people": _filled(presentation.people(rows["people"])),
        "missing": missing(rows.get("missing", ()), layers=False),
        "missing_by_layer": missing(rows.get("missing", ()), layers=True),
        "counts_missing": "missing" in rows,
        "disagreements": presentation.disagreements(
            rows["disagreement"],
            rows["side_by_side"],
            selectors.tokens_of(study, worst),
            selectors.descriptions_of(study, worst),
        ),
        "figures": selectors.figures_of(snapshot),
        "table_names": selectors.table_names(snapshot),
    }


def _filled(table: PageTable) -> PageTable | None:
    return table if table.rows else None


def _agreements(rows: Sequence[Row], measures: Row) -> list[dict[str, Any]]:
    """Per model every measure with what it means."""
    models = dict.fromkeys(row["model"] for row in rows)
    return [
        {
            "model": presentation.model_name(model),
            "rows": [
                {
                    **row,
                    "about": measures[row["measure"]],
                    "cell": presentation.valued(row, presentation.decimal),
                }
                for row in rows
                if row["model"] == model
            ],
        }
        for model in models
    ]
