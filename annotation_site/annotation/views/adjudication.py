"""Views of adjudication."""

import uuid

from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.csrf import ensure_csrf_cookie
from django.views.decorators.http import require_GET, require_POST

from annotation_site.accounts.permissions import PersonRequest, researcher_required
from annotation_site.annotation import selectors
from annotation_site.annotation.lists.look_up import look_up
from annotation_site.annotation.lists.markdown import safe_html
from annotation_site.annotation.models import Guidelines, Item
from annotation_site.annotation.review import adjudication
from annotation_site.annotation.review.adjudicated_annotations import adjudicated_annotation_open
from annotation_site.annotation.review.looks import has_looked
from annotation_site.annotation.work import submissions


@researcher_required
@require_POST
def adjudicate(request: PersonRequest, slug: str) -> HttpResponse:
    """Open one of a study's lists for adjudication."""
    study = selectors.study_of(request.user, slug)
    wanted = request.POST.get("list", "")
    number = int(wanted) if wanted.isascii() and wanted.isdigit() and len(wanted) < 19 else 0
    item = get_object_or_404(study.items.filter(use=Item.Use.STUDY), pk=number)
    assignment = adjudicated_annotation_open(item=item, by=request.user)
    return redirect("annotation:adjudication", assignment.public_id)


@researcher_required
@require_GET
@ensure_csrf_cookie
def one_list(request: PersonRequest, public_id: uuid.UUID) -> HttpResponse:
    """The annotation page for adjudication, with people's annotations beside it."""
    assignment = get_object_or_404(
        adjudication.adjudicated_annotations_of(request.user), public_id=public_id
    )
    submissions.assignment_open(assignment)
    study = assignment.item.study
    guidelines = selectors.newest_text(Guidelines, study)
    context = {
        "page": adjudication.adjudication_page(assignment),
        "study": study,
        "look_up": look_up(study.search_engine, study.encyclopedia),
        "compared": adjudication.side_by_side(assignment.item),
        "guidelines_html": safe_html(guidelines.text) if guidelines else "",
        "looked": has_looked(item=assignment.item, user=request.user),
        "panel_title": _("Annotations"),
    }
    return render(request, "annotation/adjudication.html", context)
