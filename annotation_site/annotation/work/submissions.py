"""Services of annotators: drafts, submissions, skips. The only module that stores annotations."""

import uuid
from contextlib import suppress
from functools import cache
from typing import Any

from django.db import transaction
from django.db.models import Case, Exists, F, OuterRef, Q, QuerySet, Subquery, Value, When
from django.http import Http404
from django.utils import timezone
from django.utils.translation import gettext as _

from annotation_site.accounts import audit
from annotation_site.accounts.bounds import require_room
from annotation_site.accounts.models import User
from annotation_site.annotation.allocation.slots import (
    annotator_return,
    annotators_arrive,
    shares_renew,
    slots_share,
)
from annotation_site.annotation.lists.access import refusal
from annotation_site.annotation.lists.annotation_format import Annotation, Rules, annotation_parse
from annotation_site.annotation.lists.entries import list_length, stopword_ranks
from annotation_site.annotation.lists.page import needs_consent, own_assignments, require_readable
from annotation_site.annotation.models import (
    Assignment,
    Guidelines,
    Item,
    ListLook,
    Membership,
    Pattern,
    PatternMember,
    Revision,
    Study,
    TakenTime,
)
from annotation_site.annotation.people.members import unblinded_in
from annotation_site.annotation.review import training
from annotation_site.annotation.work.time_records import time_record
from annotation_site.errors import ConsentNeeded, DraftConflict, Invalid, NotAllowed, NotFound
from annotation_site.prepared import Prepared

State = Assignment.State
Purpose = Assignment.Purpose
MOST_DRAFT_BYTES = 100_000
TIME_FIELDS = ("active_seconds", "reported_seconds")
MOST_REVISIONS_A_DAY = 50  # of one list


def assignment_open(assignment: Assignment) -> None:
    """Open a list: start its lease. Opening again is a no-op.

    A list that has been taken away or answered meanwhile, in another tab, keeps that state. Raises
    ConsentNeeded before the person has agreed to the study's consent text as it is now, NotFound
    for a list that went to somebody else at this moment.
    """
    _require_consent(assignment)
    if assignment.looked_at is None and assignment.version:
        # Whose time goes on from here: the page of an answer counts while it is open.
        assignment.looked_at = timezone.now()
        Assignment.objects.filter(pk=assignment.pk, looked_at=None).update(
            looked_at=assignment.looked_at
        )
    if not _is_new(assignment) or refusal(assignment):
        return
    _begin(assignment)
    # Judged where it is written, by the row as it is by then.
    is_first = Assignment.objects.filter(pk=assignment.pk, opened_at=None, version=0).update(
        opened_at=assignment.opened_at,
        state=Case(When(state=State.WAITING, then=Value(State.IN_PROGRESS)), default=F("state")),
    )
    if not is_first:
        try:
            assignment.refresh_from_db(fields=["state", "opened_at"])
        except Assignment.DoesNotExist:
            raise NotFound(
                _("This list went to somebody else before you opened it. Go to your next list.")
            ) from None


@transaction.atomic
def draft_save(
    *, user: User, public_id: uuid.UUID, base_version: int, content: Any, active_seconds: int
) -> int:
    """Store a draft; returns its new version.

    Raises DraftConflict, with the newer draft, when `base_version` is not the stored one: a
    second tab or device never overwrites silently. Changes no result. A list that was opened
    under an older consent text still keeps what is typed; it is submitted after the new one.
    """
    assignment = _locked(user, public_id)
    _require_open(assignment)
    if assignment.opened_at is None:
        _require_consent(assignment)
    _check_draft_version(assignment, base_version)
    _begin(assignment)
    assignment.draft = content
    assignment.draft_version += 1
    time_record(assignment, active_seconds)
    assignment.save(update_fields=["state", "opened_at", "draft", "draft_version", *TIME_FIELDS])
    return assignment.draft_version


def assignment_submit(
    *,
    user: User,
    public_id: uuid.UUID,
    base_version: int,
    key: uuid.UUID,
    annotation: Any,
    active_seconds: int,
) -> Assignment:
    """Submit an annotation; it replaces the person's earlier version for this list.

    The same `key` again changes nothing, and the answer that counts already adds only its time.
    Raises Invalid beyond MOST_REVISIONS_A_DAY, InvalidAnnotation for a broken rule, DraftConflict
    when a newer draft exists, NotAllowed when the list is not open (see `access.refusal`),
    ConsentNeeded when the study's consent text is new to the person. An answer that comes after its
    lease ended takes its place back where that is free, and else is kept as surplus. Answers to
    training and reference lists are scored against the reference answer. A person who has finished
    all their lists, or was away, gets a share of the unopened ones again. An adjudicated annotation
    by somebody who has looked at the list's page is marked as not blind, from this version on.
    """
    assignment, is_new = _submit(
        user=user,
        public_id=public_id,
        base_version=base_version,
        key=key,
        annotation=annotation,
        active_seconds=active_seconds,
    )
    if is_new and assignment.purpose != Purpose.ADJUDICATION:
        # After the submission: it holds its assignment, and a study is locked before those.
        with suppress(NotFound):  # a study that is being deleted meanwhile
            _share_after(assignment)
    return assignment


def _share_after(done: Any) -> None:
    """Share the study's slots again if this person was away, or has finished all their lists."""
    if done.membership.away_since is not None:
        annotator_return(membership=done.membership)
        return
    if done.is_last:
        shares_renew(study_id=done.item.study_id)


@transaction.atomic
def _submit(
    *,
    user: User,
    public_id: uuid.UUID,
    base_version: int,
    key: uuid.UUID,
    annotation: Any,
    active_seconds: int,
) -> tuple[Assignment, bool]:
    """The submission itself; also returns whether it finished the list for the first time."""
    assignment = _locked(user, public_id, to_submit=True)
    if _is_repeated(assignment, key):
        return assignment, False
    _require_open(assignment)
    _require_consent(assignment)
    _check_draft_version(assignment, base_version)
    _begin(assignment)
    is_new = assignment.state != State.SUBMITTED
    study, vector = assignment.item.study, assignment.item.vector
    rules = Rules(
        list_length(vector, study.list_source),
        study.categories,
        study.several_patterns_per_token,
        study.list_source,
    )
    parsed = annotation_parse(annotation, rules)
    if _is_equal(assignment, parsed):
        return _keep(assignment, parsed, active_seconds), False
    is_final = assignment.purpose == Purpose.ADJUDICATION
    if is_final:
        training.reference_require_changeable(answer=assignment)
    left = assignment.surplus or assignment.state in (State.EXPIRED, State.SKIPPED)
    if left and assignment.purpose == Purpose.ANNOTATION:
        assignment.surplus = not _slot_is_free(assignment)
    assignment.unblinded = assignment.is_unblinded
    assignment.looked_before = is_final and assignment.has_looked
    if assignment.unblinded and not study.team_may_annotate and not is_final:
        raise NotAllowed(
            _(
                "You can see now where this study’s lists come from, so your annotations cannot "
                "count. Ask the researcher to release your lists."
            )
        )
    _patterns_replace(assignment, parsed)
    time_record(assignment, active_seconds, first=assignment.submitted_at is None)
    assignment.state = State.SUBMITTED
    # Where a clock was moved back: no answer is older than the look at its list.
    now = timezone.now()
    assignment.submitted_at = max(now, assignment.opened_at or now)
    assignment.guidelines_version = assignment.newest_guidelines
    assignment.comment = parsed.comment
    assignment.reference_score = training.annotation_score(assignment, parsed)
    _finish(
        assignment, key, {"annotation": parsed.to_json()}, draft={"annotation": parsed.to_json()}
    )
    if is_final:
        training.scores_renew(item=assignment.item, reference=parsed)
        audit.record(
            "adjudicated_annotation_given", target=study, actor=user, list=str(assignment.public_id)
        )
    return assignment, is_new


@transaction.atomic
def assignment_skip(
    *,
    user: User,
    public_id: uuid.UUID,
    base_version: int,
    key: uuid.UUID,
    reason: str,
    active_seconds: int = 0,
) -> Assignment:
    """Skip a list with a reason. A skip is no annotation, and frees the slot for somebody who has
    not had the list.

    The time it took is kept. Raises Invalid without a reason, for a list that was already
    submitted and for an adjudicated annotation; NotAllowed and ConsentNeeded as submitting does.
    """
    # Locks are taken in one order everywhere: study, assignment, list.
    own = own_assignments(user).filter(public_id=public_id).values("item__study")
    study = Study.objects.select_for_update().filter(pk__in=own).first()
    assignment = _locked(user, public_id)
    if _is_repeated(assignment, key):
        return assignment
    if assignment.state == State.SKIPPED and assignment.skip_reason == reason.strip():
        return assignment
    _require_open(assignment)
    _require_consent(assignment)
    _check_draft_version(assignment, base_version)
    _begin(assignment)
    if not reason.strip():
        raise Invalid(_("Say in a few words why you skip this list."))
    if assignment.state == State.SUBMITTED:
        raise Invalid(_("This list is submitted. Change the annotation instead of skipping it."))
    if assignment.purpose == Purpose.ADJUDICATION:
        raise Invalid(
            _("Adjudicated annotations cannot be skipped. Leave the page: what you typed is kept.")
        )
    is_unfinished = assignment.state in Assignment.UNFINISHED
    held_a_slot = is_unfinished and assignment.purpose == Purpose.ANNOTATION
    assignment.state = State.SKIPPED
    assignment.skip_reason = reason.strip()
    time_record(assignment, active_seconds)
    _finish(assignment, key, {"skip_reason": assignment.skip_reason}, draft=assignment.draft)
    if study is not None and held_a_slot:
        annotators_arrive(Membership.objects.filter(pk=assignment.membership_id))
        slots_share(study=study)
    else:
        _share_after(assignment)
    return assignment


def _taken_time_of(user_id: int) -> QuerySet[TakenTime]:
    return TakenTime.objects.select_for_update().filter(user_id=user_id)


_TAKEN_TIME = Prepared(_taken_time_of)


@cache
def _own(role: str, *, is_active: bool, to_submit: bool) -> Prepared[Assignment]:
    """The assignment of a person with a role, to be locked, with what its writing asks for."""

    def build(user_id: int, public_id: uuid.UUID) -> QuerySet[Assignment]:
        user, study = User(pk=user_id, role=role, is_active=is_active), OuterRef("item__study")
        others = Assignment.objects.filter(
            ~Q(pk=OuterRef("pk")),
            membership=OuterRef("membership"),
            state__in=Assignment.UNFINISHED,
        )
        own = own_assignments(user).annotate(is_last=~Exists(others))
        if to_submit:
            newest = Guidelines.objects.filter(study=study).order_by("-version")
            own = own.annotate(
                is_unblinded=unblinded_in(study, user=user),
                newest_guidelines=Subquery(newest.values("version")[:1]),
                has_looked=Exists(ListLook.objects.filter(item=OuterRef("item"), user=user)),
            )
        return own.select_for_update(of=("self",)).filter(public_id=public_id)

    return Prepared(build)


def _locked(user: User, public_id: uuid.UUID, *, to_submit: bool = False) -> Any:
    """The person's own assignment, locked for writing; 404 for anybody else's.

    Raises NotAllowed while the same list is open to the person as a repeat.
    """
    # Before the list, so that one person's writes wait for each other here and nowhere else.
    taken = _TAKEN_TIME.first(user_id=user.pk)
    if taken is None:
        taken, _ = TakenTime.objects.select_for_update().get_or_create(user=user)
    own = _own(user.role, is_active=user.is_active, to_submit=to_submit)
    assignment: Any = own.first(user_id=user.pk, public_id=public_id)
    if assignment is None:
        raise Http404
    assignment.taken_time = taken
    require_readable(assignment)  # a conflict would tell what was submitted
    return assignment


def _is_new(assignment: Assignment) -> bool:
    """Whether nobody has looked at the list; an imported answer may not say when somebody did."""
    return assignment.opened_at is None and not assignment.version


def _begin(assignment: Assignment) -> None:
    """Open the list on its first write, also for a script that did not open it."""
    if _is_new(assignment):
        assignment.opened_at = timezone.now()
        if assignment.state == State.WAITING:
            assignment.state = State.IN_PROGRESS


def _is_repeated(assignment: Assignment, key: uuid.UUID) -> bool:
    return assignment.version > 0 and assignment.revisions.filter(key=key).exists()


def _is_equal(assignment: Any, answer: Annotation) -> bool:
    """Whether the answer counts already, given under these guidelines and as blind as now."""
    if (
        assignment.state != State.SUBMITTED
        or assignment.surplus  # a place can be free by now
        or assignment.guidelines_version != assignment.newest_guidelines
        or assignment.unblinded != assignment.is_unblinded
    ):
        return False
    newest = assignment.revisions.filter(version=assignment.version)
    return newest.values_list("snapshot__annotation", flat=True).first() == answer.to_json()


def _keep(assignment: Assignment, answer: Annotation, active_seconds: int) -> Assignment:
    """Leave a submitted answer as it is: no revision, so no new version of the study's data."""
    draft = {"annotation": answer.to_json()}
    if assignment.draft != draft:
        assignment.draft = draft
        assignment.draft_version += 1
    time_record(assignment, active_seconds)
    assignment.save(update_fields=["draft", "draft_version", *TIME_FIELDS])
    return assignment


def _require_open(assignment: Assignment) -> None:
    if reason := refusal(assignment):
        raise NotAllowed(reason)


def _require_consent(assignment: Assignment) -> None:
    asked = assignment.purpose != Purpose.ADJUDICATION  # researchers take part in nothing
    if asked and needs_consent(assignment.membership, assignment.item.study):
        raise ConsentNeeded(
            _(
                "This study asks for your agreement first. Open the study from “Studies” and read "
                "its text. Your work so far is kept."
            )
        )


def _check_draft_version(assignment: Assignment, base_version: int) -> None:
    if base_version != assignment.draft_version:
        raise DraftConflict(
            _("This list was changed in another tab or on another device. Reload the page."),
            version=assignment.draft_version,
            content=assignment.draft,
        )


def _slot_is_free(assignment: Assignment) -> bool:
    """Whether the list has fewer than k live answers; holds the list's lock until commit."""
    item = Item.objects.select_for_update().get(pk=assignment.item_id)
    others = Assignment.objects.filter(
        item=item,
        purpose=Purpose.ANNOTATION,
        state__in=Assignment.LIVE,
        surplus=False,
    ).exclude(pk=assignment.pk)
    return others.count() < assignment.item.study.annotators_per_list


def _patterns_replace(assignment: Assignment, answer: Annotation) -> None:
    if assignment.version:
        assignment.patterns.all().delete()
    if not answer.patterns:
        return
    source = assignment.item.study.list_source
    marked = {rank for pattern in answer.patterns for rank in pattern.ranks}
    stopwords = stopword_ranks(assignment.item.vector, source, marked)
    proposals = [
        p.proposed_stopwords({rank: rank in stopwords for rank in p.ranks}) for p in answer.patterns
    ]
    patterns = Pattern.objects.bulk_create(
        Pattern(
            assignment=assignment,
            number=p.number,
            description=p.description,
            category=p.category,
            stopwords_proposed=proposed,
            stopwords=proposed if p.stopwords is None else p.stopwords,
        )
        for p, proposed in zip(answer.patterns, proposals, strict=True)
    )
    PatternMember.objects.bulk_create(
        PatternMember(pattern=row, rank=rank)
        for row, pattern in zip(patterns, answer.patterns, strict=True)
        for rank in pattern.ranks
    )


def _finish(assignment: Assignment, key: uuid.UUID, said: dict[str, Any], *, draft: Any) -> None:
    """Write the assignment and its revision; the draft follows, so other tabs see a change.

    Raises Invalid where the day has as many revisions as one list may have.
    """
    if assignment.version >= MOST_REVISIONS_A_DAY:  # else there are fewer on all days together
        require_room(
            assignment.revisions,
            most=MOST_REVISIONS_A_DAY,
            sentence=_(
                "This list was submitted or skipped %(most)s times today, the most that one day "
                "allows. What you typed is kept as a draft: submit it tomorrow (UTC)."
            )
            % {"most": MOST_REVISIONS_A_DAY},
        )
    assignment.version += 1
    assignment.looked_at = None
    assignment.draft = draft
    assignment.draft_version += 1
    assignment.save()
    Revision.objects.create(
        assignment=assignment,
        version=assignment.version,
        key=key,
        snapshot={
            **said,
            "state": assignment.state,
            "surplus": assignment.surplus,
            "active_seconds": assignment.active_seconds,
            "guidelines_version": assignment.guidelines_version,
        },
    )
