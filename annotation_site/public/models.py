"""The publication of a study."""

from datetime import timedelta

from django.conf import settings
from django.db import models
from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _

from annotation_site.annotation.models import Study
from annotation_site.workers.claims import ClaimedWork
from annotation_site.workers.queues import RESULTS_QUEUE


class Publication(ClaimedWork):
    """The public page of a closed study: files that a worker writes, and whether all may read them.

    The files are written before the page is switched on, so that a researcher sees exactly what
    becomes public. Switching off deletes the row and its files.
    """

    queue, task = RESULTS_QUEUE, "annotation_site.public.tasks.publication_write_due"
    share, asked_at, turn = "study", "requested_at", 2
    AGAIN_AFTER = timedelta(minutes=5)  # the files of a page that is on, where writing them failed

    class State(models.TextChoices):
        DUE = "due", _("waiting for a worker")
        RUNNING = "running", _("being written")
        READY = "ready", _("written")
        FAILED = "failed", _("failed")

    study = models.OneToOneField(Study, on_delete=models.CASCADE, related_name="publication")
    state = models.CharField(max_length=10, choices=State, default=State.DUE)
    is_public = models.BooleanField(default=False)
    is_indexed = models.BooleanField(default=False)  # else search engines are asked to stay away
    # A digest of what the files were written from; they are written again where it is another.
    content_key = models.CharField(max_length=64, blank=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    requested_at = models.DateTimeField(auto_now_add=True)
    switched_on_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)  # when the files were written, or it failed

    def __str__(self) -> str:
        return f"publication of {self.study}"

    @property
    def is_unfinished(self) -> bool:
        return self.state in (self.State.DUE, self.State.RUNNING)

    @classmethod
    def waiting(cls) -> QuerySet["Publication"]:
        return cls.objects.filter(state=cls.State.DUE)
