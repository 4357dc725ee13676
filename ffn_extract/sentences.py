"""Sentences of a text by a rule of our own, for corpora whose texts are paragraphs.

The rule needs no model and knows no grammar; the same text gives the same sentences everywhere:

1. A line break ends a sentence.
2. So does a run of ``. ! ? …`` with the quotes and brackets that close behind it, if white space
   follows and the next letter or digit is no lower-case letter.
3. A single full stop behind one letter (an initial) or behind one of `ABBREVIATIONS` ends none.
4. ``。 ！ ？`` end a sentence without white space, too.
"""

import re
from collections.abc import Iterable, Iterator

ABBREVIATIONS = frozenset({
    "mr", "mrs", "ms", "dr", "prof", "st", "jr", "sr", "vs", "e.g", "i.e", "cf", "vol", "pp", "fig",
    "al", "approx", "inc", "ltd", "corp", "gov", "gen", "capt", "lt", "sgt", "rev", "hon",
})  # fmt: skip
"""In lower case, without their last full stop."""
_END = re.compile(r"[.!?…]+[\"'”’»)\]]*(?=\s)|[。！？]+[”’」』）]*")
_NEXT = re.compile(r"[^\W_]")
_LAST_WORD = re.compile(r"[\w.]*\Z")


def sentences_of(text: str) -> Iterator[str]:
    """The sentences of one text in their order, without white space around them.

    Examples
    --------
    >>> list(sentences_of("Dr. J. Smith left. Why? “No idea.” he said… It rained."))
    ['Dr. J. Smith left.', 'Why?', '“No idea.” he said…', 'It rained.']
    """
    for line in text.splitlines():
        start = 0
        for end in _END.finditer(line):
            if _ends(line, start, end):
                yield from filter(None, [line[start : end.end()].strip()])
                start = end.end()
        yield from filter(None, [line[start:].strip()])


def in_sentences(texts: Iterable[str]) -> Iterator[str]:
    """The sentences of all texts, one after the other."""
    return (sentence for text in texts for sentence in sentences_of(text))


def _ends(line: str, start: int, end: re.Match[str]) -> bool:
    if end.group()[0] in "。！？":
        return True
    after = _NEXT.search(line, end.end())
    if after is not None and after.group().islower():
        return False
    if end.group() != ".":
        return True
    found = _LAST_WORD.search(line[start : end.start()])
    word = found.group() if found else ""
    return not (len(word) == 1 and word.isalpha()) and word.lower() not in ABBREVIATIONS
