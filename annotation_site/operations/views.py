"""The page of the whole site, for admins."""

import hashlib

from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from annotation_site.accounts.permissions import PersonRequest, admin_required
from annotation_site.operations.overview import overview


@admin_required
@require_GET
def site(request: PersonRequest) -> HttpResponse:
    """Queue, workers, failures, disk, memory, backups, people and versions."""
    found = overview()
    shown = hashlib.sha256(repr(found.shown).encode()).hexdigest()[:16]
    if request.htmx and request.GET.get("have") == shown:
        return HttpResponse(status=204)  # htmx leaves the page, and where its reader is, alone
    template = "operations/_overview.html" if request.htmx else "operations/site.html"
    return render(request, template, {"site": found, "shown": shown})
