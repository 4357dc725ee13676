"""allauth adapters: closed sign-up, safe redirects, second factors, the log of logins."""

import logging
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urljoin

from allauth.account.adapter import DefaultAccountAdapter
from allauth.core.internal import ratelimit
from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.socialaccount.adapter import DefaultSocialAccountAdapter
from cryptography.fernet import InvalidToken
from django.conf import settings
from django.contrib.auth.base_user import AbstractBaseUser
from django.core.mail import EmailMessage
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from annotation_site.accounts import audit
from annotation_site.accounts.known_devices import device_remember, known_device
from annotation_site.accounts.models import User
from annotation_site.accounts.second_factors import decrypted, encrypted
from annotation_site.accounts.services import reset_path, sessions_end
from annotation_site.accounts.tokens import tokens_revoke_of
from annotation_site.errors import NotAllowed

log = logging.getLogger(__name__)
MAILS = ThreadPoolExecutor(max_workers=1, thread_name_prefix="mail")


class AccountAdapter(DefaultAccountAdapter):
    """allauth's adapter for login, logout and passwords."""

    error_messages = {  # noqa: RUF012  # as the base class has it
        **DefaultAccountAdapter.error_messages,
        "username_password_mismatch": _(
            "Name and password do not match. Check both and try again."
        ),
        "too_many_login_attempts": _(
            "Too many attempts. Wait five minutes, then try again, or use a browser in which you "
            "have logged in before."
        ),
    }

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return False

    def is_safe_url(self, url: str) -> bool:
        """Allow redirects only to addresses of this site that name no host."""
        return url_has_allowed_host_and_scheme(url, allowed_hosts=None)

    def get_reset_password_from_key_url(self, key: str) -> str:
        """Build a reset link for a mail from SITE_URL, whatever host the request claims."""
        number, _, token = key.partition("-")
        return urljoin(settings.SITE_URL, reset_path(number, token))

    def pre_authenticate(self, request: HttpRequest, **credentials: Any) -> None:
        """Count a login attempt: by name and address and by name alone, or by a known device.

        The last so that a stranger's wrong passwords keep nobody out of where they have logged in
        before. The base class counts by name and the request's host, whose port a client can vary.
        """
        name = str(credentials.get("username", "")).casefold()
        device = known_device(request, name)
        counters = (
            {"login_failed_known": f"{name}:{device}"}
            if device
            else {"login_failed": f"{name}:{ratelimit.get_ip(request)}", "login_failed_name": name}
        )
        counted = self._login_failed_rl_usage = ratelimit.RateLimitUsage(usage=[])
        for action, key in counters.items():
            usage = ratelimit.consume(request, app="allauth.account", action=action, key=key)
            if not usage:
                counted.rollback()  # it is not tried
                raise self.validation_error("too_many_login_attempts")
            counted.usage += usage.usage

    def authentication_failed(self, request: HttpRequest, **credentials: Any) -> None:
        # What was typed as a name is not logged: people type passwords there.
        audit.record("login_failed", target=_known(str(credentials.get("username", ""))))

    def login(self, request: HttpRequest, user: AbstractBaseUser) -> None:
        super().login(request, user)
        audit.record("login")

    def post_login(self, request: HttpRequest, user: Any, **kwargs: Any) -> HttpResponseBase:
        """Finish a login, after the second factor if there is one."""
        response = super().post_login(request, user, **kwargs)
        device_remember(request, response, user.username)
        return response

    def set_password(self, user: AbstractBaseUser, password: str) -> None:
        """Set a password; this ends every API token and every other session."""
        super().set_password(user, password)
        request = self.request
        own = request is not None and request.user == user
        sessions_end(user=user, keep=request.session.session_key if own else None)  # type: ignore[arg-type]
        tokens_revoke_of(person=user)  # type: ignore[arg-type]
        audit.record("password_changed", target=user)

    def send_mail(self, template_prefix: str, email: str, context: dict[str, Any]) -> None:
        """Send a mail after the response, so that neither its duration nor its failure tells a
        stranger which addresses are known.
        """
        request = self.request
        message = self.render_mail(template_prefix, email, {"request": request, **context})
        MAILS.submit(_send, message)


class SecondFactorAdapter(DefaultMFAAdapter):
    """allauth's MFA adapter; it stores the secrets of second factors encrypted."""

    def encrypt(self, text: str) -> str:
        return encrypted(text)

    def decrypt(self, encrypted_text: str) -> str:
        """Decrypt a secret. Raises NotAllowed if a key outside SECRET_KEY and its fallbacks
        encrypted it.
        """
        try:
            return decrypted(encrypted_text)
        except InvalidToken as error:
            raise NotAllowed(
                gettext(
                    "Your second factor cannot be read, because SECRET_KEY of this site has "
                    "changed. Ask an admin to remove it, then set it up again."
                )
            ) from error


class LoginServiceAdapter(DefaultSocialAccountAdapter):
    """OpenID Connect login, only for people who have connected their account."""

    def is_open_for_signup(self, request: HttpRequest, sociallogin: Any) -> bool:
        return False

    def get_connect_redirect_url(self, request: HttpRequest, socialaccount: Any) -> str:
        return reverse("accounts:own")


def _known(username: str) -> User | None:
    return User.objects.filter(username__iexact=username).first()


def _send(message: EmailMessage) -> None:
    try:
        message.send()
    except Exception:  # of a thread, where nobody else would see it
        log.exception("A mail could not be sent. Check EMAIL_URL.")
