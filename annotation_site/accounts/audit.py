"""The audit log: actions with person, time and object. Services write it, admins read it.

An entry holds no name, address, password or token: people appear by their public id alone, so
that the log stays as it is when a person is erased.
"""

import uuid
from typing import Any

from allauth.core import context
from django.db.models import Model, QuerySet
from django.utils.translation import gettext_lazy as _

from annotation_site.accounts.models import AuditEntry, User
from annotation_site.old_names import action_always

# What can be logged, as the log's page says it.
ACTIONS = {
    "login": _("logged in"),
    "demo_entered": _("entered the demo with one click"),
    "login_failed": _("failed to log in"),
    "second_factor_failed": _("gave a wrong second factor"),
    "logout": _("logged out"),
    "password_changed": _("changed a password"),
    "reset_mail_sent": _("asked for a reset e-mail"),
    "reset_link_made": _("made a password reset link"),
    "second_factor_added": _("set up a second factor"),
    "second_factor_removed": _("removed a second factor"),
    "recovery_codes_made": _("made new recovery codes"),
    "login_service_connected": _("connected an outside login"),
    "login_service_disconnected": _("disconnected an outside login"),
    "sessions_ended": _("ended sessions"),
    "token_made": _("made an API token"),
    "token_revoked": _("revoked an API token"),
    "invitation_made": _("made an invitation"),
    "invitation_accepted": _("accepted an invitation"),
    "invitation_revoked": _("revoked an invitation"),
    "person_created": _("created a person"),
    "account_changed": _("changed their account"),
    "role_changed": _("changed a role"),
    "person_deactivated": _("deactivated a person"),
    "person_activated": _("activated a person"),
    "person_erased": _("erased a person"),
    "study_created": _("created a study"),
    "study_restored": _("restored a study from an archive"),
    "study_deleted": _("deleted a study"),
    "study_state_changed": _("changed a study's state"),
    "study_texts_changed": _("changed a study's texts"),
    "study_changed": _("changed a study's rules"),
    "study_extended": _("added lists to a study"),
    "study_published": _("switched a study's public page on"),
    "publication_changed": _("changed a study's public page"),
    "study_unpublished": _("switched a study's public page off"),
    "annotator_added": _("added an annotator to a study"),
    "annotator_removed": _("removed an annotator from a study"),
    "lists_released": _("released a person's unopened lists"),
    "study_left": _("withdrew from a study"),
    "adjudicated_annotation_given": _("adjudicated a list"),
    "list_looked_at": _("looked at people's annotations of a list"),
    "training_waived": _("let a person in without passing training"),
    "open_link_made": _("made an open link"),
    "open_link_changed": _("changed an open link"),
    "open_link_closed": _("closed an open link"),
    "open_link_reopened": _("re-opened an open link"),
    "open_link_deleted": _("deleted an open link"),
    "open_link_joined": _("joined by an open link"),
    "model_enqueued": _("enqueued a model"),
    "model_uploaded": _("uploaded a bundle"),
    "model_retried": _("retried an extraction"),
    "model_cancelled": _("cancelled an extraction"),
    "model_renamed": _("renamed an extraction"),
    "model_deleted": _("deleted an extraction"),
    "measurement_enqueued": _("enqueued a measurement"),
    "measurement_retried": _("retried a measurement"),
    "measurement_cancelled": _("cancelled a measurement"),
    "measurement_renamed": _("renamed a measurement"),
    "measurement_deleted": _("deleted a measurement"),
    "trace_requested": _("requested a trace"),
    "trace_shared": _("shared a trace, or stopped sharing it"),
    "trace_deleted": _("deleted a trace"),
    "proxy_requested": _("asked for a proxy of all value vectors"),
    "proxy_cancelled": _("cancelled a proxy"),
    "machine_annotator_prompt_changed": _("changed a study's prompt for language models"),
    "machine_annotator_requested": _("let a language model annotate a study"),
    "machine_annotator_cancelled": _("cancelled a language model's run"),
    "machine_annotator_continued": _("continued a language model's run"),
    "machine_annotator_deleted": _("deleted a language model's run"),
    "machine_annotator_exchanges_deleted": _("deleted a language model's requests and replies"),
    "corpus_uploaded": _("uploaded a corpus"),
    "corpus_deleted": _("deleted a corpus"),
    "vector_set_made": _("made a set of vectors"),
    "vector_set_changed": _("changed a set of vectors"),
    "vector_set_deleted": _("deleted a set of vectors"),
    "backup_made": _("made a backup"),
    "exported": _("exported results"),
    "annotations_imported": _("imported labels"),
}


def record(
    action: str, *, target: Model | None = None, actor: User | None = None, **details: Any
) -> None:
    """Add an entry, in the caller's transaction.

    The actor is the person whose request is being served, unless one is given. Details are plain
    JSON values and must hold no secret and nothing that names a person. Raises KeyError for an
    action that is not in ACTIONS.
    """
    ACTIONS[action]
    by = actor or _person_of_the_request()
    AuditEntry.objects.create(
        actor=by.public_id if by else None,
        action=action,
        target=_named(target) if target is not None else "",
        details=details,
    )


def entries(*, action: str = "", person: uuid.UUID | None = None) -> QuerySet[AuditEntry]:
    """Log entries, newest first; optionally of one action, or by or about one person."""
    found = AuditEntry.objects.order_by("-pk")
    if action:
        found = found.filter(action__in=action_always(action))
    if person:
        found = found.filter(actor=person) | found.filter(target=f"user:{person}")
    return found


def _person_of_the_request() -> User | None:
    user = getattr(context.request, "user", None)
    return user if isinstance(user, User) else None


def _named(target: Model) -> str:
    """user:<public id>, study:<slug>: what the site itself calls the thing."""
    name = getattr(target, "public_id", None) or getattr(target, "slug", None) or target.pk
    return f"{target._meta.model_name}:{name}"
