"""Sentences by the rule of ffn_extract.sentences, literally and against a plain loop."""

import pytest

from ffn_extract.sentences import ABBREVIATIONS, in_sentences, sentences_of

CASES = {
    "": [],
    "  \n \n": [],
    "No end": ["No end"],
    "One. Two! Three? Four…": ["One.", "Two!", "Three?", "Four…"],
    "Wait... what? Yes.": ["Wait... what?", "Yes."],
    "Pi is 3.14 or so. See example.org. 2 is even.": [
        "Pi is 3.14 or so.", "See example.org.", "2 is even.",
    ],
    "Mr. Fox met Dr. B. Owl, i.e. Bo. They ate.": ["Mr. Fox met Dr. B. Owl, i.e. Bo.", "They ate."],
    "He said “Go.” (Now!) Then left.": ["He said “Go.”", "(Now!)", "Then left."],
    "The film of 1994 failed . It was lost .": ["The film of 1994 failed .", "It was lost ."],
    "a line\nanother line. And more": ["a line", "another line.", "And more"],
    "猫が好き。犬も！「はい。」そう？": ["猫が好き。", "犬も！", "「はい。」", "そう？"],
}  # fmt: skip


@pytest.mark.parametrize(("text", "sentences"), CASES.items())
def test_sentences_of_a_text(text, sentences):
    assert list(sentences_of(text)) == sentences


@pytest.mark.parametrize("text", CASES)
def test_the_rule_is_that_of_a_plain_loop_over_characters(text):
    assert list(sentences_of(text)) == plain_sentences(text)


def test_the_sentences_of_texts_stand_in_their_order_and_nothing_else_is_lost():
    texts = list(CASES)
    found = list(in_sentences(texts))
    assert found == [sentence for sentences in CASES.values() for sentence in sentences]
    assert "".join("".join(found).split()) == "".join("".join(texts).split())


def plain_sentences(text):
    """One character after the other, without a regular expression."""
    found = []
    for line in text.split("\n"):
        now = ""
        for i, character in enumerate(line):
            now += character
            rest = line[i + 1 :]
            body = now.rstrip("\"'”’»)]」』）")
            if not body or rest[:1] in tuple("\"'”’»)]」』）"):
                continue
            asian = body[-1] in "。！？"
            if not asian and (body[-1] not in ".!?…" or not (rest[:1].isspace() or not rest)):
                continue
            following = next((c for c in rest if c.isalnum()), "")
            run = body[len(body.rstrip(".!?…")) :] + now[len(body) :]
            word = body[:-1].split()[-1] if body[:-1].split() else ""
            word = word.lstrip("“(").lower() if not body[:-1].endswith(" ") else ""
            kept = run == "." and ((len(word) == 1 and word.isalpha()) or word in ABBREVIATIONS)
            if asian or not (following.islower() or kept):
                found.append(now.strip())
                now = ""
        found.append(now.strip())
    return [sentence for sentence in found if sentence]
