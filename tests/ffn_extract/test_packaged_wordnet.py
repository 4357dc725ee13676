"""The packaged part of WordNet: what it covers, and that it says what all of WordNet says."""

import logging
import re
from pathlib import Path

import pytest

from ffn_extract.glosses.closed_class import is_closed_class
from ffn_extract.glosses.definitions import has_debris
from ffn_extract.glosses.gloss import Gloss
from ffn_extract.glosses.packaged import FILE, LICENCE, PackagedGlosses
from ffn_extract.glosses.ranking import fits
from ffn_extract.glosses.wordnet import WordNetGlosses
from fixtures import gloss_table
from fixtures.packaged_wordnet import MODELS, content, licence, packed, words_of

ROOT = Path(__file__).resolve().parents[2]
WORDS = PackagedGlosses()._words
"""Every word of the demo's two vocabularies that WordNet knows."""


def glosses() -> list[tuple[str, Gloss]]:
    source = PackagedGlosses()
    return [(word, source.look_up(word)) for word in WORDS]


def test_no_closed_class_word_of_the_demos_vocabularies_has_a_ranked_gloss():
    closed = [gloss for word, gloss in glosses() if is_closed_class(word)]
    assert len(closed) > 200  # that the first noun synset says something about
    assert not any(gloss.senses for gloss in closed)


def test_no_ranked_gloss_of_the_demos_vocabularies_has_debris():
    senses = [sense for _, gloss in glosses() for sense in gloss.senses]
    assert len(senses) > 50_000
    assert [sense for sense in senses if has_debris(sense.gloss) or not sense.gloss] == []
    assert sum(has_debris(gloss.text) for _, gloss in glosses()) > 100  # the paper's are kept


def test_no_word_in_lower_case_has_a_sense_of_a_name():
    for word, gloss in glosses():
        assert all(fits(sense.lemma, word) for sense in gloss.senses), word
        if word.islower():
            assert all(sense.lemma.islower() or not sense.lemma.isalpha() for sense in gloss.senses)


def test_it_says_what_all_of_wordnet_says(wordnet):
    source, whole = PackagedGlosses(), WordNetGlosses()
    for word in sorted(WORDS)[::60]:
        assert source.look_up(word) == whole.look_up(word), word


def test_it_covers_the_encoders_vocabulary(demo_model, caplog):
    source = PackagedGlosses()
    with caplog.at_level(logging.WARNING):
        found = [source.look_up(word) for word in words_of(*next(iter(MODELS.items())))]
    assert caplog.records == []
    assert sum(gloss is not None for gloss in found) / len(found) > 0.75


def test_of_words_outside_it_is_said_once_how_to_get_all_of_wordnet(caplog):
    source = PackagedGlosses()
    assert (source.look_up("zebu"), source.look_up("catamaran")) == (None, None)
    (record,) = caplog.records
    assert "covers the vocabularies of the demo's two models only" in record.getMessage()
    assert "fetch-wordnet" in record.getMessage()


def test_the_table_of_the_documentation_has_the_glosses_of_both_rules():
    text = (ROOT / "docs/glosses.md").read_text()
    rows = re.findall(r"^\| (\w+) \| (\w+: .*) \| (.*) \|$", text, re.MULTILINE)
    source = PackagedGlosses()
    for token, first, ranked in rows:
        gloss = source.look_up(token)
        assert first == f"{gloss.part}: {gloss.text}"
        sense = f"{gloss.senses[0].part}: {gloss.senses[0].gloss}" if gloss.senses else "none"
        assert ranked == (sense if sense != first else "the same")
    assert len(rows) == gloss_table.ROWS


def test_it_is_small_and_its_licence_is_beside_it(wordnet):
    assert FILE.stat().st_size < 1_000_000
    assert LICENCE.read_text() == licence()
    assert "WordNet 3.0 Copyright 2006 by Princeton University." in LICENCE.read_text()


@pytest.mark.long
def test_the_command_that_made_it_makes_the_same_bytes(wordnet, demo_model):
    assert packed(content()) == FILE.read_bytes()
