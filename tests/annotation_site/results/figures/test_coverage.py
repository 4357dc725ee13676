from xml.etree import ElementTree

import pandas as pd
import pytest

from annotation_site.analysis.coverage import coverage_table
from annotation_site.results.figures.canvas import svg
from annotation_site.results.figures.coverage import coverage_across_layers, coverage_alt_text
from tests.annotation_site.analysis.hand_worked import hand_worked_labels

CATEGORIES = ["semantic", "syntactic", "names"]
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def table() -> pd.DataFrame:
    return coverage_table(
        hand_worked_labels(), min_tokens=4, categories=CATEGORIES, by=("model", "kind", "layer")
    )


def figure(
    table: pd.DataFrame,
    categories: list[str] = CATEGORIES,
    title: str = "Coverage across layers",
    layers: int | None = None,
) -> str:
    options = {"categories": categories, "title": title, "layers": layers}
    draw = coverage_across_layers(table, **options)
    description = coverage_alt_text(table, **options)
    return svg(draw, title=title, description=description).content.decode()


def part(text: str, layout: str = "wide") -> ElementTree.Element:
    """What a place of the layout shows of a figure's file."""
    found = ElementTree.fromstring(text).find(f"{SVG}svg[@class='{layout}']")
    assert found is not None
    return found


def texts(text: str, layout: str = "wide") -> list[str]:
    return ["".join(one.itertext()) for one in part(text, layout).iter(f"{SVG}text")]


def test_alt_text_says_every_number(table: pd.DataFrame) -> None:
    assert coverage_alt_text(table, categories=CATEGORIES, title="Coverage across layers") == (
        "Coverage across layers. Share of top tokens in a concept; layers count from 0. "
        "Value vectors of toy (3 lists, 5 annotations): "
        "layer 0: 55.0% (semantic 42.5%, syntactic 12.5%, names 0.0%; "
        "with stopwords/punctuation 55.0%); "
        "layer 1: 60.0% (semantic 10.0%, syntactic 40.0%, names 10.0%; "
        "with stopwords/punctuation 80.0%). "
        "Dotted line, random vectors, all layers: 0.0%. "
        "Random vectors of toy (1 of 2 lists, 2 annotations): "
        "layer 0: 0.0% (semantic 0.0%, syntactic 0.0%, names 0.0%; "
        "with stopwords/punctuation 0.0%); "
        "layer 1: no lists yet."
    )


def test_figure_is_named_and_described_for_screen_readers(table: pd.DataFrame) -> None:
    root = ElementTree.fromstring(figure(table, title="A & <B> \\1"))
    assert root.get("role") == "img"
    title, description = root.find(f"{SVG}title"), root.find(f"{SVG}desc")
    assert title is not None
    assert description is not None
    assert title.text == "A & <B> \\1"
    assert root.get("aria-labelledby") == title.get("id")
    assert root.get("aria-describedby") == description.get("id")
    assert description.text == coverage_alt_text(table, categories=CATEGORIES, title="A & <B> \\1")


def test_figure_says_what_it_shows_and_on_how_many_lists(table: pd.DataFrame) -> None:
    seen = texts(figure(table))
    for text in [
        "Coverage across layers",
        *CATEGORIES,
        "stopwords/punctuation",
        "no lists yet",
        "Value vectors",
        "3 lists, 5 annotations",
        "Random vectors",
        "1 of 2 lists, 2 annotations",
        "layer, counted from 0",
        "% of top tokens",
        "100",
    ]:
        assert text in seen
    assert "FFN updates" not in seen


def test_same_arguments_give_the_same_bytes(table: pd.DataFrame) -> None:
    text = figure(table)
    assert text == figure(table)
    assert "dc:date" not in text
    assert "atplotlib v" not in text


def test_settings_of_the_process_neither_matter_nor_change(table: pd.DataFrame) -> None:
    import matplotlib

    plain = figure(table)
    with matplotlib.rc_context({"axes.facecolor": "red", "font.size": 30, "svg.fonttype": "path"}):
        before = dict(matplotlib.rcParams)
        assert figure(table) == plain
        assert dict(matplotlib.rcParams) == before


def test_background_is_transparent_and_text_is_text(table: pd.DataFrame) -> None:
    text = figure(table)
    groups = part(text).iter(f"{SVG}g")
    background = next(one for one in groups if one.get("id") == "wide-patch_1")
    assert "fill: none" in str(background[0].get("style"))
    assert "system-ui" in text
    assert "DejaVuSans-" not in text  # glyphs drawn as paths


@pytest.mark.parametrize(("layout", "width"), [("wide", 900), ("narrow", 390)])
def test_width_is_that_of_the_page_or_the_phone(
    table: pd.DataFrame, layout: str, width: int
) -> None:
    box = str(part(figure(table), layout).get("viewBox")).split()
    assert float(box[2]) / 0.75 == width


def bars(text: str, layout: str = "wide") -> int:
    """Number of hatched and coloured bars: legend swatches and shaded areas left out."""
    groups = part(text, layout).findall(f".//{SVG}g[@id]")
    panels = [one for one in groups if str(one.get("id")).startswith(f"{layout}-axes_")]
    return sum(
        "stroke-width: 0.5" in str(path.get("style"))
        for panel in panels
        for path in panel.iter(f"{SVG}path")
    )


def test_only_shares_above_zero_get_a_bar(table: pd.DataFrame) -> None:
    # Value layer 0: semantic, syntactic. Value layer 1: three categories and stopwords.
    assert bars(figure(table)) == 2 + 4


def test_a_model_with_more_layers_than_lists_shows_them_empty(table: pd.DataFrame) -> None:
    text = figure(table, layers=4)
    assert "3" in texts(text)
    assert "layer 3: no lists yet" in text


def test_a_kind_without_any_annotation_says_so_in_its_panel(table: pd.DataFrame) -> None:
    empty = table[table["lists"] == 0]
    assert texts(figure(empty)).count("no lists yet") == 2  # legend and panel
    assert "0 of 1 list, 0 annotations" in texts(figure(empty))


@pytest.mark.parametrize("layers", [1, 12, 48])
@pytest.mark.parametrize("models", [1, 2])
def test_any_depth_and_number_of_models_can_be_drawn(layers: int, models: int) -> None:
    frame = pd.DataFrame(
        {
            "model": f"model {model}",
            "kind": kind,
            "layer": layer,
            "lists_total": 10,
            "lists": 10,
            "annotations": 20,
            "coverage": 0.6,
            "coverage_with_stopwords": 0.7,
            "semantic": 0.3,
            "syntactic": 0.2,
            "names": 0.1,
        }
        for model in range(models)
        for kind in ("value", "random", "update")
        for layer in range(layers)
    )
    text = figure(frame)
    for layout in ("wide", "narrow"):
        assert bars(text, layout) == models * 3 * layers * 4
        assert ("model 1: Value vectors" in texts(text, layout)) is (models == 2)


def test_no_category_shares_its_look_with_another_one(table: pd.DataFrame) -> None:
    names = ["semantic", "syntactic", "names", "shallow", "other", "third", "fourth"]
    root = part(figure(table.assign(**dict.fromkeys(names[3:], 0.0)), categories=names))
    swatches = [
        str(path.get("style"))
        for group in root.findall(f".//{SVG}g[@id='wide-figure_1']/{SVG}g")
        if str(group.get("id")).startswith("wide-patch_")
        for path in group.iter(f"{SVG}path")
        if "stroke-width: 0.5" in str(path.get("style"))
    ]
    assert len(swatches) == len(set(swatches)) == len(names) + 2
