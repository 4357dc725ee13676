"""Stopwords and punctuation: of tokens, and as a proposed flag of patterns."""

import unicodedata
from collections.abc import Sequence
from functools import cache


def is_stopword(text: str) -> bool:
    """Whether a token is an English stopword, or punctuation and symbols only.

    Parameters
    ----------
    text
        The token's surface form without its word-start or continuation marker
        (``"the"``, not ``"Ġthe"``, ``"▁the"`` or ``"##the"``).

    Returns
    -------
    bool
        True when the lower-cased text is in scikit-learn's English stop-word list, or when every
        character is punctuation or a symbol (Unicode general categories P* and S*). Empty text,
        white space and digits are neither.

    Notes
    -----
    Geva et al. (2022, §4.1, table 2) tell "stopwords/punctuation" concepts apart without naming a
    word list; scikit-learn's is fixed, public and comes with the package.

    Examples
    --------
    >>> [is_stopword(text) for text in ("The", "…", "n't", "Paris", "")]
    [True, True, False, False, False]
    """
    return text.lower() in _english_stopwords() or _is_punctuation(text)


def propose_stopwords_flag(member_is_stopword: Sequence[bool]) -> bool:
    """Propose a pattern's stopwords flag: more than half of its members are stopwords.

    Parameters
    ----------
    member_is_stopword
        `is_stopword` of every member of one pattern.

    Returns
    -------
    bool
        True above one half; exactly half, and a pattern without members, propose nothing.

    Examples
    --------
    >>> propose_stopwords_flag([True, True, False]), propose_stopwords_flag([True, False])
    (True, False)
    """
    return 2 * sum(member_is_stopword) > len(member_is_stopword)


def _is_punctuation(text: str) -> bool:
    return text != "" and all(unicodedata.category(character)[0] in "PS" for character in text)


@cache
def _english_stopwords() -> frozenset[str]:
    # Imported on first use: scikit-learn takes a second to load, and most processes never ask.
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

    return frozenset(ENGLISH_STOP_WORDS)
