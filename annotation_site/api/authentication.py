"""Authentication of the API: a script with a token, or a page with its session."""

from django.utils import timezone
from knox.auth import TokenAuthentication as KnoxAuthentication
from knox.crypto import hash_token
from rest_framework.authentication import SessionAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from annotation_site.accounts.models import ApiToken, User
from annotation_site.accounts.tokens import token_note_use

NO_TOKEN = (
    "This token is unknown, was revoked or has expired. Make a new one on your account's page."  # noqa: S105
)


class TokenAuthentication(KnoxAuthentication):
    """`Authorization: Bearer …` with a token that works now, of somebody who may log in."""

    def authenticate_credentials(self, token: bytes) -> tuple[User, ApiToken]:
        # The base class looks for all of a person's tokens and deletes those that expired.
        digest = hash_token(token.decode("ascii", "replace"))
        found = (
            ApiToken.objects.filter(digest=digest, expiry__gt=timezone.now(), user__is_active=True)
            .select_related("user")
            .first()
        )
        if found is None:
            raise AuthenticationFailed(NO_TOKEN)
        token_note_use(token=found)
        return found.user, found


class PageSession(SessionAuthentication):
    """The session of the pages, with its CSRF check; a stranger gets 401 rather than 403."""

    def authenticate_header(self, request: Request) -> str:
        return "Session"
