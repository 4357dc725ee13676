"""Machine annotators beside people: coverage, agreement on the same lists, and the test."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from tests.annotation_site.oracle.agreement import Agreement, Answer, Judged, measures
from tests.annotation_site.oracle.alternative import (
    Judgements,
    Outcome,
    alternative_annotator_test,
)
from tests.annotation_site.oracle.coverage import Row, Rows, mean, of_answer
from tests.annotation_site.oracle.records import Said, Study

FEWEST = 30


@dataclass(frozen=True)
class Machine:
    """A machine annotator's annotations by the number of a list; None where replies failed."""

    study: Study
    name: str
    said: Mapping[int, Said | None]

    @cached_property
    def agreement(self) -> Agreement:
        return Agreement(self.study)

    def coverage(self) -> Rows:
        """Its rows of `machine_coverage`."""
        found: Rows = {}
        for group in {(one.model, one.kind) for one in self.study.own}:
            own = [one.number for one in self.study.own if (one.model, one.kind) == group]
            asked = [self.said[number] for number in own if number in self.said]
            values = [
                of_answer(said, self.study.choice.min_tokens, self.study.categories)
                for said in asked
                if said is not None
            ]
            found[self.name, *group] = {
                "coverage": mean([one["coverage"] for one in values]),
                "concepts_per_list": mean([one["concepts_per_list"] for one in values]),
                "lists": len(values),
                "failed": asked.count(None),
            }
        return found

    def beside_people(self) -> Rows:
        """Its rows of `machine_agreement`."""
        people = {number: one.answers for number, one in self.agreement.whole.items()}
        needed = 2 if any(len(answers) > 1 for answers in people.values()) else 1
        asked = [
            number
            for number, answers in people.items()
            if len(answers) >= needed and number in self.said
        ]
        own = [number for number in asked if self.said[number] is not None]
        alone = measures([self.agreement.whole[number] for number in own])
        pairs = {number: self._pairs(number) for number in own}
        together = measures([pair for number in own for pair in pairs[number]])
        each = [measures(pairs[number]) for number in own]
        found: Rows = {}
        for name, row in alone.items():
            both = together[name]
            beside = {
                "value": both["value"],
                "n": both["n"],
                "lists": sum(one[name]["n"] > 0 for one in each),
                "annotations": both["lists"],
            }
            for between, half in (("people", row), ("people and machine", beside)):
                found[self.name, between, name] = self._half(half, len(asked), len(own), needed)
        return found

    def _half(self, row: Row, asked: int, own: int, needed: int) -> Row:
        hidden = {"value": None} if own < FEWEST and needed == 2 else {}
        return {**row, **hidden, "lists_total": asked}

    def _pairs(self, number: int) -> Sequence[Judged]:
        """The machine beside each person; each of these is two people of their own."""
        found = []
        said = self.said[number]
        assert said is not None
        for person in self.agreement.whole[number].answers:
            least = self.study.choice.min_tokens
            one = Answer(f"{person.who}, person", person.patterns, person.length)
            other = Answer(f"{person.who}, machine", said.qualifying(least), said.shown.length)
            found.append(Judged((one, other)))
        return found

    def alternative_test(self, epsilon: float) -> Outcome:
        """The alternative annotator test."""
        least = self.study.choice.min_tokens
        inside = {one.number for one in self.study.own}
        people = {
            number: {one.who: one.concept for one in judged.answers}
            for number, judged in self.agreement.whole.items()
        }
        machine: dict[int, Judgements | None] = {}
        for number, said in self.said.items():
            if number in inside:
                machine[number] = (
                    said and Answer(self.name, said.qualifying(least), said.shown.length).concept
                )
        return alternative_annotator_test(people, machine, epsilon=epsilon)
