"""The payment table: each participant of a study's open links, with the reason of each row's state.

For researchers only. It decides nothing: flags are hints, and paying is a person's decision.
"""

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet
from django.utils.translation import gettext as _
from django.utils.translation import ngettext, override

from annotation_site.accounts import audit
from annotation_site.annotation.crowd.models import CrowdParticipant, OpenLink
from annotation_site.annotation.models import Study
from annotation_site.annotation.monitoring.flags import Flag
from annotation_site.annotation.monitoring.progress import Work, flags_by_person, work_of
from annotation_site.downloads import Download, table_as_file
from annotation_site.exports import Column, Table
from annotation_site.exports.table import marked

# The states of a row, in the order in which they are asked for; each row is in exactly one.
STATES = (
    "erased", "left", "failed check", "complete", "consent", "check", "away", "removed", "working",
    "no lists", "finished",
)  # fmt: skip


@dataclass(frozen=True)
class Payment:
    """One participant's row."""

    participant: CrowdParticipant
    work: Work
    flags: Sequence[Flag]

    @property
    def pseudonym(self) -> str:
        """The name of the account."""
        return str(self.participant.membership.user.username)

    @property
    def code(self) -> str:
        """The completion code that was shown; "" where none was, or a link back."""
        shown = self.participant.completed_at is not None
        return self.participant.link.completion_code if shown else ""

    @property
    def state(self) -> str:
        """One of STATES."""
        return state_of(self.participant, self.work)

    @property
    def check(self) -> str:
        """The result of the comprehension check, in words."""
        one = self.participant
        if not one.link.questions:
            return _("none")
        if one.check_passed_at:
            return _("passed")
        if one.check_failed_at:
            return _("failed")
        return _("open")

    @property
    def sentence(self) -> str:
        """Why the row is in its state, in one sentence."""
        return str(sentence_of(self.state, self.participant, self.work))

    @property
    def hints(self) -> list[str]:
        """Sentences about what a researcher may want to look at; none rejects anything."""
        one = self.participant
        found = []
        if one.seen_before:
            found.append(_("The participant id came from another browser before."))
        if one.check_failed_at:
            found.append(_("The comprehension check was failed."))
        if one.membership.withdrawn_at:
            found.append(_("The participant left the study."))
        return found + [flag.sentence for flag in self.flags]


def state_of(one: CrowdParticipant, work: Work) -> str:
    """The state of a participant: one of STATES."""
    membership, user = one.membership, one.membership.user
    agreed = membership.consent_version is not None
    answers = (
        ("erased", user.erased_at),
        ("left", membership.withdrawn_at),
        ("failed check", one.check_failed_at),
        ("complete", one.completed_at),
        ("away", one.idle_at),
        ("consent", not agreed),
        ("check", one.link.questions and not one.check_passed_at),
        ("removed", (membership.removed_at and one.entered_at) or not user.is_active),
        ("working", work.left or not one.entered_at),
        ("no lists", not work.done and not work.skipped and not work.expired),
    )
    return next((state for state, holds in answers if holds), "finished")


def sentence_of(state: str, one: CrowdParticipant, work: Work) -> str:
    """The state in one sentence, with its numbers."""
    done = ngettext("%(n)s submitted list", "%(n)s submitted lists", work.done) % {"n": work.done}
    values = {"done": done, "left": work.left, "hours": one.link.idle_hours}
    sentences = {
        "erased": _("The person was erased after %(done)s."),
        "left": _("The participant left the study after %(done)s; no code was shown."),
        "failed check": _("The comprehension check was failed, so no lists were given."),
        "complete": _("The participant finished with %(done)s and was shown the completion page."),
        "away": _(
            "The participant stayed away for %(hours)s hours after %(done)s; unopened lists went "
            "to others, and no code was shown."
        ),
        "consent": _("The participant joined and has not agreed to the consent text yet."),
        "check": _("The participant has not finished the comprehension check yet."),
        "removed": _("A researcher or an admin ended this part after %(done)s."),
        "working": _("The participant is at work: %(done)s, %(left)s left."),
        "no lists": _("No list was left to give; the completion page has not been opened yet."),
        "finished": _("All lists are done, %(done)s; the completion page has not been opened yet."),
    }
    if state == "left" and one.completed_at:
        return _("The participant left the study after the completion page was shown.")
    return sentences[state] % values


def payments(study: Study, *, link: OpenLink | None = None) -> list[Payment]:
    """Every participant of a study, or of one link, in the order of joining; six queries."""
    rows = list(participants_of(study, link))
    work = work_of([row.membership for row in rows])
    flags = {member.pk: found for member, found in flags_by_person(study)} if rows else {}
    return [
        Payment(row, work.get(row.membership_id, Work()), flags.get(row.membership_id, ()))
        for row in rows
    ]


def participants_of(study: Study, link: OpenLink | None = None) -> QuerySet[CrowdParticipant]:
    """The participants of a study's open links, or of one of them."""
    found: QuerySet[CrowdParticipant] = CrowdParticipant.objects.filter(link__study=study)
    if link is not None:
        found = found.filter(link=link)
    return found.select_related("link", "membership__user", "membership__study").order_by(
        "joined_at", "pk"
    )


def counts_by_state(rows: Sequence[Payment]) -> dict[str, int]:
    """How many rows are in each state; the sum is the number of participants."""
    states = [row.state for row in rows]
    return {state: states.count(state) for state in STATES if state in states}


def payment_file(*, study: Study, link: OpenLink | None, extension: str) -> Download:
    """The table as a file; the log has a line of it. Raises NotFound for an unknown format."""
    with override("en"):  # files are the same for everybody
        table = marked(payment_table(payments(study, link=link)), study.made_up)
    download = table_as_file(table, name=f"{study.slug}-payment", extension=extension)
    audit.record("exported", target=study, table="payment", format=extension)
    return download


def payment_table(rows: Sequence[Payment]) -> Table:
    """The rows for an export."""
    columns = (
        ("link", "text"), ("participant_id", "text"), ("study_id", "text"), ("session_id", "text"),
        ("pseudonym", "text"), ("joined_at", "text"), ("lists_submitted", "number"),
        ("lists_skipped", "number"), ("active_seconds", "number"), ("check", "text"),
        ("check_attempts", "number"), ("code", "text"), ("completed_at", "text"),
        ("state", "text"), ("explanation", "text"), ("flags", "text"),
    )  # fmt: skip
    return Table(
        "payment",
        tuple(Column(name, kind) for name, kind in columns),  # type: ignore[arg-type]
        [tuple(payment_values(row).values()) for row in rows],
    )


def payment_values(row: Payment) -> dict[str, Any]:
    """One row's cells by the names of the columns."""
    one = row.participant
    others: Mapping[str, str] = one.other_ids
    return {
        "link": one.link.name,
        "participant_id": one.outside_id,
        "study_id": others.get("STUDY_ID", ""),
        "session_id": others.get("SESSION_ID", ""),
        "pseudonym": row.pseudonym,
        "joined_at": _written(one.joined_at),
        "lists_submitted": row.work.done,
        "lists_skipped": row.work.skipped,
        "active_seconds": row.work.active_seconds,
        "check": row.check,
        "check_attempts": one.check_attempts,
        "code": row.code,
        "completed_at": _written(one.completed_at),
        "state": row.state,
        "explanation": row.sentence,
        "flags": " ".join(row.hints),
    }


def _written(moment: datetime.datetime | None) -> str:
    return "" if moment is None else moment.astimezone(datetime.UTC).isoformat(timespec="seconds")
