import subprocess
import sys
from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from annotation_site.analysis.machine_annotators import (
    MACHINE_ANNOTATORS,
    MachineAnnotator,
    ProposedPattern,
)
from ffn_extract.errors import WordNetError
from ffn_extract.wordnet import open_wordnet
from tests.annotation_site.analysis.hand_worked import hand_worked_study
from tests.requires import missing

LISTS = {one["list_id"]: one["tokens"] for one in hand_worked_study()["lists"]}


class FakeSynset:
    """A sense with its hypernyms; depth is that of the chain above it."""

    def __init__(self, name: str, *above: "FakeSynset") -> None:
        self._name, self._above = name, list(above)

    def name(self) -> str:
        return f"{self._name}.n.01"

    def lemma_names(self) -> Sequence[str]:
        return [self._name]

    def hypernyms(self) -> Sequence["FakeSynset"]:
        return self._above

    def instance_hypernyms(self) -> Sequence["FakeSynset"]:
        return []

    def min_depth(self) -> int:
        return 1 + min((one.min_depth() for one in self._above), default=-1)


def chain(*names: str) -> FakeSynset:
    top = FakeSynset(names[0])
    for name in names[1:]:
        top = FakeSynset(name, top)
    return top


ANIMAL = chain("entity", "a", "b", "c", "d", "e", "animal")


class FakeWordNet:
    """Animals, and things that have only the root in common."""

    def synsets(self, lemma: str, pos: str) -> Sequence[FakeSynset]:
        assert pos == "n"
        if lemma in {"dog", "cat", "cow", "pig", "hen"}:
            return [FakeSynset(lemma, ANIMAL)]
        return [chain("entity", lemma)] if lemma.isalpha() else []


@pytest.fixture(scope="module")
def wordnet():
    try:
        return open_wordnet()
    except WordNetError as error:
        missing(str(error))


def propose(name: str, tokens: Sequence[str], wordnet=None, min_tokens: int = 4):
    return MACHINE_ANNOTATORS[name].propose(tokens, min_tokens, wordnet)


def test_shared_hypernyms_make_a_semantic_pattern() -> None:
    tokens = ["dog", "stone", " Cat", "cow", "the", "pig", "12"]
    assert propose("machine-hypernyms", tokens, FakeWordNet()) == [
        ProposedPattern("animal (animal.n.01)", "semantic", (1, 3, 4, 6))
    ]
    assert propose("machine-hypernyms", tokens, FakeWordNet(), min_tokens=5) == []


def test_variants_of_one_word_are_one_word() -> None:
    tokens = ["dog", "Dog", "DOG", "cat", "cow", "stone"]
    assert propose("machine-hypernyms", tokens, FakeWordNet()) == []
    assert propose("machine-hypernyms", [*tokens, "pig"], FakeWordNet())[0].ranks == (
        *(1, 2, 3, 4, 5, 7),
    )


def test_hypernyms_are_refused_without_wordnet() -> None:
    with pytest.raises(ValueError, match="without WordNet"):
        propose("machine-hypernyms", ["dog"])


def test_hypernyms_of_the_real_wordnet(wordnet) -> None:
    found = {name: propose("machine-hypernyms", tokens, wordnet) for name, tokens in LISTS.items()}
    assert [(one.description, one.ranks) for one in found["A"]] == [
        ("unit of measurement (unit_of_measurement.n.01)", (1, 2, 3, 4, 7))
    ]
    assert [one.ranks for one in found["B"]] == [(3, 5, 7, 9)]
    assert found["C"] == found["D"] == found["E"] == []


def test_affixes_make_syntactic_patterns() -> None:
    assert propose("machine-affixes", LISTS["C"]) == [
        ProposedPattern("starts with dis-", "syntactic", (1, 2, 3, 4, 5, 6, 7, 8))
    ]
    assert propose("machine-affixes", LISTS["A"]) == [
        ProposedPattern("ends in -s", "syntactic", (2, 3, 4, 7, 10))
    ]
    for name in "BDE":
        assert propose("machine-affixes", LISTS[name]) == []


def test_a_second_pattern_is_made_of_what_is_left() -> None:
    tokens = ["walked", "kindness", "jumped", "darkness", "kicked", "sadness", "asked", "illness"]
    assert propose("machine-affixes", tokens) == [
        ProposedPattern("ends in -ness", "syntactic", (2, 4, 6, 8)),
        ProposedPattern("ends in -ed", "syntactic", (1, 3, 5, 7)),
    ]


def test_endings_that_are_no_plural_do_not_count() -> None:
    assert propose("machine-affixes", ["glass", "virus", "basis", "cats", "dogs", "cups"]) == []


NOUNS = ["dog", "cat", "cow", "pig", "hen", "stone", "Dogs", "cats", "PIGS", "hens"]
OTHERS = ["walked", "jumped", "asked", "kicked", "dislike", "disarm", "disown", "the", "12", ","]
words = st.sampled_from([*NOUNS, *OTHERS])


@pytest.mark.parametrize("baseline", MACHINE_ANNOTATORS.values(), ids=lambda one: one.name)
@settings(max_examples=60, deadline=None)
@given(tokens=st.lists(words, max_size=30), min_tokens=st.integers(1, 5))
def test_every_baseline_annotates_as_a_person_may(
    baseline: MachineAnnotator, tokens: list[str], min_tokens: int
) -> None:
    patterns = baseline.propose(tokens, min_tokens, FakeWordNet())
    assert patterns == baseline.propose(tokens, min_tokens, FakeWordNet())
    ranks = [rank for pattern in patterns for rank in pattern.ranks]
    # A prefix may be in several patterns, and equal last words are what they have in common.
    prefixes = baseline.reads_prefixes
    assert max(Counter(ranks).values(), default=0) <= (2 if prefixes else 1)
    assert set(ranks) <= set(range(1, len(tokens) + 1))
    for pattern in patterns:
        assert list(pattern.ranks) == sorted(set(pattern.ranks))
        different = {tokens[rank - 1].lower() for rank in pattern.ranks}
        assert len(pattern.ranks if prefixes else different) >= min_tokens
        assert pattern.description
        assert pattern.category in (("shallow",) if prefixes else ("semantic", "syntactic"))


def test_proposals_do_not_depend_on_the_order_of_hashes() -> None:
    program = (
        "from annotation_site.analysis.machine_annotators import MACHINE_ANNOTATORS\n"
        "affixes = MACHINE_ANNOTATORS['machine-affixes']\n"
        f"print(affixes.propose({[*LISTS['A'], *LISTS['C']]!r}, 2, None))"
    )
    answers = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={"PYTHONHASHSEED": seed, "PATH": ""},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(answers) == 1


def test_names_say_machine() -> None:
    for name, baseline in MACHINE_ANNOTATORS.items():
        assert name == baseline.name
        assert name.startswith("machine-")
        assert baseline.title.startswith("Machine: ")


def shallow(*prefixes: str) -> list[tuple[str, tuple[int, ...]]]:
    found = MACHINE_ANNOTATORS["machine-shallow"].propose(prefixes, 3, None)
    assert {one.category for one in found} <= {"shallow"}
    return [(one.description, one.ranks) for one in found]


def test_prefixes_with_the_same_last_words_are_a_pattern() -> None:
    """All words that they have in common are named, whatever their case; two are too few."""
    assert shallow("I saw the Cat", "the cat", "He fed the cat", "a dog", "one dog") == [
        ("same last words: the cat", (1, 2, 3))
    ]
    assert shallow("the cat", "a cat", "my own cat.", "cat", "He said.", "It is.") == [
        ("same last word: .", (3, 5, 6)), ("same last word: cat", (1, 2, 4)),
    ]  # fmt: skip


def test_prefixes_whose_last_words_end_alike_are_a_pattern() -> None:
    """Prefixes are counted, not words; one word alone is no ending, and is named once."""
    assert shallow("he is running", "we were running", "she was walking", "a cat") == [
        ("ends in -ing", (1, 2, 3))
    ]
    assert shallow("is running", "was running", "been running", "slept") == [
        ("same last word: running", (1, 2, 3))
    ]
    both = shallow("is running", "was running", "been running", "is walking", "a", "", "...")
    assert both == [("same last word: running", (1, 2, 3)), ("ends in -ing", (1, 2, 3, 4))]
