"""Deletion of a study with everything of its own, in steps that nobody has to wait for."""

import logging
from dataclasses import dataclass

from django.db import transaction
from django.db.models import Exists, Model, OuterRef, QuerySet
from django.utils import timezone
from django.utils.translation import gettext

from annotation_site.accounts import audit
from annotation_site.accounts.models import Invitation, User
from annotation_site.annotation.allocation.slots import study_locked
from annotation_site.annotation.allocation.watchers import study_tell
from annotation_site.annotation.models import (
    Assignment,
    Item,
    Membership,
    Study,
)
from annotation_site.errors import Invalid
from annotation_site.machine_annotators.models import UNFINISHED as UNANNOTATED
from annotation_site.machine_annotators.models import (
    MachineAnnotation,
    MachineExchange,
    MachineRun,
)
from annotation_site.notices.models import Notice
from annotation_site.results.figures.files import figures_remove
from annotation_site.results.files.jobs import CONTENTS, file_path
from annotation_site.results.files.labels_import_checks import IMPORTED
from annotation_site.results.models import ExportJob, Pseudonym, Snapshot, StudyDeletion
from annotation_site.workers.claims import DEAD_AFTER, claim, give_back, report, wake, working
from annotation_site.workers.clocks import silent_for
from annotation_site.workers.queues import RESULTS_QUEUE

log = logging.getLogger(__name__)
CHUNK = 200  # rows of a transaction, with those that belong to them
State = StudyDeletion.State


@dataclass(frozen=True)
class Contents:
    """Numbers of what goes with a study."""

    lists: int
    people: int
    annotations: int
    files: int


def study_contents(study: Study) -> Contents:
    """Count the rows and files that a deletion removes."""
    of_study = Assignment.objects.filter(item__study=study)
    return Contents(
        lists=study.items.count(),
        people=study.memberships.values("user").distinct().count(),
        annotations=of_study.filter(state=Assignment.State.SUBMITTED).count(),
        files=study.exports.filter(state=ExportJob.State.READY).count(),
    )


@transaction.atomic
def study_delete(*, study: Study, by: User) -> None:
    """Take a study from everybody's sight; a worker then deletes it.

    All of its own goes: lists, annotations, hours, texts, people's places in it, results and files.
    Its extractions, people's accounts, the log and other studies stay. Raises Invalid while people
    work at it, and while a worker computes results or writes a file of it; nothing changes then.
    Raises NotFound where somebody has deleted it already.
    """
    study = study_locked(study.pk)
    if study.state in Study.AT_WORK:
        raise Invalid(gettext("People can work at this study. Pause or close it, then delete it."))
    for kind in (Snapshot, ExportJob):
        at_work = kind.being_done().filter(study=study)
        if at_work.exclude(silent_for(DEAD_AFTER)).exists():
            raise Invalid(
                gettext(
                    "A worker is computing results or writing a file of this study. Delete it when "
                    "that has ended."
                )
            )
        kind.waiting().filter(study=study).delete()
    MachineRun.objects.filter(study=study, state__in=UNANNOTATED).update(
        state=MachineRun.State.CANCELLED, claim=None
    )
    Invitation.objects.filter(study=study).delete()
    Notice.objects.filter(study=study).delete()
    study.state = Study.State.DELETING
    study.save(update_fields=["state"])
    StudyDeletion.objects.create(study=study)
    study_tell(study)
    audit.record(
        "study_deleted", target=study, actor=by, annotations=study_contents(study).annotations
    )
    wake(RESULTS_QUEUE)


def study_delete_run(*, deletion_id: int) -> None:
    """Claim a due deletion and do it; what was cut short is taken up where it stood."""
    deletion = claim(StudyDeletion.waiting(), deletion_id, state=State.RUNNING, error="")
    if deletion is None:
        return
    with working(deletion):
        _files_remove(deletion.study)
        # Assignments take patterns, revisions and hours along.
        _delete_in_chunks(deletion, Assignment.objects.filter(item__study=deletion.study))
        for part in (MachineExchange, MachineAnnotation):
            _delete_in_chunks(deletion, part._default_manager.filter(run__study=deletion.study))
        for kind in (MachineRun, Item, Snapshot, ExportJob):
            _delete_in_chunks(deletion, kind._default_manager.filter(study=deletion.study))
        with transaction.atomic():
            report(deletion)
            people = list(
                Membership.objects.filter(study=deletion.study).values_list("user", flat=True)
            )
            Pseudonym.objects.filter(study=deletion.study).delete()
            Membership.objects.filter(study=deletion.study).delete()
            _people_of_files(people).delete()
            deletion.study.delete()


def _delete_in_chunks(deletion: StudyDeletion, rows: "QuerySet[Model]") -> None:
    """Each chunk is a transaction that begins with the claim: who lost it deletes nothing."""
    while True:
        with transaction.atomic():
            report(deletion)
            chunk = list(rows.order_by().values_list("pk", flat=True)[:CHUNK])
            rows.model._default_manager.filter(pk__in=chunk).delete()
        if len(chunk) < CHUNK:
            return


def _files_remove(study: Study) -> None:
    for snapshot in Snapshot.objects.filter(study=study).exclude(finished_at=None):
        figures_remove(snapshot)
    for job in ExportJob.objects.filter(study=study).exclude(claim=None):
        if job.content in CONTENTS:
            path = file_path(job)
            path.unlink(missing_ok=True)
            path.with_name(f"{path.name}.part").unlink(missing_ok=True)


def _people_of_files(people: list[int]) -> "QuerySet[User]":
    """People who came with labels or an archive, cannot log in, and are in no other study."""
    elsewhere = Membership.objects.filter(user=OuterRef("pk"))
    return User.objects.filter(
        ~Exists(elsewhere), pk__in=people, is_active=False, username__startswith=IMPORTED
    )


def deletions_sweep() -> None:
    """Release deletions of dead workers, and try those again that a bug or a disk stopped."""
    for deletion in give_back(StudyDeletion.being_done(), state=State.DUE):
        log.warning("The deletion of study %s waits again", deletion.study_id)
    failed = StudyDeletion.objects.filter(state=State.FAILED)
    again = timezone.now() - StudyDeletion.AGAIN_AFTER
    if failed.filter(finished_at__lt=again).update(state=State.DUE, attempts=0):
        wake(RESULTS_QUEUE)
