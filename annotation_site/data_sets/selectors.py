"""The data sets of a study, for those who run it, and their downloads."""

import logging
from dataclasses import dataclass

from django.utils.translation import gettext

from annotation_site.accounts import audit
from annotation_site.accounts.models import User
from annotation_site.annotation.models import Study
from annotation_site.data_sets.licences import LICENCES
from annotation_site.data_sets.models import DataSet
from annotation_site.data_sets.services import data_sets_over, file_path, require_shareable
from annotation_site.downloads import Download
from annotation_site.errors import NotFound

log = logging.getLogger(__name__)
State = DataSet.State
SHOWN = 50
MEDIA_TYPE = "application/zip"
BADGES = {"running": "badge-running", "ready": "badge-done", "failed": "badge-failed"}


@dataclass(frozen=True)
class DataSetLine:
    """A data set as the page shows it."""

    row: DataSet
    licence: str
    badge: str


def data_set_lines(study: Study) -> list[DataSetLine]:
    """The newest data sets of a study, also those that have been removed since."""
    rows = DataSet.objects.filter(study=study).select_related("requested_by")[:SHOWN]
    return [
        DataSetLine(
            row=row,
            licence=LICENCES[row.licence].title if row.licence in LICENCES else row.licence,
            badge=BADGES.get(row.state, ""),
        )
        for row in rows
    ]


def data_set_download(*, data_set: DataSet, by: User) -> Download:
    """The zip file of a data set, for a person who may read the study; the log records it.

    Raises NotFound where it is not written, or has been removed, and Invalid while the study may
    have no data set.
    """
    if data_set.state == State.READY and not data_sets_over().filter(pk=data_set.pk).exists():
        require_shareable(data_set.study, reader=by)
        try:
            file = file_path(data_set).open("rb")
        except FileNotFoundError:
            log.error("The file of data set %s is gone", data_set.public_id)
        else:
            audit.record("data_set_downloaded", target=data_set.study, actor=by)
            return Download(f"{data_set.study.slug}-data-set.zip", MEDIA_TYPE, file)
    raise NotFound(
        gettext("This data set is no longer kept, or not written yet. Ask for a new one.")
    )
