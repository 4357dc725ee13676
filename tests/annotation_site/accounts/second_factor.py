"""Setting up a second factor, and confirming who one is."""

import re
import time

from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value
from django.core.cache import cache
from django.test import Client

from annotation_site.accounts.models import User
from tests.annotation_site.factories import PASSWORD, log_in

ADD = "/account/second-factor/add/"
CODES = "/account/second-factor/recovery-codes/"


def code_of(secret: str) -> str:
    return format_hotp_value(hotp_value(secret, int(time.time()) // 30))


def set_up(user: User) -> tuple[str, list[str]]:
    """Set the factor up through its pages; returns the secret and the recovery codes."""
    client = log_in(user)
    confirm(client)
    secret = re.search(r'id="secret" class="mono" value="(\w+)"', page(client, ADD))[1]
    response = client.post(ADD, {"code": code_of(secret)})
    assert response["Location"] == CODES
    cache.clear()  # a code works once; these tests need the same one again within its 30 seconds
    return secret, re.search(r"<pre[^>]*>(.+?)</pre>", page(client, CODES), re.DOTALL)[1].split()


def confirm(client: Client) -> None:
    """What decides who gets in asks for the password once more."""
    client.post("/confirm/", {"password": PASSWORD})


def page(client: Client, path: str) -> str:
    return client.get(path).content.decode()
