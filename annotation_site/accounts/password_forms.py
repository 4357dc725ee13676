"""allauth's forms about passwords and codes: bounded, and in the words of the other pages."""

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
    """What is only compared with a hash, such as a password, is bounded too."""

    fields: dict[str, forms.Field]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.bound(self.fields)

    @staticmethod
    def bound(fields: dict[str, forms.Field]) -> None:
        """Let no text of these fields be longer than a password may be."""
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
    """Another password, by somebody who knows the one until now."""


class ResetForm(_InOurWords, ResetPasswordForm):  # type: ignore[misc]
    """Where the link goes that sets a new one."""


class ResetKeyForm(_InOurWords, ResetPasswordKeyForm):  # type: ignore[misc]
    """The new password of somebody who came by that link."""


class BoundedLoginForm(Bounded, LoginForm):  # type: ignore[misc]
    """Name and password."""


class ConfirmForm(Bounded, ReauthenticateForm):  # type: ignore[misc]
    """The password once more, before what decides who gets in is changed."""


class CodeForm(Bounded, factors.AuthenticateForm):  # type: ignore[misc]
    """A second factor's code, after the password."""


class CodeConfirmForm(Bounded, factors.ReauthenticateForm):  # type: ignore[misc]
    """A second factor's code once more."""


class FactorForm(Bounded, ActivateTOTPForm):  # type: ignore[misc]
    """The first code of a second factor."""
