"""An admin's way with models in a real browser: estimate, upload, log, workers."""

import pytest
from playwright.sync_api import Browser, expect

from tests.annotation_site.corpus.bundles import make_bundle
from tests.e2e.pages import expect_no_barrier, logged_in
from tests.e2e.site import MODEL, Site

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("e2e-studies")]


def test_an_admin_sees_what_a_model_takes_and_uploads_a_bundle(
    site: Site, browser: Browser, tmp_path
):
    site.add_people(root="admin")
    page = logged_in(browser, site, "root")
    page.get_by_role("link", name="Models").click()
    page.get_by_role("link", name="Enqueue a model").click()
    page.get_by_label("Model", exact=True).select_option(MODEL)
    page.get_by_label("all: split by layer").check()
    page.get_by_label("FFN updates").uncheck()
    page.get_by_role("button", name="Estimate time and memory").click()
    expect(page.get_by_role("heading", name="Estimate")).to_be_visible()
    expect(page.get_by_text("9,276")).to_be_visible()  # 6 layers of 1536 values and 10 random ones
    expect(page.get_by_label("all: split by layer")).to_be_checked()
    expect_no_barrier(page)
    page.get_by_text("More options").click()
    page.get_by_label("Tokens per list").fill("0")
    expect_no_barrier(page)

    page.set_viewport_size({"width": 1280, "height": 800})
    page.get_by_role("link", name="Models").first.click()
    page.get_by_role("link", name="Import a bundle").first.click()
    bundle = make_bundle(tmp_path / "bundle")
    files = sorted(bundle.iterdir())
    page.get_by_label("Files").set_input_files(files[:2])
    page.get_by_role("button", name="Upload").click()
    expect(page.get_by_role("alert")).to_contain_text("Choose all files of a bundle")
    page.get_by_label("Files").set_input_files(files)
    page.get_by_role("button", name="Upload").click()
    expect(page.get_by_text("ready", exact=True)).to_be_visible()
    log = page.get_by_role("group", name="Lines of the log")
    expect(log).to_contain_text("Uploaded, and queued to be checked and loaded. by root")
    expect(log).to_contain_text("Ready: 2 lists are loaded.")
    expect_no_barrier(page)
    with page.expect_download() as downloaded:
        page.get_by_role("link", name="Download the manifest").click()
    assert downloaded.value.path().read_bytes() == (bundle / "manifest.json").read_bytes()
    page.goto("/".join([site.address, "models/"]))
    workers = page.get_by_role("region", name="Workers")
    expect(workers.get_by_text("alive")).to_have_count(2)
    assert [text for text in page.faults if "422" not in text] == []  # type: ignore[attr-defined]
