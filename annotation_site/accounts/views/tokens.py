"""Views of a person's own API tokens: make (after the second factor), show once, revoke."""

import uuid

from allauth.account.authentication import get_authentication_records
from allauth.account.decorators import reauthentication_required
from allauth.mfa.utils import is_mfa_enabled
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext
from django.views.decorators.debug import sensitive_variables
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from annotation_site.accounts import tokens
from annotation_site.accounts.forms import TokenForm
from annotation_site.accounts.permissions import PersonRequest
from annotation_site.errors import Invalid, NotAllowed


@login_required
@require_GET
def listed(request: PersonRequest) -> HttpResponse:
    """The person's tokens, without their secrets."""
    own = [
        (token, tokens.scopes_now(request.user, token)) for token in tokens.tokens_of(request.user)
    ]
    context = {"tokens": own, "now": timezone.now()}
    return render(request, "accounts/tokens.html", context)


@login_required
@reauthentication_required
@require_http_methods(["GET", "POST"])
@sensitive_variables("secret")
def new(request: PersonRequest) -> HttpResponse:
    """The form that makes a token; only its response shows the secret."""
    _check_second_factor(request)
    form = TokenForm(request.POST or None, scopes=tokens.scopes_for(request.user))
    if request.method == "POST" and form.is_valid():
        try:
            token, secret = tokens.token_create(user=request.user, **form.cleaned_data)
        except Invalid as error:
            form.add_error(None, error.message)
        else:
            context = {"token": token, "secret": secret}
            return render(request, "accounts/token_made.html", context)
    context = {"form": form}
    return render(request, "accounts/token_new.html", context, status=422 if form.errors else 200)


@login_required
@require_POST
def revoke(request: PersonRequest, public_id: uuid.UUID) -> HttpResponse:
    """Revoke one of the person's tokens."""
    found = get_object_or_404(tokens.tokens_of(request.user), public_id=public_id)
    tokens.token_revoke(token=found)
    messages.success(request, gettext("The token is revoked."))
    return redirect("accounts:tokens")


def _check_second_factor(request: PersonRequest) -> None:
    """A session that is older than the person's second factor has not passed it."""
    methods = {record["method"] for record in get_authentication_records(request, request.user)}
    if is_mfa_enabled(request.user) and "mfa" not in methods:
        raise NotAllowed(
            gettext(
                "This session did not use your second factor. Log out, log in with it, then make "
                "a token."
            )
        )
