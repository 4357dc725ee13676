"""API permissions: a person's role and a token's scopes. Selectors scope objects."""

from typing import Any

from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from annotation_site.accounts.models import ApiToken, Role, Scope
from annotation_site.annotation.people.joining import RANKS
from annotation_site.errors import NotAllowed

FOR = {
    Role.RESEARCHER: _("This is for researchers. Ask an admin to give you the role."),
    Role.ADMIN: _("This is for admins. Ask an admin to give you the role."),
}


class ScopeMissing(NotAllowed):
    """The person may do this, but this token may not."""

    code = "scope_missing"


class MayCall(BasePermission):
    """Permission for a logged-in person with the role and scope of the view's call.

    A view without calls is a bug and lets nobody in.
    """

    def has_permission(self, request: Request, view: Any) -> bool:
        call = view.call_of(request.method)
        if call is not None and call.role is None:
            return True
        if not request.user or not request.user.is_authenticated:
            return False
        if call is None:
            return True  # for the answer that there is no such method
        if RANKS.index(request.user.role) < RANKS.index(call.role):
            raise NotAllowed(str(FOR[call.role]))
        if call.scope is not None:
            require_scope(request, call.scope)
        return True


def require_scope(request: Request, scope: Scope) -> None:
    """Raises ScopeMissing for a token without the scope; a page's session has all of them."""
    if isinstance(request.auth, ApiToken) and scope not in request.auth.scopes:
        raise ScopeMissing(
            gettext(
                "This token may not do this: it needs the scope “%(scope)s”. Make a token with it "
                "on your account's page."
            )
            % {"scope": scope}
        )
