"""Closed studies whose annotations may be shared, with words and times that are easy to find."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from annotation_site.annotation.models import Assignment, Membership, Study
from annotation_site.results.files import archive
from annotation_site.results.files.archive_annotations import TableSettings
from tests.annotation_site.annotation.answering import skip, submit
from tests.annotation_site.factories import (
    answer,
    make_extraction,
    make_study,
    pattern,
)
from tests.annotation_site.results.by_hand import labelled_study

COMMENT, SKIP_WORDS = "zyx-comment-yxz", "zyx-skip-yxz"
DAY = date(2031, 5, 6)
TIME = datetime(2021, 3, 4, 5, 6, 7, tzinfo=UTC)


def make_shareable(**changes: Any) -> Study:
    """A small closed study that may be shared; each person put tokens 1 to 5 into one pattern."""
    small = {"extraction": make_extraction(layers=1, per_layer=1), "lists_per_layer": 1}
    study = make_study(**{"may_share": True, "title": "Birds in layers", **small, **changes})
    rows = Assignment.objects.filter(item__study=study, purpose=Assignment.Purpose.ANNOTATION)
    for row in rows.select_related("membership__user", "item"):
        submit(row, answer(pattern(1, [1, 2, 3, 4, 5], description="runs"), comment=COMMENT))
    Study.objects.filter(pk=study.pk).update(state=Study.State.CLOSED)
    study.refresh_from_db()
    return study


def make_labelled() -> int:
    """A closed study with two people, an annotation that was not blind, and a skip with words."""
    study = labelled_study()
    own = Assignment.objects.filter(item__study=study)
    own.filter(state=Assignment.State.SUBMITTED).update(comment=COMMENT, active_seconds=77)
    for number, row in enumerate(own.filter(state=Assignment.State.SUBMITTED).order_by("pk")):
        row.opened_at = row.submitted_at = TIME + timedelta(days=number)
        row.save(update_fields=["opened_at", "submitted_at"])
    own.filter(item__vector__kind="random", item__vector__layer=1).update(unblinded=True)
    skip(own.get(state=Assignment.State.WAITING), f"Other: {SKIP_WORDS}")
    for member in Membership.objects.filter(study=study).select_related("user"):
        person = member.user
        person.username = f"zyx-name-{person.pk}"
        person.email = f"zyx-mail-{person.pk}@example.org"
        person.save(update_fields=["username", "email"])
    Membership.objects.filter(study=study).update(consented_at=TIME - timedelta(days=1))
    Study.objects.filter(pk=study.pk).update(may_share=True, state=Study.State.CLOSED)
    return study.pk


@contextmanager
def few_draws() -> Iterator[None]:
    """Tables whose intervals take few resamples, which is what takes time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            archive, "TableSettings", lambda *chosen: TableSettings(*chosen, resamples=50)
        )
        yield


def published(study: Study, out: Path, *arguments: str) -> Path:
    """The folder that the command writes of a study."""
    with few_draws():
        call_command(
            "publish", study.slug, "--out", str(out), "--license", "cc-by-4.0",
            "--day", DAY.isoformat(), *arguments,
        )  # fmt: skip
    return out
