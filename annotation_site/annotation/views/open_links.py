"""Views of a study's open links and of its payment table, for its researchers."""

import uuid
from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from annotation_site.accounts.permissions import PersonRequest, researcher_required
from annotation_site.accounts.throttling import counted
from annotation_site.annotation import selectors
from annotation_site.annotation.crowd import links
from annotation_site.annotation.crowd import payment as payments
from annotation_site.annotation.crowd.checks import questions_from_json
from annotation_site.annotation.crowd.forms import OpenLinkForm, link_initial
from annotation_site.annotation.crowd.models import OpenLink
from annotation_site.annotation.models import Study
from annotation_site.downloads import attachment
from annotation_site.errors import Invalid

ROWS_PER_PAGE = 100


@researcher_required
@require_GET
def listed(request: PersonRequest, slug: str) -> HttpResponse:
    """The open links of one of the person's own studies."""
    study = selectors.study_of(request.user, slug)
    context = {"study": study, "links": links.links_listed(study)}
    return render(request, "annotation/open_links.html", context)


@researcher_required
@require_http_methods(["GET", "POST"])
def new(request: PersonRequest, slug: str) -> HttpResponse:
    """The form that makes an open link."""
    study = selectors.study_of(request.user, slug)
    form = OpenLinkForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            made = links.open_link_create(study=study, settings=form.settings(), by=request.user)
        except Invalid as error:
            form.add_error(None, error.message)
        else:
            messages.success(request, _("The open link is ready. People can join by it now."))
            return redirect("annotation:open_link_settings", slug, made.public_id)
    context = {"study": study, "form": form}
    status = 422 if form.errors else 200
    return render(request, "annotation/open_link_settings.html", context, status=status)


@researcher_required
@require_http_methods(["GET", "POST"])
def one(request: PersonRequest, slug: str, public_id: uuid.UUID) -> HttpResponse:
    """An open link: its address, its check as participants see it, and its settings."""
    study, link = _link(request, slug, public_id)
    form = OpenLinkForm(request.POST or None, initial=link_initial(link))
    if request.method == "POST" and form.is_valid():
        try:
            links.open_link_change(link=link, settings=form.settings(), by=request.user)
        except Invalid as error:
            form.add_error(None, error.message)
        else:
            messages.success(request, _("Saved."))
            return redirect("annotation:open_link_settings", slug, public_id)
    context: dict[str, Any] = {
        "study": study,
        "link": link,
        "form": form,
        "questions": questions_from_json(link.questions),
        "address": links.address_with_parameters(
            link, request.build_absolute_uri(reverse("annotation:open_link", args=[link.token]))
        ),
        "shut": links.why_shut(link),
        "people": link.participants.count(),
    }
    status = 422 if form.errors else 200
    return render(request, "annotation/open_link_settings.html", context, status=status)


@researcher_required
@require_POST
def change_state(request: PersonRequest, slug: str, public_id: uuid.UUID) -> HttpResponse:
    """Close or re-open an open link."""
    _study, link = _link(request, slug, public_id)
    actions = {"close": links.open_link_close, "reopen": links.open_link_reopen}
    action = request.POST.get("action", "")
    if action not in actions:
        raise Invalid(_("Unknown action. Open the link’s page and press one of the buttons."))
    actions[action](link=link, by=request.user)
    done = {
        "close": _("The link is closed. People who have joined can finish."),
        "reopen": _("The link is open again."),
    }
    messages.success(request, done[action])
    return redirect("annotation:open_link_settings", slug, public_id)


@researcher_required
@require_http_methods(["GET", "POST"])
def delete(request: PersonRequest, slug: str, public_id: uuid.UUID) -> HttpResponse:
    """Delete an open link with its payment rows, after a page that explains the effect."""
    study, link = _link(request, slug, public_id)
    if request.method == "POST":
        links.open_link_delete(link=link, by=request.user)
        messages.success(request, _("The open link is deleted, and its payment rows with it."))
        return redirect("annotation:open_links", slug)
    context = {"study": study, "link": link, "people": link.participants.count()}
    return render(request, "annotation/open_link_delete.html", context)


@researcher_required
@require_GET
def payment(request: PersonRequest, slug: str) -> HttpResponse:
    """The payment table of a study's open links, or of one."""
    study = selectors.study_of(request.user, slug)
    link = _chosen(request, study)
    rows = payments.payments(study, link=link)
    context = {
        "study": study,
        "link": link,
        "links": study.open_links.all(),
        "counts": payments.counts_by_state(rows),
        "total": len(rows),
        "page": Paginator(rows, ROWS_PER_PAGE).get_page(request.GET.get("page")),
        "query": f"link={link.public_id}&" if link else "",
    }
    return render(request, "annotation/payment.html", context)


@counted
@researcher_required
@require_GET
def payment_file(request: PersonRequest, slug: str, extension: str) -> HttpResponseBase:
    """The payment table as a file."""
    study = selectors.study_of(request.user, slug)
    link = _chosen(request, study)
    return attachment(payments.payment_file(study=study, link=link, extension=extension))


def _link(request: PersonRequest, slug: str, public_id: uuid.UUID) -> tuple[Study, OpenLink]:
    study = selectors.study_of(request.user, slug)
    return study, get_object_or_404(study.open_links.select_related("study"), public_id=public_id)


def _chosen(request: PersonRequest, study: Study) -> OpenLink | None:
    """The link that the address asks for; None for all of the study's."""
    wanted = request.GET.get("link", "")
    if not wanted:
        return None
    try:
        public_id = uuid.UUID(wanted)
    except ValueError:
        public_id = uuid.UUID(int=0)
    return get_object_or_404(study.open_links, public_id=public_id)
