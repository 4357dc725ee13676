"""Where annotators look a token up: the search engines and encyclopedias that a study chooses from.

An address ends where the token comes. A page only links there, and only a person's click or key
sends the token.
"""

from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True)
class LookUp:
    """The addresses of a study's search engine and encyclopedia; empty if it has none."""

    search: str
    encyclopedia: str


SEARCH_ENGINES = MappingProxyType(
    {
        "duckduckgo": ("DuckDuckGo", "https://duckduckgo.com/?q="),
        "google": ("Google", "https://www.google.com/search?q="),
        "bing": ("Bing", "https://www.bing.com/search?q="),
        "startpage": ("Startpage", "https://www.startpage.com/do/search?q="),
        "brave": ("Brave Search", "https://search.brave.com/search?q="),
        "ecosia": ("Ecosia", "https://www.ecosia.org/search?q="),
        "qwant": ("Qwant", "https://www.qwant.com/?q="),
    }
)
"""Names and addresses of the search engines. A new one is a line here."""

NO_ENCYCLOPEDIA = ""
EDITIONS = (
    "ar", "bg", "ca", "cs", "da", "de", "el", "en", "es", "et", "eu", "fa", "fi", "fr", "he", "hi",
    "hr", "hu", "id", "it", "ja", "ko", "lt", "lv", "nl", "no", "pl", "pt", "ro", "ru", "simple",
    "sk", "sl", "sr", "sv", "th", "tr", "uk", "vi", "zh",
)  # fmt: skip
"""The language editions of Wikipedia, by the first part of their address."""


def look_up(search_engine: str = "duckduckgo", encyclopedia: str = "en") -> LookUp:
    """The addresses by the names that a study stores. Raises KeyError for an unknown engine."""
    wikipedia = f"https://{encyclopedia}.wikipedia.org/w/index.php?search="
    return LookUp(SEARCH_ENGINES[search_engine][1], wikipedia if encyclopedia else "")
