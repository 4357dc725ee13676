"""`make demo`, without the make: from nothing to a page, and quickly to the same page again."""

import json
import os
import re
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.e2e.site import ROOT, wait_for

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.long,
    pytest.mark.xdist_group("e2e"),
    pytest.mark.skipif(
        os.environ.get("FFN_TEST_SERVICES") == "1", reason="The demo has its own embedded services."
    ),
]


class Demo:
    """One run of the demo in a folder."""

    def __init__(self, folder: Path, log: Path) -> None:
        self.log = log
        inherited = {k: v for k, v in os.environ.items() if k != "DJANGO_SETTINGS_MODULE"}
        environment = {**inherited, "VAR_DIR": str(folder), "PORT": "8600", "SECRET_KEY": ""}
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-W", "ignore", "-m", "annotation_site.demo"],
                cwd=ROOT, env=environment, stdout=output, stderr=output,
            )  # fmt: skip
        try:
            wait_for(lambda: "Ctrl-C" in log.read_text(), lambda: log.read_text()[-3000:], 300)
        except AssertionError:
            self.process.kill()  # nobody else knows of it; its servers end with it
            raise
        self.address = re.findall(r"http://[\d.:]+", log.read_text())[-1]

    def stop(self) -> int:
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(timeout=120)


def test_the_demo_ends_at_a_page_where_real_lists_can_be_labelled(tmp_path, browser: Browser):
    folder = tmp_path / "var"
    first = Demo(folder, tmp_path / "first.log")
    try:
        kept = folder / "demo_people.json"
        assert stat.S_IMODE(kept.stat().st_mode) == 0o600
        people = json.loads(kept.read_text())
        page = browser.new_page()
        page.goto(first.address)
        page.get_by_label("Name").fill("ada")
        page.get_by_label("Password").fill(people["ada"])
        page.keyboard.press("Enter")
        page.get_by_role("link", name="Start").click()
        page.get_by_role("button", name="Continue to the lists").click()
        expect(page.get_by_role("option")).to_have_count(30)
        expect(page.locator(".gloss:not(:empty)").first).to_be_visible()
        for manifest in (folder / "bundles").glob("*/manifest.json"):
            counts = json.loads(manifest.read_text())["counts"]
            assert counts["glossed"] > 1_000
            assert {"value", "random", "update"} <= set(counts["kinds"])
    finally:
        assert first.stop() == 0

    second = Demo(folder, tmp_path / "second.log")
    assert second.stop() == 0
    assert json.loads(kept.read_text()) == people
    assert people["ada"] in second.log.read_text()
    assert "Project every vector" in first.log.read_text()
    assert "Project every vector" not in second.log.read_text()  # nothing is made again
