"""The state of a study's publication, for those who run the study."""

import datetime
from dataclasses import dataclass

from annotation_site.accounts.models import User
from annotation_site.annotation.models import Study
from annotation_site.public.models import Publication
from annotation_site.public.services import is_current, problem_of
from annotation_site.public.standing import against_words

NONE = "none"
STATES = [NONE, *Publication.State.values]


@dataclass(frozen=True)
class PublicationState:
    """The state of a study's publication.

    `problem` says why the study may have no public page, and `against` which unfinished studies
    stand against it; either is empty where there is nothing. `state` is that of the files, or
    NONE.
    """

    publication: Publication | None
    is_current: bool
    problem: str
    against: str

    @property
    def state(self) -> str:
        return str(self.publication.state) if self.publication else NONE

    @property
    def is_public(self) -> bool:
        return self.publication is not None and self.publication.is_public

    @property
    def is_indexed(self) -> bool:
        return self.publication is not None and self.publication.is_indexed

    @property
    def is_written(self) -> bool:
        return self.state == Publication.State.READY

    @property
    def error(self) -> str:
        return str(self.publication.error) if self.publication else ""

    @property
    def switched_on_at(self) -> datetime.datetime | None:
        return self.publication.switched_on_at if self.publication else None


def publication_state(study: Study, *, reader: User) -> PublicationState:
    """The state of a study's publication, for somebody who runs the study."""
    found = Publication.objects.filter(study=study).select_related("study").first()
    problem = problem_of(study)
    return PublicationState(
        publication=found,
        is_current=found is not None and is_current(found),
        problem=problem,
        against="" if problem else against_words(study, reader=reader),
    )
