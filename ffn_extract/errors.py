"""Errors whose message is a sentence that a person can act on."""

import os
from collections.abc import Sequence


def reason_of(error: OSError) -> str:
    """The system's words for it; pyarrow wraps them in its own."""
    return os.strerror(error.errno) if error.errno else str(error)


class FFNExtractError(Exception):
    """Base class of everything that extraction refuses; bugs are never wrapped in it."""


class OptionError(FFNExtractError):
    """An option has a value that extraction cannot work with.

    `problems` are the sentences one by one, where there may be several; each begins with the name
    of the option that it is about.
    """

    def __init__(self, message: str, problems: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.problems = tuple(problems)


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


class BundleError(FFNExtractError):
    """A folder is no valid bundle, or cannot be written as one."""
