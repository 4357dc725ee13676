"""Views of a person's own account, login and logout."""

from allauth.account.views import password_reset as mailed_password_reset
from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount
from allauth.usersessions.models import UserSession
from django.conf import settings
from django.contrib import auth, messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.utils.translation import gettext
from django.views.decorators.http import require_GET, require_POST
from django.views.i18n import set_language

from annotation_site.accounts import audit, services
from annotation_site.accounts.forms import AccountForm
from annotation_site.accounts.permissions import PersonRequest
from annotation_site.accounts.tokens import tokens_of
from annotation_site.errors import Invalid
from annotation_site.notices.selectors import kinds_chosen


@login_required
def account(request: PersonRequest) -> HttpResponse:
    """My account: name and address, with links to the other settings."""
    user = request.user
    before = {"username": user.username, "email": user.email}
    form = AccountForm(request.POST or None, user=user, initial=before)
    if request.method == "POST" and form.is_valid():
        changes = {name: form.cleaned_data[name] for name in before}
        try:
            services.account_change(user=user, **changes)
        except Invalid as error:
            form.add_error(None, error.message)
        else:
            messages.success(request, gettext("Saved."))
            return redirect("accounts:own")
    context = {
        "form": form,
        "has_second_factor": Authenticator.objects.filter(
            user=user, type=Authenticator.Type.TOTP
        ).exists(),
        "tokens": tokens_of(user).count(),
        "sessions": len(UserSession.objects.purge_and_list(user)),
        "login_service": settings.OIDC_NAME if settings.OIDC_ISSUER else "",
        "notice_kinds": kinds_chosen(user),
        "is_connected": SocialAccount.objects.filter(user=user).exists(),
    }
    return render(request, "accounts/account.html", context, status=422 if form.errors else 200)


@login_required
@require_POST
def language(request: PersonRequest) -> HttpResponseBase:
    """Keep a language in this browser, over the one that it asks for."""
    return set_language(request)


@require_POST
def logout(request: HttpRequest) -> HttpResponse:
    """End the session on the server, also during a half-finished login."""
    if request.user.is_authenticated:
        audit.record("logout")
    auth.logout(request)
    return redirect("home")


@require_GET
def signup(request: HttpRequest) -> HttpResponse:
    """Explain that people join by invitation."""
    return render(request, "account/signup_closed.html")


def password_reset(request: HttpRequest) -> HttpResponseBase:
    """Ask for the address of a reset mail; without mail, name the people who can help."""
    if not settings.MAIL_IS_SET_UP:
        status = 200 if request.method == "GET" else 404
        return render(request, "accounts/no_mail.html", status=status)
    response = mailed_password_reset(request)
    if response.status_code == 302:  # neither malformed nor one too many
        audit.record("reset_mail_sent")
    return response
