"""allauth's forms about passwords, in the words of the other pages."""

from typing import Any

from allauth.account.forms import ChangePasswordForm, ResetPasswordForm, ResetPasswordKeyForm
from django import forms

from annotation_site.accounts.forms import NEW_PASSWORD_HELP

WORDS = {
    "oldpassword": ("Your password now", ""),
    "password1": ("New password", NEW_PASSWORD_HELP),
    "password2": ("New password, once more", ""),
    "email": ("E-mail", "The one in your account."),
}


class _InOurWords:
    """Labels and help stand beside the fields; nothing stands in them that typing would hide."""

    fields: dict[str, forms.Field]

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
