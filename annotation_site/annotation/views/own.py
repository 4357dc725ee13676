"""Views of a person's own work: submitted lists, consent, hours."""

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods

from annotation_site.accounts.permissions import PersonRequest
from annotation_site.annotation import selectors
from annotation_site.annotation.crowd.joining import participant_of, participation_enter
from annotation_site.annotation.crowd.pages import page_instead_of_lists
from annotation_site.annotation.lists import access
from annotation_site.annotation.lists.markdown import safe_html
from annotation_site.annotation.lists.page import needs_consent
from annotation_site.annotation.models import ConsentText
from annotation_site.annotation.people import consent as consent_services
from annotation_site.annotation.people.members import membership_back
from annotation_site.annotation.work import own_work
from annotation_site.downloads import attachment
from annotation_site.errors import Invalid
from annotation_site.exact_words import exact

LISTS_PER_PAGE = 25
MOST_SEARCHED = 100  # characters


@login_required
@require_GET
def study(request: PersonRequest, slug: str) -> HttpResponse:
    """A person's own work in a study: lists left, submitted, skipped and expired."""
    if request.user.is_crowd and (elsewhere := page_instead_of_lists(request.user)):
        return redirect(elsewhere)
    membership = membership_back(user=request.user, slug=slug)
    training = access.training_of([membership])[membership.pk]
    wanted = " ".join(request.GET.get("q", "").replace("\0", " ").split())[:MOST_SEARCHED]
    all_ids = own_work.submitted_lists(membership).values_list("pk", flat=True)
    ids = own_work.lists_found(membership, wanted) if wanted else all_ids
    page = Paginator(ids, LISTS_PER_PAGE).get_page(request.GET.get("page"))
    context = {
        "membership": membership,
        "training": training,
        "can_go_on": own_work.can_go_on(membership, training),
        "submitted": own_work.shown_lists(membership, list(page)),
        "page": page,
        "wanted": wanted,
        "set_aside": own_work.shown_left_lists(membership),
    }
    return render(request, "annotation/study.html", context)


@login_required
@require_http_methods(["GET", "POST"])
def consent(request: PersonRequest, slug: str) -> HttpResponse:
    """The consent text, before the first list of a study."""
    membership = selectors.membership_of(request.user, slug)
    changed = ""
    if request.method == "POST":
        try:
            consent_services.consent_give(
                membership=membership,
                version=_number(request.POST.get("version")),
                shared=request.POST.get("shared", ""),
            )
        except Invalid as error:
            changed = error.message
        else:
            if request.user.is_crowd and (participant := participant_of(request.user)):
                participation_enter(participant=participant)
            return redirect("annotation:next", slug)
    text = selectors.newest_text(ConsentText, membership.study)
    context = {
        "membership": membership,
        "text_html": safe_html(text.text) if text else "",
        "needed": needs_consent(membership, membership.study),
        "changed": changed,
        "shared": consent_services.shared_of(membership.study),
    }
    return render(request, "annotation/consent.html", context, status=422 if changed else 200)


@login_required
@require_http_methods(["GET", "POST"])
def withdraw(request: PersonRequest, slug: str) -> HttpResponse:
    """Withdraw from a study, after a page that explains the effect."""
    membership = selectors.membership_of(request.user, slug)
    if request.method == "POST":
        consent_services.study_withdraw(membership=membership)
        said = _("You have withdrawn from “{study}”.")
        messages.success(request, format_html(said, study=exact(membership.study.title)))
        return redirect("home")
    return render(request, "annotation/withdraw.html", {"membership": membership})


@login_required
@require_GET
def hours(request: PersonRequest) -> HttpResponse:
    """The person's own active time, by day and study."""
    days = own_work.work_days(request.user)
    context = {
        "days": days,
        "seconds": sum(day.active_seconds for day in days),
        "lists": sum(day.lists for day in days),
        "cut_seconds": sum(day.cut_seconds for day in days),
    }
    return render(request, "annotation/hours.html", context)


@login_required
@require_GET
def hours_file(request: PersonRequest, extension: str) -> HttpResponseBase:
    """The hours as a file."""
    return attachment(own_work.work_days_file(request.user, extension))


def _number(text: str | None) -> int:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 10 else -1
