"""A study of trigger prefixes in a real browser: from a corpus to figure 2 of the 2021 paper.

Two annotators put prefixes into shallow and semantic patterns with the keyboard alone; the numbers
of the researcher's table are computed here again with plain fractions.
"""

import csv
import re
from collections import defaultdict
from fractions import Fraction
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.pages import logged_in, look, run
from tests.e2e.site import Site, wait_for
from tests.faults.marks import ONCE
from tests.ffn_extract.tiny_models import save_tiny_model

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("e2e-studies"), ONCE]
SENTENCES = Path(__file__).resolve().parents[2] / "fixtures" / "sentences.txt"
PEOPLE = {"rosa": "researcher", "ada": "annotator", "ben": "annotator"}
# The key of layer 1 has 10 prefixes; one key of layer 0 is never active, so it has no list.
WORLD = """
from annotation_site.accounts.models import User
from annotation_site.annotation.models import *
from annotation_site.corpus.models import KEY_KINDS, TriggerPrefixes, Vector
from tests.annotation_site.factories import *
extraction = make_extraction(kinds=KEY_KINDS, per_layer=1)
short = TriggerPrefixes.objects.get(kind="key", layer=1)
short.prefixes = short.prefixes[:10]
short.save()
Vector.objects.create(extraction=extraction, kind="key", layer=0, index=1, norm=1.0,
                      token_ids=[1], scores=[1.0])
make_prefix_study(
    extraction=extraction, researcher=User.objects.get(username="rosa"), title="What keys fire on",
    people=list(User.objects.filter(username__in=("ada", "ben"))), lists_per_layer=1,
)
"""
COMPUTE = """
from annotation_site.annotation.models import Study
from annotation_site.results.snapshots import services
snapshot = services.snapshot_refresh_now(study=Study.objects.get())
services.figures_draw(snapshot_id=snapshot.pk, for_print=True)
"""
LENGTHS = {("key", 0): 25, ("key", 1): 10, ("random-key", 0): 25, ("random-key", 1): 25}
# What each person marks in a list, in the order of typing: category and ranks of each pattern.
MARKED = {
    ("ada", "key", 0): [("shallow", [1, 2, 3, 4]), ("semantic", [4, 5, 6])],  # rank 4 is in both
    ("ben", "key", 0): [("semantic", [1, 2, 3])],
    ("ada", "key", 1): [("shallow", [1, 2, 3, 4, 5])],  # of 10 prefixes
    ("ben", "key", 1): [("shallow", [2, 3])],  # below the minimum of 3
    ("ada", "random-key", 0): [("semantic", [7, 8, 9])],
}
KEY_OF = {"shallow": "s", "semantic": "e"}


def annotate(page: Page, name: str, places: dict[str, tuple[str, int]]) -> None:
    """All four lists without a mouse."""
    page.get_by_role("link", name="Start").focus()
    page.keyboard.press("Enter")
    for position in range(1, 5):
        expect(page.locator("#position")).to_have_text(f"List {position} of 4")
        place = places[re.search(r"/lists/([0-9a-f-]+)/", page.url).group(1)]  # type: ignore[union-attr]
        expect(page.get_by_role("option")).to_have_count(LENGTHS[place])
        patterns = MARKED.get((name, *place), [])
        for number, (category, ranks) in enumerate(patterns, 1):
            page.keyboard.press("Home")
            for _ in range(ranks[0] - 1):
                page.keyboard.press("ArrowDown")
            for _ in ranks:
                page.keyboard.press(str(number))  # the cursor stays: a prefix can be in several
                page.keyboard.press("ArrowDown")
            page.keyboard.press(KEY_OF[category])
        if not patterns:
            page.keyboard.press("x")
        page.keyboard.press("Enter")
        if any(len(ranks) < 3 for _, ranks in patterns):
            expect(page.locator("#message-text")).to_contain_text("not count")
            page.keyboard.press("Enter")  # asked once, and meant
    expect(page.get_by_role("link", name="List 4")).to_be_visible()  # the submitted lists


def shares_by_hand() -> dict[tuple[str, str, str], Fraction]:
    """The shares of each kind and layer (empty: all), as METHOD defines them."""
    found = defaultdict(list)
    for (kind, layer), length in LENGTHS.items():
        of_people = []
        for name in ("ada", "ben"):
            counted = [one for one in MARKED.get((name, kind, layer), []) if len(one[1]) >= 3]
            in_ = {
                wanted: {
                    rank for category, ranks in counted if category == wanted for rank in ranks
                }
                for wanted in KEY_OF
            }
            shallow, semantic = in_["shallow"], in_["semantic"]
            of_people.append(
                {
                    "only_shallow": Fraction(len(shallow - semantic), length),
                    "both": Fraction(len(shallow & semantic), length),
                    "only_semantic": Fraction(len(semantic - shallow), length),
                    "none": Fraction(length - len(shallow | semantic), length),
                    "patterns_per_key": Fraction(len(counted)),
                    "with_pattern": Fraction(bool(counted)),
                }
            )
        for measure in of_people[0]:
            mean = sum((one[measure] for one in of_people), Fraction()) / 2
            found[kind, str(layer), measure].append(mean)
            found[kind, "", measure].append(mean)
    return {place: sum(means, Fraction()) / len(means) for place, means in found.items()}


def test_from_prefixes_to_figure_2(world: Site, browser: Browser) -> None:
    rows = world.query(
        "list(Assignment.objects.values_list('public_id', 'item__vector__kind', "
        "'item__vector__layer'))"
    )
    places = {public_id: (kind, layer) for public_id, kind, layer in rows}
    for name in ("ada", "ben"):
        annotate(logged_in(browser, world, name), name, places)
    run(world, COMPUTE)

    page = logged_in(browser, world, "rosa")
    page.goto("/studies/what-keys-fire-on/results/")
    expect(page.locator("#basis")).to_contain_text("8 annotations · 4 of 4 lists · 2 people")
    expect(page.locator("#basis")).to_contain_text("patterns from 3 prefixes")
    by_hand = shares_by_hand()
    shown = page.get_by_role("table", name="Prefixes by category").get_by_role("row")
    expect(shown.nth(1)).to_contain_text("key vectors")
    for measure in ("only_shallow", "both", "only_semantic", "none"):
        share = f"{float(100 * by_hand['key', '', measure]):.1f}%"
        expect(shown.nth(1)).to_contain_text(share)
    figure = page.get_by_role("img", name="Prefixes by the categories of their patterns")
    expect(figure).to_have_attribute(
        "alt", re.compile("layer 0: shallow only 6.0%, both categories 2.0%, semantic only 10.0%")
    )
    figure.scroll_into_view_if_needed()  # pictures further down are loaded when they are reached
    wait_for(lambda: figure.evaluate("image => image.complete && image.naturalWidth > 0"))
    missing = page.get_by_role("region", name="What is missing")
    expect(missing).to_contain_text("Keys that are never active")
    expect(missing).to_contain_text("Lists with fewer than 25 prefixes")

    with page.expect_download() as download:
        page.get_by_role("link", name="Data (Prefixes by the categories").click()
    table = csv.DictReader(Path(download.value.path()).read_text().splitlines())
    values = {(row["kind"], row["layer"], row["measure"]): float(row["value"]) for row in table}
    assert values == pytest.approx({place: float(share) for place, share in by_hand.items()})
    look(page, "results-of-prefixes")
    assert page.faults == []  # type: ignore[attr-defined]


def test_from_a_corpus_to_a_study_of_prefixes(site: Site, browser: Browser) -> None:
    save_tiny_model("llama", site.folder / "models" / "tiny-llama")
    site.add_people(root="admin", rosa="researcher", ada="annotator", ben="annotator")
    page = logged_in(browser, site, "root")
    page.get_by_role("link", name="Corpora").click()
    page.get_by_label("File").set_input_files(SENTENCES)
    page.get_by_label("Name").fill("Two dozen sentences")
    page.get_by_role("button", name="Upload").click()
    page.get_by_role("link", name="Models").click()
    page.get_by_role("link", name="Enqueue a model").click()
    page.get_by_label("Model", exact=True).select_option("tiny-llama")
    page.get_by_role("checkbox", name="value vectors", exact=True).uncheck()
    for label in ("random vectors (baseline)", "FFN updates (runs"):
        page.get_by_role("checkbox", name=label).uncheck()
    for label in ("keys, with the text prefixes", "random keys (baseline"):
        page.get_by_role("checkbox", name=label).check()
    page.get_by_label("Vectors per layer", exact=True).fill("2")
    page.get_by_text("More options").click()
    page.get_by_label("Texts for updates and keys").select_option(
        label="Two dozen sentences (24 sentences)"
    )
    page.get_by_role("button", name="Enqueue without an estimate").click()
    expect(page.get_by_text("ready", exact=True)).to_be_visible()
    expect(page.get_by_text("24 read")).to_be_visible()

    page = logged_in(browser, site, "rosa")
    page.get_by_role("link", name="New study").first.click()
    page.get_by_label("Title").fill("What keys fire on")
    page.get_by_label("Trigger prefixes").check()
    page.get_by_label("ada").check()
    page.get_by_label("ben").check()
    page.get_by_label("Lists per layer").fill("2")
    expect(page.get_by_text("2 people share it.")).to_be_visible()
    page.get_by_role("button", name="Create and open").click()
    expect(page.get_by_text("is open. Its annotators see it now.")).to_be_visible()

    page = logged_in(browser, site, "ada")
    page.get_by_role("link", name="Start").click()
    page.get_by_role("button", name="Continue to the lists").click()
    expect(page.get_by_role("option").first).to_be_visible()
    ends = page.get_by_role("option").first.locator(".prefix .token")
    expect(ends).to_have_count(1)  # the token at which the key fires
    look(page, "list-of-prefixes")
    assert page.faults == []  # type: ignore[attr-defined]
