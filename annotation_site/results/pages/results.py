"""Context of the results page from a snapshot."""

from collections.abc import Mapping, Sequence
from typing import Any

from django.utils.translation import gettext

from annotation_site.analysis.controls import compared
from annotation_site.annotation.lists.nouns import nouns_of
from annotation_site.annotation.models import Study
from annotation_site.results.models import Snapshot
from annotation_site.results.pages import machines, tables
from annotation_site.results.pages.agreement import by_model, questions
from annotation_site.results.pages.competence import competence, too_few
from annotation_site.results.pages.disputes import disputes
from annotation_site.results.pages.headline import headlines
from annotation_site.results.pages.missing import gaps, keys, missing
from annotation_site.results.pages.people import Behind
from annotation_site.results.pages.tables import PageTable, Row, agreement_across
from annotation_site.results.snapshots import selectors
from annotation_site.results.snapshots.selectors import Person

# What an overview names first; the tables below it have every measure.
OVERVIEW = (
    "percent_agreement_concept",
    "gwet_ac1_concept",
    "krippendorff_alpha_concept",
    "krippendorff_alpha_category",
    "krippendorff_alpha_masi",
    "mean_matched_jaccard",
    "pattern_f1",
)


def page_context(study: Study, snapshot: Snapshot, people: Mapping[str, Person]) -> dict[str, Any]:
    """Tables, figures and lists of a snapshot, ready for the template: four queries."""
    # Loads pandas, for researchers' pages alone.
    from annotation_site.results.files.methods_paragraph import methods_paragraph

    rows = {name: selectors.rows_of(snapshot, name) for name in snapshot.tables}
    if "other_controls" not in rows:  # of an older version; the next is on its way
        return {"older": True}
    several = len({row["model"] for row in rows["coverage"]}) > 1
    behind = Behind(study, people, several)
    measures, nouns = selectors.measures_of(snapshot), nouns_of(study.list_source)
    return {
        "headlines": headlines(rows, behind),
        "has_sensitivity": "sensitivity" in rows,
        "methods": methods_paragraph(study, snapshot),
        "questions": questions(
            rows["agreement"], measures, nouns, rows.get("people_intervals", ())
        ),
        "measures": by_model(rows["agreement"], measures),
        "gaps": gaps(study, rows, snapshot.counts, behind),
        "disputes": disputes(study, rows, behind),
        "lists_by_overlap": behind.lists(order="overlap"),
        "figures": selectors.figures_of(snapshot),
        "table_names": selectors.table_names(snapshot),
        **_tables(study, rows, measures, behind),
    }


def _tables(
    study: Study, rows: Mapping[str, Sequence[Row]], measures: Row, behind: Behind
) -> dict[str, Any]:
    few = {name: measures[name] for name in OVERVIEW if name in measures}
    intervals, categories = rows["coverage_intervals"], study.categories
    tested = rows.get("alternative_annotators", ())
    real, kinds = rows["real_against_random"], compared(row["kind"] for row in rows["coverage"])
    made = {
        "table_2": tables.table_2(rows["table_2"]),
        "by_category": tables.by_category(intervals, categories, behind, layers=False),
        "by_layer": tables.by_category(intervals, categories, behind, layers=True),
        "real": tables.real_against_random(real, kinds, behind, layers=False),
        "real_by_layer": tables.real_against_random(real, kinds, behind, layers=True),
        "others": tables.other_controls(rows["other_controls"], behind, layers=False),
        "others_by_layer": tables.other_controls(rows["other_controls"], behind, layers=True),
        "retest": agreement_across(
            "retest", gettext("The same person, twice"), rows["retest"], few, behind
        ),
        "reference": tables.reference(rows["reference"], behind),
        "machine_coverage": machines.machine_coverage(rows["machine_coverage"]),
        "alternative_test": machines.alternative_test(tested, every=False),
        "alternative_test_by_epsilon": machines.alternative_test(tested, every=True),
        "alternative_test_people": machines.people_of_test(
            rows.get("alternative_annotator_people", ()), behind
        ),
        "people": tables.people(rows["people"], behind),
        "competence": competence(rows.get("competence", ()), rows["people"], behind),
    }
    if "prefix_shares" in rows:
        shares = rows["prefix_shares"]
        del made["table_2"]  # the 2022 paper's, which has no keys
        made |= {
            "by_category": tables.prefix_shares(shares, categories, behind, layers=False),
            "by_layer": tables.prefix_shares(shares, categories, behind, layers=True),
        }
    return {name: _filled(table) for name, table in made.items()} | {
        "paper_of_keys": tables.paper_of_keys() if "prefix_shares" in rows else "",
        "machines_beside": machines.machine_agreement(rows["machine_agreement"], few, behind),
        "followed": machines.followed(tested),
        "keys": keys(rows.get("keys", ()), behind),
        "competence_missing": too_few(rows.get("competence", ())),
        "missing_by_layer": missing(rows["missing"], behind),
        "agreement_tables": [
            agreement_across(name, title, rows[name], measures, behind)
            for name, title in (
                ("agreement_by_kind", gettext("By kind")),
                ("agreement_by_layer", gettext("By kind and layer")),
                ("agreement_by_category", gettext("By category")),
                ("agreement_of_pairs", gettext("By pair of people")),
            )
            if rows[name]
        ],
    }


def _filled(table: PageTable) -> PageTable | None:
    return table if table.rows else None
