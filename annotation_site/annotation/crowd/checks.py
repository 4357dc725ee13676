"""The comprehension check of an open link: how a researcher writes it, and how it is scored. Pure.

    How many tokens does a pattern need?
    * four
    - one
    - thirty

A line is a question; below it stand its answers, the right one behind `*`, the others behind `-`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _

from annotation_site.errors import Invalid

MOST_QUESTIONS = 10
FEWEST_ANSWERS, MOST_ANSWERS = 2, 6
MOST_LETTERS = 300  # of a question or an answer
MOST_TEXT = 12_000  # of a whole check


@dataclass(frozen=True)
class Question:
    """A multiple-choice question; `right` is the place of the right answer, from 0."""

    text: str
    answers: tuple[str, ...]
    right: int


def questions_parse(text: str) -> list[Question]:
    """Read questions as a researcher writes them; empty for no check.

    Raises Invalid, with the number of the line, for what cannot be read.
    """
    if len(text) > MOST_TEXT:
        raise Invalid(
            _("The check has at most %(most)s characters. Shorten it.") % {"most": f"{MOST_TEXT:,}"}
        )
    found: list[tuple[int, str, list[tuple[bool, str]]]] = []
    for number, line in enumerate(text.splitlines(), 1):
        line = line.strip()
        if not line:
            continue
        if len(line) > MOST_LETTERS:
            raise Invalid(
                _("Line %(n)s of the check has more than %(most)s characters. Shorten it.")
                % {"n": number, "most": MOST_LETTERS}
            )
        if line[0] in "*-":
            if not found:
                raise Invalid(
                    _("Line %(n)s of the check is an answer without a question. Write one above.")
                    % {"n": number}
                )
            found[-1][2].append((line[0] == "*", line[1:].strip()))
        else:
            found.append((number, line, []))
    if len(found) > MOST_QUESTIONS:
        raise Invalid(
            _("A check has at most %(most)s questions. Remove some.") % {"most": MOST_QUESTIONS}
        )
    return [_question(*one) for one in found]


def _question(number: int, text: str, answers: list[tuple[bool, str]]) -> Question:
    right = [place for place, (is_right, _text) in enumerate(answers) if is_right]
    texts = [one for _is_right, one in answers]
    if not FEWEST_ANSWERS <= len(answers) <= MOST_ANSWERS or len(right) != 1 or not all(texts):
        raise Invalid(
            _(
                "The question in line %(n)s of the check needs %(fewest)s to %(most)s answers, "
                "each with a text, and exactly one behind “*”."
            )
            % {"n": number, "fewest": FEWEST_ANSWERS, "most": MOST_ANSWERS}
        )
    if len(set(texts)) < len(texts):
        raise Invalid(
            _("The question in line %(n)s of the check has the same answer twice.") % {"n": number}
        )
    return Question(text, tuple(texts), right[0])


def questions_written(questions: Sequence[Question]) -> str:
    """The questions as a researcher writes them; `questions_parse` reads them again."""
    return "\n\n".join(
        "\n".join(
            [q.text, *(f"{'*' if n == q.right else '-'} {a}" for n, a in enumerate(q.answers))]
        )
        for q in questions
    )


def questions_to_json(questions: Sequence[Question]) -> list[dict[str, Any]]:
    """As the database has them."""
    return [{"text": q.text, "answers": list(q.answers), "right": q.right} for q in questions]


def questions_from_json(stored: Sequence[Mapping[str, Any]]) -> list[Question]:
    """The questions of `questions_to_json`."""
    return [Question(q["text"], tuple(q["answers"]), q["right"]) for q in stored]


def answers_right(questions: Sequence[Question], given: Sequence[int | None]) -> int:
    """Number of questions that are answered correctly; `given` has a place for each, or None."""
    return sum(question.right == answer for question, answer in zip(questions, given, strict=True))
