"""The annotation page in a browser that translates pages, or beside programs that change them.

No translator runs here: what one would touch is what the browser says may be translated
(`element.translate`), and what it does to a text is done by hand.
"""

import pytest
from playwright.sync_api import Page, expect

from tests.annotation_site.js.driver import expect_list, open_list, press, reload
from tests.annotation_site.js.stub import Stub, tokens

pytestmark = pytest.mark.xdist_group("page")
# Texts with a marker word that a translator may change, and how many it may not.
OPEN = """() => {
  const open = [];
  let kept = 0;
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const holder = texts.currentNode.parentElement;
    if (!/zq/.test(texts.currentNode.data) || holder.closest('script, template')) continue;
    const older = holder.closest('.notranslate') !== null;
    if (holder.translate || !older) open.push([texts.currentNode.data, holder.outerHTML]);
    else kept += 1;
  }
  for (const node of document.querySelectorAll('[aria-label*="zq"]')) {
    if (node.translate) open.push([node.ariaLabel, 'aria-label']);
  }
  return {open, kept};
}"""
WRAP = """(word) => {
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const found = [];
  while (texts.nextNode()) if (texts.currentNode.data.includes(word)) found.push(texts.currentNode);
  for (const node of found) {
    if (node.parentElement.closest('script')) continue;
    const font = document.createElement('font');
    font.append(node.data.replaceAll(word, 'autre'));
    node.replaceWith(font);
  }
}"""


def expect_exact(page: Page, said: str = "") -> None:
    found = page.evaluate(OPEN)
    assert found["open"] == [], said
    assert found["kept"] > 0


@pytest.fixture
def marked(page: Page, stub: Stub) -> Stub:
    """Marker words wherever somebody else wrote something, but in descriptions of tokens."""
    stub.study |= {"title": "zqtitle", "categories": ["zqsemantic", "zqother", "names"]}
    stub.lists[0]["tokens"] = [
        [display, "a meaning"]
        for display, _ in tokens("zqone", "⋯zqtwo", "zqOne", "\u202ezqevil", "", "zq six")
    ]
    reload(page)
    return stub


def test_whatever_scripts_write_keeps_its_words(page: Page, marked: Stub):
    expect_exact(page)
    for keys in (
        "1 1 1 1", "j 2 2", "e", "d", "Enter", "Shift+ArrowDown Shift+ArrowDown 1", "0", "u", "U",
        "ArrowLeft", "ArrowRight", "p", "f", "Escape", "Enter", "g", "g", "?",
    ):  # fmt: skip
        press(page, keys)
        if keys == "d":
            page.keyboard.type("zqdescription")
        if keys == "?":
            expect(page.get_by_role("dialog")).to_be_visible()
        expect_exact(page, keys)
    assert page.locator(".row .gloss").first.evaluate("(e) => e.translate")
    assert page.locator("#submit").evaluate("(e) => e.translate")


def test_versions_to_choose_from_keep_their_words(page: Page, marked: Stub):
    press(page, "1 1 z d")
    page.keyboard.type("zqmine")
    press(page, "Escape")
    expect(page.locator("#save-state")).to_have_text("Saved")
    other = page.context.new_page()
    open_list(other, marked, 0)
    press(other, "j j 2 c")
    other.keyboard.type("zqcomment")
    expect(other.locator("#save-state")).to_have_text("Saved")
    other.close()
    press(page, "1")
    expect(page.get_by_role("dialog")).to_contain_text("zqcomment")
    expect_exact(page)


def test_words_that_were_changed_are_noticed_and_not_judged_in_silence(page: Page, stub: Stub):
    notice = page.locator("#rewritten")
    press(page, "x")
    expect(notice).to_be_hidden()
    page.evaluate(WRAP, "word7")
    expect(notice).to_be_visible()
    expect(notice).to_contain_text("Another program changed words in this list")
    press(page, "Enter")
    expect(page.locator("#message-text")).to_contain_text(
        "To submit the list, switch translation off"
    )
    assert stub.sent("submit") == []
    reload(page)
    expect(notice).to_be_hidden()
    press(page, "Enter")
    expect_list(page, 2)


@pytest.mark.parametrize(
    "change",
    [
        "(row) => { row.querySelector('.token').firstChild.data = 'Hahn'; }",
        "(row) => { row.querySelector('.token').remove(); }",
        "(row) => { row.querySelector('.token').textContent += ' *'; }",
        "(row) => { row.innerHTML = row.textContent.toUpperCase(); }",
    ],
)
def test_any_way_of_changing_a_token_is_noticed(page: Page, change: str):
    page.locator(".row").nth(11).evaluate(change)
    expect(page.locator("#rewritten")).to_be_visible()


def test_words_that_are_back_are_judged_again(page: Page, stub: Stub):
    token = page.locator(".row .token").nth(3)
    token.evaluate("(e) => { e.textContent = 'Hahn'; }")
    expect(page.locator("#rewritten")).to_be_visible()
    token.evaluate("(e) => { e.textContent = 'word4'; }")
    expect(page.locator("#rewritten")).to_be_hidden()
    press(page, "x Enter")
    expect_list(page, 2)


def test_changed_descriptions_and_marks_are_no_changed_words(page: Page):
    press(page, "1 1 2")
    page.locator(".row .gloss").first.evaluate("(e) => { e.textContent = 'eine Bedeutung'; }")
    # An extension may underline a word without changing it.
    page.locator(".row .token").first.evaluate("(e) => { e.innerHTML = `<b>${e.innerHTML}</b>`; }")
    press(page, "3 u")
    expect(page.locator("#rewritten")).to_be_hidden()


WRAP_ALL = """(change) => {
  const walker = document.createTreeWalker(document.querySelector('main'), NodeFilter.SHOW_TEXT);
  const texts = [];
  while (walker.nextNode()) if (walker.currentNode.data.trim()) texts.push(walker.currentNode);
  for (const text of texts) {
    const font = document.createElement('font');
    text.replaceWith(font);
    font.textContent = change ? `${text.data}s` : text.data;
  }
}"""


def test_a_whole_page_wrapped_with_its_words_unchanged_is_no_alarm(page: Page):
    page.evaluate(WRAP_ALL, False)
    page.evaluate(
        "() => document.querySelectorAll('*').forEach((e) => e.setAttribute('data-dark', '1'))"
    )
    press(page, "x Enter")
    expect_list(page, 2)
    expect(page.locator("#rewritten")).to_be_hidden()


def test_a_list_that_follows_is_watched_too(page: Page):
    press(page, "x Enter")
    expect_list(page, 2)
    expect(page.locator("#rewritten")).to_be_hidden()
    page.evaluate(WRAP_ALL, True)
    expect(page.locator("#rewritten")).to_be_visible()
