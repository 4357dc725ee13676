"""Closed studies with annotations, and their public pages."""

import json
from pathlib import Path
from typing import Any

from annotation_site.annotation.models import Assignment, Study
from annotation_site.annotation.studies.services import study_state_change
from annotation_site.public.files import page_folder
from annotation_site.public.models import Publication
from annotation_site.public.services import publication_switch_on
from annotation_site.public.writing import publication_write
from tests.annotation_site.annotation.answering import submit
from tests.annotation_site.factories import answer, make_study, pattern, researcher_of

Purpose = Assignment.Purpose


def make_closed(**changes: Any) -> Study:
    """A closed study that may be published; everybody put tokens 1 to 5 into one pattern."""
    study = make_study(**{"may_publish": True, "title": "Birds in layers", **changes})
    rows = Assignment.objects.filter(item__study=study, purpose=Purpose.ANNOTATION)
    for row in rows.select_related("membership__user", "item"):
        submit(row, answer(pattern(1, [1, 2, 3, 4, 5], description="runs of words")))
    study_state_change(study=study, state=Study.State.CLOSED)
    study.refresh_from_db()
    return study


def publish(study: Study, **options: Any) -> Publication:
    """Switch a study's page on, and write it as a worker does."""
    found = publication_switch_on(study=study, by=researcher_of(study), **options)
    publication_write(publication_id=found.pk)
    found.refresh_from_db()
    assert (found.state, found.error) == ("ready", "")
    return found


def files_of(study: Study) -> dict[str, bytes]:
    """The public files of a study, by name."""
    folder: Path = page_folder(study.slug)
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def lists_of(study: Study) -> list[dict[str, Any]]:
    """The lists of a study as its public file has them."""
    found: list[dict[str, Any]] = json.loads(files_of(study)["lists.json"])["lists"]
    return found


def write_little(folder: Path, study: Study, snapshot: Any) -> None:
    """In place of all files, for tests of when they are there: one page that says what it is of."""
    answers = Assignment.objects.filter(item__study=study, state=Assignment.State.SUBMITTED)
    (folder / "index.html").write_text(f"{study.title}: {answers.count()} annotations")
    about = {"title": study.title, "models": [], "lists": 1, "annotators": 1}
    (folder / "about.json").write_text(json.dumps(about))
