"""Words of people in a data set's card, which can hold anything."""

from datetime import date
from types import SimpleNamespace

import pytest

from annotation_site.data_sets.card import _named
from annotation_site.data_sets.citation import bibtex
from annotation_site.data_sets.facts import Facts, StudyFacts


def facts(**changes):
    known = {
        "authors": ("Ada {x}\n```", "Ben"),
        "name": "study",
        "title": "One\n```\n<img src=//example.org>",
        "options": SimpleNamespace(day=date(2026, 3, 2)),
        "version": "1.0.3",
    }
    return SimpleNamespace(**{**known, **changes})


def test_no_text_closes_the_fence_of_the_citation():
    entry = bibtex(facts())
    assert "`" not in entry
    assert "  title = {{One ''' <img src=//example.org>}},\n" in entry
    assert "  author = {{Ada (x) '''} and {Ben}},\n" in entry
    assert len(entry.splitlines()) == 6


def test_a_models_name_inside_another_stays_whole():
    said = _named(SimpleNamespace(models=["gpt_2", "gpt_2_x"]), "lists of gpt_2_x and gpt_2")
    assert said == "lists of gpt\\_2\\_x and gpt\\_2"


@pytest.mark.parametrize(
    ("links", "crowd", "said"),
    [
        (2, True, "2 of them joined by an open link"),
        (0, True, "how many is not known"),
        (0, False, "All of them were invited"),
    ],
)
def test_the_card_knows_a_crowd_also_from_an_archive(links, crowd, said):
    source = SimpleNamespace(records=list, parameters={"study": {"crowd": crowd, "made_up": False}})
    known = Facts(source=source, study=StudyFacts(links, True), options=None, rows={})
    assert said in known.who
    assert known.is_crowd is bool(links or crowd)
