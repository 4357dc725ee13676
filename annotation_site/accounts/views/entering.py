"""View of the demo's one-click login."""

from allauth.account.utils import perform_login
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import render
from django.utils.translation import gettext
from django.views.decorators.debug import sensitive_variables
from django.views.decorators.http import require_http_methods

from annotation_site.accounts import demo_entries
from annotation_site.errors import NotFound


@sensitive_variables("token")
@require_http_methods(["GET", "HEAD", "POST"])
def enter(request: HttpRequest, token: str) -> HttpResponseBase:
    """Enter the demo: a page with one button, and only the button logs in.

    Nothing is there outside the demo, for another machine, and through a proxy.
    """
    if not demo_entries.may_enter(request):
        raise NotFound(gettext("There is no such page. Check the address."))
    if request.method == "POST":
        if person := demo_entries.entry_use(token):
            return perform_login(request, person)  # to `next`, which has to be of this site
    elif person := demo_entries.entry_person(token):
        return render(request, "accounts/enter.html", {"person": person})
    raise NotFound(
        gettext(
            "This link was used already or is older than %(minutes)s minutes, or the account has "
            "another password now. Open the start page for a new one."
        )
        % {"minutes": demo_entries.MINUTES}
    )
