"""The annotation page in German: words and plural forms from the catalogue that it is sent."""

import pytest
from playwright.sync_api import Page, expect

from annotation_site.languages import LOCALE, messages
from tests.annotation_site.js.driver import press, reload
from tests.annotation_site.js.stub import Stub
from tests.annotation_site.translatable import CALL, sentences

pytestmark = pytest.mark.xdist_group("page")


@pytest.fixture
def german(page: Page, stub: Stub) -> Page:
    stub.language = "de"
    reload(page)
    return page


def test_buttons_states_and_plurals_are_german(german: Page):
    expect(german.locator("html")).to_have_attribute("lang", "de")
    expect(german.locator("#submit")).to_contain_text("Abgeben und weiter")
    expect(german.locator("#position")).to_contain_text("Liste 1 von")
    press(german, "1")
    expect(german.locator("#save-state")).to_have_text("Gespeichert")
    expect(german.locator("#announcer")).to_contain_text("Muster 1, 1 Token")
    press(german, "1")
    expect(german.locator("#announcer")).to_contain_text("Muster 1, 2 Tokens")
    press(german, "s Enter")
    expect(german.locator("#message-text")).to_contain_text(
        "Muster 1 hat 2 Tokens und braucht 4, um zu zählen."
    )
    press(german, "u u u Enter")
    expect(german.locator("#message-text")).to_contain_text("Markieren Sie mindestens ein Muster")


def test_tokens_glosses_and_categories_keep_their_words(german: Page, stub: Stub):
    rows = german.locator(".row")
    for shown, (display, gloss) in zip(rows.all(), stub.lists[0]["tokens"], strict=True):
        expect(shown).to_contain_text(display or "(leer)")
        if gloss:
            expect(shown.locator(".gloss")).to_have_text(gloss)
    expect(german.locator("#detail-gloss .part")).to_have_text("Substantiv")
    expect(german.locator("#detail-gloss bdi")).to_have_attribute("lang", "en")
    assert german.locator(".row .gloss:not([lang=en])").count() == 0
    assert german.locator(".row .gloss:not([translate=no], [translate=no] *)").count() == 0
    press(german, "1")
    expect(german.locator(".segment").first).to_have_text("semantic")


def test_the_dialogs_are_german(german: Page):
    press(german, "q")
    expect(german.get_by_role("dialog")).to_contain_text("Diese Liste auslassen")
    press(german, "Escape ?")
    expect(german.get_by_role("dialog")).to_contain_text("Einführung ausprobieren")


def test_every_sentence_of_the_scripts_is_translated():
    catalogue = (LOCALE / "de/LC_MESSAGES/djangojs.po").read_text()
    translated = {key.split("\0")[0] for key, _ in messages(catalogue)}
    asked = {one for one, _ in sentences("static/annotation", ".js", CALL)}
    assert asked - translated == set()
