"""Notices, and the kinds that a person switched off."""

import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q

from annotation_site.sentences import SentenceField


class Notice(models.Model):
    """One event, told to one person. `event` names it, so that it is told once."""

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="notices"
    )
    kind = models.CharField(max_length=30)  # a key of `kinds.KINDS`
    event = models.CharField(max_length=120)
    text = SentenceField()
    path = models.CharField(max_length=300)  # of the page about it, on this site
    # What it names: it goes with the study, and with the person. By name, as studies are a later
    # stage.
    study = models.ForeignKey(
        "annotation.Study", null=True, on_delete=models.CASCADE, related_name="+"
    )
    person = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.CASCADE, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True, db_index=True)
    read_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ("-created_at", "-pk")
        constraints = (
            models.UniqueConstraint(fields=["user", "event"], name="notice_once_per_person"),
        )
        indexes = (models.Index(fields=["user"], condition=Q(read_at=None), name="unread_notices"),)

    def __str__(self) -> str:
        return f"{self.kind} to {self.user_id}"


class SwitchedOff(models.Model):
    """A kind of notices that a person does not want."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    kind = models.CharField(max_length=30)

    class Meta:
        verbose_name_plural = "switched off"
        constraints = (models.UniqueConstraint(fields=["user", "kind"], name="switched_off_once"),)

    def __str__(self) -> str:
        return f"{self.kind} of {self.user_id}"
