"""A study's results in a real browser: choices, downloads, figures and what they say."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from tests.e2e.site import PASSWORD, Site, database_of_its_own

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("e2e-studies")]
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
# Two people agree on the value vectors and find nothing in the random ones; one list is skipped.
WORLD = """
import uuid
from annotation_site.annotation import submissions
from annotation_site.annotation.models import *
from annotation_site.accounts.models import User
from annotation_site.results import services
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
    submissions.assignment_submit(**send, answer=answer(*found))
snapshot = services.snapshot_refresh_now(study=study)
services.figures_print(snapshot_id=snapshot.pk)
"""
COMPUTE = """
from annotation_site.results import services
from annotation_site.results.models import Snapshot
for one in Snapshot.objects.filter(state="due"):
    services.snapshot_compute(snapshot_id=one.pk)
"""
RESULTS = "/studies/shown-in-numbers/results/"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path | None:
    """The folder of a site with a judged study, to be copied; none on real services."""
    if os.environ.get("FFN_TEST_SERVICES") == "1":
        return None
    site = Site(tmp_path_factory.mktemp("built") / "var", models=False)
    build(site)
    return site.folder


def build(site: Site) -> None:
    site.prepare()
    site.add_person("rosa", "researcher")
    site.manage("shell", "--verbosity", "0", "-c", WORLD)


@pytest.fixture
def world(built: Path | None, tmp_path: Path) -> Iterator[Site]:
    """A site of its own, without workers, with the same study."""
    site = Site(tmp_path / "var", models=False)
    with database_of_its_own(site.environment):
        if built is None:
            build(site)
        else:
            shutil.copytree(built, site.folder, dirs_exist_ok=True)
        site.start_web()
        yield site
        site.stop()


def opened(site: Site, browser: Browser, **options: object) -> Page:
    page = browser.new_context(base_url=site.address, **options).new_page()  # type: ignore[arg-type]
    page.goto("/login/")
    page.get_by_label("Name").fill("rosa")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    page.goto(RESULTS)
    return page


def test_choices_figures_and_files(world: Site, browser: Browser) -> None:
    page = opened(world, browser)
    headline = page.get_by_role("region", name="By kind of vector and model")
    # 9 and 12 of 30 tokens, the mean of two people
    expect(headline.get_by_role("row", name="value vectors 35.0%")).to_be_visible()
    expect(page.locator("#basis")).to_contain_text("16 annotations by 2 people; 8 lists; 0 skipped")

    figure = page.get_by_role("img", name="Value vectors of model-0 (4 lists, 8 annotations)")
    expect(figure).to_be_visible()
    assert figure.evaluate("image => image.complete && image.naturalWidth > 0")
    with page.expect_download() as pdf:
        page.get_by_role("link", name="Coverage across layers of model-0 as PDF").click()
    assert pdf.value.path().read_bytes().startswith(b"%PDF")
    with page.expect_download() as table:
        page.get_by_role("link", name="Coverage by kind of vector: Data").click()
    lines = table.value.path().read_text().splitlines()
    assert lines[0].startswith("model,kind,stopwords_concepts,coverage,low,high")
    assert lines[1].startswith("model-0,value,without,0.35,0.35,0.35,1.0,4,4,8,0,")

    measure = page.locator("summary", has_text="Overlap of matched patterns")
    measure.click()
    expect(page.get_by_text("matched one to one so that their Jaccard overlaps")).to_be_visible()
    expect(page.get_by_role("link", name="Jaccard (1912)")).to_be_visible()

    page.get_by_text("choose kinds, layers, people, time").click()
    page.get_by_label("random vectors").check()
    page.get_by_role("button", name="Show").click()
    expect(page.get_by_text("A choice of the answers")).to_be_visible()
    world.manage("shell", "--verbosity", "0", "-c", COMPUTE)
    # The page renews itself when the tables are there.
    expect(page.locator("#basis")).to_contain_text("8 annotations by 2 people; 4 lists")
    expect(headline.get_by_role("row", name="value vectors")).to_have_count(0)
    expect(headline.get_by_role("row", name="random vectors 0.0%")).to_be_visible()
    page.get_by_role("link", name="Hide the paper’s numbers").click()
    expect(page.get_by_role("columnheader", name="the paper’s GPT2")).to_have_count(0)
    expect(page.locator("#basis")).to_contain_text("4 lists")  # the choice stays


@pytest.mark.parametrize(
    ("scheme", "width"), [("light", 1280), ("dark", 1280), ("light", 390), ("dark", 390)]
)
def test_results_are_accessible_and_fit(
    world: Site, browser: Browser, scheme: str, width: int
) -> None:
    page = opened(world, browser, color_scheme=scheme, viewport={"width": width, "height": 844})
    for summary in page.locator("details > summary").all():
        summary.evaluate("one => { one.parentElement.open = true }")
    found = Axe().run(page, options={"runOnly": {"type": "tag", "values": RULES}})
    assert found.violations_count == 0, found.generate_report()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
