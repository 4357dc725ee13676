"""Pages as somebody sees them whose browser asks for German."""

import re

from django.test import Client

GERMAN = {"Accept-Language": "de-AT,de;q=0.9,en;q=0.5"}


def german(client: Client, url: str) -> str:
    """The text of a page, without its tags."""
    page = client.get(url, headers=GERMAN).content.decode()
    assert '<html lang="de">' in page, url
    return " ".join(re.sub(r"<[^>]+>", " ", page).split())
