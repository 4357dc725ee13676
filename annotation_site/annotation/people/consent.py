"""Consent to a study's texts, and withdrawal from a study."""

from django.db import transaction
from django.db.models import F, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from annotation_site.accounts import audit
from annotation_site.accounts.bounds import require_room
from annotation_site.annotation.allocation.slots import slots_share
from annotation_site.annotation.allocation.watchers import study_tell
from annotation_site.annotation.lists.markdown import text_check
from annotation_site.annotation.models import (
    Assignment,
    ConsentText,
    CrowdParticipant,
    Guidelines,
    Membership,
    Pattern,
    Revision,
    Study,
    VersionedText,
)
from annotation_site.annotation.selectors import newest_text
from annotation_site.errors import Invalid

State = Assignment.State
MOST_VERSIONS_A_DAY = 50  # of one text of a study


@transaction.atomic
def study_texts_change(
    *, study: Study, guidelines: str, guidelines_base: int, consent: str, consent_base: int
) -> list[str]:
    """Change a study's texts, at any time; returns the names of the changed texts.

    A changed text is a new version: submissions keep the number of the guidelines they were made
    under, and a changed consent text is shown to everybody again before their next list. The
    bases are the versions that the texts were written from, 0 for none. A text that says what its
    base says is left as it is by now; raises Invalid, and saves neither, when another differs from
    its base and there is a newer version that this would undo.
    """
    study = Study.objects.select_for_update().get(pk=study.pk)
    changes = (
        ("guidelines", Guidelines, guidelines, guidelines_base),
        ("consent text", ConsentText, consent, consent_base),
    )
    changed = [name for name, kind, text, base in changes if _text_change(study, kind, text, base)]
    if changed:
        audit.record("study_texts_changed", target=study, changed=changed)
    return changed


def _text_change(study: Study, kind: type[VersionedText], text: str, base: int) -> bool:
    text = text.strip()
    newest = newest_text(kind, study)
    seen = kind._default_manager.filter(study=study, version=base).first()
    # Forms send CRLF.
    if text.splitlines() in [known.text.splitlines() if known else [] for known in (newest, seen)]:
        return False
    current = newest.version if newest else 0
    if base != current:
        raise Invalid(
            _(
                "Nothing is saved: the guidelines changed after you opened this page. Copy what "
                "you wrote, open this page again, and add it to the newer text."
            )
            if kind is Guidelines
            else _(
                "Nothing is saved: the consent text changed after you opened this page. Copy what "
                "you wrote, open this page again, and add it to the newer text."
            )
        )
    text_check(text)
    require_room(
        kind._default_manager.filter(study=study),
        most=MOST_VERSIONS_A_DAY,
        sentence=_(
            "A text can change %(most)s times a day, and this one has. Nothing is saved: copy what "
            "you wrote, and save it tomorrow (UTC)."
        )
        % {"most": MOST_VERSIONS_A_DAY},
    )
    version = current + 1
    kind._default_manager.create(study=study, version=version, text=text)
    if kind is ConsentText:
        study.consent_version = version if text else 0
        study.save(update_fields=["consent_version"])
    return True


def shared_of(study: Study) -> str:
    """The rules of sharing that people read beside the consent text, for `consent_give`."""
    return f"publish={int(study.may_publish)} share={int(study.may_share)}"


@transaction.atomic
def consent_give(*, membership: Membership, version: int, shared: str = "") -> None:
    """Record that a person has read the notice and agrees to this version of the consent text.

    `shared` is what `shared_of` gave when the person read it; a program that shows nobody a page
    sends none. Raises Invalid when another version, or other sharing, is asked for by now: nobody
    agrees to what they have not seen.
    """
    # Under the lock no rule changes between this look and the consent.
    study = Study.objects.select_for_update().get(pk=membership.study_id)
    if version != study.consent_version or shared not in ("", shared_of(study)):
        raise Invalid(_("The text has changed since you opened the page. Read it again."))
    membership.consent_version = version
    membership.consented_at = timezone.now()
    membership.save(update_fields=["consent_version", "consented_at"])


@transaction.atomic
def study_withdraw(*, membership: Membership) -> None:
    """Withdraw a person from a study for good; only their hours stay as they are.

    What they have not submitted is gone, and those lists go to other people. Submitted answers are
    kept or removed, as the study says. The id that a crowd platform gave them is erased.
    Withdrawing twice changes nothing.
    """
    # Locks are taken in one order everywhere: study, assignment, list.
    study = Study.objects.select_for_update().get(pk=membership.study_id)
    own = Assignment.objects.filter(membership=membership)
    list(own.order_by(*Assignment.LOCK_ORDER).select_for_update().values_list("pk"))
    now = timezone.now()
    first = Membership.objects.filter(pk=membership.pk, withdrawn_at=None).update(withdrawn_at=now)
    if not first:
        return
    audit.record("study_left", target=study, person=membership.user.public_id)
    CrowdParticipant.objects.filter(membership=membership).ids_erase()
    if study.on_withdrawal == Study.OnWithdrawal.REMOVE:
        left = own
        _annotations_remove(study, own)
    else:
        left = own.filter(state__in=Assignment.UNFINISHED)
    left.update(state=State.WITHDRAWN)
    # Other tabs hold the version before this one, so whatever they still send is refused.
    own.update(draft=None, draft_version=F("draft_version") + 1)
    slots_share(study=study)
    study_tell(study, removed=study.on_withdrawal == Study.OnWithdrawal.REMOVE)


def _annotations_remove(study: Study, own: QuerySet[Assignment]) -> None:
    """Delete a person's annotations, and have results computed again."""
    Pattern.objects.filter(assignment__in=own).delete()
    _, deleted = Revision.objects.filter(assignment__in=own).delete()
    study.removals += deleted.get("annotation.Revision", 0) + 1
    study.save(update_fields=["removals"])
    own.update(
        comment="", skip_reason="", guidelines_version=None, surplus=False, reference_score=None
    )
