"""Rows of "Needs attention": from facts, and gone once the facts are. Pure: no database."""

import datetime
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from annotation_site.annotation.models import Study
from annotation_site.corpus.models import Extraction
from annotation_site.exact_words import exact
from annotation_site.results.pages.study_facts import PersonFacts, StudyFacts

FEWEST_OVERDUE = 3  # lists that are past their time
MOST_PEOPLE = 3  # who have a row of their own, of one kind

Sign = Literal["bad", "warn", "info"]


@dataclass(frozen=True)
class Row:
    """One thing that asks for something: a bold fact, a sentence with the reason and what to do.

    `button` leads to `url`; with `state` it changes the study's state instead, after `question`.
    """

    kind: str
    sign: Sign
    fact: str
    why: str
    button: str
    url: str
    study: Study | None = None
    state: str = ""
    question: str = ""


def attention_of(facts: StudyFacts, *, now: datetime.datetime) -> list[Row]:
    """Rows of one study, the most pressing first."""
    if facts.study.state == Study.State.ARCHIVED:
        return []
    found = [*_failed(facts)]
    if facts.study.state == Study.State.DRAFT:
        found += _before_opening(facts)
    elif facts.study.state == Study.State.PILOT:
        found += _pilot(facts)
    elif facts.study.state == Study.State.OPEN:
        found += _slots(facts)
    found += _adjudication(facts)
    if facts.study.state in Study.AT_WORK:
        found += [*_training(facts), *_idle(facts, now), *_overdue(facts), *_flags(facts)]
    return found


def extractions_failed(extractions: Sequence[Extraction]) -> list[Row]:
    """Rows of extractions that failed, for admins."""
    return [
        Row(
            "extraction_failed", "bad",
            format_html(_("The extraction of {model} failed"), model=exact(extraction)),
            _("Its page has the reason and the log. Try again there, or delete it."),
            _("Open the extraction"),
            reverse("corpus:extraction", args=[extraction.public_id]),
        )
        for extraction in extractions
    ]  # fmt: skip


def most_pressing(studies: Iterable[Sequence[Row]]) -> list[Row]:
    """Rows of several studies: first what failed, then each study's most pressing, and so on."""
    ranked = [
        (row.sign != "bad", place, number, row)
        for number, rows in enumerate(studies)
        for place, row in enumerate(rows)
    ]
    return [row for *_order, row in sorted(ranked, key=lambda one: one[:3])]


def _page(name: str, facts: StudyFacts, anchor: str = "") -> dict[str, Any]:
    return {"url": reverse(name, args=[facts.study.slug]) + anchor, "study": facts.study}


def _to_state(facts: StudyFacts, state: str, question: str = "") -> dict[str, Any]:
    return {**_page("annotation:state", facts), "state": state, "question": question}


def _failed(facts: StudyFacts) -> Iterator[Row]:
    if facts.failure:
        yield Row(
            "snapshot_failed", "bad",
            _("The newest results could not be computed"),
            _("%(reason)s Older results stay. Try again on the page of results.")
            % {"reason": facts.failure},
            _("Open the results"),
            **_page("results:results", facts),
        )  # fmt: skip


def _people_missing(facts: StudyFacts) -> Iterator[Row]:
    needed, here = facts.study.annotators_per_list, facts.at_work
    if not here:
        yield Row(
            "nobody", "warn",
            _("Nobody can annotate this study"),
            ngettext(
                "It has no annotator who can log in, and each list needs %(n)s. Add people, or "
                "invite them by a link.",
                "It has no annotator who can log in, and each list needs %(n)s. Add people, or "
                "invite them by a link.",
                needed,
            )
            % {"n": needed},
            _("Add annotators"),
            **_page("annotation:people", facts),
        )  # fmt: skip
    elif here < needed:
        yield Row(
            "too_few", "warn",
            ngettext(
                "%(here)s of %(n)s annotator is in the study",
                "%(here)s of %(n)s annotators are in the study",
                needed,
            )
            % {"here": here, "n": needed},
            _("Each list needs that many different people. Add or invite more."),
            _("Add annotators"),
            **_page("annotation:people", facts),
        )  # fmt: skip


def _references_missing(facts: StudyFacts) -> Iterator[Row]:
    if missing := facts.references_missing:
        yield Row(
            "references_missing", "warn",
            ngettext(
                "%(n)s reference annotation is missing",
                "%(n)s reference annotations are missing",
                missing,
            )
            % {"n": f"{missing:,}"},
            _("Training and silent reference lists need yours before the study can open."),
            _("Write them"),
            **_page("annotation:references", facts),
        )  # fmt: skip


def _before_opening(facts: StudyFacts) -> Iterator[Row]:
    missing = [*_people_missing(facts), *_references_missing(facts)]
    yield from missing
    if not missing:
        yield Row(
            "ready", "info",
            _("Ready to open"),
            ngettext(
                "%(n)s annotator gets lists as soon as the study is open.",
                "%(n)s annotators get lists as soon as the study is open.",
                facts.at_work,
            )
            % {"n": f"{facts.at_work:,}"},
            _("Open the study"),
            **_to_state(facts, Study.State.OPEN),
        )  # fmt: skip


def _pilot(facts: StudyFacts) -> Iterator[Row]:
    missing = [*_people_missing(facts), *_references_missing(facts)]
    yield from missing
    if not missing and not any(person.pilot_left for person in facts.people if person.can_work):
        yield Row(
            "pilot_done", "info",
            _("Everybody has finished the pilot"),
            _("Read what they did, then end the pilot or open the study for its own lists."),
            _("Open the study"),
            **_to_state(facts, Study.State.OPEN),
        )  # fmt: skip


def _slots(facts: StudyFacts) -> Iterator[Row]:
    if facts.slots and facts.done >= facts.slots:
        yield Row(
            "finished", "info",
            ngettext(
                "The %(n)s annotation is in",
                "All %(n)s annotations are in",
                facts.done,
            )
            % {"n": f"{facts.done:,}"},
            _("Close the study, so that nobody changes an annotation any more. Or add lists."),
            _("Close…"),
            **_to_state(facts, Study.State.CLOSED, _("Close the study?")),
        )  # fmt: skip
        return
    yield from _people_missing(facts)
    if facts.at_work and facts.stuck_slots:
        yield Row(
            "stuck_slots", "warn",
            ngettext(
                "Nobody can take %(n)s slot",
                "Nobody can take %(n)s slots",
                facts.stuck_slots,
            )
            % {"n": f"{facts.stuck_slots:,}"},
            _("All annotators of the study have had these lists. Invite somebody else."),
            _("Add annotators"),
            **_page("annotation:people", facts),
        )  # fmt: skip


def _adjudication(facts: StudyFacts) -> Iterator[Row]:
    if undecided := facts.undecided:
        said = ngettext("%(n)s list to adjudicate", "%(n)s lists to adjudicate", undecided)
        button = ngettext("Adjudicate %(n)s list", "Adjudicate %(n)s lists", undecided)
        yield Row(
            "adjudicate", "info",
            said % {"n": f"{undecided:,}"},
            ngettext(
                "%(n)s list has two annotations or more; %(done)s of these are adjudicated.",
                "%(n)s lists have two annotations or more; %(done)s of these are adjudicated.",
                facts.adjudicable,
            )
            % {"n": f"{facts.adjudicable:,}", "done": f"{facts.adjudicated:,}"},
            button % {"n": f"{undecided:,}"},
            **_page("results:adjudication", facts),
        )  # fmt: skip


def _training(facts: StudyFacts) -> Iterator[Row]:
    for person in facts.people:
        if person.waits_for_training and person.training is not None:
            yield Row(
                "training_failed", "warn",
                format_html(
                    _("{person} is below the score of the training"), person=exact(person.name)
                ),
                _(
                    "The overlap with your annotations is %(score)s%%, and %(needed)s%% opens the "
                    "lists. Let them in, or remove them."
                )
                % {"score": person.training.percent, "needed": person.training.needed},
                _("Decide"),
                **_page("annotation:run", facts, f"#{_anchor(person)}"),
            )  # fmt: skip


def _idle(facts: StudyFacts, now: datetime.datetime) -> Iterator[Row]:
    """People who have done nothing for the study's number of idle days, although lists are left."""
    idle = []
    for person in facts.people:
        since = person.last_at or person.membership.consented_at or facts.study.created_at
        days = (now - since).days
        has_work = person.left or (person.membership.away_since and facts.done < facts.slots)
        waits = not person.can_work or person.waits_for_training
        if has_work and not waits and days >= facts.study.idle_days:
            idle.append((days, person))
    if len(idle) > MOST_PEOPLE:
        left = sum(person.left for _days, person in idle)
        yield Row(
            "idle", "warn",
            _("%(n)s annotators have been idle for %(days)s days or more")
            % {"n": f"{len(idle):,}", "days": facts.study.idle_days},
            _left_to_idle(left),
            _("See the people"),
            **_page("annotation:run", facts, "#people"),
        )  # fmt: skip
        return
    for days, person in idle:
        fact = _("{person} has been idle for {n} days")
        if person.last_at is None:
            fact = _("{person} has not started in {n} days")
        yield Row(
            "idle", "warn",
            format_html(fact, person=exact(person.name), n=f"{days:,}"),
            _left_to_idle(person.left),
            _("See their lists"),
            **_page("annotation:run", facts, f"#{_anchor(person)}"),
        )  # fmt: skip


def _left_to_idle(lists: int) -> str:
    if not lists:
        return _("Others have their unopened lists until they come back. Remind them.")
    return ngettext(
        "%(n)s list is left to them. Remind them, or release it to others.",
        "%(n)s lists are left to them. Remind them, or release these to others.",
        lists,
    ) % {"n": f"{lists:,}"}


def _overdue(facts: StudyFacts) -> Iterator[Row]:
    late = [person for person in facts.people if person.can_work and person.overdue]
    number = sum(person.overdue for person in late)
    if number >= FEWEST_OVERDUE:
        shown = [(exact(p.name), f"{p.overdue:,}") for p in late[:MOST_PEOPLE]]
        names = format_html_join(", ", "{} ({})", shown)
        if len(late) > MOST_PEOPLE:
            names = format_html(_("{people} and others"), people=names)
        yield Row(
            "overdue", "warn",
            _("%(n)s opened lists are past their time") % {"n": f"{number:,}"},
            format_html(
                _("Nobody else can take them, so they wait for {people}. Remind them."),
                people=names,
            ),
            _("See the people"),
            **_page("annotation:run", facts, "#people"),
        )  # fmt: skip


def _flags(facts: StudyFacts) -> Iterator[Row]:
    for person in facts.people:
        for flag in person.flags:
            yield Row(
                "flag", "warn",
                format_html(
                    _("{person}: {hint}"), person=exact(person.name), hint=flag.label
                ),
                _("%(sentence)s This is a hint only; nothing is rejected.")
                % {"sentence": flag.sentence},
                _("See all hints"),
                **_page("annotation:run", facts, "#look"),
            )  # fmt: skip


def _anchor(person: PersonFacts) -> str:
    return f"person-{person.membership.user.public_id}"
