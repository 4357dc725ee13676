"""Checks of an imported record before it is written: its person and its values."""

import secrets
from collections.abc import Mapping
from typing import Any

from django.utils import timezone

from annotation_site.accounts.models import Role, User
from annotation_site.annotation.allocation.slots import MOST_CLOCK_DIFFERENCE
from annotation_site.annotation.models import Assignment, Item, Membership, Study
from annotation_site.errors import Invalid
from annotation_site.exports.annotation_records import PSEUDONYM, AnnotationRecord
from annotation_site.results.models import Pseudonym

Purpose = Assignment.Purpose
MOST = 1_000_000_000  # what is counted on from here still fits every database
PURPOSES_OF = {
    Item.Use.STUDY: (Purpose.ANNOTATION, Purpose.REPEAT, Purpose.ADJUDICATION),
    Item.Use.TRAINING: (Purpose.TRAINING, Purpose.ADJUDICATION),
    Item.Use.REFERENCE: (Purpose.REFERENCE, Purpose.ADJUDICATION),
    Item.Use.PILOT: (Purpose.PILOT,),
}


IMPORTED = "imported-"
"""Beginning of the user names of people who came with a file."""


class People:
    """Memberships by annotator's code and role."""

    def __init__(self, study: Study, names: Mapping[str, str]) -> None:
        self.study = study
        self.created = 0
        self._memberships: dict[tuple[str, str], Membership] = {}
        coded = Pseudonym.objects.filter(study=study).select_related("user")
        self._users = {pseudonym.name: pseudonym.user for pseudonym in coded}
        self._named = {code: self._known(name) for code, name in names.items()}

    def _known(self, name: str) -> User:
        found = User.objects.filter(username=name, memberships__study=self.study).first()
        if found is None:
            raise Invalid(f"There is nobody called “{name}” in this study. Add them first.")
        return found

    def membership(self, code: str, role: str, where: str) -> Membership:
        """The person's membership; a person is created for a new code."""
        found = self._memberships.get((code, role))
        if found is None:
            user = self._named.get(code) or self.user_of(code)
            found = Membership.objects.filter(study=self.study, user=user, role=role).first()
            if found is None and user.is_active:
                # A file gives nobody a role who can log in.
                raise Invalid(f"{where}: {code} is no {role} of this study. Add the person first.")
            if found is None:
                found = Membership.objects.create(study=self.study, user=user, role=role)
            self._memberships[code, role] = found
        return found

    def user_of(self, code: str) -> User:
        """The person with this code in the study; for a new code, one who cannot log in."""
        if code not in self._users:
            if not PSEUDONYM.fullmatch(code):
                raise Invalid(f"{code!r:.40} is no annotator's code: small letters and digits.")
            taken = User.objects.filter(username=f"{IMPORTED}{code}").exists()
            user = self.nameless(f"{code}-{secrets.token_hex(2)}" if taken else code)
            Pseudonym.objects.create(study=self.study, user=user, name=code)
            self._users[code] = user
            self.created += 1
        return self._users[code]

    def nameless(self, ending: str = "") -> User:
        """A new person who cannot log in and whose name tells nothing but the ending."""
        user = User(
            username=f"{IMPORTED}{ending or secrets.token_hex(6)}",
            role=Role.ANNOTATOR,
            is_active=False,
        )
        user.set_unusable_password()
        user.full_clean()
        user.save()
        return user


def check_record(
    where: str, record: AnnotationRecord, item: Item, shown: Mapping[str, tuple[Any, ...]]
) -> None:
    """Refuse a record that does not suit its list, or has impossible values. Raises Invalid."""
    for name in ("token_ids", "tokens", "glosses", "prefixes"):
        if getattr(record, name) != shown[name]:
            raise Invalid(
                f"{where}: the list's {name.replace('_', ' ')} differ from those in this site. "
                "Load the very bundle that the labels were made with"
                + (
                    ", and give the study the gloss_rule that they were made with."
                    if name == "glosses"
                    else "."
                )
            )
    known = (
        ("purpose", record.purpose, Assignment.Purpose.values),
        ("role", record.role, Membership.Role.values),
        ("list_use", record.list_use, [item.use]),
    )
    for name, value, values in known:
        if value not in values:
            raise Invalid(f"{where}: {name} is {value!r:.40}, and can be {', '.join(values)} here.")
    if record.made_up and not item.study.made_up:
        raise Invalid(
            f"{where}: this annotation is made up, and the study is one of people. Restore its "
            "archive as a study of its own: manage.py restore_study."
        )
    _check_numbers(where, record)
    _check_times(where, record)
    _check_use(where, record, item)


def _check_numbers(where: str, record: AnnotationRecord) -> None:
    bounds = (
        ("position", record.position, 1, MOST),
        ("version", record.version, 1, MOST),
        ("active_seconds", record.active_seconds, 0, MOST),
        ("guidelines_version", record.guidelines_version, 1, MOST),
    )
    for name, number, smallest, largest in bounds:
        if number is not None and number < smallest:
            raise Invalid(f"{where}: {name} is {number}; it starts at {smallest}.")
        if number is not None and number > largest:
            raise Invalid(f"{where}: {name} is {number}; it can be {largest} at most.")
    if record.reference_score is not None and not 0 <= record.reference_score <= 1:
        raise Invalid(f"{where}: reference_score lies between 0 and 1.")


def _check_times(where: str, record: AnnotationRecord) -> None:
    latest = timezone.now() + MOST_CLOCK_DIFFERENCE
    if record.submitted_at > latest:
        raise Invalid(f"{where}: submitted_at lies in the future. Check the clock that wrote it.")
    if record.opened_at is None:
        return
    if record.opened_at > record.submitted_at:
        raise Invalid(f"{where}: submitted_at is before opened_at. Correct the times in the file.")
    # Not until it was submitted: people go on at lists that they have submitted.
    if record.active_seconds > (latest - record.opened_at).total_seconds():
        raise Invalid(
            f"{where}: active_seconds is {record.active_seconds}, more than has passed since the "
            "list was opened."
        )


def _check_use(where: str, record: AnnotationRecord, item: Item) -> None:
    purposes = PURPOSES_OF[Item.Use(item.use)]
    if record.purpose not in purposes:
        raise Invalid(
            f"{where}: purpose is {record.purpose!r}, and a list for {item.get_use_display()} has "
            f"annotations for {', '.join(purposes)}."
        )
    if record.surplus and record.purpose != Purpose.ANNOTATION:
        raise Invalid(f"{where}: surplus is true, and only an annotation can be surplus.")
    if record.looked_before and record.purpose != Purpose.ADJUDICATION:
        raise Invalid(f"{where}: looked_before is true, and only adjudicated annotations have it.")
    if (record.purpose == Purpose.ADJUDICATION) != (record.role == Membership.Role.RESEARCHER):
        raise Invalid(
            f"{where}: role is {record.role!r} and purpose {record.purpose!r}; researchers "
            "adjudicate, and annotators do everything else."
        )
