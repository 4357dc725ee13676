"""The choices of a data set: its licence, what is added, and how it is cited."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from django.utils.translation import gettext as _

from annotation_site.data_sets.licences import LICENCES, Licence
from annotation_site.errors import Invalid
from annotation_site.results.files.left_out import COMMENTS, TIMES

MOST_AUTHORS = 50
AUTHOR = 200  # characters
TITLE = 200


@dataclass(frozen=True)
class Options:
    """The choices of a data set. The same study, options and packages give the same bytes.

    `licence` is a key of LICENCES and `day` the day of publication. Without `authors`, the study's
    researchers are cited without their names; without a `title`, the study's is taken.
    """

    licence: str
    day: date
    with_times: bool = False
    with_comments: bool = False
    authors: tuple[str, ...] = ()
    title: str = ""

    @property
    def terms(self) -> Licence:
        """The licence."""
        return LICENCES[self.licence]

    @property
    def left_out(self) -> tuple[str, ...]:
        """Names of the content that the archive inside is written without."""
        chosen = {TIMES: self.with_times, COMMENTS: self.with_comments}
        return tuple(name for name, is_in in chosen.items() if not is_in)


def options_check(*, licence: str, authors: Sequence[str], title: str) -> None:
    """Raises Invalid for a licence that is not offered, and for texts that are too long."""
    if licence not in LICENCES:
        raise Invalid(_("Choose a licence: %(licences)s.") % {"licences": ", ".join(LICENCES)})
    if len(authors) > MOST_AUTHORS:
        raise Invalid(_("Name at most %(most)s authors.") % {"most": MOST_AUTHORS})
    for author in authors:
        if not author.strip() or len(author) > AUTHOR or not author.isprintable():
            raise Invalid(_("An author is a line of 1 to %(most)s characters.") % {"most": AUTHOR})
    if len(title) > TITLE or not title.isprintable():
        raise Invalid(_("The title is a line of at most %(most)s characters.") % {"most": TITLE})
