"""A simulated crowd: people who join by an open link, work, drop out, and come back or do not.

Seeded, on a clock of its own. What becomes of everybody is kept, to be compared with what the
payment table says.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from annotation_site.annotation.allocation.slots import leases_sweep
from annotation_site.annotation.crowd.joining import crowd_sweep
from annotation_site.annotation.crowd.links import has_work
from annotation_site.annotation.lists.page import next_assignment
from annotation_site.annotation.models import Assignment, Membership, Study
from annotation_site.annotation.work import submissions
from tests.annotation_site.annotation.crowd.people import (
    CHECK,
    RIGHT,
    WRONG,
    agree,
    code_on,
    make_link,
    participant,
    start,
)
from tests.annotation_site.clock import Clock
from tests.annotation_site.factories import make_extraction, make_study, submission, submit

AT_ONCE = 25  # people at work
LISTS_EACH = 3
K = 2


@dataclass
class Person:
    """A simulated participant: whether and when they drop out, and how."""

    number: int
    leaves_after: int | None  # steps
    vanishes: bool  # rather than pressing "Leave"
    fails: bool
    client: Client = field(default_factory=Client)


class Crowd:
    """A study, its link, and what became of everybody, by the name of the account."""

    def __init__(self, people: int, monkeypatch: pytest.MonkeyPatch, *, dropout: float) -> None:
        self.rng = random.Random(20260302)
        self.clock = Clock(timezone.now())
        monkeypatch.setattr(timezone, "now", self.clock)
        lists = round(people * (1 - dropout) * LISTS_EACH / K)
        self.study = _study(lists)
        self.link = make_link(
            self.study, most_people=people * 2, most_lists=LISTS_EACH, preset="prolific",
            questions=CHECK, idle_hours=2, completion_code="CODE-1",
        )  # fmt: skip
        self.outcomes: dict[str, str] = {}
        self.codes: dict[str, str] = {}
        self.people = people
        self.dropout = dropout
        self.steps = 0

    def run(self) -> None:
        """Let everybody come and go; then let others finish what is left."""
        people = range(self.people)
        waiting = [self._person(n) for n in people]
        at_work: list[tuple[Person, Iterator[None]]] = []
        while waiting or at_work:
            while waiting and len(at_work) < AT_ONCE:
                person = waiting.pop()
                at_work.append((person, self._life(person)))
            place = self.rng.randrange(len(at_work))
            if next(at_work[place][1], "over") == "over":
                at_work.pop(place)
            self._pass_time()
        self._sweep_after(hours=80)
        while has_work(self.study):
            self.people += 1
            assert self.people < 1.5 * len(people)
            for _ in self._life(Person(self.people, None, vanishes=False, fails=False)):
                self._pass_time()
        self._sweep_after(hours=80)

    def _person(self, number: int) -> Person:
        drops = self.rng.random() < self.dropout
        return Person(
            number=number,
            leaves_after=self.rng.randrange(6) if drops else None,
            vanishes=self.rng.random() < 0.7,
            fails=not drops and self.rng.random() < 0.04,
        )

    def _life(self, person: Person) -> Iterator[None]:
        """One participant's steps."""
        shared = self.rng.random() < 0.03 and person.number  # an id that somebody has used before
        outside_id = f"id{person.number - 1 if shared else person.number}"
        assert start(person.client, self.link, PROLIFIC_PID=outside_id).status_code == 302
        one = participant(person.client)
        name = one.membership.user.username
        self.outcomes[name] = "away"
        for step, action in enumerate(self._actions(person, one.membership)):
            if person.leaves_after is not None and step >= person.leaves_after:
                if not person.vanishes:
                    person.client.post(f"/studies/{self.study.slug}/withdraw/")
                    self.outcomes[name] = "left"
                return
            if action == "failed":
                self.outcomes[name] = "failed check"
                return
            yield
        page = person.client.get("/part/done/")
        self.codes[name] = code_on(page)
        self.outcomes[name] = "complete"

    def _actions(self, person: Person, membership: Membership) -> Iterator[str]:
        """What somebody does until they are done; each is over when the next one is asked for."""
        agree(person.client, self.study)
        yield "agreed"
        for answers in (WRONG, WRONG) if person.fails else (RIGHT,):
            person.client.post("/part/check/", answers)
        yield "failed" if person.fails else "passed"
        while (assignment := next_assignment(membership.pk)) is not None:
            submissions.assignment_open(assignment)
            yield "opened"
            assignment.refresh_from_db()
            if self.rng.random() < 0.05:
                content = submission(assignment, {})
                del content["annotation"]
                submissions.assignment_skip(
                    user=membership.user, public_id=assignment.public_id, reason="x", **content
                )
            else:
                submit(Assignment.objects.select_related("membership__user").get(pk=assignment.pk))
            yield "submitted"

    def _pass_time(self) -> None:
        self.steps += 1
        self.clock.after(seconds=20)
        if self.steps % 40 == 0:
            crowd_sweep()
            leases_sweep()

    def _sweep_after(self, *, hours: float) -> None:
        self.clock.now += timedelta(hours=hours)
        crowd_sweep()
        leases_sweep()


def _study(lists: int) -> Study:
    """An open study of about so many lists, whose slots wait for the crowd; leases of an hour."""
    per_layer = max(1, round(lists / 4))
    extraction = make_extraction(layers=2, per_layer=per_layer, kinds=("value", "random"))
    study = make_study(
        extraction=extraction, annotators=K, annotators_per_list=K, lists_per_layer=per_layer,
        kinds=("value", "random"), lease_hours=1,
    )  # fmt: skip
    team = study.memberships.filter(role=Membership.Role.ANNOTATOR)
    Assignment.objects.filter(membership__in=team).delete()
    team.update(removed_at=timezone.now())
    return study
