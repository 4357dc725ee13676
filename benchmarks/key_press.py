"""From a key press to its picture: time of handler plus layout in a real Chromium.

Run ``python -m benchmarks.key_press`` in the repository's root. The page is the real template with
the real scripts, its server the stub of the tests; every press is timed until style and layout of
the whole page are up to date again. The target is a median below 16 ms, one frame. That nothing is
asked of the server in between is asserted in tests/e2e/test_annotation_page.py.
"""

import os
import statistics
import time

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")

import django

django.setup()

from playwright.sync_api import Page, sync_playwright  # noqa: E402

from benchmarks.machine import describe  # noqa: E402
from tests import requires  # noqa: E402
from tests.annotation_site.js.stub import Stub, tokens  # noqa: E402

# Moves, assignments, clearing, undo and redo, new and removed patterns, categories, flags.
KEYS = (
    "1 1 1 j 2 2 s k k 0 u U n 3 3 y p ArrowLeft Shift+J Shift+J 1 Backspace u u r u "
    "f a b Escape x u"
)
ROUNDS = 20
WORDS = ["Name", "name", "naming", "preceded", "preceding", "running", "runner", "kindness"]
TIME_KEYS = """(keys) => keys.map((name) => {
  const shiftKey = name.startsWith('Shift+');
  const event = new KeyboardEvent('keydown',
    {key: name.replace('Shift+', ''), shiftKey, bubbles: true, cancelable: true});
  const start = performance.now();
  document.activeElement.dispatchEvent(event);
  document.body.getBoundingClientRect();
  document.getElementById('tokens').lastElementChild.getBoundingClientRect();
  return performance.now() - start;
})"""


def measure(page: Page, slowdown: int) -> list[float]:
    """Milliseconds of every press, on a processor that is `slowdown` times slower."""
    session = page.context.new_cdp_session(page)
    session.send("Emulation.setCPUThrottlingRate", {"rate": slowdown})
    times: list[float] = []
    for _ in range(ROUNDS):
        times += page.evaluate(TIME_KEYS, KEYS.split())
        time.sleep(0.02)  # frames are drawn in between, as they are for a person
    return times


def main() -> None:
    stub = Stub()
    stub.study["highlight_spellings"] = True
    stub.lists[0]["tokens"] = tokens(*WORDS * 3)
    print(f"{describe()}\n{len(KEYS.split()) * ROUNDS} key presses each, handler plus layout\n")
    print("| processor | window | median | p95 | largest |")
    print("|---|---|---|---|---|")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=requires.chromium(), args=["--no-sandbox", "--disable-gpu"]
        )
        for slowdown in (1, 4):
            for width, height in ((1280, 800), (390, 844)):
                page = browser.new_page(viewport={"width": width, "height": height})
                page.goto(stub.address + stub.url(0))
                page.locator("html[data-ready]").wait_for(state="attached")
                times = sorted(measure(page, slowdown))
                print(
                    f"| {'this' if slowdown == 1 else f'{slowdown} times slower'} "
                    f"| {width} × {height} | {statistics.median(times):.1f} ms "
                    f"| {times[int(len(times) * 0.95)]:.1f} ms | {times[-1]:.1f} ms |"
                )
                page.close()
        browser.close()
    stub.server.shutdown()


if __name__ == "__main__":
    main()
