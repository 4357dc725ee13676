"""What people and researchers do in a site that was brought up to date, by its pages and API.

Run there (`Site.manage("shell")`), so that it is the new version's code that does it.
"""

import io
import json
import uuid
from pathlib import Path
from typing import Any

from django.core.management import call_command
from django.test import Client

from annotation_site.accounts.models import User
from annotation_site.annotation.models import Assignment, Membership, Study
from annotation_site.annotation.studies.rules import study_duplicate, study_extend

ANSWER = {
    "patterns": [
        {"number": 1, "description": "", "category": "semantic", "stopwords": None,
         "ranks": [2, 3, 5, 7]}
    ],
    "no_pattern": False,
    "comment": "",
}  # fmt: skip
PAGES = (
    "run/", "run/lists/", "results/", "exports/", "rules/", "people/", "adjudication/", "texts/",
    "references/",
)  # fmt: skip


def go_on(slug: str) -> dict[str, Any]:
    """Open every page of the study, work at it, then extend and copy it; says what happened."""
    study = Study.objects.get(slug=slug)
    researcher = User.objects.get(memberships__study=study, memberships__role="researcher")
    run = _client(researcher)
    shown = {page: run.get(f"/studies/{slug}/{page}").status_code for page in PAGES}
    done = {"submit": _answer_next(study, "submit", {"annotation": ANSWER})}
    done["skip"] = _answer_next(study, "skip", {"reason": "No word that I know."})
    done["change"] = _change(study)
    done["adjudicate"] = _adjudicate(study, run)
    added = study_extend(study=study, lists_per_layer=3)
    copy = study_duplicate(study=Study.objects.get(slug=slug), title="A copy", by=researcher)
    return {"shown": shown, "done": done, "added": added, "copied": copy.items.count()}


def export_all(folder: str) -> None:
    """Every table of every study with answers, its labels in both forms, gold and archive."""
    from annotation_site.results.tables.registry import TABLES

    answered = Study.objects.filter(items__assignments__state="submitted").distinct()
    for study in answered:
        for what, form in (
            *((table, "csv") for table in TABLES),
            ("labels", "jsonl"),
            ("labels", "parquet"),
            ("adjudicated", "csv"),
            ("archive", "zip"),
        ):
            out = Path(folder) / f"{study.slug}-{what}.{form}"
            options = {"format": form, "out": out, "stdout": io.StringIO()}
            call_command("export", study.slug, what, **options)


def _client(user: User) -> Client:
    client = Client(SERVER_NAME="127.0.0.1")
    client.force_login(user)
    return client


def _post(client: Client, row: Assignment, what: str, said: dict[str, Any]) -> str:
    """Send what somebody did at a list; returns the list's state then."""
    row.refresh_from_db()
    body = {"base_version": row.draft_version, "key": str(uuid.uuid4()), "active_seconds": 1}
    response = client.post(
        f"/api/lists/{row.public_id}/{what}", json.dumps({**body, **said}),
        content_type="application/json",
    )  # fmt: skip
    assert response.status_code == 200, response.content
    row.refresh_from_db()
    return row.state


def _answer_next(study: Study, what: str, said: dict[str, Any]) -> str:
    """The first person who has a next list opens it and does that."""
    people = study.memberships.filter(role=Membership.Role.ANNOTATOR, withdrawn_at=None)
    for person in people.order_by("pk"):
        client = _client(person.user)
        response = client.post(f"/api/work/{study.slug}/next", content_type="application/json")
        opened = Assignment.objects.filter(
            membership=person, state="in progress", purpose="annotation"
        )
        if response.status_code == 200 and response.json()["next"] and opened.exists():
            return _post(client, opened.order_by("position")[0], what, said)
    raise AssertionError("Nobody has a next list.")


def _change(study: Study) -> list[int]:
    """An answer that counts is submitted once more: its versions before and after."""
    row = Assignment.objects.filter(
        item__study=study, purpose="annotation", state="submitted",
        membership__role=Membership.Role.ANNOTATOR, membership__withdrawn_at=None,
    ).order_by("pk")[0]  # fmt: skip
    before = row.version
    _post(_client(row.membership.user), row, "submit", {"annotation": ANSWER})
    return [before, row.version]


def _adjudicate(study: Study, run: Client) -> str:
    """The final answer of the first list that has none and that two people have judged."""
    finals = Assignment.objects.filter(purpose="adjudication")
    item = (
        study.items.filter(use="study", assignments__state="submitted")
        .exclude(pk__in=finals.values("item"))
        .order_by("pk")[0]
    )
    run.post(f"/studies/{study.slug}/adjudication/open/", {"list": item.pk})
    row = Assignment.objects.get(item=item, purpose="adjudication")
    assert run.get(f"/adjudication/{row.public_id}/").status_code == 200
    return _post(run, row, "submit", {"annotation": ANSWER})
