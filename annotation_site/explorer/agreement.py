"""Agreement of a key with its value: whether the value promotes the token after a trigger.

Geva et al. (2021), section 4. A bundle stores a trigger's last token, not the token after it. So
that token is read off the text that follows, as far as the text alone tells. Pure.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from annotation_site.annotation.lists.entries import token_spelled
from annotation_site.corpus.loading import CONTINUATION


@dataclass(frozen=True)
class NextToken:
    """The token after a trigger: its rank among the value's top tokens, from 1.

    `rank` is None where it is none of them, and where the text does not tell (`is_known` false).
    """

    rank: int | None
    is_known: bool = True


@dataclass(frozen=True)
class Agreement:
    """Agreement of a key and a value.

    `top` is the token after the first trigger. Of the `triggers` with a text that goes on,
    `known` have a next token that the text tells, and of those `within` have it among the value's
    top tokens.
    """

    top: NextToken | None
    triggers: int
    known: int
    within: int

    @property
    def precision(self) -> float | None:
        """Share of the known next tokens that are among the value's top tokens, 0 to 1."""
        return self.within / self.known if self.known else None

    @property
    def unknown(self) -> int:
        """Triggers whose next token the text does not tell."""
        return self.triggers - self.known


def next_token(after: str, displays: Sequence[str]) -> NextToken:
    """The rank of the token with which a text goes on.

    Parameters
    ----------
    after
        The text behind the trigger's last token, not empty.
    displays
        The value's top tokens, best first, as a bundle shows them.

    Notes
    -----
    A token with which the text does not go on is not the next one. The longest with which it goes
    on is, if a word ends there; within a word, a longer token that is not in the list can be.

    >>> next_token(" graph theory", ["graph", "chart"])
    NextToken(rank=1, is_known=True)
    >>> next_token(" graphical", ["graph", "chart"])
    NextToken(rank=None, is_known=False)
    """
    fits = [
        (len(text), -rank)
        for rank, display in enumerate(displays, 1)
        for text in [_in_text(display)]
        if text.strip() and after.startswith(text)
    ]
    if not fits:
        return NextToken(None)
    length, rank = max(fits)
    if _same_class(after[length - 1], after[length : length + 1]):
        return NextToken(None, is_known=False)
    return NextToken(-rank)


def agreement(afters: Sequence[str], displays: Sequence[str]) -> Agreement:
    """Agreement of a value's top tokens with the texts behind a key's triggers, best first.

    An empty text means that the sentence ends at the trigger, which has no next token then.
    """
    found = [next_token(after, displays) if after else None for after in afters]
    with_next = [one for one in found if one is not None]
    return Agreement(
        top=found[0] if found else None,
        triggers=len(with_next),
        known=sum(one.is_known for one in with_next),
        within=sum(one.rank is not None for one in with_next),
    )


def _in_text(display: str) -> str:
    """A token as it stands in a text: a word's beginning has its space."""
    text = token_spelled(display)
    starts = not display.startswith(CONTINUATION) and any(map(str.isalnum, text))
    return f" {text}" if starts else text


def _same_class(last: str, following: str) -> bool:
    """Whether a word, or a run of signs, goes on; one token can hold no more than that."""
    if not following or following.isspace():
        return False
    return last.isalnum() == following.isalnum()
