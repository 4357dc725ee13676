"""Open links, and the people who join by them."""

import uuid
from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _


class OpenLink(models.Model):
    """A link by which anybody joins a study as a pseudonymous annotator.

    Its address is public by design, so the token in it is stored as it is.
    """

    class Preset(models.TextChoices):
        PLAIN = "plain", _("none: anybody with the link")
        PROLIFIC = "prolific", _("Prolific")
        OTHER = "other", _("another platform, with a parameter of your choice")

    class Completion(models.TextChoices):
        CODE = "code", _("a completion code")
        REDIRECT = "redirect", _("a link back to the platform")

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    token = models.CharField(max_length=43, unique=True)
    study = models.ForeignKey(
        "annotation.Study", on_delete=models.CASCADE, related_name="open_links"
    )
    name = models.CharField(max_length=100)
    preset = models.CharField(max_length=10, choices=Preset, default=Preset.PLAIN)
    parameter = models.CharField(max_length=40, blank=True)  # that holds the participant id
    ends_at = models.DateTimeField()
    most_people = models.PositiveIntegerField()
    most_lists = models.PositiveIntegerField()  # of one participant
    idle_hours = models.PositiveIntegerField(default=24)
    completion = models.CharField(max_length=10, choices=Completion, default=Completion.CODE)
    completion_code = models.CharField(max_length=64, blank=True)
    redirect_url = models.CharField(max_length=500, blank=True)
    questions = models.JSONField(default=list)  # as `crowd.checks` reads them
    attempts = models.PositiveSmallIntegerField(default=2)
    keep_days = models.PositiveIntegerField(default=90)
    closed_at = models.DateTimeField(null=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("-created_at", "-pk")

    def __str__(self) -> str:
        return self.name


class CrowdParticipants(models.QuerySet["CrowdParticipant"]):
    """QuerySet of participants."""

    def ids_erase(self) -> int:
        """Erase the ids that a platform gave them; returns how many participants had one."""
        return self.exclude(outside_id="", other_ids={}).update(
            outside_id="", other_ids={}, ids_erased_at=timezone.now()
        )

    def in_place(self) -> "CrowdParticipants":
        """Participants who count towards the most people of their link."""
        return self.filter(
            check_failed_at=None,
            idle_at=None,
            membership__withdrawn_at=None,
            membership__user__is_active=True,
        )


class CrowdParticipant(models.Model):
    """A person who joined by an open link, with what payment depends on.

    The membership counts as removed before the check is passed, after completion and while the
    person stays away, so that no lists wait for them.
    """

    link = models.ForeignKey(OpenLink, on_delete=models.CASCADE, related_name="participants")
    membership = models.OneToOneField(
        "annotation.Membership", on_delete=models.CASCADE, related_name="participation"
    )
    outside_id = models.CharField(max_length=100, blank=True)  # as the platform gave it
    other_ids = models.JSONField(default=dict)  # the platform's other parameters
    seen_before = models.BooleanField(default=False)  # the id came from another browser as well
    start_key = models.UUIDField(unique=True)  # of the page on which "Start" was pressed
    joined_at = models.DateTimeField(auto_now_add=True)
    check_attempts = models.PositiveSmallIntegerField(default=0)
    check_right = models.PositiveSmallIntegerField(null=True)  # answers of the last attempt
    check_passed_at = models.DateTimeField(null=True)
    check_failed_at = models.DateTimeField(null=True)
    entered_at = models.DateTimeField(null=True)  # when they got their lists
    idle_at = models.DateTimeField(null=True)  # when their unopened lists went to others
    completed_at = models.DateTimeField(null=True)  # when the code or the link was shown first
    ids_erased_at = models.DateTimeField(null=True)

    objects: Any = CrowdParticipants.as_manager()

    class Meta:
        constraints = (
            models.UniqueConstraint(
                fields=["link", "outside_id"],
                condition=Q(seen_before=False) & ~Q(outside_id=""),
                name="participant_id_once_unflagged",
            ),
        )

    def __str__(self) -> str:
        return f"{self.link_id}/{self.pk}"
