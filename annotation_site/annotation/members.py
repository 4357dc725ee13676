"""Who is a study's annotator, and who may be."""

from django.db import transaction

from annotation_site.accounts.models import User
from annotation_site.annotation.models import Membership, Study
from annotation_site.annotation.places import places_fill, study_locked
from annotation_site.errors import Invalid, NotAllowed


@transaction.atomic
def annotator_add(*, study: Study, user: User) -> Membership:
    """Add an annotator; in an open study they take over free places.

    Raises NotAllowed for the study's researchers, who have seen where lists come from, unless
    the study allows that, and Invalid for somebody who has withdrawn from it.
    """
    study = study_locked(study.pk)
    if not study.team_may_annotate and is_unblinded(study=study, user=user):
        raise NotAllowed(
            f"{user} runs this study or is an admin, and so is not blind to where lists come "
            "from. Only a study that allows it lets them annotate."
        )
    membership, _ = Membership.objects.get_or_create(
        study=study, user=user, role=Membership.Role.ANNOTATOR
    )
    if membership.withdrawn_at:
        raise Invalid(f"{user} has withdrawn from this study, and that is for good.")
    if study.state in Study.AT_WORK:
        places_fill(study=study)
    return membership


def is_unblinded(*, study: Study, user: User) -> bool:
    """Whether the person can see where this study's lists come from."""
    runs_it = study.memberships.filter(user=user, role=Membership.Role.RESEARCHER).exists()
    return user.is_admin or runs_it
