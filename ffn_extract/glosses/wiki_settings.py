"""Settings of requests to a wiki, from the environment."""

import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass

from ffn_extract.errors import GlossError

WIKIPEDIA = "https://en.wikipedia.org"
_URL = re.compile(r"https?://[A-Za-z0-9.-]+(:\d{1,5})?(/[\w.~-]+)*", re.ASCII)


@dataclass(frozen=True)
class WikiSettings:
    """Address of the wiki, contact, and limits of requests.

    `url` has no slash at its end; the API is at `url`/w/api.php. `contact` is an address or a page
    of whoever runs the extraction. `days` is how old an answer in the cache may be before the wiki
    is asked again, `seconds_between` the time between the starts of two requests.
    """

    url: str = WIKIPEDIA
    contact: str = ""
    days: float = 180.0
    seconds_between: float = 0.2
    timeout_seconds: float = 10.0
    tries: int = 3
    max_bytes: int = 2 << 20

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> "WikiSettings":
        """Settings from FFN_WIKI, FFN_CONTACT, FFN_WIKI_SECONDS and FFN_GLOSS_DAYS.

        Raises GlossError for a value that cannot be used.
        """
        return cls(
            url=_url(environment.get("FFN_WIKI") or cls.url),
            contact=_contact(environment.get("FFN_CONTACT", "")),
            days=_number(environment, "FFN_GLOSS_DAYS", cls.days),
            seconds_between=_number(environment, "FFN_WIKI_SECONDS", cls.seconds_between),
        )

    @property
    def place(self) -> str:
        """The wiki's address without the scheme, such as "en.wikipedia.org"."""
        return self.url.partition("://")[2]


def _url(value: str) -> str:
    url = (value if "://" in value else f"https://{value}").rstrip("/")
    if not _URL.fullmatch(url):
        raise GlossError(
            f"FFN_WIKI must be a wiki's address, such as de.wikipedia.org or "
            f"http://wiki.example.org:8080, not {value!r}."
        )
    return url


def _contact(value: str) -> str:
    contact = value.strip()
    if not contact.isascii() or not contact.isprintable() or len(contact) > 200:
        raise GlossError(
            "FFN_CONTACT must be an e-mail address or the address of a page, in ASCII and at most "
            "200 characters."
        )
    return contact


def _number(environment: Mapping[str, str], name: str, default: float) -> float:
    text = environment.get(name)
    if not text:
        return default
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 <= number < math.inf:
        raise GlossError(f"{name} must be a number of at least 0, not {text!r}.")
    return number
