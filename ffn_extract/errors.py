"""Errors whose message is a sentence that a person can act on."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass

Naming = Callable[[str], str]
"""What an option is called where somebody reads about it: `top_k`, `--top-k`, “Tokens per list”."""

LONGEST_SENTENCE = 4_000


def reason_of(error: OSError) -> str:
    """The system's words for it; pyarrow wraps them in its own."""
    return os.strerror(error.errno) if error.errno else str(error)


class FFNExtractError(Exception):
    """Base class of everything that extraction refuses; bugs are never wrapped in it.

    A message is cut at `LONGEST_SENTENCE`: it may quote a stranger's file.
    """

    def __init__(self, message: str = "") -> None:
        super().__init__(
            message if len(message) <= LONGEST_SENTENCE else f"{message[:LONGEST_SENTENCE]}…"
        )


@dataclass(frozen=True)
class OptionSentence:
    """A sentence about `option`, written with the names that its reader knows options by."""

    option: str
    write: Callable[[Naming], str]

    def __str__(self) -> str:
        return self.write(str)


class OptionError(FFNExtractError):
    """An option has a value that extraction cannot work with.

    `problems` are the sentences one by one, where the options themselves are at fault.
    """

    def __init__(self, message: str = "", problems: Sequence[OptionSentence] = ()) -> None:
        super().__init__(message or " ".join(map(str, problems)))
        self.problems = tuple(problems)

    def named(self, naming: Naming) -> str:
        """The whole message, with options called as `naming` calls them."""
        return " ".join(one.write(naming) for one in self.problems) or str(self)


class CheckpointError(FFNExtractError):
    """A model's files cannot be found, reached or read."""


class ArchitectureError(FFNExtractError):
    """The model's family is unknown, or its tensors are not where the family keeps them."""


class CorpusError(FFNExtractError):
    """No corpus can be had, or it has too few texts."""


class WordNetError(FFNExtractError):
    """WordNet cannot be had on this machine."""


class GlossError(FFNExtractError):
    """A source of glosses, or the cache of its answers, cannot be used."""


class ProcessEnded(Exception):
    """A process that was asked to do the work was killed, or crashed. It may go well elsewhere."""


class BundleError(FFNExtractError):
    """A folder is no valid bundle, or cannot be written as one."""
