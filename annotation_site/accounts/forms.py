"""Forms about accounts, invitations, API tokens and the log."""

from collections.abc import Sequence
from typing import Any

from allauth.account.adapter import get_adapter
from django import forms
from django.contrib.auth.validators import UnicodeUsernameValidator
from django.utils.text import format_lazy
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from annotation_site import bounds
from annotation_site.accounts.audit import ACTIONS
from annotation_site.accounts.invitations import MOST_DAYS, MOST_TEXT, MOST_USES
from annotation_site.accounts.models import Role, Scope, User
from annotation_site.accounts.tokens import DEFAULT_DAYS
from annotation_site.accounts.tokens import MOST_DAYS as TOKEN_DAYS
from annotation_site.exact_words import ATTRIBUTES

NEW_PASSWORD_HELP = _("At least 8 characters, and not easy to guess.")


def _name() -> forms.CharField:
    return forms.CharField(
        label=_("Name"),
        max_length=bounds.LOGIN_NAME,
        validators=[UnicodeUsernameValidator()],
        help_text=_("You log in with it. Letters A to Z, digits and @ . + - _ only."),
        widget=forms.TextInput(attrs={"autocomplete": "username", "autocapitalize": "none"}),
    )


def _email() -> forms.EmailField:
    return forms.EmailField(
        label=_("E-mail"),
        required=False,
        max_length=254,
        help_text=_("Used only if you forget your password."),
        widget=forms.EmailInput(attrs={"autocomplete": "email"}),
    )


class JoinForm(forms.Form):
    """Name and password of an invited person."""

    username = _name()
    email = _email()
    password = forms.CharField(
        label=_("Password"),
        max_length=bounds.PASSWORD,
        strip=False,
        help_text=NEW_PASSWORD_HELP,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
    )


class AccountForm(forms.Form):
    """A person's own name and address. It asks for the password, because mail can reset it."""

    username = _name()
    email = _email()
    current_password = forms.CharField(
        label=_("Your password, to confirm"),
        max_length=bounds.PASSWORD,
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password"}),
    )

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        self.user = user
        super().__init__(*args, **kwargs)

    def clean_current_password(self) -> str:
        """Check the password by allauth, which counts failures."""
        password = self.cleaned_data["current_password"]
        if not get_adapter().reauthenticate(self.user, password):
            raise forms.ValidationError(gettext("This is not your password. Try again."))
        return password


class InvitationForm(forms.Form):
    """Role, study, expiry and number of uses of an invitation. Without `roles`, annotators only."""

    role = forms.ChoiceField(
        label=_("Role"),
        choices=Role.choices,
        initial=Role.ANNOTATOR,
        help_text=_("On the whole site."),
    )
    study: forms.ModelChoiceField = forms.ModelChoiceField(
        label=_("Study"), queryset=None, required=False, widget=forms.Select(attrs=ATTRIBUTES)
    )
    study_role = forms.ChoiceField(
        label=_("Role in the study"),
        required=False,
        choices=[("", Role.ANNOTATOR.label), ("researcher", Role.RESEARCHER.label)],
        help_text=_("Used only with a study."),
    )
    uses = forms.IntegerField(
        label=_("How many people"), min_value=1, max_value=MOST_USES, initial=1
    )
    days = forms.IntegerField(
        label=_("Days until it expires"), min_value=1, max_value=MOST_DAYS, initial=7
    )

    def __init__(self, *args: Any, studies: Any, by: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.has_target = by.is_admin or studies.exists()
        field = self.fields["study"]
        field.queryset = studies  # type: ignore[attr-defined]
        if by.is_admin:
            field.empty_label = gettext("no study yet")  # type: ignore[attr-defined]
            field.help_text = gettext("You can add them to a study later.")
        else:
            field.required = True
            field.empty_label = gettext("choose a study")  # type: ignore[attr-defined]
            del self.fields["role"], self.fields["study_role"]


class BulkInvitationForm(forms.Form):
    """People to invite, one per line, and what holds for lines that do not say it."""

    text = forms.CharField(
        label=_("People"),
        max_length=MOST_TEXT,
        strip=False,
        widget=forms.Textarea(
            attrs={
                "rows": 10,
                "class": "mono notranslate",
                "translate": "no",
                "placeholder": "name,email,role,study",
                "data-file-text": "",
            }
        ),
        help_text=_(
            "One person per line: a name, an e-mail address, or both with a comma between them. A "
            "role and a study’s short name may follow."
        ),
    )
    role = forms.ChoiceField(label=_("Role"), choices=Role.choices, initial=Role.ANNOTATOR)
    study: forms.ModelChoiceField = forms.ModelChoiceField(
        label=_("Study"), queryset=None, required=False, widget=forms.Select(attrs=ATTRIBUTES)
    )
    days = forms.IntegerField(
        label=_("Days until it expires"), min_value=1, max_value=MOST_DAYS, initial=7
    )

    def __init__(self, *args: Any, studies: Any, by: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.has_target = by.is_admin or studies.exists()
        field = self.fields["study"]
        field.queryset = studies  # type: ignore[attr-defined]
        if by.is_admin:
            field.empty_label = gettext("no study yet")  # type: ignore[attr-defined]
        else:
            field.required = True
            field.empty_label = gettext("choose a study")  # type: ignore[attr-defined]
            del self.fields["role"]


class TokenForm(forms.Form):
    """Name, scopes and expiry of an API token."""

    name = forms.CharField(
        label=_("Name"),
        max_length=bounds.TOKEN_NAME,
        help_text=_("Name the script or the machine, so that you recognize the token."),
    )
    scopes = forms.MultipleChoiceField(
        label=_("Scopes"),
        widget=forms.CheckboxSelectMultiple,
        help_text=_("Choose as little as the script needs."),
    )
    days = forms.IntegerField(
        label=_("Days until it expires"), min_value=1, max_value=TOKEN_DAYS, initial=DEFAULT_DAYS
    )

    def __init__(self, *args: Any, scopes: Sequence[Scope], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["scopes"].choices = [  # type: ignore[attr-defined]
            (scope.value, format_lazy("{} ({})", scope.label, scope.value)) for scope in scopes
        ]


class LogFilter(forms.Form):
    """Filter of the audit log."""

    action = forms.ChoiceField(
        label=_("Action"), required=False, choices=[("", _("all actions")), *ACTIONS.items()]
    )
    person = forms.CharField(label=_("Name"), required=False, max_length=bounds.LOGIN_NAME)
