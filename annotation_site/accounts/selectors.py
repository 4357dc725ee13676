"""Queries for people and the audit log."""

import uuid
from collections.abc import Iterable

from allauth.mfa.models import Authenticator
from django.apps import apps
from django.db.models import Exists, F, OuterRef, QuerySet
from django.shortcuts import get_object_or_404

from annotation_site.accounts.audit import ACTIONS
from annotation_site.accounts.models import AuditEntry, Role, User
from annotation_site.old_names import action_today


def people(name: str = "") -> QuerySet[User]:
    """Everybody by name, with whether they have a second factor; people of open links and erased
    people last.
    """
    factor = Authenticator.objects.filter(user=OuterRef("pk"), type=Authenticator.Type.TOTP)
    found = User.objects.annotate(has_second_factor=Exists(factor))
    if name:
        found = found.filter(username__icontains=name)
    return found.order_by(F("erased_at").asc(nulls_first=True), "is_crowd", "username")


def person_of(public_id: uuid.UUID) -> User:
    """One of `people`. Raises Http404."""
    return get_object_or_404(people(), public_id=public_id)


def annotators() -> QuerySet[User]:
    """People who can be chosen to annotate a study, by name."""
    return User.objects.filter(role=Role.ANNOTATOR, is_active=True, is_crowd=False).order_by(
        "username"
    )


def log_rows(entries: Iterable[AuditEntry]) -> list[dict[str, object]]:
    """Log entries as sentences; the people in them are looked up in one query."""
    entries = list(entries)
    ids = {e.actor for e in entries if e.actor} | {
        uuid.UUID(e.target[5:]) for e in entries if e.target.startswith("user:")
    }
    names = dict(User.objects.filter(public_id__in=ids).values_list("public_id", "username"))

    words = {m._meta.model_name: str(m._meta.verbose_name) for m in apps.get_models()}

    def named(target: str) -> str:
        kind, _, name = target.partition(":")
        return (
            names.get(uuid.UUID(name), name)
            if kind == "user"
            else f"{words.get(kind, kind)} {name}".strip()
        )

    return [
        {
            "at": entry.at,
            "actor": names.get(entry.actor, str(entry.actor)) if entry.actor else "",
            "action": ACTIONS.get(action_today(entry.action), entry.action),
            "target": named(entry.target),
            "details": entry.details,
        }
        for entry in entries
    ]
