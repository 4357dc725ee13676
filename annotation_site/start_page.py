"""The first page: for people without an account what this is, for others their studies."""

from dataclasses import dataclass
from typing import Any, cast

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from annotation_site.accounts import demo_entries
from annotation_site.accounts.models import User
from annotation_site.accounts.permissions import PersonRequest
from annotation_site.annotation.models import Item, Membership, Study
from annotation_site.corpus.models import Kind
from annotation_site.public import files
from annotation_site.results.snapshots.selectors import results_state, rows_of
from annotation_site.results.views.home import home
from annotation_site.start_picture import picture

AGREEMENT = "krippendorff_alpha_concept"


@dataclass(frozen=True)
class Example:
    """A finished study with made-up annotations, in the figures of its newest results."""

    study: Study
    lists: int
    annotators: int
    has_results: bool
    value: float | None
    random: float | None
    agreement: float | None


@require_safe
def start(request: HttpRequest) -> HttpResponse:
    """The start page; people who are logged in get their studies instead."""
    if request.user.is_authenticated:
        return home(cast(PersonRequest, request))
    published = any(True for _ in files.pages())
    context: dict[str, Any] = {"picture": picture(), "has_public_pages": published}
    if demo_entries.may_enter(request):
        context |= _demo()
    return render(request, "site/start.html", context)


def _demo() -> dict[str, Any]:
    """The demo's people with a new token each, and its example study."""
    tokens = demo_entries.entries_make()
    entries: list[dict[str, Any]] = [
        {"person": person, "token": token, "try": demo_entries.entry_try(person)}
        for person in demo_entries.entry_people()
        if (token := tokens.get(str(person.public_id)))
    ]
    example = example_study()
    opens = next((e for e in entries if example and _runs(e["person"], example)), None)
    return {
        "is_demo": True,
        "entries": entries,
        "minutes": demo_entries.MINUTES,
        "example": example_of(example) if example and opens else None,
        "example_token": opens["token"] if opens else "",
    }


def example_study() -> Study | None:
    """The demo's finished study, if it was restored: made-up annotations alone are shown here."""
    made_up = Study.objects.filter(made_up=True).exclude(state=Study.State.DELETING)
    return made_up.order_by("pk").first()


def _runs(person: User, study: Study) -> bool:
    role = Membership.Role.RESEARCHER
    return study.memberships.filter(user=person, role=role).exists()


def example_of(study: Study) -> Example:
    """The study in a few figures, as far as its results are computed."""
    snapshot = results_state(study).snapshot
    tables = {} if snapshot is None else {n: rows_of(snapshot, n) for n in snapshot.tables}
    coverage = {
        row["kind"]: row["coverage"]
        for row in reversed(tables.get("coverage", []))  # of several models, the first
        if row["layer"] is None
    }
    agreement = [r["value"] for r in tables.get("agreement", []) if r["measure"] == AGREEMENT]
    return Example(
        study=study,
        lists=study.items.filter(use=Item.Use.STUDY).count(),
        annotators=study.memberships.filter(role=Membership.Role.ANNOTATOR).count(),
        has_results=snapshot is not None,
        value=coverage.get(Kind.VALUE),
        random=coverage.get(Kind.RANDOM),
        agreement=next(iter(agreement), None),
    )
