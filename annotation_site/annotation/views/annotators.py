"""Views of a study's annotators, for its researchers."""

import uuid
from urllib.parse import urlencode

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods, require_POST

from annotation_site.accounts.permissions import PersonRequest, researcher_required
from annotation_site.annotation import selectors
from annotation_site.annotation.allocation.shares import study_shares
from annotation_site.annotation.forms import AnnotatorForm
from annotation_site.annotation.people import members
from annotation_site.bounds import LOGIN_NAME
from annotation_site.errors import Invalid, NotAllowed
from annotation_site.exact_words import exact

PEOPLE_PER_PAGE = 100


@researcher_required
@require_http_methods(["GET", "POST"])
def people(request: PersonRequest, slug: str) -> HttpResponse:
    """The annotators of one of the person's own studies, and a form that adds some."""
    study = selectors.study_of(request.user, slug)
    form = AnnotatorForm(request.POST if request.method == "POST" else None, study=study)
    if request.method == "POST" and form.is_valid():
        people = list(form.cleaned_data["person"])
        try:
            added = members.annotators_add(study=study, users=people)
        except (Invalid, NotAllowed) as error:
            form.add_error(None, error.message)
        else:
            said = ngettext(
                "{person} annotates in this study now.",
                "{n} people were added. They annotate in this study now.",
                added,
            )
            messages.success(request, format_html(said, person=exact(people[0]), n=added))
            return redirect("annotation:people", slug)
    name = request.GET.get("name", "").strip()[:LOGIN_NAME]
    found = selectors.annotators(study)
    found = found.filter(user__username__icontains=name) if name else found
    page = Paginator(found, PEOPLE_PER_PAGE).get_page(request.GET.get("page"))
    shares = study_shares(study)
    for one in page:
        one.share = shares.people[one.pk]
    context = {
        "study": study,
        "form": form,
        "annotators": page,
        "shares": shares,
        "page": page,
        "name": name,
        "query": urlencode({"name": name}) if name else "",
    }
    return render(request, "annotation/people.html", context, status=422 if form.errors else 200)


@researcher_required
@require_POST
def change(request: PersonRequest, slug: str, public_id: uuid.UUID) -> HttpResponse:
    """Release an annotator's unopened lists, or remove the person from the study."""
    study = selectors.study_of(request.user, slug)
    membership = get_object_or_404(selectors.annotators(study), user__public_id=public_id)
    actions = {"release": members.assignments_release, "remove": members.annotator_remove}
    action = request.POST.get("action", "")
    if action not in actions:
        raise Invalid(
            _("Unknown action. Open the study’s annotators and press one of the buttons.")
        )
    freed = actions[action](membership=membership, by=request.user)
    if freed:
        done = ngettext(
            "{n} unopened list of {person} is free for others.",
            "{n} unopened lists of {person} are free for others.",
            freed,
        )
    else:
        done = _("{person} had no unopened lists.")
    messages.success(request, format_html(done, n=freed, person=exact(membership.user)))
    return redirect("annotation:people", slug)
