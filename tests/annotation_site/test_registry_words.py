"""Words of packages that do not import Django: all are collected for catalogues."""

import numpy as np
import pytest
from django.utils.translation import gettext_lazy

from annotation_site.analysis.comparisons import _impossible
from annotation_site.analysis.estimates.lists import Span, near_bounds
from annotation_site.analysis.estimates.models import CHOSEN, _few, _no_list
from annotation_site.analysis.intervals import Interval
from annotation_site.analysis.strata import FEW_LISTS_WARNING, joined, too_near
from annotation_site.corpus.forms import EnqueueForm
from annotation_site.results.pages.remarks import remark
from ffn_extract.bundle.manifest import UNEMBEDDINGS
from tests.annotation_site.collected_words import collected, marked
from tests.annotation_site.pseudo_locale import outside, pseudo_locale
from tests.annotation_site.registry_words import TARGET, literals, module, registry_words


def test_every_word_of_options_steps_and_measures_is_collected():
    """If not: python -m tests.annotation_site.registry_words."""
    assert TARGET.read_text() == module()
    assert set(registry_words()) == marked(module()) <= collected()


def test_an_added_word_is_missed(monkeypatch, tmp_path):
    """In an option, beside a step, and in a module of the measures."""
    with monkeypatch.context() as changed:
        changed.setattr(EnqueueForm.base_fields["seed"], "label", gettext_lazy("Luck"))
        assert "Luck" in registry_words()
        assert module() != TARGET.read_text()
    with monkeypatch.context() as changed:
        changed.setitem(UNEMBEDDINGS, "new", "another way")
        assert module() != TARGET.read_text()
    (tmp_path / "new.py").write_text(
        '"""A docstring."""\nNEW = "no interval: a new reason"\n'
        'def f():\n    raise ValueError("not shown on pages")\n'
    )
    assert list(literals(tmp_path / "new.py")) == ["no interval: a new reason"]


REMARKS = (
    *Interval(0.1, 0.1, 10_000, 3).warnings(),
    *Interval(np.nan, np.nan, 10_000, 10_000).warnings(),
    too_near(np.zeros(30)),
    too_near(np.ones(30)),
    FEW_LISTS_WARNING,
    _impossible({"smallest": 0.25, "smallest_adjusted": 0.5}),
    _impossible({"smallest": 0.01, "smallest_adjusted": 0.25}),
    f"no estimate: {CHOSEN}",
    *(
        f"no estimate: {_no_list(layers, kind)}"
        for layers in ([1], [1, 2])
        for kind in ("value vectors", "the control")
    ),
    "no estimate: the number of vectors of layer 3 is not known",
    "no estimate: the number of vectors of layers 3, 4 is not known",
    "no estimate: the proxy is known of 2,999 of 3,072 vectors of layer 1, and must be known of "
    "all: compute it again",
    "no estimate: the proxy is not known of 1 annotated list: compute it again",
    "no estimate: the proxy is not known of 2 annotated lists: compute it again",
    *(_few(Span(1, 1, (1,)), layers) for layers in ((1,), (1, 2))),
    near_bounds(np.zeros(30), share=True),
    near_bounds(np.ones(30), share=True),
    "undefined, because nobody found a pattern.",
    "undefined, because nothing can be compared (2 of the lists: fewer than two people answered; "
    "1 of the annotations: a token is in several of its patterns).",
)


@pytest.mark.parametrize("said", REMARKS)
def test_a_remark_is_translated_with_its_values(said):
    assert said
    assert remark(said) == said
    with pseudo_locale() as pseudo:
        found = outside(remark(said))
        assert found == ([], 0), remark(said)
    assert pseudo.asked <= collected()


def test_remarks_together_are_translated_one_by_one():
    text = joined([*Interval(0.1, 0.1, 10_000, 3).warnings(), FEW_LISTS_WARNING])
    assert remark(text) == text
    with pseudo_locale() as pseudo:
        assert remark(text).count("⟦") == 3
    assert pseudo.asked <= collected()
