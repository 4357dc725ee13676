"""Views of a study's publication, for its researchers: prepare, look, switch on and off."""

from typing import Any

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from annotation_site.accounts.permissions import PersonRequest, researcher_required
from annotation_site.annotation.models import Study
from annotation_site.annotation.selectors import study_of
from annotation_site.errors import Invalid
from annotation_site.public import files, services
from annotation_site.public.content import PER_PAGE
from annotation_site.public.selectors import publication_state
from annotation_site.public.served import file_response
from annotation_site.workers.selectors import workers_alive


@researcher_required
@require_http_methods(["GET", "POST"])
def publish(request: PersonRequest, slug: str) -> HttpResponse:
    """The contents of a study's public page, and the buttons that prepare it and switch it on."""
    study = study_of(request.user, slug)
    refusal = ""
    if request.method == "POST":
        try:
            said = _act(request, study)
        except Invalid as error:
            refusal = error.message
        else:
            messages.success(request, said)
            return redirect("public:publish", slug)
    context = {**_context(request, study), "refusal": refusal}
    return render(request, "public/publish.html", context, status=422 if refusal else 200)


def _act(request: PersonRequest, study: Study) -> str:
    if request.POST.get("action") != "on":
        services.publication_prepare(study=study, by=request.user)
        return gettext("A worker is writing the page. Have a look at it before you switch it on.")
    indexed = request.POST.get("is_indexed") == "on"
    found = services.publication_switch_on(study=study, by=request.user, is_indexed=indexed)
    if found.is_unfinished:
        return gettext("A worker is writing the page. It is public as soon as it is written.")
    return gettext("The page is public.")


@researcher_required
@require_GET
def status(request: PersonRequest, slug: str) -> HttpResponse:
    """The part of the page that refreshes itself while a worker writes."""
    study = study_of(request.user, slug)
    return render(request, "public/_publication.html", _context(request, study))


@researcher_required
@require_POST
def switch_off(request: PersonRequest, slug: str) -> HttpResponse:
    """Remove the public page, or its draft, at once."""
    study = study_of(request.user, slug)
    if services.publication_switch_off(study=study, by=request.user):
        messages.success(request, gettext("Nothing of this study is public now."))
    return redirect("public:publish", slug)


@researcher_required
@require_GET
def draft(request: PersonRequest, slug: str, name: str) -> HttpResponseBase:
    """A file of the page as it would be public; for those who run the study."""
    study = study_of(request.user, slug)
    for folder in (files.draft_folder(study.slug), files.page_folder(study.slug)):
        response = file_response(request, folder, name)
        if response is not None:
            response["X-Robots-Tag"] = "noindex"
            return response
    raise Http404


def _context(request: PersonRequest, study: Study) -> dict[str, Any]:
    return {
        "study": study,
        "now": publication_state(study, reader=request.user),
        "address": request.build_absolute_uri(reverse("public:page", args=[study.slug])),
        "workers": workers_alive().count(),
        "per_page": PER_PAGE,
    }
