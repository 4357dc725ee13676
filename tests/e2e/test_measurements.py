"""A researcher's way with measurements in a real browser: from the form to figures side by side."""

import json
import re
import zipfile
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.pages import logged_in, look
from tests.e2e.site import MODEL, Site
from tests.faults.marks import ONCE
from tests.ffn_extract.tiny_models import save_tiny_model

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("e2e-studies"), ONCE]
SENTENCES = Path(__file__).resolve().parents[2] / "fixtures" / "sentences.txt"
EXTRACTED = """
import pathlib, tempfile
from tests.annotation_site.measurements.made import extracted
for name in ("tiny", {encoder!r}):
    extracted(pathlib.Path({models!r}) / name, pathlib.Path(tempfile.mkdtemp()))
"""


def enqueue(page: Page, examples: str, *more: str) -> None:
    """Fill in the form from where it is, and press its button."""
    page.get_by_label("Corpus", exact=True).select_option(
        label="Two dozen sentences (24 sentences)"
    )
    page.get_by_label("Examples", exact=True).fill(examples)
    for name in more:
        page.get_by_label(name).check()
    expect(page.locator("#estimate")).to_contain_text("estimated, with one worker")
    page.get_by_role("button", name="Enqueue").click()


def test_from_the_form_to_figures_side_by_side(site: Site, browser: Browser, tmp_path: Path):
    models = site.folder / "models"
    save_tiny_model("gpt2", models / "tiny")
    site.add_people(rosa="researcher")
    site.run(EXTRACTED.format(models=str(models), encoder=MODEL))
    page = logged_in(browser, site, "rosa")
    page.get_by_role("link", name="Measurements").click()
    expect(page.get_by_text("No measurements yet")).to_be_visible()
    look(page, "measurements-none")

    page.get_by_role("link", name="Corpora").click()
    page.get_by_label("File").set_input_files(SENTENCES)
    page.get_by_label("Name").fill("Two dozen sentences")
    page.get_by_role("button", name="Upload").click()
    page.get_by_role("link", name="Measurements").click()
    page.get_by_role("link", name="New measurement").click()

    # What cannot be had is said at its field, and the button refuses it too.
    page.get_by_label("Model", exact=True).select_option(label=MODEL)
    expect(page.locator("#say-model")).to_contain_text("A bert model is an encoder")
    page.get_by_label("Model", exact=True).select_option(label="tiny")
    expect(page.locator("#say-model")).to_be_empty()
    page.get_by_label("Corpus", exact=True).select_option(
        label="Two dozen sentences (24 sentences)"
    )
    expect(page.locator("#say-corpus")).to_contain_text("has 24 sentences, and 2,000 examples need")
    look(page, "measurements-new")
    page.get_by_role("button", name="Enqueue").click()
    expect(page.get_by_role("heading", name="New measurement")).to_be_visible()
    expect(page.locator("#say-corpus")).to_contain_text("has 24 sentences")

    # Two at once; the model's page renews itself until they are ready.
    enqueue(page, "20", "Saturation: the layer")
    expect(page.get_by_text("2 measurements are queued.")).to_be_visible()
    rows = page.get_by_role("region", name="Measurements").get_by_role("row")
    for name in ("contribution of tiny", "saturation of tiny"):
        expect(rows.filter(has_text=name).get_by_text("ready", exact=True)).to_be_visible()
    look(page, "measurements-model")
    page.get_by_role("link", name="contribution of tiny").click()
    result = page.get_by_role("region", name="Result")
    expect(result).to_contain_text("The 10 largest sub-updates contribute")
    figure = page.get_by_role("img", name="Contribution of 10 sub-updates to the FFN update")
    expect(figure).to_be_visible()
    expect(figure).to_have_accessible_description(
        re.compile(r"^share by layer, counted from 0\. 10 largest: layer 0 \d+\.\d% \(")
    )
    look(page, "measurements-ready")

    # The whole table, by its keys, and the files as they were written.
    page.locator("summary", has_text="contribution").click()
    page.get_by_role("link", name=re.compile(r"^All \d+ rows \(contribution\)$")).click()
    page.get_by_label("group").select_option("random")
    page.get_by_role("button", name="Show").click()
    expect(page.get_by_role("status")).to_have_text("2 rows")
    look(page, "measurements-table")
    page.go_back()
    page.go_back()
    with page.expect_download() as downloaded:
        page.get_by_role("link", name="Download all as a zip").click()
    with zipfile.ZipFile(downloaded.value.path()) as archive:
        manifest = json.loads(archive.read("manifest.json"))
        assert manifest["counts"] == {"examples": 20}
        assert {"contribution.csv", "contribution.parquet", "contribution.svg", "README.md"} <= {
            *archive.namelist()
        }
        table = archive.read("contribution.csv")
    page.locator("summary", has_text="contribution").click()
    with page.expect_download() as downloaded:
        page.get_by_role("link", name="CSV (contribution)").click()
    assert downloaded.value.path().read_bytes() == table

    # Once more with another seed, and both side by side.
    page.get_by_role("link", name="Measure again with changes").click()
    page.get_by_label("Seed").fill("7")
    enqueue(page, "20")
    expect(page.get_by_text("ready", exact=True)).to_be_visible()
    page.get_by_role("button", name="Compare").click()
    differ = page.get_by_role("region", name="What differs").get_by_role("row")
    expect(differ).to_have_text([re.compile("^Parameter *A *B"), re.compile("^seed *7 *0")])
    expect(page.get_by_role("img", name=re.compile("^[AB]: Contribution of 10"))).to_have_count(2)
    look(page, "measurements-compare")

    # Deleting asks first.
    page.go_back()
    page.locator("summary", has_text="Delete").click()
    page.get_by_role("button", name="Delete this measurement").click()
    expect(page.get_by_text("The measurement is deleted.")).to_be_visible()
    expect(page.get_by_text("seed 7")).to_have_count(0)
    assert [text for text in page.faults if "422" not in text] == []  # type: ignore[attr-defined]
