"""allauth's forms for passwords and codes, with bounded fields and the site's own words."""

from typing import Any

from allauth.account.forms import (
    ChangePasswordForm,
    LoginForm,
    ReauthenticateForm,
    ResetPasswordForm,
    ResetPasswordKeyForm,
)
from allauth.mfa.base import forms as factors
from allauth.mfa.totp.forms import ActivateTOTPForm
from django import forms
from django.core.validators import MaxLengthValidator
from django.utils.translation import gettext_lazy as _

from annotation_site.accounts.forms import NEW_PASSWORD_HELP
from annotation_site.bounds import PASSWORD

WORDS: dict[str, tuple[Any, Any]] = {
    "oldpassword": (_("Current password"), ""),
    "password1": (_("New password"), NEW_PASSWORD_HELP),
    "password2": (_("New password again"), ""),
    "email": (_("E-mail"), _("The address in your account.")),
}


class Bounded:
    """Mixin that bounds fields that are only compared with a hash, such as passwords."""

    fields: dict[str, forms.Field]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.bound(self.fields)

    @staticmethod
    def bound(fields: dict[str, forms.Field]) -> None:
        """Limit these fields to the longest password."""
        for field in fields.values():
            if isinstance(field, forms.CharField) and field.max_length is None:
                field.validators = [*field.validators, MaxLengthValidator(PASSWORD)]


class _InOurWords(Bounded):
    """Labels and help stand beside the fields; nothing stands in them that typing would hide."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, field in self.fields.items():
            field.label, field.help_text = WORDS[name]
            field.widget.attrs.pop("placeholder", None)


class ChangeForm(_InOurWords, ChangePasswordForm):  # type: ignore[misc]
    """Change of password, with the current one."""


class ResetForm(_InOurWords, ResetPasswordForm):  # type: ignore[misc]
    """Request of a password reset link."""


class ResetKeyForm(_InOurWords, ResetPasswordKeyForm):  # type: ignore[misc]
    """New password after a reset link."""


class BoundedLoginForm(Bounded, LoginForm):  # type: ignore[misc]
    """Login with name and password."""


class ConfirmForm(Bounded, ReauthenticateForm):  # type: ignore[misc]
    """Password confirmation before a change of login settings."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["password"].widget.attrs.pop("placeholder", None)


class CodeForm(Bounded, factors.AuthenticateForm):  # type: ignore[misc]
    """Code of a second factor, after the password."""


class CodeConfirmForm(Bounded, factors.ReauthenticateForm):  # type: ignore[misc]
    """Confirmation by the code of a second factor."""


class FactorForm(Bounded, ActivateTOTPForm):  # type: ignore[misc]
    """First code of a new second factor."""
