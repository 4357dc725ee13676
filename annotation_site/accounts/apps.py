"""App configuration; signals that log allauth's own actions."""

from typing import Any

from allauth.socialaccount import signals as outside
from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "annotation_site.accounts"

    def ready(self) -> None:
        from allauth.mfa import signals as mfa

        mfa.authentication_failed.connect(_log("second_factor_failed"), weak=False)
        mfa.authenticator_added.connect(_log("second_factor_added"), weak=False)
        mfa.authenticator_removed.connect(_log("second_factor_removed"), weak=False)
        mfa.authenticator_reset.connect(_log("recovery_codes_made"), weak=False)
        outside.social_account_added.connect(_log("login_service_connected"), weak=False)
        outside.social_account_removed.connect(_log("login_service_disconnected"), weak=False)


def _log(action: str) -> Any:
    def receive(sender: Any, **kwargs: Any) -> None:
        from annotation_site.accounts import audit

        factor = kwargs.get("authenticator")
        details = {"kind": factor.type} if factor else {}
        audit.record(action, target=kwargs.get("user"), **details)

    return receive
