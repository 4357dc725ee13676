"""A study's results in a real browser: choices, downloads, figures and what they say."""

import hashlib
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.pages import log_in, look, run
from tests.e2e.site import Site, wait_for
from tests.faults.marks import ONCE

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("e2e-studies"), ONCE]
PEOPLE = {"rosa": "researcher"}
# Two people agree on the value vectors and find nothing in the random ones; one list is skipped.
WORLD = """
import uuid
from annotation_site.annotation.work import submissions
from annotation_site.annotation.models import *
from annotation_site.accounts.models import User
from annotation_site.results.snapshots import services
from tests.annotation_site.factories import *
study = make_study(
    researcher=User.objects.get(username="rosa"), title="Shown in numbers",
    extraction=make_extraction(per_layer=2, kinds=("value", "random")), lists_per_layer=2,
)
own = Assignment.objects.filter(item__study=study).select_related("item__vector")
for row in own.order_by("pk"):
    send = {"user": row.membership.user, "public_id": row.public_id, "base_version": 0,
            "key": uuid.uuid4(), "active_seconds": 30}
    value = row.item.vector.kind == "value"
    found = [pattern(1, list(range(1, 13 if row.membership_id % 2 else 10)))] if value else []
    submissions.assignment_submit(**send, annotation=answer(*found))
snapshot = services.snapshot_refresh_now(study=study)
services.figures_draw(snapshot_id=snapshot.pk, for_print=True)
"""
COMPUTE = """
from annotation_site.results.snapshots import services
from annotation_site.results.models import Snapshot
for one in Snapshot.objects.filter(state="due"):
    services.snapshot_compute(snapshot_id=one.pk)
"""
# A worker's own function, which waits after eight answers until the file GO is there.
WRITE = """
import pathlib, time
from annotation_site.results.files import jobs, labels_export
from annotation_site.results.models import ExportJob
labels_export.CHUNK = 8
read, chunks = labels_export._records, []
def patiently(*arguments):
    time.sleep(0.6)  # progress is written twice a second at most
    chunks.append(1)
    while len(chunks) == 2 and not pathlib.Path(GO).exists():
        time.sleep(0.1)
    return read(*arguments)
labels_export._records = patiently
jobs.export_run(job_id=ExportJob.objects.get().pk)
"""
RESULTS = "/studies/shown-in-numbers/results/"


def opened(site: Site, browser: Browser) -> Page:
    page = browser.new_context(base_url=site.address).new_page()
    log_in(page, "rosa")
    page.goto(RESULTS)
    return page


def test_headline_figures_and_files(world: Site, browser: Browser) -> None:
    page = opened(world, browser)
    headline = page.get_by_role("region", name="Coverage: the share of")
    # 9 and 12 of 30 tokens, the mean of two people; nobody finds anything in random ones
    for words in ("Value vectors 35.0%", "Random vectors 0.0%", "+35.0 points"):
        expect(headline).to_contain_text(words, use_inner_text=True)
    expect(page.locator("#basis")).to_contain_text("All annotations")
    expect(page.locator("#basis")).to_contain_text("16 annotations · 8 of 8 lists · 2 people")

    figure = page.get_by_role("img", name="Value vectors of model-0 (4 lists, 8 annotations)")
    expect(figure).to_be_visible()
    figure.scroll_into_view_if_needed()  # pictures further down are loaded when they are reached
    wait_for(lambda: figure.evaluate("image => image.complete && image.naturalWidth > 0"))
    with page.expect_download() as pdf:
        page.get_by_role("link", name="PDF (Coverage across layers of model-0)").click()
    assert pdf.value.path().read_bytes().startswith(b"%PDF")
    with page.expect_download() as png:
        page.get_by_role("link", name="PNG (Coverage across layers of model-0)").click()
    assert png.value.path().read_bytes().startswith(b"\x89PNG")
    with page.expect_download() as table:
        page.get_by_role("link", name="Data (Coverage by kind of vector)").click()
    lines = table.value.path().read_text().splitlines()
    assert lines[0].startswith("model,kind,stopwords_concepts,coverage,low,high")
    assert lines[1].startswith("model-0,value,without,0.35,0.35,0.35,1.0,4,4,8,0,")

    page.get_by_text("All measures, with definitions and sources").click()
    page.locator("#agreement summary", has_text="Overlap of matched patterns").click()
    expect(page.get_by_text("matched one to one so that their Jaccard overlaps")).to_be_visible()
    expect(page.get_by_role("link", name="Jaccard (1912)")).to_be_visible()

    page.get_by_role("link", name="4 lists").first.click()
    expect(page).to_have_url(re.compile(r"/run/lists/\?kind=value$"))


def test_a_filter_is_chosen_by_keyboard_and_the_numbers_keep_theirs(
    world: Site, browser: Browser
) -> None:
    page = opened(world, browser)
    other_tab = page.context.new_page()
    other_tab.goto(RESULTS)
    headline, basis = page.locator("#coverage"), page.locator("#basis")
    show = page.get_by_role("button", name="Show")
    expect(show).to_have_attribute("aria-disabled", "true")
    show.focus()
    page.keyboard.press("Enter")  # nothing has been changed
    expect(page).to_have_url(re.compile(r"/results/$"))
    for kind in ("value vectors", "FFN updates"):
        page.get_by_label(kind).focus()
        page.keyboard.press("Space")
    expect(show).to_have_attribute("aria-disabled", "false")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"/results/\?kinds=random&before=\d+$"))
    expect(basis.locator(".basis-name")).to_have_text("All annotations")
    expect(basis.get_by_role("status")).to_contain_text("Random vectors: ")
    expect(headline).to_contain_text("Value vectors 35.0%", use_inner_text=True)
    expect(page.get_by_label("value vectors")).not_to_be_checked()
    page.get_by_text("As in table 2 of the paper, beside").click()

    run(world, COMPUTE)
    # The page renews itself when the tables are there; the other tab keeps its own.
    expect(basis.locator(".basis-name")).to_have_text("Random vectors")
    expect(basis).to_contain_text("8 annotations · 4 of 4 lists · 2 people")
    expect(headline).not_to_contain_text("Value vectors")
    expect(other_tab.locator(".basis-name")).to_have_text("All annotations")
    expect(other_tab.locator("#coverage")).to_contain_text("35.0%")

    # From here to a third one, these stay.
    page.locator("summary", has_text="More").focus()
    page.keyboard.press("Enter")
    page.get_by_label("Tokens that a pattern needs").fill("3")
    page.keyboard.press("Enter")
    expect(basis.locator(".basis-name")).to_have_text("Random vectors")
    expect(basis.get_by_role("status")).to_contain_text("Random vectors, patterns from 3 tokens")
    basis.get_by_role("link", name="All annotations").or_(
        page.get_by_role("link", name="Results")
    ).first.click()
    expect(page.locator(".basis-name")).to_have_text("All annotations")


def test_the_methods_paragraph_is_copied_whole(world: Site, browser: Browser) -> None:
    context = browser.new_context(
        base_url=world.address, permissions=["clipboard-read", "clipboard-write"]
    )
    page = context.new_page()
    log_in(page, "rosa")
    page.goto(RESULTS)
    paragraph = page.locator("#methods")
    clamped = paragraph.evaluate("one => one.clientHeight")
    page.get_by_role("button", name="Copy").click()
    expect(page.get_by_text("Copied.")).to_be_visible()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied == paragraph.text_content()
    assert "Coverage of the value vectors of model-0 is 35.0%" in copied
    page.get_by_label("whole text").check()
    assert paragraph.evaluate("one => one.clientHeight") > clamped


def test_a_file_is_asked_for_watched_and_fetched(
    world: Site, browser: Browser, tmp_path: Path
) -> None:
    page = opened(world, browser)
    page.goto(RESULTS.replace("results", "exports"))
    expect(page.get_by_text("No files yet")).to_be_visible()
    page.get_by_label("Labels as JSON Lines").check()
    page.get_by_role("button", name="Ask for this file").click()
    files = page.get_by_role("region", name="Files of this study")
    expect(files.get_by_text("waiting for a worker")).to_be_visible()
    expect(page.get_by_text("No worker is running")).to_be_visible()

    go = tmp_path / "go"
    with ThreadPoolExecutor() as background:
        written = background.submit(run, world, WRITE.replace("GO", repr(str(go))))
        try:
            expect(files.get_by_text("8 of 16")).to_be_visible()
            expect(files.get_by_role("progressbar", name="Annotations written")).to_be_visible()
            expect(files.get_by_role("link", name="Download")).to_have_count(0)
        finally:
            go.touch()
        written.result()
    # The page renews itself.
    with page.expect_download() as download:
        files.get_by_role("link", name="Download Labels as JSON Lines").click()
    content = download.value.path().read_bytes()
    assert files.locator("code").inner_text() == hashlib.sha256(content).hexdigest()
    assert download.value.suggested_filename == "shown-in-numbers-labels.jsonl"
    assert content.count(b"\n") == 16
    assert b"rosa" not in content


def test_results_are_accessible_and_fit(world: Site, browser: Browser) -> None:
    page = opened(world, browser)
    for summary in page.locator("details > summary").all():
        summary.evaluate("one => { one.parentElement.open = true }")
    look(page, "results")


def test_results_fit_a_phone_with_the_filter_on_one_line(world: Site, browser: Browser) -> None:
    context = browser.new_context(
        base_url=world.address, viewport={"width": 390, "height": 844}, has_touch=True
    )
    page = context.new_page()
    log_in(page, "rosa")
    page.goto(RESULTS)
    card = page.locator("#filter-card")
    expect(card).not_to_have_attribute("open", "")
    assert (card.bounding_box() or {"height": 0})["height"] <= 60
    page.evaluate("scrollTo(0, 1500)")
    expect(page.locator(".basis-name")).to_be_in_viewport()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
