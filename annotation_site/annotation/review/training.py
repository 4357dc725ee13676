"""Scores against reference annotations, feedback after training, and letting people in."""

from dataclasses import dataclass

from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from annotation_site.accounts import audit
from annotation_site.accounts.models import User
from annotation_site.analysis.agreement.reference import reference_score
from annotation_site.annotation.lists.access import Training, training_of
from annotation_site.annotation.lists.annotation_format import AnnotatedPattern, Annotation
from annotation_site.annotation.lists.entries import list_entries, list_length
from annotation_site.annotation.lists.side_by_side import Comparison, annotations_compare
from annotation_site.annotation.models import Assignment, Item, Membership, Study
from annotation_site.annotation.review.adjudicated_annotations import WITH_REFERENCE
from annotation_site.errors import Invalid, NotAllowed

State = Assignment.State
Purpose = Assignment.Purpose
SCORED = (Purpose.TRAINING, Purpose.REFERENCE)


@dataclass(frozen=True)
class Feedback:
    """Feedback after a training list. `percent` is rounded down, as the training's."""

    assignment: Assignment
    comparison: Comparison | None  # none where the list has lost its reference answer
    percent: int | None
    training: Training


def feedback_of(assignment: Assignment) -> Feedback:
    """A person's submitted training annotation beside the reference annotation."""
    study, membership = assignment.item.study, assignment.membership
    membership.study = study
    reference = _reference_of(assignment.item)
    score = assignment.reference_score
    return Feedback(
        assignment=assignment,
        comparison=annotations_compare(
            list_entries(assignment.item.vector, study.list_source),
            reference,
            annotation_of(assignment),
            min_tokens=study.min_tokens,
        )
        if reference
        else None,
        percent=None if score is None else int(score * 100 + 1e-9),
        training=training_of([membership])[membership.pk],
    )


def annotation_of(assignment: Assignment) -> Annotation:
    """The last submitted version of an annotation."""
    patterns = tuple(
        AnnotatedPattern(
            number=row.number,
            description=row.description,
            category=row.category,
            stopwords=row.stopwords,
            ranks=tuple(sorted(member.rank for member in row.members.all())),
        )
        for row in assignment.patterns.order_by("number").prefetch_related("members")
    )
    return Annotation(patterns, no_pattern=not patterns, comment=assignment.comment)


def annotation_score(assignment: Assignment, answer: Annotation) -> float | None:
    """Overlap of a training annotation with the reference annotation, 0 to 1.

    None where there is no reference answer, and for all other lists: a silent reference list is
    scored by `silent_scores_ensure`. Scoring here what annotators cannot tell from other lists
    would take a time by which they could.
    """
    if assignment.purpose != Purpose.TRAINING:
        return None
    reference = _reference_of(assignment.item)
    return None if reference is None else _score(assignment.item, answer, reference)


def silent_scores_sweep() -> None:
    """Score annotations of silent reference lists that have no score; run by workers."""
    for study in Study.objects.filter(pk__in=_unscored().values("item__study")):
        silent_scores_ensure(study=study)


def silent_scores_ensure(*, study: Study) -> None:
    """Score a study's annotations of silent reference lists that have no score.

    Whoever reads scores in tables or files calls it before.
    """
    if not _unscored().filter(item__study=study).exists():
        return
    with transaction.atomic():
        # In the order of all locks; `study_change` and a new reference answer score anew.
        study = Study.objects.select_for_update().get(pk=study.pk)
        rows = _unscored().filter(item__study=study).select_related("item__vector")
        for item in {row.item_id: row.item for row in rows}.values():
            item.study = study
            reference = _reference_of(item, lock=True)
            if reference is not None:
                scores_renew(item=item, reference=reference)


def silent_scores_waiting(study: Study) -> int:
    """Number of annotations of silent reference lists that wait for a worker's score."""
    return _unscored().filter(item__study=study).count()


def _unscored() -> QuerySet[Assignment]:
    answered = Assignment.objects.filter(
        item=OuterRef("item"), purpose=Purpose.ADJUDICATION, state=State.SUBMITTED
    )
    return Assignment.objects.filter(
        Exists(answered),
        purpose=Purpose.REFERENCE,
        state=State.SUBMITTED,
        reference_score=None,
    )


def reference_require_changeable(*, answer: Assignment) -> None:
    """Raises Invalid for the reference annotation of a training list that somebody has seen."""
    told = Assignment.objects.filter(
        item=answer.item_id, purpose=Purpose.TRAINING, state=State.SUBMITTED
    )
    if answer.version and told.exists():
        raise Invalid(
            _(
                "Annotators have seen this reference annotation, and some have passed training by "
                "it, so it is fixed. Duplicate the study to train with another one."
            )
        )


def scores_renew(*, item: Item, reference: Annotation) -> None:
    """Score a reference list's annotations again, after its reference annotation has changed."""
    answers = item.assignments.filter(purpose__in=SCORED).order_by(*Assignment.LOCK_ORDER)
    list(answers.select_for_update().values_list("pk"))  # one that is on its way comes first
    for row in answers.filter(state=State.SUBMITTED):
        score = _score(item, annotation_of(row), reference)
        # An answer that is changed at this moment waits for the next sweep.
        same = Assignment.objects.filter(pk=row.pk, version=row.version)
        same.update(reference_score=score)


def reference_scores_renew(*, item: Item) -> None:
    """Score all annotations of a list again by its current reference annotation.

    Where it has none, nothing has a score.
    """
    reference = _reference_of(item)
    if reference is not None:
        scores_renew(item=item, reference=reference)
    else:
        item.assignments.filter(purpose__in=SCORED).update(reference_score=None)


def study_scores_renew(*, study: Study) -> None:
    """Score all annotations again after the study's minimum of tokens has changed."""
    for item in study.items.filter(use__in=WITH_REFERENCE).select_related("vector", "study"):
        reference = _reference_of(item)
        if reference is not None:
            scores_renew(item=item, reference=reference)


@transaction.atomic
def training_waive(*, membership: Membership, by: User) -> None:
    """Let an annotator into the queue in spite of their training; once, and for good.

    What is left of their training ends. Raises NotAllowed for somebody who does not run the
    study, Invalid for somebody who does not annotate in it.
    """
    runs_it = membership.study.memberships.filter(user=by, role=Membership.Role.RESEARCHER)
    if not by.is_admin and not (by.is_researcher and runs_it.exists()):
        raise NotAllowed(_("Only a study’s own researchers let people in. Ask one of them."))
    if membership.role != Membership.Role.ANNOTATOR or membership.withdrawn_at:
        raise Invalid(_("This person does not annotate in the study. Add them first."))
    now = timezone.now()
    first = Membership.objects.filter(pk=membership.pk, training_waived_at=None).update(
        training_waived_at=now
    )
    if not first:
        return
    membership.training_waived_at = now
    left = membership.assignments.filter(purpose=Purpose.TRAINING, state__in=Assignment.UNFINISHED)
    left.update(state=State.EXPIRED)
    person = membership.user.public_id
    audit.record("training_waived", target=membership.study, actor=by, person=person)


def _reference_of(item: Item, *, lock: bool = False) -> Annotation | None:
    found = item.assignments.filter(purpose=Purpose.ADJUDICATION, state=State.SUBMITTED)
    final = (found.select_for_update() if lock else found).first()
    return annotation_of(final) if final else None


def _score(item: Item, answer: Annotation, reference: Annotation) -> float:
    return reference_score(
        [p.ranks for p in answer.patterns],
        [p.ranks for p in reference.patterns],
        length=list_length(item.vector, item.study.list_source),
        min_tokens=item.study.min_tokens,
    )
