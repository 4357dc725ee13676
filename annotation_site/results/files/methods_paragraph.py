"""The methods paragraph of the results page: the text of an archive's methods.md, of a filter."""

from collections.abc import Iterator
from typing import Any

from annotation_site.annotation.models import Study
from annotation_site.results.files.archive_machine_runs import run_rows, runs_of
from annotation_site.results.files.archive_machines import runs_by_name
from annotation_site.results.files.archive_texts import methods_text, product
from annotation_site.results.files.methods_machines import NO_RUNS, language_models
from annotation_site.results.files.methods_machines import TABLES as OF_MACHINES
from annotation_site.results.models import Snapshot
from annotation_site.results.snapshots.selectors import rows_of, table_of
from annotation_site.results.tables.dataframes import has_crowd

TABLES = ("coverage", "coverage_intervals", "real_against_random", "agreement")
MORE = ("prefix_shares", "keys", "other_controls", "people_intervals", "estimates", *OF_MACHINES)
"""More that some snapshots have: of a study of trigger prefixes, and of the newer ones."""


def methods_paragraph(study: Study, snapshot: Snapshot) -> str:
    """The text with the numbers of a snapshot and its filter; empty for one of an older version."""
    told = snapshot.counts.get("methods")
    if told is None:
        return ""
    parameters = {
        **told,
        "product": product(),
        "study": rules_of(study),
        "filter": snapshot.filters,
        "extractions": list(extraction_rows(study)),
    }
    names = [*TABLES, *(name for name in MORE if name in snapshot.tables)]
    tables = {name: table_of(snapshot, name) for name in names}
    asked = language_models(rows_of(snapshot, "machine_coverage"))
    runs = runs_by_name(run_rows(runs_of(study))) if asked else NO_RUNS
    return methods_text(parameters, tables, runs)


def rules_of(study: Study) -> dict[str, Any]:
    """The key `study` of parameters.json: what shapes the study's results."""
    names = (
        "slug", "title", "list_source", "categories", "min_tokens", "several_patterns_per_token",
        "annotators_per_list", "kinds", "lists_per_layer", "repeat_percent", "show_glosses",
        "gloss_rule", "highlight_spellings", "team_may_annotate", "seed", "made_up",
    )  # fmt: skip
    rules = {name: getattr(study, name) for name in names}
    if has_crowd(study):
        rules["crowd"] = True
    if study.drawn_from:
        rules["drawn_from"] = {
            "title": study.drawn_from["title"],
            "vectors": len(study.drawn_from["places"]),
        }
    return rules


def extraction_rows(study: Study) -> Iterator[dict[str, Any]]:
    """The key `extractions` of parameters.json: where the lists come from."""
    for extraction in study.extractions.select_related("model").order_by("bundle_digest"):
        model = extraction.model
        yield {
            "model": model.name if model else extraction.model_source,
            "revision": model.revision if model else "",
            "weights_digest": model.weights_digest if model else "",
            "bundle_digest": extraction.bundle_digest,
            "parameters": extraction.parameters,
            "environment": extraction.environment,
        }
