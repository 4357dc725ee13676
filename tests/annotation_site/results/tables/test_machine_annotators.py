"""What tables say of machine annotators where a part of the extraction is not installed."""

import sys

from annotation_site.results.tables import machine_annotators


def test_a_site_without_nltk_has_no_wordnet_and_says_no_more(monkeypatch):
    monkeypatch.delitem(sys.modules, "ffn_extract.wordnet", raising=False)
    monkeypatch.setitem(sys.modules, "nltk", None)
    assert machine_annotators._wordnet() is None
