"""Encryption of second factors with a key made from SECRET_KEY."""

import base64
import hashlib
from typing import Any

from allauth.mfa.models import Authenticator
from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.db import transaction

ENCRYPTED = "fernet:"


def encrypted(text: str) -> str:
    """Encrypt a secret for the database."""
    return ENCRYPTED + _cipher().encrypt(text.encode()).decode()


def decrypted(stored: str) -> str:
    """Decrypt a secret; a secret stored before encryption was introduced is returned as it is.

    Raises InvalidToken where neither the secret key nor one of its fallbacks reads it.
    """
    if not stored.startswith(ENCRYPTED):
        return stored
    return _cipher().decrypt(stored.removeprefix(ENCRYPTED)).decode()


def second_factors_renew(*, dry_run: bool = False) -> int:
    """Encrypt second factors of older keys under SECRET_KEY; returns their number.

    Afterwards the fallbacks can go. What none of the keys reads stays as it is.
    """
    count = 0
    for key in Authenticator.objects.order_by("pk").values_list("pk", flat=True):
        with transaction.atomic():  # a recovery code that is used just now comes first
            row = Authenticator.objects.select_for_update().filter(pk=key).first()
            data = _renewed(row.data) if row else None
            if row is None or data == row.data:
                continue
            count += 1
            if not dry_run:
                row.data = data
                row.save(update_fields=["data"])
    return count


def _renewed(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _renewed(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_renewed(inner) for inner in value]
    if not isinstance(value, str) or not value.startswith(ENCRYPTED):
        return value
    token = value.removeprefix(ENCRYPTED)
    try:
        _fernet(settings.SECRET_KEY).decrypt(token)
    except InvalidToken:
        try:
            return ENCRYPTED + _cipher().rotate(token).decode()
        except InvalidToken:
            return value
    return value


def _cipher() -> MultiFernet:
    """Writes with the secret key, reads with it and those before it."""
    return MultiFernet(map(_fernet, (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)))


def _fernet(secret: str) -> Fernet:
    key = hashlib.sha256(b"annotation_site second factor" + secret.encode()).digest()
    return Fernet(base64.urlsafe_b64encode(key))
