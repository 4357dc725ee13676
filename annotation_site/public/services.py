"""Services of publications: prepare, switch on and off, follow the study, sweep."""

import hashlib
import json
import logging
from typing import Any

from django.db import transaction
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from annotation_site.accounts import audit
from annotation_site.accounts.models import User
from annotation_site.analysis import MEASURES_VERSION
from annotation_site.annotation.allocation.slots import study_locked
from annotation_site.annotation.models import Assignment, Guidelines, Item, Membership, Study
from annotation_site.annotation.selectors import newest_text
from annotation_site.errors import Invalid
from annotation_site.notices.services import notice_send
from annotation_site.public import files
from annotation_site.public.models import Publication
from annotation_site.public.standing import against_words, held, published_sharing, studies_against
from annotation_site.results.files.product import VERSION
from annotation_site.results.snapshots.versions import data_version
from annotation_site.sentences import Sentence
from annotation_site.workers.claims import give_back, wake
from annotation_site.workers.queues import RESULTS_QUEUE

log = logging.getLogger(__name__)
State = Publication.State
KEPT = (Study.State.CLOSED, Study.State.ARCHIVED)
"""States of a study whose page stays on; it is switched on while the study is closed."""
ENDED = gettext_noop("The public page of “%(study)s” was switched off. %(why)s")
ANNOTATED = gettext_noop(
    "People annotate some of its vectors in another study now. You can switch it on again when "
    "that study is closed."
)
NOT_CLOSED = gettext_noop("The study is not closed any more.")
NOT_ALLOWED = gettext_noop("The study’s rules do not allow publication.")


def problem_of(study: Study) -> str:
    """Why the study has no public page, whatever other studies do; empty if it may have one."""
    if not study.may_publish:
        return _(
            "People did not agree to publication: the option “Results and lists may be published” "
            "is off in this study’s rules. Duplicate the study to ask for it."
        )
    if study.state not in KEPT:
        return _("This study is not closed. Close it, then publish it.")
    if not has_annotations(study):
        return _("This study has no annotations that count, so there is nothing to publish.")
    return ""


def has_annotations(study: Study) -> bool:
    """Whether a study has an annotation that counts."""
    return Assignment.objects.filter(
        item__study=study,
        item__use=Item.Use.STUDY,
        purpose=Assignment.Purpose.ANNOTATION,
        state=Assignment.State.SUBMITTED,
        surplus=False,
        unblinded=False,
    ).exists()


def content_key(study: Study) -> str:
    """A digest of all that a public page is written from: data, texts and this software."""
    guidelines = newest_text(Guidelines, study)
    said = [
        data_version(study.pk),
        study.title,
        study.slug,
        guidelines.version if guidelines else 0,
        study.made_up,
        MEASURES_VERSION,
        VERSION,
    ]
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()


def is_current(publication: Publication) -> bool:
    """Whether the files are written, where they should be, and of the study's newest data."""
    study = publication.study
    return (
        publication.state == State.READY
        and publication.content_key == content_key(study)
        and files.are_there(study.slug, public=publication.is_public)
    )


@transaction.atomic
def publication_prepare(*, study: Study, by: User) -> Publication:
    """Have a worker write the files of a study's page, for a look at them; nothing is public.

    Asking again is a no-op while the files are of the newest data. Raises Invalid for a study that
    may not have a public page now.
    """
    study = _publishable(study)
    found, _made = Publication.objects.get_or_create(study=study, defaults={"created_by": by})
    _write_again(found)
    return found


@transaction.atomic
def publication_switch_on(*, study: Study, by: User, is_indexed: bool = False) -> Publication:
    """Make a study's page public, or change whether search engines may list it.

    Files that are written and of the newest data are public at once; else a worker writes them
    first. Switching on twice is a no-op. Raises Invalid for a study that may not have a public
    page, and names the studies that stand against it.
    """
    study = _publishable(study)
    # Locked before it is asked what stands against it: a study that opens meanwhile waits for the
    # row and then switches it off, or is seen here.
    found, _made = Publication.objects.select_for_update().get_or_create(
        study=study, defaults={"created_by": by}
    )
    if said := against_words(study, reader=by):
        raise Invalid(said)
    was_public, was_indexed = found.is_public, found.is_indexed
    current = is_current(found)
    found.is_public, found.is_indexed = True, is_indexed
    if not was_public:
        found.switched_on_at = timezone.now()
    found.save(update_fields=["is_public", "is_indexed", "switched_on_at"])
    if not was_public:
        audit.record("study_published", target=study, actor=by, indexed=is_indexed)
    elif was_indexed != is_indexed:
        audit.record("publication_changed", target=study, actor=by, indexed=is_indexed)
    if current:
        transaction.on_commit(lambda: _reveal(study.slug, is_indexed=is_indexed))
    else:
        _write_again(found)
    return found


def _publishable(study: Study) -> Study:
    study = study_locked(study.pk)
    if problem := problem_of(study):
        raise Invalid(problem)
    if study.state == Study.State.ARCHIVED:
        raise Invalid(_("This study is archived. Take it out of the archive first."))
    return study


def _reveal(slug: str, *, is_indexed: bool) -> None:
    """Put the draft in its place; a page that is there already says how it is indexed from now."""
    files.draft_switch_on(slug)
    folder = files.page_folder(slug)
    said = files.about(folder)
    if said is not None and said.get("is_indexed") != is_indexed:
        files.about_write(folder, {**said, "is_indexed": is_indexed})


def _write_again(publication: Publication) -> None:
    """Make a publication due, unless it is current or a worker has it."""
    if publication.is_unfinished or is_current(publication):
        wake(RESULTS_QUEUE)
        return
    Publication.objects.filter(pk=publication.pk).update(
        state=State.DUE, attempts=0, error="", requested_at=timezone.now()
    )
    publication.refresh_from_db()
    wake(RESULTS_QUEUE)


@transaction.atomic
def publication_switch_off(*, study: Study, by: User | None = None, why: str = "") -> bool:
    """Remove a study's page and its files at once; returns whether there was one.

    `why` is a sentence of this module where nobody asked for it; the study's researchers are told.
    """
    found = Publication.objects.select_for_update().filter(study=study).first()
    if found is None:
        return False
    key = found.pk
    found.delete()
    if found.is_public:
        details: dict[str, Any] = {"because": why} if why else {}
        audit.record("study_unpublished", target=study, actor=by, **details)
        if why and study.state != Study.State.DELETING:
            _tell(study, key, why)
    # Within the transaction: if it fails, the page is gone for a moment, and written again.
    files.files_remove(study.slug)
    transaction.on_commit(lambda: _remove_unless_published(study.slug))
    return True


def _remove_unless_published(slug: str) -> None:
    if not Publication.objects.filter(study__slug=slug).exists():
        files.files_remove(slug)


def _tell(study: Study, key: int, why: str) -> None:
    runs = study.memberships.filter(role=Membership.Role.RESEARCHER)
    notice_send(
        kind="publication_ended",
        event=f"publication {key} ended",
        people=list(runs.values_list("user_id", flat=True)),
        text=Sentence(ENDED, study=study.title, why=Sentence(why)),
        path=reverse("public:publish", args=[study.slug]),
        study=study,
    )


def study_follow(study: Study, *, removed: bool = False) -> None:
    """Let public pages follow a study that has changed, in the transaction of the change.

    Its own page goes when the study is not closed any more; without annotations that somebody took
    back, it is gone until it is written again. Pages of other studies go when this one, which
    people annotate, holds one of their vectors.
    """
    if not Publication.objects.exists():
        return
    own = Publication.objects.filter(study=study).select_related("study").first()
    if own is not None and study.state not in KEPT:
        publication_switch_off(study=study, why=NOT_CLOSED)
    elif own is not None and own.is_public and studies_against(study):  # it has more lists now
        publication_switch_off(study=study, why=ANNOTATED)
    elif own is not None and removed:
        publication_rewrite(own)
    if held().filter(pk=study.pk).exists():
        for publication in published_sharing(study, lock=True):
            if publication.study_id != study.pk and publication.is_public:
                publication_switch_off(study=publication.study, why=ANNOTATED)


def publication_rewrite(publication: Publication) -> None:
    """Remove the files at once, and have them written again; a worker that writes loses its
    claim."""
    Publication.objects.filter(pk=publication.pk).update(
        state=State.DUE, claim=None, attempts=0, error="", requested_at=timezone.now()
    )
    files.files_remove(publication.study.slug)
    wake(RESULTS_QUEUE)


def publications_sweep() -> None:
    """Give back those of dead workers, follow what changed, write lost files again, drop strays."""
    running = Publication.objects.filter(state=State.RUNNING)
    for publication in give_back(running, state=State.DUE):
        log.warning("Publication %s waits again: its worker is silent", publication.pk)
    found = list(Publication.objects.select_related("study"))
    for publication in found:
        _follow_up(publication)
    _strays()


def _follow_up(publication: Publication) -> None:
    study = publication.study
    if study.state not in KEPT:
        publication_switch_off(study=study, why=NOT_CLOSED)
    elif not study.may_publish:
        publication_switch_off(study=study, why=NOT_ALLOWED)
    elif publication.is_public and studies_against(study):
        publication_switch_off(study=study, why=ANNOTATED)
    elif publication.is_public and publication.state == State.READY:
        if not is_current(publication):
            _write_again(publication)
    elif publication.is_public and publication.state == State.FAILED:
        since = publication.finished_at
        if since is None or since < timezone.now() - Publication.AGAIN_AFTER:
            _write_again(publication)


def _strays() -> None:
    """Remove folders of no publication, among them those that a restored database does not know."""
    there = files.all_folders()  # before the rows: a folder that comes later has its row
    kept = set()
    for one in Publication.objects.select_related("study"):
        kept |= {files.draft_folder(one.study.slug), files.writing_folder(one.claim)}
        if one.is_public:
            kept.add(files.page_folder(one.study.slug))
    files.folders_remove([folder for folder in there if folder not in kept])
