"""Sentences on the alternative annotator test: what follows from it, and what does not.

Pages read this file, so it imports no pandas.
"""

from collections.abc import Callable, Mapping
from typing import Any

from annotation_site.analysis.written import decimal

YES, NO, UNDEFINED = "yes", "no", "undefined"
"""Whether a test was passed, or could not be made."""
_UNDEFINED = "undefined, because "

PASSED = (
    "The test is passed: on these lists and against these people, %(machine)s agrees with the "
    "others about as well as at least half of the people who were tested, given a cost–benefit ε "
    "of %(epsilon)s."
)
NOT_PASSED = (
    "The test is not passed: it is not shown that %(machine)s agrees with the others about as well "
    "as at least half of the people who were tested, given a cost–benefit ε of %(epsilon)s. It "
    "does not follow that it agrees less: the test can miss this, above all with few lists."
)
NOT_MADE = (
    "The test cannot be made: %(reason)s. So nothing follows about whether %(machine)s agrees with "
    "people about as well as they do with each other."
)
NEITHER = (
    "It does not follow that its annotations are right, and nothing follows about the lists of "
    "other models, other prompts or other people."
)


def what_follows(
    row: Mapping[str, Any],
    *,
    machine: str = "",
    say: Callable[[str], str] = str,
    because: Callable[[str], str] = str,
) -> str:
    """Conclusions from a row of the test, and conclusions that it does not allow.

    Parameters
    ----------
    row
        Of `alternative_annotators`, as it is stored.
    machine
        How the sentences name the machine annotator; by default as the row does.
    say, because
        Translate a sentence, whose values are filled in afterwards, and a reason.

    Examples
    --------
    >>> what_follows({"passed": "yes", "annotator": "machine-m", "epsilon": 0.2})[:57]
    'The test is passed: on these lists and against these peop'
    """
    values = {"machine": machine or row["annotator"], "epsilon": decimal(row["epsilon"])}
    if row["passed"] not in (YES, NO):
        reason = str(row["undefined"]).removeprefix(_UNDEFINED).rstrip(".")
        return say(NOT_MADE) % {**values, "reason": because(reason)}
    first = PASSED if row["passed"] == YES else NOT_PASSED
    return f"{say(first) % values} {say(NEITHER)}"
