"""Write the files of a public page. Only workers call this."""

import json
import logging
import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.staticfiles import finders
from django.core.paginator import Paginator
from django.db import transaction
from django.template.loader import render_to_string
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import override

from annotation_site.analysis.controls import compared
from annotation_site.annotation.lists.markdown import safe_html
from annotation_site.annotation.lists.nouns import nouns_of
from annotation_site.annotation.models import Guidelines, Study
from annotation_site.annotation.selectors import newest_text
from annotation_site.errors import Invalid
from annotation_site.exports import EXPORT_FORMATS, Table
from annotation_site.public import files
from annotation_site.public.content import (
    PER_PAGE,
    PublicList,
    entries_table,
    list_record,
    lists_of,
    patterns_table,
    rule_counts,
    rule_words,
)
from annotation_site.public.models import Publication
from annotation_site.public.services import (
    ANNOTATED,
    content_key,
    problem_of,
    publication_switch_off,
)
from annotation_site.public.standing import studies_against
from annotation_site.results.models import Snapshot
from annotation_site.results.pages import tables
from annotation_site.results.pages.agreement import questions
from annotation_site.results.pages.headline import headlines
from annotation_site.results.pages.people import Behind
from annotation_site.results.snapshots import selectors
from annotation_site.results.snapshots.services import snapshot_refresh_now
from annotation_site.workers.claims import claim, report, working

log = logging.getLogger(__name__)
State = Publication.State
TABLES = (
    "table_2", "coverage", "coverage_adjudicated", "coverage_intervals", "prefix_shares",
    "real_against_random", "agreement", "agreement_by_kind", "agreement_by_layer",
    "agreement_by_category", "people_intervals", "other_controls",
)  # fmt: skip
"""The tables that are public. No other is: they tell of single people, their times or lists."""
FIGURES = ("coverage-across-layers", "prefix-shares", "coverage-by-kind")
"""The figures that are public, by the beginning of their names."""
FORMATS = ("csv", "json", "parquet")
DRAWN = ("svg", "png")
STYLES = ("site/base.css", "site/forms.css", "site/pages.css", "site/prose.css",
          "site/made-up.css", "results/results.css", "public/public.css")  # fmt: skip
COPIED = {"search.js": "public/search.js", "favicon.svg": "site/favicon.svg"}
WAIT_SECONDS = 600  # for a worker that computes the study's results just now


def publication_write(*, publication_id: int) -> None:
    """Claim a due publication and write its files; a no-op if there is no need.

    The files appear together where the page is switched on, else as a draft.
    """
    row = claim(Publication.waiting(), publication_id, state=State.RUNNING, error="")
    if row is None:
        return
    folder = files.writing_folder(row.claim)
    with working(row):
        try:
            folder.mkdir(mode=0o700, parents=True)
            study = Study.objects.get(pk=row.study_id)
            if problem := problem_of(study):
                raise Invalid(problem)
            key = content_key(study)
            snapshot = _results(row, study)
            with override(settings.LANGUAGE_CODE):
                _write_all(folder, study, snapshot)
            _put_in_place(row, study, folder, key)
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _put_in_place(row: Publication, study: Study, folder: Path, key: str) -> None:
    """Make the written folder the page or its draft, in the transaction that says so.

    The row is locked meanwhile. Switching off comes before this, which then raises ClaimLost, or
    after it, and then removes what is put in place here.
    """
    with transaction.atomic():
        report(row, state=State.READY, finished_at=timezone.now(), content_key=key)
        now = Publication.objects.get(pk=row.pk)
        if now.is_public and studies_against(study):  # since it was switched on
            publication_switch_off(study=study, why=ANNOTATED)
            return
        said = files.about(folder) or {}
        files.about_write(folder, {**said, "is_indexed": now.is_indexed})
        files.put_in_place(folder, slug=study.slug, public=now.is_public)
        Publication.objects.filter(pk=row.pk).update(claim=None)


def _results(row: Publication, study: Study) -> Snapshot:
    """The study's results of now; another worker may be computing them."""
    until = time.monotonic() + WAIT_SECONDS
    while True:
        snapshot = snapshot_refresh_now(study=study)
        if snapshot.state == Snapshot.State.READY:
            return snapshot
        if snapshot.state == Snapshot.State.FAILED:
            raise Invalid(
                _("The results of this study cannot be computed: %(reason)s")
                % {"reason": snapshot.error}
            )
        if time.monotonic() > until:
            raise Invalid(_("The results of this study are still being computed. Try again."))
        report(row)
        time.sleep(1)


def _write_all(folder: Path, study: Study, snapshot: Snapshot) -> None:
    lists = list(lists_of(study))
    context = _context(study, snapshot, lists)
    context["figures"] = _figures(folder, study, snapshot)
    context["tables"] = _tables(folder, study, snapshot, lists)
    (folder / "lists.json").write_text(_lists_json(study, lists), encoding="utf-8")
    (folder / "style.css").write_text("\n".join(map(_static, STYLES)), encoding="utf-8")
    for name, source in COPIED.items():
        (folder / name).write_text(_static(source), encoding="utf-8")
    _texts(folder, context)
    pages = Paginator(lists, PER_PAGE)
    for page in pages:
        _html(folder, f"lists-{page.number}", "lists", {**context, "page": page})
    _html(folder, "index", "study", {**context, "pages": pages})
    files.about_write(
        folder,
        {
            "title": study.title,
            "models": sorted({one.model for one in lists}),
            "lists": len(lists),
            "annotators": snapshot.counts["annotators"],
            "coverage": context["summary"],
            "made_up": study.made_up,
            "is_indexed": False,
        },
    )


def _context(study: Study, snapshot: Snapshot, lists: Sequence[PublicList]) -> dict[str, Any]:
    from annotation_site.results.files.methods_paragraph import methods_paragraph

    guidelines = newest_text(Guidelines, study)
    rows = {name: selectors.rows_of(snapshot, name) for name in snapshot.tables}
    behind = Behind(study, {}, len({row["model"] for row in rows["coverage"]}) > 1)
    measures, nouns = selectors.measures_of(snapshot), nouns_of(study.list_source)
    heads = headlines(rows, behind)
    return {
        "title": study.title,
        "slug": study.slug,
        "made_up": study.made_up,
        "language": settings.LANGUAGE_CODE,
        "nouns": nouns,
        "min_tokens": study.min_tokens,
        "counts": snapshot.counts,
        "headlines": heads,
        "summary": [
            {"name": one.name, "text": one.text} for head in heads for one in head.coverages
        ],
        "questions": questions(
            rows["agreement"], measures, nouns, rows.get("people_intervals", ())
        ),
        "several_people": snapshot.counts["annotators"] > 1,
        "shown_tables": _shown_tables(study, rows, behind, layers=False),
        "layer_tables": _shown_tables(study, rows, behind, layers=True),
        "methods": methods_paragraph(study, _without_times(snapshot)),
        "guidelines_html": safe_html(guidelines.text) if guidelines else "",
        "rule": rule_words(study),
        "rule_counts": rule_counts(lists),
        "n_lists": len(lists),
        "formats": FORMATS,
    }


def _without_times(snapshot: Snapshot) -> Snapshot:
    """The snapshot without the time that people took, of which the methods paragraph tells."""
    told = snapshot.counts["methods"]
    counts = {**told["counts"], "active_seconds": 0}
    methods = {**told, "counts": counts}
    shown = Snapshot(filters=snapshot.filters, tables=snapshot.tables)
    shown.study = snapshot.study
    shown.counts = {**snapshot.counts, "methods": methods}
    return shown


def _shown_tables(
    study: Study, rows: Mapping[str, Sequence[tables.Row]], behind: Behind, *, layers: bool
) -> list[tables.PageTable]:
    """The tables that stand on the page, of all layers together or by layer: those with rows."""
    if "prefix_shares" in rows:
        first = tables.prefix_shares(rows["prefix_shares"], study.categories, behind, layers=layers)
    else:
        intervals = rows["coverage_intervals"]
        first = tables.by_category(intervals, study.categories, behind, layers=layers)
    kinds = compared(row["kind"] for row in rows["coverage"])
    real = tables.real_against_random(rows["real_against_random"], kinds, behind, layers=layers)
    others = tables.other_controls(rows.get("other_controls", ()), behind, layers=layers)
    return [table for table in (first, real, others) if table.rows]


def _figures(folder: Path, study: Study, snapshot: Snapshot) -> list[dict[str, Any]]:
    """Draw the public figures; the others of the study are drawn too, and dropped."""
    from annotation_site.results.snapshots.computation import figures_again

    about, drawn = figures_again(study, snapshot.tables, DRAWN)
    found = []
    for name, said in about.items():
        if not name.startswith(FIGURES):
            continue
        for extension in DRAWN:
            (folder / f"{name}.{extension}").write_bytes(drawn[name, extension])
        found.append({"name": name, **said})
    return found


def _tables(
    folder: Path, study: Study, snapshot: Snapshot, lists: Sequence[PublicList]
) -> list[str]:
    """Write the tables in each format; returns the names of those that are about results."""
    names = [name for name in TABLES if name in snapshot.tables]
    snapshot.study = study
    written: list[Table] = [selectors.table_of(snapshot, name) for name in names]
    written += [patterns_table(study, lists), entries_table(study, lists)]
    for table in written:
        for extension in FORMATS:
            path = folder / f"{table.name}.{extension}"
            with path.open("wb") as file:
                file.writelines(EXPORT_FORMATS[extension].write(table))
    return names


def _lists_json(study: Study, lists: Sequence[PublicList]) -> str:
    found: dict[str, Any] = {
        "study": study.title,
        "rule": rule_words(study),
        "lists": [list_record(one) for one in lists],
    }
    if study.made_up:
        found["made_up"] = True
    return json.dumps(found, ensure_ascii=False)


def _texts(folder: Path, context: Mapping[str, Any]) -> None:
    (folder / "methods.txt").write_text(context["methods"], encoding="utf-8")
    licence = render_to_string("public/licence.txt", dict(context))
    (folder / "licence.txt").write_text(licence, encoding="utf-8")


def _html(folder: Path, name: str, template: str, context: dict[str, Any]) -> None:
    page = render_to_string(f"public/{template}.html", context)
    (folder / f"{name}.html").write_text(page, encoding="utf-8")


def _static(name: str) -> str:
    path = finders.find(name)
    if not path:  # of a broken installation
        raise FileNotFoundError(name)
    return Path(path).read_text(encoding="utf-8")
