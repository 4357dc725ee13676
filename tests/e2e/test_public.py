"""From a closed study to its public page, seen without cookies, in a real browser."""

import re

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.pages import log_in, look
from tests.e2e.site import Site
from tests.faults.marks import ONCE

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("e2e-public"), ONCE]
PEOPLE = {"rosa": "researcher"}
WORLD = """
from annotation_site.annotation.models import *
from annotation_site.annotation.studies.services import study_state_change
from annotation_site.accounts.models import User
from tests.annotation_site.factories import *
study = make_study(
    researcher=User.objects.get(username="rosa"), title="Birds in layers", may_publish=True,
    extraction=make_extraction(layers=2, per_layer=3, kinds=("value", "random")),
    lists_per_layer=3, guidelines="# Look at all tokens\\n\\n- also at rare ones",
)
for row in Assignment.objects.filter(item__study=study).select_related("membership__user", "item"):
    submit(row, answer(pattern(1, [1, 2, 3, 4, 5], description="runs of words")))
study_state_change(study=study, state="closed")
"""
PAGE = "/public/birds-in-layers/"


@pytest.fixture
def published(site: Site, browser: Browser) -> Site:
    """A running site, on which a researcher published a study by its pages."""
    site.add_people(**PEOPLE)
    site.run(WORLD)
    page = browser.new_page(base_url=site.address)
    log_in(page, "rosa")
    page.goto("/studies/birds-in-layers/home/")
    page.get_by_role("link", name="Public page").first.click()
    look(page, "publish-empty")
    page.get_by_role("button", name="Prepare the page").click()
    expect(page.get_by_role("link", name="Look at the page")).to_be_visible()
    look(page, "publish-written")
    with page.context.expect_page() as opened:
        page.get_by_role("link", name="Look at the page").click()
    expect(opened.value.get_by_role("heading", name="Birds in layers")).to_be_visible()
    opened.value.close()
    assert strangers(browser, site).goto(PAGE).status == 404
    page.get_by_role("button", name="Make it public").click()
    expect(page.get_by_role("heading", name="This study is public")).to_be_visible()
    look(page, "publish-on")
    return site


def strangers(browser: Browser, site: Site) -> Page:
    return browser.new_context(base_url=site.address).new_page()


def test_a_stranger_reads_a_published_study_without_cookies_until_it_is_switched_off(
    published: Site, browser: Browser
):
    page = strangers(browser, published)
    asked: list[str] = []
    faults: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda said: faults.append(said.text) if said.type == "error" else None)
    page.goto("/public/")
    look(page, "public-list")
    page.get_by_role("link", name="Birds in layers").click()
    expect(page.get_by_role("heading", name="Birds in layers")).to_be_visible()
    expect(page.get_by_role("img", name=re.compile("Coverage"))).to_have_count(2)
    look(page, "public-study")
    asked.clear()
    page.get_by_role("searchbox").fill("word7")
    expect(page.locator("#found li").first).to_be_visible()
    page.get_by_role("searchbox").fill("word7 runs")
    expect(page.get_by_role("status")).to_have_text(re.compile(r"^\d+ lists$"))
    # Once, and then nothing; a browser fetches the icon of a page when it likes.
    assert [url.rpartition("/")[2] for url in asked if ".svg" not in url] == ["lists.json"]
    look(page, "public-search")
    page.locator("#found a").first.click()
    expect(page.locator("article:target")).to_contain_text("runs of words")
    look(page, "public-lists")
    page.go_back()
    expect(page.get_by_role("searchbox")).to_have_value("word7 runs")
    page.get_by_role("searchbox").fill("no such word")
    expect(page.get_by_role("status")).to_have_text("No list matches. Try a part of a word.")
    assert page.context.cookies() == []
    assert faults == []

    # Switching it off asks first, and is at once.
    owner = browser.new_page(base_url=published.address)
    log_in(owner, "rosa")
    owner.goto("/studies/birds-in-layers/publish/")
    owner.get_by_role("button", name="Switch it off…").click()
    owner.get_by_role("button", name="Switch it off", exact=True).click()
    expect(owner.get_by_text("Nothing of this study is public now.")).to_be_visible()
    stranger = strangers(browser, published)
    answer = stranger.goto(PAGE)
    assert answer is not None
    assert answer.status == 404
    look(stranger, "public-off")
