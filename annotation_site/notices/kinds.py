"""The kinds of notices: whom each is for, and what its switch on the account page says."""

from dataclasses import dataclass

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

ADMINS = "admins"
RESEARCHERS = "researchers"  # and admins


@dataclass(frozen=True)
class NoticeKind:
    """One kind. `circle` is who may ever get it; annotators get none, so that they stay blind."""

    title: str | Promise
    circle: str


KINDS: dict[str, NoticeKind] = {
    "extraction_ready": NoticeKind(_("an extraction is ready"), ADMINS),
    "extraction_failed": NoticeKind(_("an extraction failed"), ADMINS),
    "measurement_ready": NoticeKind(_("a measurement is ready"), RESEARCHERS),
    "measurement_failed": NoticeKind(_("a measurement failed"), RESEARCHERS),
    "study_finished": NoticeKind(_("a study has all its annotations"), RESEARCHERS),
    "person_stuck": NoticeKind(_("an annotator does not get on"), RESEARCHERS),
    "publication_ended": NoticeKind(_("a public page was switched off without you"), RESEARCHERS),
    "file_written": NoticeKind(_("a file that you asked for is written, or failed"), RESEARCHERS),
}
