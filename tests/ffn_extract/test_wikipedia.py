"""Glosses from a wiki that answers well, badly, or not at all."""

import logging
import signal
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from ffn_extract import __version__
from ffn_extract.bundle import open_bundle
from ffn_extract.errors import GlossError
from ffn_extract.glosses import GLOSS_SOURCES, Gloss, gloss_each
from ffn_extract.glosses.cache import FILE, GlossCache
from ffn_extract.glosses.wiki_settings import WikiSettings
from ffn_extract.glosses.wikipedia import (
    MAX_GLOSS,
    WikipediaGlosses,
    first_sentence,
    is_title,
)
from ffn_extract.options import ExtractOptions
from ffn_extract.pipeline import extract
from tests.e2e.site import wait_for
from tests.ffn_extract.wiki_server import WikiServer, answer, by_title, page

LONDON = Gloss("capital and largest city of England", "wikipedia", "London")


class Clock:
    """Time that passes only by sleeping."""

    def __init__(self):
        self.time = 1_000_000.0
        self.sleeps = []

    def now(self):
        return self.time

    def sleep(self, seconds):
        self.sleeps.append(round(seconds, 3))
        self.time += seconds


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def wiki(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    server = WikiServer()
    yield server
    server.close()


@pytest.fixture
def open_source(wiki, clock, tmp_path):
    """A source that asks the server of the test; every call is another run with the same cache."""

    def make(**settings):
        chosen = WikiSettings(**{"url": wiki.url, "timeout_seconds": 60.0, **settings})
        return WikipediaGlosses(chosen, tmp_path / FILE, now=clock.now, sleep=clock.sleep)

    return make


def failing(status=200, headers=None, body=b""):
    return lambda title: (status, headers or {}, body)


def warnings_in(caplog):
    return [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]


@pytest.mark.parametrize(
    ("surface", "gloss"),
    [
        ("london", LONDON),
        (" London ", LONDON),
        ("obama", Gloss("44th president of the United States", "wikipedia", "Barack Obama")),
        (
            "mercury",
            Gloss("Wikimedia disambiguation page", "wikipedia-disambiguation", "Mercury"),
        ),
        (
            "lima",
            Gloss("Lima is the capital (St. 1 & co. Ltd.) of Peru.", "wikipedia", "Lima"),
        ),
        ("empty", None),
        ("xqzt", None),
    ],
)
def test_a_word_gets_the_description_of_its_page(open_source, surface, gloss):
    assert open_source().look_up(surface) == gloss


def test_each_word_costs_one_request_that_says_who_asks(open_source, wiki):
    source = open_source(contact="me@example.org")
    for word in ("london", "mercury", "xqzt"):
        source.look_up(word)
    assert wiki.titles == ["london", "mercury", "xqzt"]
    agents = {headers["User-Agent"] for _, headers in wiki.requests}
    assert len(agents) == 1
    assert agents.pop().startswith(f"ffn-concepts/{__version__} (me@example.org) wptools/")


@pytest.mark.parametrize("sign", [*"|#<>[]{}:", "\n", "\x00", "%41", "~~~", "\ufffd"])
def test_a_title_that_no_page_can_have_is_never_asked_for(open_source, wiki, sign):
    assert not is_title(f"a{sign}b")
    assert open_source().look_up(f"a{sign}b") is None
    assert wiki.requests == []


@pytest.mark.parametrize("word", ["", " ", ".", "..", "/a", "é" * 128])
def test_nor_is_one_that_is_empty_or_too_long(open_source, wiki, word):
    assert open_source().look_up(word) is None
    assert wiki.requests == []


def test_later_runs_ask_the_cache_also_for_what_the_wiki_does_not_know(open_source, wiki):
    first = [open_source().look_up(word) for word in ("london", "xqzt", "mercury")]
    again = [open_source().look_up(word) for word in ("london", "xqzt", "mercury")]
    assert first == again
    assert len(wiki.requests) == 3


def test_an_answer_past_its_age_is_asked_for_again(open_source, wiki, clock):
    open_source(days=2).look_up("london")
    clock.time += 2 * 86_400
    open_source(days=2).look_up("london")
    assert len(wiki.requests) == 1
    clock.time += 1
    wiki.reply = lambda title: answer(page("London", "another"))
    assert open_source(days=2).look_up("london").text == "another"
    assert open_source(days=2).look_up("london").text == "another"
    assert len(wiki.requests) == 2


def test_an_old_answer_is_better_than_none(open_source, wiki, clock):
    open_source().look_up("london")
    clock.time += 1000 * 86_400
    wiki.reply = failing(403)
    source = open_source()
    assert source.look_up("london") == LONDON
    assert source.look_up("london") == LONDON


def test_another_wiki_has_answers_of_its_own(open_source, wiki, tmp_path):
    open_source().look_up("london")
    other = GlossCache(tmp_path / FILE, "wikipedia", "elsewhere.example 1")
    assert other.get("london") is None
    assert GlossCache(tmp_path / FILE, "wikipedia", f"{wiki.url[7:]} 1").get("london").gloss


def test_requests_keep_their_distance(open_source, clock):
    source = open_source(seconds_between=0.5)
    for word in ("london", "mercury", "lima"):
        source.look_up(word)
    source.look_up("london")
    assert clock.sleeps == [0.5, 0.5]
    clock.time += 0.3
    source.look_up("obama")
    assert clock.sleeps == [0.5, 0.5, 0.2]


@pytest.mark.parametrize("status", [401, 403])
def test_a_refusal_is_said_once_and_not_tried_again(open_source, wiki, clock, caplog, status):
    open_source().look_up("london")
    wiki.reply = failing(status)
    source = open_source()
    found = list(gloss_each(["lima", "london", "obama", "london"], [source]))
    assert found == [None, LONDON, None, LONDON]
    assert wiki.titles == ["london", "lima"]
    (warning,) = warnings_in(caplog)
    assert f"refuses our requests ({status})" in warning
    assert "set FFN_CONTACT" in warning
    assert "a later run requests the rest" in warning
    wiki.reply = by_title
    assert open_source().look_up("obama") is not None


def test_a_wiki_that_is_busy_gets_the_pause_it_asks_for(open_source, wiki, clock):
    replies = [(429, {"Retry-After": "7"}, b""), (503, {}, b""), by_title("london")]
    wiki.reply = lambda title: replies.pop(0)
    assert open_source(seconds_between=0).look_up("london") == LONDON
    assert clock.sleeps == [7.0, 2.0]


def test_a_pause_until_a_date_is_understood(open_source, wiki, clock):
    def busy(title):
        wiki.reply = by_title
        until = format_datetime(datetime.now(UTC) + timedelta(seconds=40), usegmt=True)
        return 503, {"Retry-After": until}, b""

    wiki.reply = busy
    assert open_source(seconds_between=0).look_up("london") == LONDON
    assert 30 < clock.sleeps[0] <= 40


@pytest.mark.parametrize("nonsense", ["soon", "-5", "", "١٢", "9" * 400])
def test_a_pause_that_is_no_time_does_no_harm(open_source, wiki, clock, nonsense):
    wiki.reply = failing(429, {"Retry-After": nonsense.encode().decode("latin-1")})
    assert open_source(seconds_between=0).look_up("london") is None
    assert clock.sleeps in ([1.0, 2.0], [])


@pytest.mark.parametrize(
    ("retry_after", "sleeps"), [("5", [5.0, 5.0]), ("3600", []), (None, [1.0, 2.0])]
)
def test_too_many_requests_end_the_asking_and_are_said_once(
    open_source, wiki, clock, caplog, retry_after, sleeps
):
    wiki.reply = failing(429, {"Retry-After": retry_after} if retry_after else {})
    source = open_source(seconds_between=0)
    assert [source.look_up(word) for word in ("london", "lima", "obama")] == [None] * 3
    assert clock.sleeps == sleeps
    assert set(wiki.titles) == {"london"}
    (warning,) = warnings_in(caplog)
    assert "wants fewer requests: too many requests (429)" in warning


def test_a_failure_is_not_remembered_as_an_answer(open_source, wiki):
    wiki.reply = failing(500)
    assert open_source().look_up("london") is None
    wiki.reply = by_title
    assert open_source().look_up("london") == LONDON


WHOLE = by_title("london")[2]
BAD_ANSWERS = {
    "no JSON": (failing(body=b"<html>Hello</html>"), "its response is not JSON"),
    "no UTF-8": (failing(body=b"\xff\xfe{}"), "its response is not JSON"),
    "empty": (failing(body=b""), "its response is not JSON"),
    "cut JSON": (failing(body=WHOLE[:-9]), "its response is not JSON"),
    "nested": (failing(body=b"[" * 100_000), "its response is not JSON"),
    "list": (failing(body=b"[]"), "not from MediaWiki's API"),
    "no pages": (failing(body=b'{"query": {}}'), "not from MediaWiki's API"),
    "odd pages": (failing(body=b'{"query": {"pages": {"1": {}}}}'), "not from MediaWiki's API"),
    "odd title": (failing(body=b'{"query": {"pages": [{"title": 1}]}}'), "not from MediaWiki's"),
    "status": (failing(status=204), "a response with status 204"),
    "server": (failing(status=502), "the server fails (502)"),
    "lag": (failing(body=b'{"error": {"code": "maxlag"}}'), "its API reports maxlag"),
    "truncated": (failing(200, {"Content-Length": "99999"}, WHOLE), "missing|outstanding"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD_ANSWERS)
def test_bad_answers_are_tried_again_and_never_kept(open_source, wiki, caplog, name):
    wiki.reply, reason = BAD_ANSWERS[name]
    source = open_source()
    assert [source.look_up(word) for word in ("a", "b", "c", "d", "e")] == [None] * 5
    (warning,) = warnings_in(caplog)
    assert any(part in warning for part in reason.split("|")), warning
    assert len(wiki.requests) == (3 if name == "lag" else 9)
    wiki.reply = by_title
    assert open_source().look_up("london") == LONDON


def test_one_bad_page_does_not_end_the_asking(open_source, wiki, caplog):
    wiki.reply = lambda title: (200, {}, b"?") if title in "abc" else by_title(title)
    source = open_source()
    words = ["a", "b", "london", "c", "a", "lima"]
    assert [g is not None for g in map(source.look_up, words)] == [
        False, False, True, False, False, True,
    ]  # fmt: skip
    assert warnings_in(caplog) == []


def test_an_answer_without_end_is_cut_off_and_not_tried_again(open_source, wiki, caplog):
    wiki.reply = lambda title: answer(page("London", "x" * 400_000))
    source = open_source(max_bytes=100_000)
    assert [source.look_up(word) for word in ("a", "b", "c", "d")] == [None] * 4
    assert wiki.titles == ["a", "b", "c"]
    assert "larger than 100000 bytes" in warnings_in(caplog)[0]


def test_a_slow_wiki_costs_its_time_limit(open_source, wiki, caplog):
    def never(title):
        wiki.closing.wait(300)
        return by_title(title)

    wiki.reply = never
    source = open_source(timeout_seconds=0.2)
    assert [source.look_up(word) for word in ("a", "b", "c", "d")] == [None] * 4
    wait_for(lambda: len(wiki.requests) >= 9, pause=0.02)  # it may hear of the last ones later
    assert len(wiki.requests) == 9
    assert "timed out" in warnings_in(caplog)[0]


@pytest.mark.parametrize("status", [301, 302, 307])
def test_another_host_is_not_followed(open_source, wiki, caplog, status):
    elsewhere = WikiServer()
    try:
        wiki.reply = failing(status, {"Location": f"{elsewhere.url}/w/api.php?titles=london"})
        assert open_source().look_up("london") is None
        assert elsewhere.requests == []
    finally:
        elsewhere.close()
    assert "redirects to another address" in warnings_in(caplog)[0]


def test_a_server_that_is_no_wiki_is_named(open_source, wiki, caplog):
    assert open_source(url=f"{wiki.url}/mediawiki").look_up("london") is None
    assert "has no API at /w/api.php (404)" in warnings_in(caplog)[0]


def test_a_wiki_for_members_only_is_named(open_source, wiki, caplog):
    wiki.reply = failing(body=b'{"error": {"code": "readapidenied"}}')
    assert open_source().look_up("london") is None
    assert "needs an account" in warnings_in(caplog)[0]


def test_being_offline_is_said_once(open_source, clock, caplog):
    source = open_source(url="http://127.0.0.1:9")
    assert [source.look_up(word) for word in ("a", "b", "c")] == [None] * 3
    assert clock.sleeps == [1.0, 2.0]
    (warning,) = warnings_in(caplog)
    assert "127.0.0.1:9 cannot be reached" in warning
    assert "this machine is offline" in warning


def test_a_title_of_another_wiki_is_no_page(open_source, wiki, caplog):
    body = b'{"query": {"interwiki": [{"title": "x", "iw": "de"}]}}'
    wiki.reply = failing(body=body)
    assert open_source().look_up("x") is None
    wiki.reply = lambda title: answer({"title": "x", "invalid": True, "invalidreason": "…"})
    assert open_source().look_up("y") is None
    assert len(wiki.requests) == 2
    assert warnings_in(caplog) == []


def test_a_gloss_is_one_short_line_of_characters_that_can_be_seen(open_source, wiki):
    wiki.reply = lambda title: answer(page("Lo\u202endon", "a\u202e b\n\tc \ud800" + " word" * 99))
    gloss = open_source().look_up("london")
    assert gloss.text.startswith("a b c word word")
    assert gloss.text.endswith("word…")
    assert len(gloss.text) <= MAX_GLOSS
    assert gloss.lemma == "London"


@pytest.mark.parametrize("markup", ["<![x", "<p>a<![CDATA[b", "<!x", "<" * 9000, "&#xD800;", "<p"])
def test_broken_markup_does_no_harm(open_source, wiki, markup):
    wiki.reply = lambda title: answer(page("London", None, markup))
    open_source().look_up("london")
    assert len(wiki.requests) == 1


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("One. Two.", "One."),
        ("\n \nOne\nTwo", "One"),
        ("J. R. R. Tolkien wrote. He did.", "J. R. R. Tolkien wrote."),
        ("The U.S. Army (est. 1775. Big) is old! Yes.", "The U.S. Army (est. 1775. Big) is old!"),
        ('He said "no." Then he left.', 'He said "no."'),
        ("Version 2.0 of St. John's e.g. Is it? Yes.", "Version 2.0 of St. John's e.g. Is it?"),
        ("東京は都市。大きい。", "東京は都市。"),
        ("", ""),
    ],
)
def test_the_first_sentence_ends_where_a_reader_would_end_it(text, sentence):
    assert first_sentence(text) == sentence


def test_a_broken_cache_is_named_once_and_nothing_is_asked(open_source, wiki, tmp_path, caplog):
    (tmp_path / FILE).write_bytes(b"no database " * 1000)
    source = open_source()
    assert [source.look_up(word) for word in ("a", "b")] == [None, None]
    (warning,) = warnings_in(caplog)
    assert f"The gloss cache {tmp_path / FILE} cannot be used" in warning
    assert wiki.requests == []


def test_several_processes_share_the_cache(wiki, tmp_path):
    code = """
import sys
from pathlib import Path
from ffn_extract.glosses.cache import GlossCache
from ffn_extract.glosses import Gloss
for i in range(20):
    GlossCache(Path(sys.argv[1]), "s", "1").put(f"{sys.argv[2]} {i}", Gloss("text", "s", "lemma"))
"""
    path = tmp_path / "new" / FILE
    running = [
        subprocess.Popen([sys.executable, "-c", code, str(path), name], stderr=subprocess.PIPE)
        for name in "abc"
    ]
    assert [process.communicate()[1] for process in running] == [b""] * 3
    cache = GlossCache(path, "s", "1")
    assert all(cache.get(f"{name} {i}") for name in "abc" for i in range(20))


def test_ctrl_c_during_a_request_is_noticed_and_keeps_what_was_answered(wiki, tmp_path):
    asked = threading.Event()

    def reply(title):
        if title == "london":
            return by_title(title)
        asked.set()
        wiki.closing.wait(300)
        return by_title(title)

    wiki.reply = reply
    code = """
from ffn_extract.glosses import GLOSS_SOURCES
source = GLOSS_SOURCES["wikipedia"]()
try:
    source.look_up("london"), source.look_up("lima")
except KeyboardInterrupt:
    print("interrupted")
"""
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={"FFN_WIKI": wiki.url, "FFN_DATA_DIR": str(tmp_path), "no_proxy": "127.0.0.1"},
        # Whoever runs the tests in the background has Ctrl-C ignored, which children inherit.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    assert asked.wait(90)
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=60) == ("interrupted\n", "")  # a busy machine is slow
    assert len(wiki.requests) == 2  # not after the time-out and another try
    stored = GlossCache(tmp_path / FILE, "wikipedia", f"{wiki.url[7:]} 1")
    assert stored.get("london").gloss == LONDON
    assert stored.get("lima") is None


def test_an_extraction_with_a_wiki_that_stops_answering_ends_and_a_later_one_has_the_rest(
    wiki, tiny_model, tmp_path, monkeypatch, caplog
):
    monkeypatch.setenv("FFN_WIKI", wiki.url)
    monkeypatch.setenv("FFN_WIKI_SECONDS", "0")
    monkeypatch.setenv("FFN_DATA_DIR", str(tmp_path / "data"))
    options = ExtractOptions(("value",), per_layer=4, top_k=20, glosses=("wikipedia",))
    wiki.reply = lambda title: failing(403)(title) if len(wiki.requests) > 2 else known(title)

    def known(title):
        return answer(page(title.capitalize(), f"about {title}"))

    def glosses(out):
        rows = [row for rows in open_bundle(out).iter_tokens() for row in rows]
        return {row.display: row.gloss for row in rows if row.gloss}

    extract(str(tiny_model("bert")), tmp_path / "refused", options)
    assert glosses(tmp_path / "refused") == {"the": "about the", "cat": "about cat"}
    assert len(warnings_in(caplog)) == 1
    wiki.reply = known
    first = extract(str(tiny_model("bert")), tmp_path / "whole", options)
    assert len(glosses(tmp_path / "whole")) == 10
    assert first.parameters["glosses"] == [{"source": "wikipedia", "version": f"{wiki.url[7:]} 1"}]
    wiki.reply = failing(403)
    again = extract(str(tiny_model("bert")), tmp_path / "from-the-cache", options)
    assert again.digest == first.digest
    assert len(wiki.requests) == 3 + 8


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, WikiSettings()),
        ({"FFN_WIKI": "de.wikipedia.org"}, WikiSettings(url="https://de.wikipedia.org")),
        ({"FFN_WIKI": "http://localhost:81/a/"}, WikiSettings(url="http://localhost:81/a")),
        (
            {"FFN_CONTACT": " me@example.org ", "FFN_GLOSS_DAYS": "7", "FFN_WIKI_SECONDS": "0"},
            WikiSettings(contact="me@example.org", days=7, seconds_between=0),
        ),
    ],
)
def test_settings_come_from_the_environment(variables, expected):
    assert WikiSettings.from_environment(variables) == expected


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("FFN_WIKI", "file:///etc/passwd"),
        ("FFN_WIKI", "http://me:secret@wiki.example.org"),
        ("FFN_WIKI", "http://wiki.example.org/?a=b"),
        ("FFN_WIKI", "http://wiki example"),
        ("FFN_CONTACT", "me\r\nX-Header: 1"),
        ("FFN_CONTACT", "é"),
        ("FFN_GLOSS_DAYS", "-1"),
        ("FFN_WIKI_SECONDS", "nan"),
        ("FFN_WIKI_SECONDS", "soon"),
    ],
)
def test_a_setting_that_cannot_be_used_is_named(monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    with pytest.raises(GlossError, match=name):
        GLOSS_SOURCES["wikipedia"]()


def test_without_wptools_it_is_said_what_to_install(monkeypatch):
    monkeypatch.delitem(sys.modules, "ffn_extract.glosses.wikipedia", raising=False)
    monkeypatch.delitem(sys.modules, "ffn_extract.glosses.wiki_requests", raising=False)
    monkeypatch.setitem(sys.modules, "wptools", None)
    with pytest.raises(GlossError, match=r"wptools, which cannot be loaded.*pip install"):
        GLOSS_SOURCES["wikipedia"]()


def test_naming_the_source_does_not_import_wptools():
    code = "import sys, ffn_extract.glosses; sys.exit('wptools' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
