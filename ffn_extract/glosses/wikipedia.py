"""Glosses from Wikipedia, or from any other MediaWiki: a page's short description.

The Wikidata description, else the extract's first sentence. The wiki resolves its redirects
itself. A disambiguation page gives its own description, under a source of its own.
"""

import logging
import re
import time
import unicodedata
from collections.abc import Callable
from pathlib import Path

from ffn_extract.data_folder import data_folder
from ffn_extract.errors import GlossError
from ffn_extract.glosses.cache import FILE, GlossCache
from ffn_extract.glosses.gloss import Gloss
from ffn_extract.glosses.wiki_requests import (
    NoPage,
    NotNow,
    Page,
    Refused,
    TooLarge,
    Unreachable,
    ask,
)
from ffn_extract.glosses.wiki_settings import WikiSettings

SOURCE = "wikipedia"
DISAMBIGUATION = "wikipedia-disambiguation"
RULES = 1
"""Part of the version: another way to make a gloss of a page counts it up."""

MAX_WAIT_SECONDS = 60.0
"""A wiki that asks for a longer pause is left alone for the rest of the run."""

MAX_FAILURES = 3
"""So many words in a row without a usable answer, and the wiki is asked no more in this run."""

MAX_GLOSS = 300
_MAX_TITLE_BYTES = 255
_REFUSED_TITLE = re.compile(r"[|#<>\[\]{}:\x00-\x1f\x7f\ufffd\ud800-\udfff]|%[0-9A-Fa-f]{2}|~~~")
_SENTENCE_END = re.compile(r"[.!?][\"'”’)]*(?=\s+[\"'“‘(]*[^\W\d_a-z])|[。！？]")
_ABBREVIATION = re.compile(
    r"(?:^|[\s(\"'“])(?:[^\W\d_]|Mr|Mrs|Ms|Dr|St|Sts|Jr|Sr|Prof|Rev|Gen|Col|Lt|Capt|Sgt|Hon|Mt|Ft|No|"
    r"Nos|Vol|vs|ca|cf|etc|approx|lit|pl|sing|pron|abbr|Inc|Ltd|Co|Corp|Bros|(?:[^\W\d_]\.)+[^\W\d_])$"
)
_log = logging.getLogger(__name__)


class WikipediaGlosses:
    """Looks words up in a wiki one by one, and caches the responses for later runs.

    Nothing is asked before the first look-up. When the wiki cannot be reached or refuses, that is
    said once, and the source goes on with what its cache holds, whatever its age.

    Raises
    ------
    GlossError
        On construction, for a setting that cannot be used.
    """

    def __init__(
        self,
        settings: WikiSettings | None = None,
        cache_file: Path | None = None,
        *,
        now: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._settings = settings if settings is not None else WikiSettings.from_environment()
        self._cache_file = cache_file
        self._cache: GlossCache | None = None
        self._now = now
        self._sleep = sleep
        self._last_request: float | None = None
        self._failures = 0
        self._given_up = False

    @property
    def version(self) -> str:
        """The wiki's address and the number of the rules by which a page becomes a gloss."""
        return f"{self._settings.place} {RULES}"

    def look_up(self, surface: str) -> Gloss | None:
        """The description of the page whose title is the word."""
        title = surface.strip()
        if not is_title(title):
            return None
        try:
            return self._look_up(title)
        except GlossError as error:
            self._give_up(str(error))
            return None

    def _look_up(self, title: str) -> Gloss | None:
        cache = self._open_cache()
        if cache is None:
            return None
        stored = cache.get(title)
        fresh = stored is not None and stored.seconds_old <= self._settings.days * 86_400
        if stored is not None and (fresh or self._given_up):
            return stored.gloss
        if self._given_up:
            return None
        try:
            gloss = gloss_of(self._page(title))
        except NoPage:
            gloss = None
        except NotNow as failure:
            self._count_failure(failure)
            return stored.gloss if stored is not None else None
        except Refused as refusal:
            self._give_up(f"{self._settings.place} gives no glosses: {refusal}")
            return stored.gloss if stored is not None else None
        self._failures = 0
        cache.put(title, gloss)
        return gloss

    def _open_cache(self) -> GlossCache | None:
        if self._cache is None and not self._given_up:
            path = self._cache_file or data_folder() / FILE
            self._cache = GlossCache(path, SOURCE, self.version, self._now)
        return self._cache

    def _page(self, title: str) -> Page:
        """The page, with pauses between tries that double, or are what the wiki asks for."""
        for attempt in range(self._settings.tries):
            self._wait_for_turn()
            try:
                return ask(title, self._settings)
            except NotNow as failure:
                pause = failure.retry_after if failure.retry_after is not None else 2.0**attempt
                last = attempt + 1 == self._settings.tries or isinstance(failure, TooLarge)
                if last or pause > MAX_WAIT_SECONDS:
                    raise
                self._sleep(pause)
        raise AssertionError("a wiki is asked at least once")

    def _wait_for_turn(self) -> None:
        interval = self._settings.seconds_between
        if self._last_request is not None:
            wait = min(self._last_request + interval - self._now(), interval)
            if wait > 0:
                self._sleep(wait)
        self._last_request = self._now()

    def _count_failure(self, failure: NotNow) -> None:
        self._failures += 1
        place = self._settings.place
        if isinstance(failure, Unreachable):
            self._give_up(
                f"{place} cannot be reached ({failure.reason}): this machine is offline, or "
                "FFN_WIKI names no server."
            )
        elif failure.limited:
            self._give_up(
                f"{place} wants fewer requests: {failure.reason}. Try again later; what it has "
                "answered is kept. FFN_WIKI_SECONDS sets the time between two requests, and with "
                "FFN_CONTACT set Wikimedia allows more."
            )
        elif (failure.retry_after or 0) > MAX_WAIT_SECONDS:
            self._give_up(f"{place} asks for a long pause: {failure.reason}.")
        elif self._failures >= MAX_FAILURES:
            self._give_up(
                f"{place} gave no usable answer for {self._failures} words in a row: "
                f"{failure.reason}."
            )

    def _give_up(self, sentence: str) -> None:
        if not self._given_up:
            self._given_up = True
            _log.warning(
                "%s Continuing with the glosses from %s in the cache; a later run requests the "
                "rest.",
                sentence,
                SOURCE,
            )


def is_title(word: str) -> bool:
    """Whether a wiki can have a page of that title; other titles are never requested."""
    return (
        bool(word)
        and word not in (".", "..")
        and not word.startswith("/")
        and not _REFUSED_TITLE.search(word)
        and len(word.encode()) <= _MAX_TITLE_BYTES
    )


def gloss_of(page: Page) -> Gloss | None:
    """A page's gloss; None if it has neither a description nor an extract."""
    text = _shortened(_clean(page.description) or first_sentence(page.extract))
    title = _clean(page.title)
    if not text or not title:
        return None
    return Gloss(text, DISAMBIGUATION if page.disambiguation else SOURCE, title)


def first_sentence(text: str) -> str:
    """The first sentence of the first paragraph; full stops of abbreviations do not end it."""
    paragraph = next((line for line in text.splitlines() if _clean(line)), "")
    paragraph = _clean(paragraph)
    for end in _SENTENCE_END.finditer(paragraph):
        before = paragraph[: end.start()]
        open_brackets = before.count("(") > before.count(")")
        abbreviated = paragraph[end.start()] == "." and _ABBREVIATION.search(before)
        if not open_brackets and not abbreviated:
            return paragraph[: end.end()]
    return paragraph


def _clean(text: str) -> str:
    """One line without characters that cannot be seen or that move their neighbours."""
    visible = (c if c.isspace() or unicodedata.category(c)[0] != "C" else "" for c in text)
    return " ".join("".join(visible).split())


def _shortened(text: str) -> str:
    if len(text) <= MAX_GLOSS:
        return text
    return text[: MAX_GLOSS - 1].rsplit(" ", 1)[0].rstrip(" ,;:") + "…"
