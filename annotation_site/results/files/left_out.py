"""Content that an archive can be written without: times of work, and comments.

An archive without times keeps the order in which annotations were submitted, because tables are
computed in it; each moment is replaced, so that the archive can still be verified and restored.
"""

from collections.abc import Collection, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

TIMES, COMMENTS = "times", "comments"
LEFT_OUT = (COMMENTS, TIMES)
"""Everything that can be left out, in the order of `left_out` in parameters.json."""

NO_MOMENT = datetime(2000, 1, 1, tzinfo=UTC)
"""The moment in the place of each that is left out and has to be there."""

REASONS = (
    "I do not know enough of these words",
    "Offensive or upsetting words",
    "The list looks broken",
    "Other",
)
"""The reasons for a skip that the annotation page offers. What a person adds is a comment."""


def nth_moment(number: int) -> datetime:
    """The moment in the place of a submission's: the number of it in their order, in seconds."""
    return NO_MOMENT + timedelta(seconds=number)


def reason_without_words(reason: str) -> str:
    """The reason for a skip without the words that a person added; empty stays empty."""
    if not reason:
        return ""
    return next((known for known in REASONS if reason.startswith(known)), REASONS[-1])


def left_out_of(parameters: Mapping[str, Any]) -> tuple[str, ...]:
    """Names of LEFT_OUT that an archive says it is without; empty in archives of everything."""
    said = parameters.get("left_out", ())
    return tuple(name for name in LEFT_OUT if name in said)


def left_out_words(left_out: Collection[str]) -> str:
    """The paragraph of an archive that is without something; empty for a whole one."""
    said = []
    if TIMES in left_out:
        said.append(
            f"The times of people's work are left out. `submitted_at` is {NO_MOMENT:%d %B %Y} plus "
            "the number of the submission in their order, in seconds; `active_seconds` is 0; every "
            "other time is missing or that day. Tables and figures of time are empty or missing."
        )
    if COMMENTS in left_out:
        said.append(
            "People's comments are left out, and the words that they added to a reason for a skip."
        )
    return " ".join(said)
