"""Errors of extraction, each with a sentence that a person can act on."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass

Naming = Callable[[str], str]
"""What an option is called where somebody reads about it: `top_k`, `--top-k`, “Tokens per list”."""

LONGEST_SENTENCE = 4_000


def reason_of(error: OSError) -> str:
    """The system's reason in an OSError; pyarrow wraps it in its own text."""
    return os.strerror(error.errno) if error.errno else str(error)


class FFNExtractError(Exception):
    """Base class of all refusals of extraction; bugs are never wrapped in it.

    A message is cut at `LONGEST_SENTENCE`: it may quote a stranger's file.
    """

    def __init__(self, message: str = "") -> None:
        super().__init__(
            message if len(message) <= LONGEST_SENTENCE else f"{message[:LONGEST_SENTENCE]}…"
        )


@dataclass(frozen=True)
class OptionSentence:
    """A sentence about `option`, with the option names of its reader."""

    option: str
    write: Callable[[Naming], str]

    def __str__(self) -> str:
        return self.write(str)


class OptionError(FFNExtractError):
    """An option has an unusable value.

    `problems` are the sentences one by one, where the options themselves are at fault.
    """

    def __init__(self, message: str = "", problems: Sequence[OptionSentence] = ()) -> None:
        super().__init__(message or " ".join(map(str, problems)))
        self.problems = tuple(problems)

    @classmethod
    def about(cls, option: str, what: str) -> "OptionError":
        """An error whose sentence begins with the option's name."""
        return cls.written(option, lambda say: f"{say(option)} {what}")

    @classmethod
    def written(cls, option: str, write: Callable[[Naming], str]) -> "OptionError":
        """An error about an option whose sentence names others too."""
        return cls(problems=[OptionSentence(option, write)])

    def named(self, naming: Naming) -> str:
        """The whole message, with option names by `naming`."""
        return " ".join(one.write(naming) for one in self.problems) or str(self)


class CheckpointError(FFNExtractError):
    """A model's files cannot be found, reached or read."""


class ArchitectureError(FFNExtractError):
    """The model's family is unknown, or its tensors are not where the family has them."""


class CorpusError(FFNExtractError):
    """There is no corpus, or it has too few texts."""


class WordNetError(FFNExtractError):
    """WordNet is not available on this machine."""


class GlossError(FFNExtractError):
    """A gloss source, or its cache, cannot be used."""


class ProcessEnded(Exception):
    """A process that was asked to do the work was killed, or crashed. It may go well elsewhere."""


class BundleError(FFNExtractError):
    """A folder is not a valid bundle, or a bundle cannot be written."""
