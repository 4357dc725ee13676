"""Template filters: stored values as people read them."""

import pytest

from annotation_site.templatetags.plain_words import browser

CHROME = "Mozilla/5.0 ({}) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0 Safari/537.36"


@pytest.mark.parametrize(
    ("says", "named"),
    [
        (CHROME.format("X11; Linux x86_64"), "Chrome, Linux"),
        (CHROME.format("Windows NT 10.0; Win64; x64") + " Edg/140.0", "Edge, Windows"),
        (CHROME.format("Linux; Android 10; K"), "Chrome, Android"),
        ("Mozilla/5.0 (Macintosh; Intel Mac OS X 14.7; rv:143.0) Gecko/20100101 Firefox/143.0",
         "Firefox, macOS"),
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, "
         "like Gecko) Version/18.6 Mobile/15E148 Safari/604.1", "Safari, iPhone"),
        ("curl/8.5.0", "curl/8.5.0"),
        ("x" * 100, "x" * 60),
        ("", ""),
    ],
)  # fmt: skip
def test_a_browser_is_named_by_what_it_says_of_itself(says, named):
    assert browser(says) == named
