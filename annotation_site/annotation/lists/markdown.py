"""Render the Markdown of guidelines and consent texts as safe HTML."""

from functools import lru_cache

import nh3
from django.utils.translation import gettext as _
from markdown_it import MarkdownIt

from annotation_site.bounds import MARKDOWN
from annotation_site.errors import Invalid

_TAGS = {
    "a", "blockquote", "br", "code", "em", "h1", "h2", "h3", "h4", "hr", "li", "ol", "p", "pre",
    "strong", "table", "tbody", "td", "th", "thead", "tr", "ul",
}  # fmt: skip
_renderer = MarkdownIt("commonmark", {"html": False}).enable("table")


# Everybody who opens a list reads the same versions. The key is the text itself, which no version
# changes; the cache lives as long as the process, and so as long as the renderer.
@lru_cache(maxsize=32)
def safe_html(text: str) -> str:
    """Render Markdown, once a process for each text; raw HTML is shown as text, and what is left is
    sanitised."""
    return nh3.clean(
        _renderer.render(text),
        tags=_TAGS,
        attributes={"a": {"href"}},
        url_schemes={"http", "https", "mailto"},
        link_rel="noopener noreferrer",
    )


def text_check(text: str) -> None:
    """Raises Invalid for a text in Markdown that is too long."""
    if len(text.strip()) > MARKDOWN:
        raise Invalid(
            _(
                "The text has %(n)s characters; at most %(most)s are allowed. Shorten it, or put "
                "a part of it on a page of your own and link to that."
            )
            % {"n": f"{len(text.strip()):,}", "most": f"{MARKDOWN:,}"}
        )
