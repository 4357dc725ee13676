"""The page of the whole paper: what it declares, what it shows, and how it is written."""

import json
import re
import sys
from html.parser import HTMLParser

import pytest
from click.testing import CliRunner

from ffn_extract.cli import main
from ffn_extract.errors import ArchitectureError, CorpusError, OptionError
from ffn_extract.measurements import MEASUREMENTS, measurement_of
from ffn_extract.measurements.in_paper import EVERYWHERE, Beside, Numbers
from ffn_extract.measurements.measurement import Figure, Line, Table
from ffn_extract.measurements.passes import Pass
from ffn_extract.paper.html import html_of
from ffn_extract.paper.page import PageCell, alternative_of, shown
from ffn_extract.paper.run import of_the_paper, write_paper
from tests.ffn_extract.measurements.small_runs import options_with

WORDS = ["the cat", "sat on", "a mat", "dogs", "saw"]
TEXTS = [" ".join(WORDS[i % 4 :]) + f" {i}" for i in range(30)]
READ = ["contribution", "saturation", "promotion"]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    path = tmp_path_factory.mktemp("paper") / "texts.txt"
    path.write_text("\n".join(TEXTS) + "\n")
    return str(path)


@pytest.fixture(scope="module")
def written(tiny_model, corpus, tmp_path_factory):
    """A page of a tiny model, with figures; its corpus is too small for suppression."""
    out = tmp_path_factory.mktemp("written") / "out"
    given = options_with(corpus, clusters=10)
    names = ["norm", *READ, "suppression"]
    return write_paper(tiny_model("gpt2"), out, given, names)


class Elements(HTMLParser):
    """Every element of a page with its attributes, its open ancestors, and its own text."""

    VOID = frozenset({"meta", "br", "path", "use", "link", "img", "rect"})

    def __init__(self, text):
        super().__init__()
        self.found, self.stack = [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes), [name for name, _ in self.stack], []))
        if tag not in self.VOID:
            self.stack.append((tag, self.found[-1]))

    def handle_startendtag(self, tag, attributes):
        self.found.append((tag, dict(attributes), [name for name, _ in self.stack], []))

    def handle_endtag(self, tag):
        if tag not in self.VOID:
            assert self.stack.pop()[0] == tag

    def handle_data(self, text):
        if self.stack:
            self.stack[-1][1][3].append(text)

    def of(self, tag):
        return [(found[1], "".join(found[3])) for found in self.found if found[0] == tag]


@pytest.fixture(scope="module")
def page(written):
    return Elements((written.folder / "paper.html").read_text())


@pytest.mark.parametrize("name", of_the_paper())
def test_every_measurement_has_a_place_in_the_paper_and_tables_that_it_writes(name):
    one = measurement_of(name)
    said = one.in_paper
    assert re.fullmatch(r"[5-6A]\.[1-5]", said.section)
    for beside in said.tables:
        columns = set(one.columns[beside.table])
        asked = {*beside.keys, *beside.where, *(n.column for n in beside.numbers)}
        for numbers in beside.numbers:
            asked |= {*numbers.where, *(("low", "high") if numbers.interval else ())}
        assert asked <= columns
        for cells in beside.paper.values():
            assert {len(key) for key in cells} == {len(beside.keys)}


@pytest.mark.parametrize("name", of_the_paper())
def test_every_footnote_is_referred_to_and_every_reference_has_one(name):
    said = measurement_of(name).in_paper
    assert set(said.references) - set(EVERYWHERE) == set(said.footnotes)


def test_measurements_of_the_earlier_paper_have_no_place():
    others = set(MEASUREMENTS) - set(of_the_paper())
    assert others == {"key-value-agreement", "composition", "residual"}


def test_footnotes_have_names_of_their_own():
    names = [note for name in of_the_paper() for note in measurement_of(name).in_paper.footnotes]
    assert len(names) == len({*names, *EVERYWHERE}) - len(EVERYWHERE)


def test_sections_stand_in_the_papers_order(page):
    headings = [text for attributes, text in page.of("h2")]
    assert headings == [
        "§5.1 Promotion and elimination", "§6.1 Turning value vectors on",
        "§A.1 Top tokens with and without the norm",
        "§A.3 Contribution of dominant sub-updates", "§A.5 Saturation events", "Footnotes",
    ]  # fmt: skip


def test_a_measurement_that_is_refused_is_a_sentence_on_the_page(written):
    sentence = written.refused["suppression"]
    assert list(written.refused) == ["suppression"]
    assert sentence.startswith("The corpus has 30 sentences")
    assert f"Not measured. {sentence}" in (written.folder / "paper.html").read_text()
    assert not (written.folder / "suppression").exists()
    for name in ("norm", *READ):
        assert (written.folder / name / "manifest.json").exists()


def test_the_papers_numbers_stand_beside_with_their_footnotes(written):
    text = (written.folder / "paper.md").read_text()
    events = text[text.index("\nEvents:") :].split("\n\n")[1].splitlines()
    assert events[0] == "| event | this model | WikiLM, paper | GPT2, paper |"
    assert re.fullmatch(
        r"\| saturation \| \d+ \| 1,184\[\^swapped\] \| 1,579\[\^swapped\] \|", events[2]
    )
    assert events[3].endswith("| 1,909 | 1,996 |")
    assert "\n[^swapped]: These two counts contradict the paper's tables 9 and 10" in text
    layers = text[text.index("\nExamples by the layer in which they saturate") :].split("\n\n")[1]
    assert layers.splitlines()[2].endswith("| 6.70% | 2.21% |")


def test_the_page_shows_the_numbers_of_the_tables(written):
    rows = (written.folder / "saturation" / "saturation.csv").read_text().splitlines()[1:]
    text = (written.folder / "paper.md").read_text()
    for row in rows:
        _, layer, _, induced, share = row.split(",")
        assert f"\n| {layer} | {float(share):.2%} | {induced} | " in text


def test_the_html_fetches_nothing_and_is_accessible(page, written):
    for tag, attributes, _, _ in page.found:
        assert tag not in {"script", "link", "img", "iframe", "object"}
        for name in ("href", "xlink:href", "src"):
            assert attributes.get(name, "#").startswith("#")
    assert page.of("html")[0][0] == {"lang": "en"}
    ids = [attributes["id"] for _, attributes, _, _ in page.found if "id" in attributes]
    assert len(ids) == len(set(ids))
    for _, attributes, _, _ in page.found:
        for name in ("href", "xlink:href"):
            assert attributes.get(name, "#")[1:] in {"", *ids}
    assert len(page.of("h1")) == 1
    assert len(page.of("table")) == len(page.of("caption")) > 6
    scopes = {attributes.get("scope") for attributes, _ in page.of("th")}
    assert scopes == {"col", "row"}
    drawings = page.of("svg")
    assert len(drawings) == 3
    for attributes, _ in drawings:
        assert attributes["role"] == "img"
        assert attributes["aria-label"].startswith("Line chart of ")
    style = page.of("style")[0][1]
    for part in ("prefers-color-scheme: dark", "@media print", "@import", "url("):
        assert (part in style) == (not part.startswith(("@import", "url")))
    assert str(written.folder) not in (written.folder / "paper.html").read_text()


def test_drawings_take_the_colours_of_the_page(written):
    text = (written.folder / "paper.html").read_text()
    assert "currentColor" in text
    assert "var(--line)" in text
    assert "#000000" not in text
    assert "figure svg text { fill: currentColor; }" in text
    assert "<metadata>" not in text


def test_markdown_names_figures_that_are_there(written):
    text = (written.folder / "paper.md").read_text()
    figures = re.findall(r"!\[Line chart [^\]]*\]\(([^)]*)\)", text)
    assert len(figures) == 3
    for figure in figures:
        assert (written.folder / figure).read_text().startswith("<?xml")


def test_rows_are_those_asked_for_and_the_papers_columns_are_last():
    table = Table(
        "t", ("layer", "group", "score", "low", "high"),
        [(0, "a", -0.5, -1.0, 0.25), (0, "b", None, None, None), (1, "a", -0.001, None, None),
         (2, "c", 9.0, None, None)],
    )  # fmt: skip
    beside = Beside(
        "t", "Caption", "{layer}",
        [Numbers("score", "of a", "{:.2f}", {"group": "a"}, interval=True),
         Numbers("score", "of b", "{:.2f}", {"group": "b"})],
        paper={"WikiLM, paper": {(1,): "7%[^note]"}},
    )  # fmt: skip
    found = shown(beside, table)
    assert found.headings == ["of a", "of b", "WikiLM, paper"]
    assert found.rows == [
        ("0", [PageCell("−0.50", "−1.00 to 0.25"), PageCell("–"), PageCell("–")]),
        ("1", [PageCell("0.00"), PageCell("–"), PageCell("7%[^note]")]),
        ("2", [PageCell("–"), PageCell("–"), PageCell("–")]),
    ]
    assert found.of_paper == 1
    few = Beside("t", "C", "{layer}, {group}", [Numbers("score", "s")], most="score")
    assert [name for name, _ in shown(few, table).rows] == ["2, c", "0, b", "1, a", "0, a"]


def test_the_alternative_of_a_figure_names_the_ends_of_each_line():
    figure = Figure("f", "T", "share", [Line("a", [0, 3], [0.25, -2.0]), Line("b", [], [])])
    assert alternative_of(figure) == (
        "Line chart of share by layer. a: from −2 in layer 3 to 0.25 in layer 0."
    )


def test_text_of_a_model_cannot_act_in_the_page(written):
    from dataclasses import replace

    title = "<script>alert(1)</script> [x](javascript:1)"
    text = html_of(replace(written.page, title=title, facts=[("model", title)]))
    assert "<script" not in text
    assert "&lt;script&gt;" in text


def test_a_second_run_refuses_to_overwrite_and_changes_nothing(written, tiny_model, corpus):
    before = (written.folder / "paper.html").read_bytes()
    with pytest.raises(OptionError, match="is not empty"):
        write_paper(tiny_model("gpt2"), written.folder, options_with(corpus), ["norm"])
    assert (written.folder / "paper.html").read_bytes() == before


def test_a_cancelled_run_goes_on_where_it_stood_with_the_same_page(
    tiny_model, corpus, tmp_path, monkeypatch
):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    given, names = options_with(corpus), ["norm", "saturation"]
    whole = write_paper(tiny_model("gpt2"), tmp_path / "whole", given, names)

    class Cancelled(Exception):
        pass

    def cancel(progress):
        if progress.step == "reading" and progress.done == 2:
            raise Cancelled

    with pytest.raises(Cancelled):
        write_paper(tiny_model("gpt2"), tmp_path / "out", given, names, cancel)
    assert not (tmp_path / "out").exists()
    ran, real = [], Pass.compute
    monkeypatch.setattr(Pass, "compute", lambda one, numbers: ran.append(1) or real(one, numbers))
    done = write_paper(tiny_model("gpt2"), tmp_path / "out", given, names)
    assert len(ran) == 1  # of three batches
    for name in ("paper.html", "paper.md"):
        assert (done.folder / name).read_bytes() == (whole.folder / name).read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out", "whole"]
    assert (
        "No figure was drawn: matplotlib is not installed" in (done.folder / "paper.md").read_text()
    )


def test_an_error_of_every_measurement_is_raised_and_leaves_nothing(tiny_model, corpus, tmp_path):
    for family, changes, error in (
        ("gpt2", {"examples": 500}, CorpusError),
        ("bert", {}, ArchitectureError),
    ):
        with pytest.raises(error):
            write_paper(tiny_model(family), tmp_path / "out", options_with(corpus, **changes), READ)
    assert list(tmp_path.iterdir()) == []


def test_clusters_that_are_too_many_are_refused_alone(tiny_model, corpus, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    given = options_with(corpus, clusters=100_000)
    done = write_paper(tiny_model("gpt2"), tmp_path / "out", given, ["clusters", "saturation"])
    assert "Give a smaller --clusters" in done.refused["clusters"]
    assert (tmp_path / "out" / "saturation" / "saturation.csv").exists()


def test_the_command_writes_the_page_and_names_what_was_not_measured(
    tiny_model, corpus, tmp_path, monkeypatch
):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    ended = CliRunner().invoke(
        main,
        ["paper", str(tiny_model("gpt2")), "--out", str(tmp_path / "out"), "--corpus", corpus,
         "--examples", "8", "--resamples", "100", "--workers", "1",
         "--only", "saturation,suppression"],
    )  # fmt: skip
    assert ended.exit_code == 0, ended.output
    assert "suppression was not measured: The corpus has 30 sentences" in ended.stdout
    assert f"paper.html and paper.md in {tmp_path / 'out'}" in ended.stdout
    assert json.loads((tmp_path / "out" / "saturation" / "manifest.json").read_bytes())


def test_a_name_that_is_no_measurement_is_refused_with_those_that_there_are(tmp_path):
    with pytest.raises(OptionError, match=r"no measurement saturations\. There are: norm, "):
        write_paper("gpt2", tmp_path / "out", options_with("wordnet"), ["saturations"])
