"""The whole story in a real browser: a model's weights in, a coverage table out.

An admin enqueues the model, a worker extracts and loads it, a researcher makes a study, two
annotators label with the keyboard alone, and the researcher downloads a table whose every number
is recomputed here with plain fractions.
"""

import csv
import io
import os
import re
from collections import defaultdict
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from ffn_extract.errors import FFNExtractError
from ffn_extract.wordnet import open_wordnet
from tests import requires
from tests.e2e.pages import logged_in
from tests.e2e.site import MODEL, Site, wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("e2e")]
# The pictures of the README: made by `UPDATE_IMAGES=1 make test`, else looked at by nobody.
IMAGES = Path(__file__).resolve().parent.parent.parent / "docs" / "images"
LISTS_EACH = 6

# What the annotators mark, list by list: (category, ranks, stopwords). Ranks follow each other, so
# that a person types the number of the pattern once per token and the cursor walks down.
ANSWERS = {
    "ada": [
        [("semantic", range(1, 9), False), ("syntactic", range(9, 14), False)],
        [("semantic", range(1, 4), False)],  # below the minimum of 4
        [],
        [("syntactic", range(1, 13), True)],
        [("semantic", range(1, 6), False)],
        [("syntactic", range(1, 31), False)],
    ],
    "ben": [
        [("semantic", range(1, 7), False)],
        [],
        [("syntactic", range(1, 5), False), ("semantic", range(5, 9), False)],
        [("semantic", range(1, 11), False)],
        [],
        [("syntactic", range(1, 8), True), ("semantic", range(8, 12), False)],
    ],
}


@pytest.fixture
def wordnet() -> None:
    """The glosses come from WordNet."""
    try:
        open_wordnet()
    except FFNExtractError as error:
        requires.missing(str(error))


def enqueue(page: Page) -> None:
    page.get_by_role("link", name="Models").click()
    page.get_by_role("link", name="Enqueue a model").click()
    page.get_by_label("Model", exact=True).select_option(MODEL)
    page.get_by_label("Vectors per layer", exact=True).fill("1")
    page.get_by_role("button", name="Enqueue without an estimate").click()
    expect(page.get_by_role("list").filter(has_text="Project every vector")).to_be_visible()
    expect(page.get_by_text("ready", exact=True)).to_be_visible()
    expect(page.get_by_text("18 (6 value, 6 random, 6 update)")).to_be_visible()


def make_study(page: Page) -> None:
    page.get_by_role("link", name="New study").first.click()
    page.get_by_label("Title").fill("Concepts in a small encoder")
    page.get_by_label("ada").check()
    page.get_by_label("ben").check()
    expect(page.get_by_text("2 people share it.")).to_be_visible()
    page.get_by_role("button", name="Create and open").click()
    expect(page.get_by_text("is open. Its annotators see it now.")).to_be_visible()


def label_by_keyboard(page: Page, patterns: list, position: int) -> None:
    """One list, without a mouse: numbers into tokens, a letter for the category, Enter."""
    expect(page.locator("#position")).to_have_text(f"List {position} of 18")
    expect(page.get_by_role("option")).to_have_count(30)
    for number, (category, ranks, stopwords) in enumerate(patterns, 1):
        for _ in ranks:
            page.keyboard.press(str(number))
        page.keyboard.press({"semantic": "s", "syntactic": "y"}[category])
        flag = page.get_by_role("checkbox", name=re.compile("stopwords", re.I)).nth(number - 1)
        if flag.is_checked() != stopwords:  # the proposal depends on the list's words
            page.keyboard.press("p")
        expect(flag).to_be_checked(checked=stopwords)
    if patterns:
        page.keyboard.press("d")
        page.keyboard.type(f"what I see in list {position}")
        page.keyboard.press("Enter")
    else:
        page.keyboard.press("x")
    page.keyboard.press("Enter")
    if any(len(ranks) < 4 for _, ranks, _ in patterns):
        expect(page.locator("#message-text")).to_contain_text("not count")
        page.keyboard.press("Enter")  # asked once, and meant


def picture(page: Page, name: str, **options: Any) -> None:
    """A screenshot, kept in docs/images when asked for."""
    if os.environ.get("UPDATE_IMAGES"):
        IMAGES.mkdir(parents=True, exist_ok=True)
        shot = Image.open(io.BytesIO(page.screenshot(**options))).convert("RGB")
        # Few colours make a small file; this method keeps those of small coloured texts.
        shot.quantize(256, Image.Quantize.FASTOCTREE).save(IMAGES / name, optimize=True)
    assert page.screenshot(**options)


def annotate(page: Page, name: str) -> None:
    page.get_by_role("link", name="Start").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Continue to the lists")).to_be_focused()
    page.keyboard.press("Enter")
    for position, patterns in enumerate(ANSWERS[name], 1):
        label_by_keyboard(page, patterns, position)
        expect(page.locator("#position")).to_have_text(f"List {position + 1} of 18")


# What a person may see in a list: (description, key of the category, what the row's text matches).
SEEN = (
    ("money", "s", r"money|monetary|currency|bank"),
    ("vehicles", "s", r"^⋯?(boat|bikes?|truck|shuttle|car|ship|train)\b"),
    ("past tense", "y", r"^\S+ed\b"),
    ("ends in -ing", "y", r"^\S+ing\b"),
)


def label_for_the_picture(page: Page) -> None:
    """Mark what a person would see first in the next list, and leave it unsubmitted."""
    rows = [
        " ".join(row.locator(".token, .gloss").all_inner_texts())
        for row in page.locator(".row").all()
    ]
    number = 0
    for description, category, shape in SEEN:
        found = [place for place, text in enumerate(rows) if re.search(shape, text)]
        if len(found) < 4:
            continue
        number += 1
        for place in found:
            page.keyboard.press("Home")
            for _ in range(place):
                page.keyboard.press("ArrowDown")
            page.keyboard.press(str(number))
        page.keyboard.press(category)
        page.keyboard.press("d")
        page.keyboard.type(description)
        page.keyboard.press("Enter")
    expect(page.locator("#save-state")).to_have_text("Saved")
    picture(page, "annotation-page.png")
    page.emulate_media(color_scheme="dark")
    picture(page, "annotation-page-dark.png")
    page.emulate_media(color_scheme="light")
    page.set_viewport_size({"width": 390, "height": 844})
    picture(page, "annotation-page-phone.png")


def calculation_by_hand(site: Site) -> dict:
    """(kind, layer) → coverage, with stopwords, semantic, syntactic, as METHOD defines them."""
    placed = site.query(
        f"list(Assignment.objects.filter(position__lte={LISTS_EACH}).values_list("
        "'membership__user__username', 'position', 'item_id', 'item__vector__kind', "
        "'item__vector__layer'))"
    )
    by_list = defaultdict(list)
    for name, position, item, kind, layer in placed:
        counted = [p for p in ANSWERS[name][position - 1] if len(p[1]) >= 4]
        unflagged = [p for p in counted if not p[2]]

        def share(patterns: list) -> Fraction:
            return Fraction(sum(len(ranks) for _, ranks, _ in patterns), 30)

        by_list[kind, layer, item].append(
            (
                share(unflagged),
                share(counted),
                share([p for p in unflagged if p[0] == "semantic"]),
                share([p for p in unflagged if p[0] == "syntactic"]),
            )
        )
    groups = defaultdict(list)
    for (kind, layer, _), shares in by_list.items():
        mean = tuple(sum(column) / len(shares) for column in zip(*shares, strict=True))
        groups[kind, str(layer)].append(mean)
        groups[kind, ""].append(mean)
    return {
        group: tuple(float(sum(column) / len(means)) for column in zip(*means, strict=True))
        for group, means in groups.items()
    }


def read_results(page: Page, site: Site) -> bytes:
    page.get_by_role("link", name="Results").first.click()
    basis = page.locator("#basis")
    expect(basis.locator(".basis-name")).to_have_text("All annotations")
    expect(basis).to_contain_text(re.compile(r"12 annotations · .* · 2 people · "))
    expect(basis.get_by_role("status")).to_contain_text("newest")
    figure = page.get_by_role("img").first
    expect(figure).to_have_attribute("alt", re.compile("layer"))
    figure.scroll_into_view_if_needed()  # pictures further down are loaded when they are reached
    wait_for(lambda: figure.evaluate("image => image.naturalWidth"), site.said)
    page.set_viewport_size({"width": 1280, "height": 1110})
    page.evaluate("scrollTo(0, 0)")
    picture(page, "results-page.png")
    with page.expect_download() as download:
        page.locator('a[href*="/results/coverage.csv"]').first.click()
    return Path(download.value.path()).read_bytes()


def test_from_a_models_weights_to_a_coverage_table(
    stopped_site: Site, browser: Browser, wordnet, tmp_path
):
    site = stopped_site
    site.add_people(root="admin", rosa="researcher", ada="annotator", ben="annotator")
    site.start()

    enqueue(logged_in(browser, site, "root"))
    researcher = logged_in(browser, site, "rosa")
    make_study(researcher)
    annotate(logged_in(browser, site, "ben"), "ben")
    ada = logged_in(browser, site, "ada")
    annotate(ada, "ada")
    label_for_the_picture(ada)
    downloaded = read_results(researcher, site)

    expected = calculation_by_hand(site)
    rows = {
        (row["kind"], row["layer"]): row for row in csv.DictReader(io.StringIO(downloaded.decode()))
    }
    assert len(rows) == 3 + 3 * 6
    for group, row in rows.items():
        columns = ("coverage", "coverage_with_stopwords", "semantic", "syntactic")
        found = tuple(float(row[name]) if row[name] else None for name in columns)
        if group in expected:
            assert found == pytest.approx(expected[group], abs=1e-12), group
        else:
            assert (found, row["lists"]) == ((None,) * 4, "0"), group
    out = tmp_path / "coverage.csv"
    site.manage("export", "concepts-in-a-small-encoder", "coverage", "--out", str(out))
    assert out.read_bytes() == downloaded
    for page in (researcher, ada):
        assert page.faults == []  # type: ignore[attr-defined]
