"""Views of the two homes: a person's, and a study's."""

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET

from annotation_site.accounts.demo_entries import entry_try
from annotation_site.accounts.permissions import (
    PersonRequest,
    researcher_required,
    speak_english,
)
from annotation_site.annotation.crowd.pages import page_now
from annotation_site.annotation.models import Study
from annotation_site.annotation.selectors import studies_of, study_of
from annotation_site.annotation.work import own_work
from annotation_site.corpus.selectors import extractions_failed
from annotation_site.results.pages import attention
from annotation_site.results.pages.study_home import home_studies, study_home

MOST_ROWS = 6  # on a person's home; the rest stand on the studies' own


@login_required
@require_GET
def home(request: PersonRequest) -> HttpResponse:
    """A person's studies: those to annotate, and those to run with what needs attention.

    A person of an open link goes to the page of their only study.
    """
    if request.user.is_crowd:
        return redirect(page_now(request.user))
    runs: list[Study] = []
    rows: list[attention.Row] = []
    if request.user.is_researcher:
        speak_english()
        runs = list(studies_of(request.user))
    if request.user.is_admin:
        rows = attention.extractions_failed(extractions_failed())
    archived = [found for found in runs if found.state == Study.State.ARCHIVED]
    shows_archived = "archived" in request.GET
    shown = archived if shows_archived else [s for s in runs if s.state != Study.State.ARCHIVED]
    to_run = home_studies(shown) if shown else []
    rows += attention.most_pressing(own for _facts, _bar, own in to_run)
    context = {
        "to_annotate": own_work.own_studies_back(request.user),
        "to_run": to_run,
        "rows": [] if shows_archived else rows[:MOST_ROWS],
        "n_more": 0 if shows_archived else max(0, len(rows) - MOST_ROWS),
        "n_archived": len(archived),
        "shows_archived": shows_archived,
        "try": entry_try(request.user),
    }
    return render(request, "annotation/home.html", context)


@researcher_required
@require_GET
def study(request: PersonRequest, slug: str) -> HttpResponse:
    """A study's home: state, what needs attention, people, and its pages."""
    found = study_of(request.user, slug)
    return render(request, "results/study_home.html", study_home(found))
