"""Guidelines and consent texts: Markdown that researchers write, as HTML that is safe to show."""

import nh3
from markdown_it import MarkdownIt

_TAGS = {
    "a", "blockquote", "br", "code", "em", "h1", "h2", "h3", "h4", "hr", "li", "ol", "p", "pre",
    "strong", "table", "tbody", "td", "th", "thead", "tr", "ul",
}  # fmt: skip
_renderer = MarkdownIt("commonmark", {"html": False}).enable("table")


def safe_html(text: str) -> str:
    """Render Markdown; raw HTML is shown as text, and what is left is sanitised."""
    return nh3.clean(
        _renderer.render(text),
        tags=_TAGS,
        attributes={"a": {"href"}},
        url_schemes={"http", "https", "mailto"},
        link_rel="noopener noreferrer",
    )
