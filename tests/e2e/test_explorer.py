"""From a word to the vectors that promote it, to what people said, to a trace and a change of it.

A tiny model is extracted by the worker, whole; the trace is computed live from the typed prompt.
"""

import pytest
from playwright.sync_api import Browser, expect

from tests.e2e.pages import logged_in, look
from tests.e2e.site import Site, wait_for
from tests.faults.marks import ONCE
from tests.ffn_extract.tiny_models import save_tiny_model

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("e2e-studies"), ONCE]
# Everybody marks the same in each list, and the study is closed: its labels are for the team.
LABELLED = """
from annotation_site.accounts.models import User
from annotation_site.annotation.models import *
from annotation_site.annotation.studies.services import study_state_change
from annotation_site.corpus.models import Extraction
from tests.annotation_site.factories import *
study = make_study(
    extraction=Extraction.objects.get(), researcher=User.objects.get(username="rosa"),
    people=list(User.objects.filter(username__in=("ada", "ben"))), lists_per_layer=64,
    kinds=("value",), title="Pieces of bytes",
)
for row in Assignment.objects.filter(item__study=study).select_related("membership__user", "item"):
    submit(row, answer(pattern(1, [1, 2, 3, 4, 5], description="pieces that begin words")))
study_state_change(study=study, state="closed")
"""
WORD = """
Token.objects.get(token_id=Vector.objects.get(kind='value', layer=0, index=0).token_ids[0]).display
"""


@pytest.fixture
def labelled(site: Site) -> Site:
    """A running site with every list of a tiny model, annotated by two people."""
    save_tiny_model("gpt2", site.folder / "models" / "tiny")
    site.add_people(rosa="researcher", ruth="researcher", ada="annotator", ben="annotator")
    site.manage("enqueue_model", "tiny", "--kinds", "value", "--per-layer", "all", "--glosses", "")
    wait_for(lambda: site.query("Extraction.objects.get().state") == "ready")
    site.run(LABELLED)
    return site


def test_from_a_word_to_a_trace_and_a_change_of_it(labelled: Site, browser: Browser) -> None:
    page = logged_in(browser, labelled, "ruth")
    page.get_by_role("link", name="Explore", exact=True).click()
    look(page, "explore")
    word = labelled.query(WORD.strip())
    page.get_by_label("Tokens").fill(word)
    page.get_by_role("button", name="Search all vectors").click()
    look(page, "explore-search")
    first = page.locator(".found-lists tbody tr").first
    expect(first).to_contain_text("pieces that begin words")
    first.get_by_role("checkbox").check()
    page.get_by_label("Name").fill("Of one word")
    page.get_by_role("button", name="Save the ticked lists").click()
    expect(page.get_by_role("heading", name="Of one word")).to_be_visible()
    look(page, "explore-set")
    page.locator(".found-lists tbody a").first.click()

    # The vector with what people said of it; those who run no study of it see no names.
    expect(page.get_by_role("heading", name="Value: what it promotes")).to_be_visible()
    said = page.get_by_role("region", name="What people called it")
    expect(said).to_contain_text("pieces that begin words")
    expect(page.get_by_text("ada", exact=True)).to_have_count(0)
    look(page, "explore-neuron")
    neuron = page.url
    page.locator(".list-card tbody a").first.click()
    expect(page.get_by_role("heading", name="Vectors that promote it")).to_be_visible()
    look(page, "explore-token")
    page.goto(neuron)
    page.get_by_role("link", name="Trace with it changed").click()

    # Computed from the typed prompt, first without the change.
    page.get_by_role("link", name="Trace without changes").click()
    page.get_by_label("Prompt").fill("the cat sat on the mat")
    page.get_by_role("button", name="Trace", exact=True).click()
    column = page.get_by_role("region", name="Layer by layer")
    expect(column.get_by_role("listitem")).to_have_count(2)
    expect(page.locator("#panel").get_by_text("pieces that begin words").first).to_be_visible()
    expect(page.locator("#panel").get_by_text("2 people").first).to_be_visible()
    look(page, "trace")

    # And an intervention, side by side with the trace without it.
    box = page.locator("#panel").get_by_role("checkbox").first
    box.check()
    page.get_by_text("Zero", exact=True).click()
    page.get_by_role("button", name="Trace again with these changes").click()
    expect(page.get_by_role("heading", name="As it is")).to_be_visible()
    expect(page.get_by_role("heading", name="With 1 vector changed")).to_be_visible()
    expect(page.get_by_text("zeroed")).to_be_visible()
    look(page, "trace-changed")
    assert page.faults == []  # type: ignore[attr-defined]

    # Somebody who annotates reaches none of these addresses.
    ada = logged_in(browser, labelled, "ada")
    expect(ada.get_by_role("link", name="Explore", exact=True)).to_have_count(0)
    for address in (page.url, neuron, "/explore/", "/explore/search/?tokens=a", "/explore/sets/"):
        assert ada.goto(address).status == 403  # type: ignore[union-attr]
