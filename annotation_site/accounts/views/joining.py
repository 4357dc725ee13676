"""Views of invitations: make, revoke, accept."""

import uuid
from typing import Any

from allauth.account.internal.flows.login import record_authentication
from allauth.account.utils import perform_login
from allauth.core.internal import ratelimit
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables
from django.views.decorators.http import require_GET, require_POST

from annotation_site.accounts import invitations
from annotation_site.accounts.forms import InvitationForm, JoinForm
from annotation_site.accounts.models import Invitation, User
from annotation_site.accounts.permissions import PersonRequest, researcher_required
from annotation_site.annotation.allocation.shares import study_shares
from annotation_site.annotation.models import Study
from annotation_site.annotation.people import joining as people
from annotation_site.annotation.selectors import studies_of
from annotation_site.errors import NotFound, SiteError, TooManyRequests

SHOWN = 200  # newest invitations on the page
OFFERED = 5  # newest open studies of which the form says what a newcomer would get
WRONG_LINKS: dict[str, Any] = {"app": "allauth.account", "action": "invitation", "limit_get": True}


@researcher_required
@require_GET
def listed(request: PersonRequest) -> HttpResponse:
    """The invitations that a person may see, with their remaining uses."""
    working = set(invitations.usable().values_list("pk", flat=True))
    rows = [
        {"invitation": invitation, "works": invitation.pk in working}
        for invitation in invitations.invitations_seen_by(request.user)[:SHOWN]
    ]
    return render(request, "accounts/invitations.html", {"rows": rows})


@researcher_required
def new(request: PersonRequest) -> HttpResponse:
    """The form that makes an invitation; only its response shows the link."""
    studies = studies_of(request.user).exclude(state__in=people.ENDED)
    form = InvitationForm(request.POST or None, studies=studies, by=request.user)
    if request.method == "POST" and form.is_valid():
        try:
            invitation, token = people.person_invite(
                by=request.user, **{"role": "annotator", **form.cleaned_data}
            )
        except SiteError as error:
            form.add_error(None, error.message)
        else:
            link = request.build_absolute_uri(reverse("accounts:join", args=[token]))
            shares = study_shares(invitation.study) if invitation.study else None
            context = {"invitation": invitation, "link": link, "shares": shares}
            return render(request, "accounts/invitation_made.html", context)
    offered = studies.filter(state=Study.State.OPEN)[:OFFERED]
    context = {"form": form, "offered": [(study, study_shares(study)) for study in offered]}
    return render(
        request, "accounts/invitation_new.html", context, status=422 if form.errors else 200
    )


@researcher_required
@require_POST
def revoke(request: PersonRequest, public_id: uuid.UUID) -> HttpResponse:
    """Revoke one of the person's invitations."""
    seen = invitations.invitations_seen_by(request.user)
    invitations.invitation_revoke(invitation=get_object_or_404(seen, public_id=public_id))
    messages.success(request, gettext("The invitation is revoked. Its link no longer works."))
    return redirect("accounts:invitations")


@sensitive_post_parameters("password")
@sensitive_variables("token")
def join(request: HttpRequest, token: str) -> HttpResponseBase:
    """Accept an invitation: with a name and a password, or one button for a member."""
    invitation = _found(request, token)
    if isinstance(request.user, User):
        return _join_as_member(request, invitation, token)
    form = JoinForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            person = people.person_join(token=token, **form.cleaned_data)
        except NotFound:
            raise
        except SiteError as error:
            form.add_error(None, error.message)
        else:
            record_authentication(request, person, method="password", username=person.username)
            return perform_login(request, person, redirect_url=reverse("home"))
    context = {"form": form, "invitation": invitation}
    return render(request, "accounts/join.html", context, status=422 if form.errors else 200)


def _join_as_member(request: HttpRequest, invitation: Invitation, token: str) -> HttpResponse:
    if request.method == "POST":
        assert isinstance(request.user, User)  # noqa: S101  # for the type checker
        people.member_join(token=token, person=request.user)
        messages.success(request, gettext("Welcome. Your invitation is accepted."))
        return redirect("home")
    return render(request, "accounts/join.html", {"invitation": invitation})


def _found(request: HttpRequest, token: str) -> Invitation:
    """The invitation; wrong links are counted per address, and too many stop all of them."""
    if not ratelimit.consume(request, dry_run=True, **WRONG_LINKS):
        raise TooManyRequests(
            gettext(
                "Too many wrong links were opened from your address. Wait a minute, then try again."
            )
        )
    try:
        return people.invitation_find(token)
    except NotFound:
        ratelimit.consume(request, **WRONG_LINKS)
        raise
