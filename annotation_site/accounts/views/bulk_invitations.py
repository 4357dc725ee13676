"""Views of many invitations at once."""

from collections.abc import Sequence
from typing import Any

from django.core import signing
from django.http import HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext
from django.views.decorators.debug import sensitive_variables
from django.views.decorators.http import require_http_methods, require_POST

from annotation_site.accounts.forms import BulkInvitationForm
from annotation_site.accounts.models import Role
from annotation_site.accounts.permissions import PersonRequest, researcher_required
from annotation_site.annotation.people import bulk_invitations as bulk
from annotation_site.annotation.people.joining import ENDED
from annotation_site.annotation.selectors import studies_of
from annotation_site.downloads import attachment, table_as_file
from annotation_site.errors import NotFound, SiteError

SALT = "annotation_site.links_of_invitations"
KEPT_SECONDS = 3600


@researcher_required
@require_http_methods(["GET", "POST"])
@sensitive_variables("made", "rows")
def many(request: PersonRequest) -> HttpResponse:
    """The form for many invitations, its preview, and once the table of links."""
    studies = studies_of(request.user).exclude(state__in=ENDED)
    form = BulkInvitationForm(request.POST or None, studies=studies, by=request.user)
    context: dict[str, Any] = {"form": form, "most": bulk.MOST_LINES}
    if request.method == "POST" and form.is_valid():
        values = form.cleaned_data
        try:
            lines = bulk.lines_read(
                values["text"],
                by=request.user,
                role=values.get("role", Role.ANNOTATOR),
                study=values["study"],
            )
            context |= {"lines": lines, "wrong": sum(bool(line.error) for line in lines)}
            if request.POST.get("action") == "make":
                made = bulk.people_invite(by=request.user, lines=lines, days=values["days"])
                rows = [
                    (line.name, line.email, line.role, line.study,
                     request.build_absolute_uri(reverse("accounts:join", args=[token])))
                    for line, _invitation, token in made
                ]  # fmt: skip
                return _made(request, rows)
        except SiteError as error:
            form.add_error(None, error.message)
    status = 422 if form.errors else 200
    return render(request, "accounts/invitations_many.html", context, status=status)


def _made(request: PersonRequest, rows: Sequence[tuple[str, ...]]) -> HttpResponse:
    """The links, which are not stored; the page itself carries them to the file."""
    person = str(request.user.public_id)
    context = {
        "rows": rows,
        "text": "\n".join("\t".join(row) for row in rows),
        "signed": signing.dumps([person, rows], salt=SALT, compress=True),
    }
    return render(request, "accounts/invitations_made.html", context)


@researcher_required
@require_POST
def links_file(request: PersonRequest) -> HttpResponseBase:
    """The links of the page that made them, as a file. Only that page can ask for it."""
    try:
        person, rows = signing.loads(request.POST.get("links", ""), salt=SALT, max_age=KEPT_SECONDS)
    except signing.BadSignature:
        person, rows = "", []
    if person != str(request.user.public_id):
        raise NotFound(
            gettext(
                "These links can be downloaded for an hour, from the page that made them. Revoke "
                "the invitations and make new ones."
            )
        )
    return attachment(table_as_file(bulk.links_table(rows), name="invitations", extension="csv"))
