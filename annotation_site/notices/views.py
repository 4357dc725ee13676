"""Views of notices, for researchers and admins."""

import uuid

from django.conf import settings
from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext
from django.views.decorators.http import require_GET, require_POST

from annotation_site.accounts.permissions import PersonRequest, researcher_required
from annotation_site.notices import selectors, services

PER_PAGE = 25


@researcher_required
@require_GET
def listed(request: PersonRequest) -> HttpResponse:
    """A person's notices, newest first."""
    found = selectors.notices_of(request.user).select_related("study")
    page = Paginator(found, PER_PAGE).get_page(request.GET.get("page"))
    context = {"page": page, "query": "", "days": settings.KEEP_NOTICE_DAYS}
    return render(request, "notices/notices.html", context)


@researcher_required
@require_POST
def opened(request: PersonRequest, public_id: uuid.UUID) -> HttpResponse:
    """Mark a notice as read and go to what it is about."""
    found = get_object_or_404(selectors.notices_of(request.user), public_id=public_id)
    services.notice_read(notice=found)
    return redirect(found.path)


@researcher_required
@require_POST
def all_read(request: PersonRequest) -> HttpResponse:
    """Mark all notices as read."""
    services.notices_read(user=request.user)
    return redirect("notices:listed")


@researcher_required
@require_POST
def kinds(request: PersonRequest) -> HttpResponse:
    """Switch kinds of notices on and off, from the account's page."""
    wanted = request.POST.getlist("kind")[:100]
    services.kinds_choose(user=request.user, wanted=wanted)
    messages.success(request, gettext("Saved."))
    return redirect("accounts:own")
