"""Every page with texts that try to break out of it: an HTML parser finds none that did."""

import json
import re
from datetime import timedelta
from html.parser import HTMLParser
from urllib.parse import urlsplit
from xml.etree import ElementTree

import pytest
from django.test import Client
from django.urls import get_resolver, reverse

from annotation_site.annotation.review.adjudicated_annotations import adjudicated_annotation_open
from annotation_site.corpus.models import Extraction
from annotation_site.workers import selectors
from tests.annotation_site.addresses import address, names
from tests.annotation_site.factories import assignment_of, client_of
from tests.security.hostile import make_world, nasty

pytestmark = pytest.mark.django_db
VOID = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "wbr"}
LOADED = {"src", "srcset", "action", "formaction", "poster", "data", "hx-get", "hx-post", "hx-put"}
# Where hostile texts must have been seen, or the test would prove nothing.
SHOWN = {
    "admin", "annotator", "comment", "consent", "description", "display", "draft", "error",
    "export", "failed", "failed-log", "gloss", "guidelines", "layer-worker", "log", "machine",
    "model", "notice", "researcher", "running", "second", "source", "title", "token",
}  # fmt: skip


class Page(HTMLParser):
    """What a browser would make of a page: its tags, and what they would run or load."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.wrong: list[str] = []
        self.data: list[str] = []
        self.open: list[str] = []
        self.script: dict[str, str | None] | None = None
        self.feed(text)
        self.close()
        if self.open:
            self.wrong.append(f"left open: {self.open}")

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag.startswith("x-") or tag in ("iframe", "object", "embed", "base", "style"):
            self.wrong.append(f"<{tag}>")
        for name, value in attrs:
            address = (value or "").strip()
            if name.startswith("on") or name in ("style", "autofocus-x", "srcdoc"):
                self.wrong.append(f"<{tag} {name}>")
            is_loaded = name in LOADED or (tag == "link" and name == "href")
            if is_loaded and urlsplit(address).netloc:
                self.wrong.append(f"<{tag} {name}={address}> loads from elsewhere")
            if re.match(r"\s*(javascript|vbscript|data):", address, re.IGNORECASE) and not (
                tag == "img" and address.startswith("data:image/")
            ):
                self.wrong.append(f"<{tag} {name}={address}>")
            self.data.append(address)
        if tag == "img" and given.get("src") == "x":
            self.wrong.append("<img src=x>")
        if tag == "script":
            self.script = given
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        self.script = None
        if tag in VOID:
            return
        while self.open and self.open[-1] != tag and self.open[-1] in ("p", "li", "option", "tr",
                "td", "th", "dt", "dd", "tbody", "thead"):  # fmt: skip
            self.open.pop()  # these may be left out
        if not self.open or self.open.pop() != tag:
            self.wrong.append(f"</{tag}> closes nothing")

    def handle_data(self, data: str) -> None:
        if self.script is not None and data.strip():
            if self.script.get("type") != "application/json":
                self.wrong.append(f"inline script {data[:40]!r}")
            else:
                self.data.append(json.dumps(json.loads(data), ensure_ascii=False))
                return
        self.data.append(data)


@pytest.fixture
def world(monkeypatch):
    # The world's worker never beats, and is to be seen however long its pages take.
    monkeypatch.setattr(selectors, "ALIVE_FOR", timedelta(days=1))
    study, assignment, people = make_world()
    addresses = {name: address(name, study, assignment) for name in names(get_resolver())}
    for extraction in Extraction.objects.exclude(state="ready"):
        for name in ("corpus:extraction", "corpus:progress", "corpus:log"):
            url = reverse(name, kwargs={"public_id": extraction.public_id})
            addresses[f"{name} {extraction.state}"] = url
    for mine in people["annotator"].memberships.get().assignments.filter(position__lte=3):
        url = reverse("annotation:list", kwargs={"public_id": mine.public_id})
        addresses[f"list {mine.position}"] = url
    final = adjudicated_annotation_open(item=assignment_of(study).item, by=people["researcher"])
    addresses["final"] = reverse("annotation:adjudication", args=[final.public_id])
    for extra in ("?page=1&name=%3Cx-name%3E&token=%3Cx-query%3E&error=%3Cx-error%3E",):
        addresses |= {
            f"{name}{extra}": url + extra for name, url in list(addresses.items()) if "?" not in url
        }
    clients = {"nobody": Client(), **{role: client_of(who) for role, who in people.items()}}
    return addresses, clients


def body(response) -> bytes:
    return b"".join(response.streaming_content) if response.streaming else response.content


def test_no_text_breaks_out_of_any_page_and_no_page_loads_from_elsewhere(world):
    addresses, clients = world
    seen: set[str] = set()
    wrong: dict[str, list[str]] = {}
    pages = 0
    for role, client in clients.items():
        for name, url in addresses.items():
            response = client.get(url)
            content = body(response)
            kind = response.get("Content-Type", "").split(";")[0]
            assert response["X-Content-Type-Options"] == "nosniff"
            if kind == "text/html":
                page = Page(content.decode())
                pages += 1
                if page.wrong:
                    wrong[f"{role} {name}"] = page.wrong
                seen |= set(re.findall(r"<x-([\w-]+)>", " ".join(page.data)))
            elif kind == "image/svg+xml":
                for element in ElementTree.fromstring(content).iter():
                    assert not element.tag.endswith("}script"), name
                    assert not [a for a in element.attrib if a.lower().startswith("on")], name
            elif name.startswith(
                "annotation:script_words"
            ):  # our own translations, no text of others
                assert kind == "text/javascript"
            elif content:
                is_file = "attachment" in response.get("Content-Disposition", "")
                assert kind in ("application/json", "text/plain") or is_file, (name, kind)
    assert wrong == {}
    assert pages > 100
    assert SHOWN - seen == set()


def test_markdown_loses_what_could_run_or_load(world):
    addresses, clients = world
    for name, place in (("list 3", "guidelines"), ("annotation:consent", "consent")):
        text = clients["annotator"].get(addresses[name], follow=True).content.decode()
        assert f"x-{place}" in text
        assert Page(text).wrong == []


def test_the_parser_of_these_tests_sees_what_would_break_out():
    for text in (
        nasty("a"),
        f'<p title="{nasty("a")}"></p>',
        f"<script type=\"module\">let a = '{nasty('a')}'</script>",
        f"<title>{nasty('a')}</title>",
        "<a href=' JavaScript:alert(1)'>a</a>",
        "<img src='https://evil.example/pixel'>",
        "<link rel=stylesheet href='//evil.example/x.css'>",
        "<p style='x'></p>",
    ):
        assert Page(text).wrong, text
    assert Page("<p>&lt;x-a&gt; <a href='https://arxiv.org/abs/1'>a paper</a></p>").wrong == []
