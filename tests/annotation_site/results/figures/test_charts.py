"""Figures of results: what they say in words, and that each can be drawn for page and print."""

import re
import struct
from dataclasses import asdict
from xml.etree import ElementTree

import pandas as pd
import pytest

from annotation_site.results.figures.canvas import INKS, printed, svg
from annotation_site.results.figures.charts import (
    agreement_matrix,
    coverage_by_kind,
    learning_curve,
    time_per_list,
)
from annotation_site.results.figures.coverage import coverage_across_layers, coverage_alt_text
from annotation_site.results.figures.files import PRINTED
from annotation_site.results.tables.registry import TABLES
from tests.annotation_site.analysis.hand_worked import hand_worked_labels
from tests.annotation_site.results.requests import CATEGORIES, request

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def frames() -> dict[str, pd.DataFrame]:
    study = request(hand_worked_labels(third_person=True))
    names = ("coverage", "coverage_intervals", "table_2", "agreement_of_pairs", "time_per_list")
    return {name: TABLES[name](study) for name in (*names, "learning_curve")}


def plans(frames):
    return (
        coverage_by_kind(frames["table_2"]),
        agreement_matrix(frames["agreement_of_pairs"], ["ana", "ben", "cem"]),
        time_per_list(frames["time_per_list"]),
        learning_curve(frames["learning_curve"]),
    )


def test_alt_texts_say_the_numbers(frames):
    by_kind, matrix, time, practice = (plan.alt for plan in plans(frames))
    assert "Value vectors 56.7% (95% from 5.0% to 100.0%), 3 lists" in by_kind
    assert "Random vectors 0.0%, 1 list" in by_kind  # one list: no interval, and none is claimed
    # 1 − 59·6/(60² − 27² − 33²) and 1 − 59·12/(60² − 22² − 38²), by the labels in and outside
    assert "ana and ben 0.80 (30 tokens); ana and cem 0.58 (30 tokens)" in matrix
    assert "Value vectors 40 s (middle 50% from" in time
    assert "lists 1 to 5: 55 s, agreement 84.4% (10 annotations)" in practice


def test_every_figure_is_drawn_for_the_page_and_for_print(frames):
    for plan in plans(frames):
        drawn = svg(plan.draw, title=plan.title, description=plan.alt)
        assert b'role="img"' in drawn.content
        assert b"<text" in drawn.content  # text stays text
        assert [drawn.sizes[layout][0] for layout in ("wide", "narrow")] == [900, 390]
        pdf, png = (printed(plan.draw, kind, title=plan.title) for kind in PRINTED)
        assert pdf.startswith(b"%PDF")
        assert b"/FontFile2" in pdf  # a real font, not drawn letters
        assert png.startswith(b"\x89PNG")
        assert struct.unpack(">I", png[16:20])[0] >= 2000  # pixels: 300 to the inch


def test_one_file_serves_light_and_dark_pages_and_both_layouts(frames):
    for plan in plans(frames):
        text = svg(plan.draw, title=plan.title, description=plan.alt).content.decode()
        root = ElementTree.fromstring(text)
        wide, narrow = root.findall(f"{SVG}svg")
        assert (wide.get("class"), wide.get("display")) == ("wide", None)
        assert (narrow.get("class"), narrow.get("display")) == ("narrow", "none")
        assert "@media (prefers-color-scheme: dark)" in text
        for theme in INKS.values():
            for name, colour in asdict(theme).items():
                assert f"--{name}: {colour};" in text
        # Every text has a colour of the theme but those on the matrix's cells, which are no page.
        for one in root.iter(f"{SVG}text"):
            colours = re.findall(r"(?:^|[; ])fill: ([^;]+)", one.get("style", "")) or ["#000000"]
            assert re.fullmatch(r"var\(--\w+\)|#ffffff|#000000", colours[-1]), colours
        ids = [one.get("id") for one in root.iter() if one.get("id")]
        assert len(ids) == len(set(ids))
        assert set(re.findall(r"url\(#([^)]+)", text)) <= set(ids)


def test_the_same_table_gives_the_same_files(frames):
    plan = coverage_by_kind(frames["table_2"])
    assert svg(plan.draw, title="t", description="d") == svg(plan.draw, title="t", description="d")
    for kind in PRINTED:
        assert printed(plan.draw, kind, title="t") == printed(plan.draw, kind, title="t")


def test_there_is_no_figure_of_nothing(frames):
    assert plans({name: frame.head(0) for name, frame in frames.items()}) == (None,) * 4


def test_intervals_stand_on_the_bars_and_in_the_words(frames):
    rows = frames["coverage"][frames["coverage"]["layer"].notna()]
    intervals = frames["coverage_intervals"]
    intervals = intervals[intervals["layer"].notna() & (intervals["measure"] == "coverage")]
    options = {"categories": CATEGORIES, "title": "Coverage", "intervals": intervals}
    words = coverage_alt_text(rows, **options)
    assert "layer 1: 60.0% (semantic" in words  # two lists of one layer have no interval
    known = intervals.assign(low=0.4, high=0.8)
    words = coverage_alt_text(rows, **options | {"intervals": known})
    assert "layer 1: 60.0%, 95% from 40.0% to 80.0% (semantic" in words
    draw = coverage_across_layers(rows, **options)
    assert svg(draw, title="Coverage", description=words).content.startswith(b"<?xml")


def test_a_long_model_name_stays_beside_its_points(frames):
    table = frames["table_2"]
    named = [table.assign(model=f"somebody/a-model-with-a-long-name-{n}") for n in range(2)]
    for width in (900, 390):
        figure = coverage_by_kind(pd.concat(named)).draw(INKS["light"], width)
        figure.set_dpi(300)  # as in print, where letters are not fitted to pixels
        figure.canvas.draw()
        labels = [text.get_window_extent() for text in figure.texts[1:]]
        room = figure.axes[0].get_window_extent().x0 if width == 900 else figure.bbox.x1
        assert len(labels) == 2 * len(table[table["coverage"].notna()])
        assert max(label.x1 for label in labels) <= room
