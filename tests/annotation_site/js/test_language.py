"""The interface in another language: nothing that a person reads or hears is hard-coded.

The language is made here, with every sentence between « and »; it goes the way of a real one:
sentences found where gettext's tools find them, a compiled catalogue each for Django and for the
scripts, the page rendered in that language.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.utils.translation import trans_real
from playwright.sync_api import Page, expect

from annotation_site.languages import compiled
from tests.annotation_site.js.driver import open_list, press, reload, row
from tests.annotation_site.js.stub import Stub, tokens
from tests.annotation_site.translatable import BLOCK, CALL, SITE, TAG, sentences

pytestmark = pytest.mark.xdist_group("page")
LANGUAGE = "eo"
# What others wrote, and names: a study's texts, tokens, categories, keys.
NOT_OURS = (
    "bdi, kbd, dt, .gloss, .prose, .token, .segment, .summary, .chip, .brand-name, h1, "
    "#encyclopedia, title, script, style, noscript, #conflict-rows td bdi"
)


def write_catalogue(path: Path, messages: set[tuple[str, str]]) -> None:
    """A compiled catalogue (.mo) in which every sentence stands between « and »."""
    head = "Content-Type: text/plain; charset=UTF-8\nPlural-Forms: nplurals=2; plural=(n != 1);\n"
    entries = {"": head}
    for one, many in messages:
        entries["\0".join(filter(None, (one, many)))] = "\0".join(
            f"«{part}»" for part in filter(None, (one, many))
        )
    path.write_bytes(compiled(entries))


@pytest.fixture
def pseudo(tmp_path: Path, settings, stub: Stub) -> Iterator[Stub]:
    """The stub, serving its pages in the made language."""
    folder = tmp_path / LANGUAGE / "LC_MESSAGES"
    folder.mkdir(parents=True)
    write_catalogue(folder / "django.mo", sentences("templates", ".html", TAG, BLOCK))
    write_catalogue(folder / "djangojs.mo", sentences("static/annotation", ".js", CALL))
    settings.LOCALE_PATHS = [tmp_path]
    settings.LANGUAGES = [("en", "English"), (LANGUAGE, "Made")]
    trans_real._translations = {}
    stub.language = LANGUAGE
    yield stub
    trans_real._translations = {}


def hard_coded(page: Page) -> list[str]:
    """Every text and spoken name with a letter outside « »."""
    found = page.evaluate(
        """(notOurs) => {
          const texts = [];
          const walk = (root) => {
            const wanted = NodeFilter.SHOW_TEXT | NodeFilter.SHOW_ELEMENT;
            const nodes = document.createTreeWalker(root, wanted);
            for (let node = nodes.currentNode; node; node = nodes.nextNode()) {
              const holder = node.nodeType === Node.TEXT_NODE ? node.parentElement : node;
              if (holder?.closest?.(notOurs)) continue;
              if (node.nodeType === Node.TEXT_NODE) {
                // A sentence with somebody's words in it is read as a whole.
                const quoted = holder.querySelector(':scope > bdi')?.textContent ?? '';
                texts.push(quoted.startsWith('\u2068') ? holder.textContent : node.data);
              }
              else if (node.nodeType === Node.ELEMENT_NODE) {
                if (!node.matches('.row')) texts.push(node.getAttribute('aria-label') ?? '');
                for (const name of ['title', 'placeholder', 'alt', 'data-first', 'data-again']) {
                  texts.push(node.getAttribute(name) ?? '');
                }
                if (node.content) walk(node.content);
              }
            }
          };
          walk(document.body);
          return texts;
        }""",
        NOT_OURS,
    )
    return [text for text in found if re.search(r"[^\W\d_]{2}", outside(text))]


def outside(text: str) -> str:
    """What is left of a text without «sentences» and ⁨names⁩ of others, which may be nested."""
    for _ in range(4):
        text = re.sub(r"«[^«»]*»|\u2068[^\u2068\u2069]*\u2069", "", text)
    return text


def test_a_made_language_reaches_every_sentence_of_the_page(page: Page, pseudo: Stub):
    pseudo.lists[0]["tokens"] = tokens("Name", "name", "⋯name", "named", "")
    pseudo.study["highlight_spellings"] = True
    reload(page)
    expect(page.locator("#detail-note")).to_contain_text("«same letters as 2»")
    assert hard_coded(page) == []
    for keys in (
        "Enter", "1 1 Enter", "s Enter", "1 2 p r u U x u", "f", "Escape c Escape", "j j 0 k", "?",
        "Escape q", "Escape g g n Enter",
    ):  # fmt: skip
        press(page, keys)
        if keys[-1] in "?q":
            expect(page.get_by_role("dialog")).to_be_visible()
        assert hard_coded(page) == [], keys
    announced = page.locator("#announcer").text_content()
    assert announced
    expect(row(page, 1)).to_have_accessible_name(re.compile("^1 Name «pattern 1» "))


def test_it_reaches_what_is_said_when_something_goes_wrong(page: Page, pseudo: Stub):
    reload(page)
    press(page, "1")
    expect(page.locator("#save-state")).to_have_text("«Saved»")
    other = page.context.new_page()
    open_list(other, pseudo, 0)
    press(other, "2 s d x Enter")
    expect(other.locator("#save-state")).to_have_text("«Saved»")
    press(page, "1")
    expect(page.get_by_role("dialog")).to_be_visible()
    assert hard_coded(page) == []
    press(page, "Escape")
    expect(page.locator("#message-actions")).to_contain_text("«Compare and choose»")
    assert hard_coded(page) == []
    pseudo.status = 503
    press(other, "j 1 ?")
    expect(other.locator("#message-text")).to_contain_text("«This cannot be shown")
    expect(other.locator("#save-state")).to_contain_text("«kept on this computer»")
    assert hard_coded(other) == []


@pytest.mark.parametrize("state", ["submitted", "skipped", "expired"])
def test_it_reaches_what_is_said_of_lists_seen_before(page: Page, pseudo: Stub, state: str):
    pseudo.lists[0] |= {"state": state, "submitted": 2}
    reload(page)
    expect(page.locator("#notice")).to_contain_text("«")
    assert hard_coded(page) == []


def test_english_needs_no_catalogue(page: Page):
    assert page.locator("#catalogue").count() == 0


def test_every_sentence_of_scripts_is_one_literal():
    """Only then gettext's tools find it."""
    for path in sorted((SITE / "static/annotation").glob("*.js")):
        text = re.sub(r"//.*|export (const|function) n?gettext.*|import .*", "", path.read_text())
        calls = re.findall(r"\bn?gettext\(", text)
        assert len(calls) == len(CALL.findall(text)), path.name
