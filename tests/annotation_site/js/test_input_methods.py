"""Input methods: keys that only choose or confirm a word do nothing on the page.

Browsers differ in what they report, and when. The sequences are those that Chrome, Firefox and
Safari send; Safari ends the composition before it reports the key that ended it.
"""

import re
from pathlib import Path

import pytest
from django.conf import settings
from playwright.sync_api import Page, expect

from tests.annotation_site.js.driver import expect_saved, members, press
from tests.annotation_site.js.stub import Stub

pytestmark = pytest.mark.xdist_group("page")
SCRIPTS = Path(settings.BASE_DIR) / "annotation_site/static"
ORDERS = {
    "Chrome": [
        ("keydown", {"keyCode": 229, "isComposing": True}),
        ("compositionend", {}),
        ("keyup", {}),
    ],
    "Firefox": [
        ("keydown", {"key": "Process", "keyCode": 229, "isComposing": True}),
        ("compositionend", {}),
        ("keyup", {}),
    ],
    "Safari": [
        ("compositionend", {}),
        ("keydown", {"keyCode": 229, "isComposing": False}),
        ("keyup", {"keyCode": 229}),
    ],
}
CODES = {"Enter": 13, "Escape": 27, " ": 32, "Backspace": 8}
# Sends one key the way a browser does while it composes; tells what the page made of it.
SEND = """([place, key, order]) => {
  const field = document.querySelector(place);
  field.focus();
  field.dispatchEvent(new CompositionEvent('compositionstart', {bubbles: true}));
  let free = true;
  for (const [type, more] of order) {
    const init = {key, code: '', bubbles: true, cancelable: true, composed: true, ...more};
    const make = type.startsWith('key') ? KeyboardEvent : CompositionEvent;
    free = field.dispatchEvent(new make(type, init)) && free;
  }
  const seen = [...document.querySelectorAll('.marks, .describe, .segment input, #none, #message')]
    .map((node) => `${node.textContent}${node.value ?? ''}${node.checked ?? ''}`);
  return {free, stays: document.activeElement === field, seen,
    dialog: document.querySelector('dialog[open]') !== null};
}"""


def commands() -> list[str]:
    """Every key that means something, as the script's own table has them."""
    text = (SCRIPTS / "annotation/keyboard.js").read_text()
    tables = "".join(re.findall(r"const (?:COMMANDS|MOVES) = \{(.*?)\};", text, re.DOTALL))
    keys = [a or b for a, b in re.findall(r"(?:'([^']+)'|\b(\w+)): '", tables)]
    assert {"j", "x", " ", "?", "Enter", "ArrowDown"} <= set(keys)
    return [*keys, *"123456789", "s", "y", "a"]


@pytest.mark.parametrize("place", [".pattern .describe", "#comment", ".row.cursor"])
@pytest.mark.parametrize("sender", ORDERS)
def test_keys_of_an_input_method_are_no_commands(page: Page, sender: str, place: str):
    press(page, "1 1 s c")
    expect(page.locator("#comment")).to_be_focused()
    before = page.evaluate(SEND, [place, "Shift", ORDERS[sender]])
    for key in commands():
        more = {"keyCode": CODES.get(key, 0)}
        order = [(name, {**more, **values}) for name, values in ORDERS[sender]]
        after = page.evaluate(SEND, [place, key, order])
        assert after == {**before, "free": True, "stays": True, "dialog": False}, key


@pytest.mark.parametrize("sender", ORDERS)
def test_after_the_conversion_enter_ends_the_description(page: Page, stub: Stub, sender: str):
    press(page, "1 1 d")
    page.keyboard.insert_text("動物")
    page.evaluate(SEND, [".describe", "Enter", ORDERS[sender]])
    page.keyboard.insert_text("no umi")
    expect(page.locator(".describe")).to_have_value("動物no umi")
    press(page, "Enter 1")
    expect_saved(page)
    assert members(page, 1) == [1, 2, 3]
    assert stub.answer()["patterns"][0]["description"] == "動物no umi"


def test_every_script_that_reads_keys_leaves_those_of_input_methods_alone():
    """But for the one that takes any key as a sign of life and does nothing else with it."""
    reads = [
        path
        for path in sorted(SCRIPTS.rglob("*.js"))
        if re.search(r"addEventListener\('key|\bonkey|\.on\('key", path.read_text())
    ]
    assert {path.name for path in reads} >= {"controls.js", "adjudication.js"}
    for path in reads:
        text = path.read_text()
        assert "isComposing(event)" in text or "DONE" in text, path.name
