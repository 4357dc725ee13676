"""`make demo`, without the make: from nothing to a page, and quickly to the same page again."""

import json
import os
import re
import signal
import sqlite3
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

    def __init__(self, folder: Path, log: Path, *options: str) -> None:
        self.log = log
        inherited = {k: v for k, v in os.environ.items() if k != "DJANGO_SETTINGS_MODULE"}
        environment = {**inherited, "VAR_DIR": str(folder), "PORT": "8600", "SECRET_KEY": ""}
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "annotation_site.demo", *options],
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


STEP = re.compile(r"[\w .-]+?\.+ \d+\.\d s")


def test_the_demo_ends_at_a_page_where_real_lists_can_be_labelled(tmp_path, browser: Browser):
    folder = tmp_path / "var"
    first = Demo(folder, tmp_path / "first.log", "--small")
    try:
        said = first.log.read_text()
        steps, _, entries = said.partition("\n\n")
        assert all(STEP.fullmatch(line) for line in steps.splitlines()), said
        assert entries.rstrip().splitlines()[-1].startswith("FFN Concepts is at http://127.0.0.1:")
        kept = folder / "demo_people.json"
        assert stat.S_IMODE(kept.stat().st_mode) == 0o600
        people = json.loads(kept.read_text())
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.goto(first.address)
        for name in people:
            button = page.get_by_role("button", name=re.compile(f"^{name} "))
            expect(button).to_be_in_viewport(ratio=1)
        expect(page.get_by_text("made-up annotations")).to_be_in_viewport(ratio=1)
        page.get_by_role("button", name=re.compile("^ada ")).click()
        page.get_by_role("link", name="Start").click()
        page.get_by_role("button", name="Continue to the lists").click()
        expect(page.get_by_role("option")).to_have_count(30)
        expect(page.locator(".gloss:not(:empty)").first).to_be_visible()
        for manifest in (folder / "bundles").glob("*/manifest.json"):
            counts = json.loads(manifest.read_text())["counts"]
            assert counts["glossed"] > 1_000
            assert {"value", "random", "update"} <= set(counts["kinds"])
        # The links of the terminal: a page with a button.
        link = re.findall(r"ben +annotator +(\S+)", said)[0]
        other = browser.new_page()
        other.goto(link)
        other.get_by_role("button", name="Enter as ben").click()
        expect(other.get_by_role("link", name="ben")).to_be_visible()
    finally:
        assert first.stop() == 0
    assert "Warning" not in first.log.read_text()

    extracted = (folder / "bundles" / "demo" / "manifest.json").stat().st_mtime_ns
    second = Demo(folder, tmp_path / "second.log", "--small")
    assert second.stop() == 0
    assert json.loads(kept.read_text()) == people
    assert (folder / "bundles" / "demo" / "manifest.json").stat().st_mtime_ns == extracted


def test_a_demo_that_is_killed_while_it_reads_the_language_model_is_finished_by_the_next(tmp_path):
    folder = tmp_path / "var"

    def rows(query: str) -> list[tuple[object, ...]]:
        with sqlite3.connect(folder / "db.sqlite3", timeout=60) as connection:
            return connection.execute(query).fetchall()

    model = "SELECT state FROM corpus_extraction WHERE model_source LIKE '%.gguf'"
    first = Demo(folder, tmp_path / "first.log")
    try:
        wait_for(lambda: rows(model) == [("running",)], first.log.read_text, 300)
    finally:
        first.process.kill()
        first.process.wait()
    second = Demo(folder, tmp_path / "second.log")
    try:
        wait_for(lambda: "is open." in second.log.read_text(), second.log.read_text, 900)
    finally:
        assert second.stop() == 0
    third = Demo(folder, tmp_path / "third.log")
    assert third.stop() == 0
    assert rows(model) == [("ready",)]
    studies = rows("SELECT title, state FROM annotation_study WHERE NOT made_up ORDER BY id")
    assert studies == [
        ("Concepts in a small encoder", "open"),
        ("An encoder beside a language model", "open"),
    ]
    assert len(rows("SELECT 1 FROM annotation_study WHERE made_up")) == 1
