"""Ranked senses: what is cleaned from WordNet's glosses, and which senses a token gets."""

import re
from pathlib import Path

import pytest

from ffn_extract.glosses.closed_class import CLOSED_CLASS
from ffn_extract.glosses.definitions import clean, has_debris
from ffn_extract.glosses.gloss import Sense
from ffn_extract.glosses.ranking import MOST_SENSES, StoredSense, ranked
from ffn_extract.glosses.wordnet import WordNetGlosses
from ffn_extract.wordnet import open_wordnet

DATA = ("data.noun", "data.verb", "data.adj", "data.adv")


@pytest.mark.parametrize(
    ("stored", "cleaned"),
    [
        ('open to question; "aliens of loyalty"; "a character"-Anna Jameson', "open to question"),
        ('of use; "an example" - Rachel Carson (often used ironically)', "of use"),
        ('close in; darkness enclosed him"', "close in"),
        ('a branch with services"', "a branch with services"),
        ("wood-fired; \"a wood-burning stove'", "wood-fired"),
        ('progress (especially in the phrase "make strides"); "big strides"', "progress"),
        ('a workplace; as in the expression "on the job";', "a workplace"),
        ('a demand especially in the phrase "the call of duty"', "a demand"),
        ('keep in a state; e.g., "keep clean"', "keep in a state"),
        ('propel, "Carry the ball"', "propel"),
        ("(usually followed by `to') having the means", "having the means"),
        ('in harmony; often followed by `with\'; "x"', "in harmony"),
        ('killed; `slain\' is formal as in "slain warriors"', "killed"),
        ("(usually plural) a polite expression", "a polite expression"),
        ("used informally; unable to retain urine", "unable to retain urine"),
        ("(used of men) having a distrust of women", "(used of men) having a distrust of women"),
        ("(astronomy) the angular distance", "(astronomy) the angular distance"),
        ("make a sound; go `ting'", "make a sound; go ‘ting’"),
        ("a loan ( used of money)", "a loan (used of money)"),
        ("at the time (or the time", "at the time"),
        ('(used informally especially for emphasis); "an example"', ""),
    ],
)
def test_a_definition_loses_its_quotations_and_notes(stored, cleaned):
    assert clean(stored) == cleaned
    assert not has_debris(cleaned)


def test_all_of_wordnet_is_clean_afterwards(wordnet):
    reader = open_wordnet()
    lines = [line for name in DATA for line in reader.open(name).read().splitlines()]
    stored = [line.partition("|")[2].strip() for line in lines if not line.startswith("  ")]
    assert len(stored) == 117_659
    cleaned = [clean(text) for text in stored]
    assert [text for text in cleaned if text and has_debris(text)] == []
    assert cleaned.count("") == 1
    as_nltk_does = (re.sub('".*?"', "", text).strip("; ") for text in stored)
    before = sum(map(has_debris, as_nltk_does))
    page = (Path(__file__).resolve().parents[2] / "docs/glosses.md").read_text()
    assert f"{before:,} of {len(stored):,}" in " ".join(page.split())


def stored(lemma="bank", part="n", number=1, count=0, synset="1", gloss="a gloss"):
    return StoredSense(synset, gloss, lemma, part, number, count)


def test_senses_are_ranked_by_count_then_part_of_speech_then_wordnets_order():
    found = [
        stored(part="v", number=1, count=9, synset="1", gloss="first"),
        stored(part="r", number=1, synset="2", gloss="an adverb"),
        stored(part="s", number=2, synset="3", gloss="a second adjective"),
        stored(part="a", number=1, synset="4", gloss="third"),
        stored(part="n", number=5, synset="5", gloss="second"),
    ]
    glosses = ["first", "second", "third", "a second adjective"]
    assert [sense.gloss for sense in ranked("bank", found)] == glosses
    assert [sense.gloss for sense in ranked("bank", reversed(found))] == glosses
    assert MOST_SENSES == 4


def test_a_sense_names_its_lemma_part_of_speech_and_count():
    found = [stored("ice_cream", "s", count=3, gloss='cold; "an example"')]
    assert ranked("ice creams", found) == (Sense("cold", "ice cream", "adjective", 3),)


def test_a_synset_that_two_lemmas_lead_to_is_there_once_and_one_without_definition_never():
    found = [stored("stocks", count=1), stored("stock", count=2), stored(synset="2", gloss='"x"')]
    assert [(sense.lemma, sense.count) for sense in ranked("stocks", found)] == [("stock", 2)]


@pytest.mark.parametrize(
    ("token", "lemma", "fits"),
    [
        ("paris", "Paris", False), ("Paris", "Paris", True), ("PARIS", "Paris", True),
        ("Md", "MD", False), ("MD", "MD", True), ("Americans", "American", True),
        ("Bank", "bank", True), ("He", "He", False), ("may", "May", False), ("May", "May", False),
    ],
)  # fmt: skip
def test_a_lemmas_capitals_are_capitals_of_the_token(token, lemma, fits):
    assert bool(ranked(token, [stored(lemma)])) == fits


def test_the_list_of_closed_class_words_leaves_out_what_holds_meaning():
    meaningful = {"fire", "bill", "system", "interest", "mill", "move", "side", "bottom", "top"}
    assert not CLOSED_CLASS & meaningful
    assert len(CLOSED_CLASS) > 250
    assert all(word == word.lower() for word in CLOSED_CLASS)


@pytest.mark.parametrize(
    ("token", "first"),
    [
        ("stocks", "the capital raised by a corporation"),
        ("launches", "set up or found"),
        ("cryptic", "of an obscure nature"),
        ("saw", "perceive by sight"),
        ("running", "move fast by using one's feet"),
        ("China", "a communist nation"),
        ("china", "high quality porcelain"),
        ("French", "of or pertaining to France"),
    ],
)
def test_the_most_frequent_sense_of_a_word(wordnet, token, first):
    gloss = WordNetGlosses().look_up(token)
    assert gloss.senses[0].gloss.startswith(first)
    assert len(gloss.senses) <= MOST_SENSES


@pytest.mark.parametrize("token", ["he", "was", "be", "a", "has", "have", "do", "does", "behind"])
def test_a_closed_class_word_keeps_the_papers_gloss_and_has_no_sense(wordnet, token):
    gloss = WordNetGlosses().look_up(token)
    assert (gloss.senses, gloss.part) == ((), "noun")


def test_counts_are_nltks(wordnet):
    source, reader = WordNetGlosses(), open_wordnet()
    for word in ("bank", "run", "left", "quickly"):
        for sense in source.look_up(word).senses:
            lemmas = reader.lemmas(sense.lemma)
            assert sense.count in {lemma.count() for lemma in lemmas}
