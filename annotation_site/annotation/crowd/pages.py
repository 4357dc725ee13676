"""Which page a person who joined by an open link belongs on now. Reads only."""

from django.urls import reverse

from annotation_site.accounts.models import User
from annotation_site.annotation.crowd.joining import participant_of
from annotation_site.annotation.crowd.models import CrowdParticipant
from annotation_site.annotation.lists.page import needs_consent
from annotation_site.annotation.models import Assignment, Study


def page_now(user: User) -> str:
    """The address of the page that a participant goes on with; their own lists while they work."""
    participant = participant_of(user)
    if participant is None or is_over(participant):
        return reverse("annotation:ended")
    if participant.idle_at is not None:
        return reverse("annotation:open_link", args=[participant.link.token])
    membership = participant.membership
    if needs_consent(membership, membership.study):
        return reverse("annotation:consent", args=[membership.study.slug])
    if waits_for_check(participant):
        return reverse("annotation:check")
    unfinished = membership.assignments.filter(state__in=Assignment.UNFINISHED)
    if participant.completed_at is not None or (
        participant.entered_at is not None and not unfinished.exists()
    ):
        return reverse("annotation:done")
    return reverse("annotation:study", args=[membership.study.slug])


def page_instead_of_lists(user: User) -> str | None:
    """Where somebody goes instead of the page with their own lists; None for that page itself.

    Somebody who has finished may look at their lists from the page that thanks them.
    """
    participant = participant_of(user)
    if participant is not None and participant.completed_at is not None:
        return None
    page = page_now(user)
    own = participant and reverse("annotation:study", args=[participant.link.study.slug])
    return None if page == own else page


def waits_for_check(participant: CrowdParticipant) -> bool:
    """Whether the comprehension check is still to be passed."""
    return bool(participant.link.questions) and participant.check_passed_at is None


def is_over(participant: CrowdParticipant) -> bool:
    """Whether the person's part has ended without completion: failed, left, or removed."""
    membership = participant.membership
    removed = (
        membership.removed_at is not None
        and participant.entered_at is not None
        and participant.idle_at is None
        and participant.completed_at is None
    )
    return bool(
        participant.check_failed_at
        or membership.withdrawn_at
        or removed
        or membership.study.state in (Study.State.ARCHIVED, Study.State.DELETING)
    )
