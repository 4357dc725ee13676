"""Import labels from a file into a study: the same lists, all of the records or none."""

import math
import uuid
from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, field
from itertools import islice

from django.db import transaction
from django.db.models import Count

from annotation_site.accounts import audit
from annotation_site.annotation.lists.annotation_format import Annotation, Rules, annotation_parse
from annotation_site.annotation.models import (
    Assignment,
    Guidelines,
    Item,
    Membership,
    Pattern,
    PatternMember,
    Revision,
    Study,
)
from annotation_site.annotation.review.adjudicated_annotations import WITH_REFERENCE
from annotation_site.annotation.review.training import SCORED, reference_scores_renew
from annotation_site.errors import Invalid
from annotation_site.exports.annotation_records import AnnotationRecord
from annotation_site.results.files.labels_export import lists_shown, stopwords_shown
from annotation_site.results.files.labels_import_checks import People, check_record

SAME_SCORE = 1e-9  # scores are sums of floats
CHUNK = 200  # records that are in memory at a time
State = Assignment.State
Purpose = Assignment.Purpose
ListKey = tuple[str, str, int, int]
AssignmentKey = tuple[int, int, str]  # membership, item, purpose


@dataclass
class Imported:
    """The outcome of an import."""

    annotations: int = 0
    people_created: int = 0
    guidelines_missing: set[int] = field(default_factory=set)
    scores_changed: int = 0
    proposals_changed: int = 0


@transaction.atomic
def labels_import(
    *,
    study: Study,
    records: Iterable[AnnotationRecord],
    people: Mapping[str, str],
    called: str = "Record",
) -> Imported:
    """Store every record as a submitted annotation of the study, or none.

    Lists are found by bundle, kind, layer and index. An annotator's code that the study knows is
    that person; `people` gives others by user name, who must be in the study; for the rest people
    are made up who cannot log in. Numbers of versions, times, flags and positions stay as they are.
    What follows from the tokens and from reference annotations is computed: proposed stopwords
    flags and scores. `Imported` counts those that the file has otherwise. `called` is what errors
    call a record of the file, with its number.

    Raises Invalid, naming the record, for a study that is open or archived, a list that it does not
    hold or that shows other tokens, an answer that its rules do not allow, one that is there
    already, and more answers for a list than the study asks for.
    """
    study = Study.objects.select_for_update().get(pk=study.pk)
    if study.state not in (Study.State.DRAFT, Study.State.PAUSED, Study.State.CLOSED):
        raise Invalid(
            f"This study is {study.get_state_display()}. Pause it first, so that nobody works at a "
            "list that an imported answer takes."
        )
    run = _Import(study, People(study, people), called)
    numbered = enumerate(records, start=1)
    while chunk := list(islice(numbered, CHUNK)):
        run.store(chunk)
    run.check_slots()
    run.score()
    run.imported.people_created = run.people.created
    audit.record("annotations_imported", target=study, annotations=run.imported.annotations)
    return run.imported


class _Import:
    """One run: what it has seen, and how records become rows."""

    def __init__(self, study: Study, people: People, called: str) -> None:
        self.study = study
        self.called = called
        self.people = people
        self.imported = Imported()
        self._items: dict[ListKey, Item] = {
            (v.extraction.bundle_digest or "", v.kind, v.layer, v.index): item
            for item in study.items.select_related("vector__extraction").defer("vector__scores")
            for v in [item.vector]
        }
        self._guidelines = set(
            Guidelines.objects.filter(study=study).values_list("version", flat=True)
        )
        self._positions: dict[int, set[int]] = {}
        self._scores: dict[int, float | None] = {}  # of the file, by assignment
        self._touched: set[int] = set()
        self._finals = set(
            Assignment.objects.filter(item__study=study, purpose=Purpose.ADJUDICATION).values_list(
                "item_id", flat=True
            )
        )

    def store(self, chunk: list[tuple[int, AnnotationRecord]]) -> None:
        """Check the records, then write them."""
        found = [(f"{self.called} {n}", record, self._item(n, record)) for n, record in chunk]
        shown = lists_shown(self.study, {item.vector_id for _, _, item in found})
        for where, record, item in found:
            check_record(where, record, item, shown[item.vector_id])
        memberships = [self.people.membership(r.annotator, r.role, where) for where, r, _ in found]
        keys = [
            (membership.pk, item.pk, record.purpose)
            for (_, record, item), membership in zip(found, memberships, strict=True)
        ]
        taken = self._taken(keys)
        rows: list[tuple[Assignment, Annotation, AnnotationRecord]] = []
        for (where, record, item), membership, key in zip(found, memberships, keys, strict=True):
            answer = self._answer(where, record)
            if key in taken:
                raise Invalid(
                    f"{where}: {record.annotator} has answered this list already. Import into a "
                    "study without these answers."
                )
            taken.add(key)
            self._check_final(where, record, item)
            rows.append((self._assignment(membership, item, record, answer), answer, record))
        stopwords = stopwords_shown(self.study, {item.vector_id for _, _, item in found})
        self.imported.proposals_changed += _write(rows, stopwords)
        for assignment, _, record in rows:
            if record.reference_score is not None or record.purpose in SCORED:
                self._scores[assignment.pk] = record.reference_score
        self._touched.update(item.pk for _, _, item in found)
        self.imported.annotations += len(rows)

    def check_slots(self) -> None:
        """Refuse more answers than the study asks for. Raises Invalid."""
        k = self.study.annotators_per_list
        live = Assignment.objects.filter(
            item__study=self.study,
            purpose=Purpose.ANNOTATION,
            state__in=Assignment.LIVE,
            surplus=False,
        )
        for item, answers in live.values_list("item").annotate(n=Count("pk")):
            if item in self._touched and answers > k:
                raise Invalid(
                    f"A list would have {answers} answers or people at work, and the study asks "
                    f"for {k}. Import into a draft with as many people per list as the file has."
                )

    def score(self) -> None:
        """Score what was imported against the reference annotations, and count what differs."""
        for item in self.study.items.filter(pk__in=self._touched, use__in=WITH_REFERENCE):
            reference_scores_renew(item=item)
        scored = Assignment.objects.filter(pk__in=self._scores)
        computed = dict(scored.values_list("pk", "reference_score"))
        self.imported.scores_changed = sum(
            not _is_same_score(score, computed[pk]) for pk, score in self._scores.items()
        )

    def _item(self, number: int, record: AnnotationRecord) -> Item:
        item = self._items.get(record.list_key)
        if item is None:
            raise Invalid(
                f"{self.called} {number}: this study does not hold the {record.kind} vector "
                f"{record.index} of layer {record.layer} of the bundle {record.bundle_digest}. "
                "Import into a study with the same lists."
            )
        return item

    def _taken(self, keys: list[AssignmentKey]) -> set[AssignmentKey]:
        """Holders of these lists. A list that only waits for its imported annotation is removed."""
        there = {
            (person, item, purpose): pk
            # Locked: an answer that is on its way since the study was open comes first.
            for pk, person, item, purpose in Assignment.objects.filter(
                item__in={item for _, item, _ in keys}
            )
            .order_by(*Assignment.LOCK_ORDER)
            .select_for_update()
            .values_list("pk", "membership", "item", "purpose")
        }
        # An adjudication that was taken over waits too, with the draft and the hours of another.
        untouched = Assignment.objects.filter(
            pk__in=[there[key] for key in keys if key in there],
            state=State.WAITING,
            draft__isnull=True,
            worked_days=None,
        )
        gone = set(untouched.values_list("pk", flat=True))
        Assignment.objects.filter(pk__in=gone).delete()
        return {key for key, pk in there.items() if pk not in gone}

    def _answer(self, where: str, record: AnnotationRecord) -> Annotation:
        rules = Rules(
            record.length,
            self.study.categories,
            self.study.several_patterns_per_token,
            self.study.list_source,
        )
        content = {
            "patterns": [
                {
                    "number": p.number,
                    "description": p.description,
                    "category": p.category,
                    "stopwords": p.stopwords,
                    "ranks": list(p.ranks),
                }
                for p in record.patterns
            ],
            "no_pattern": record.no_pattern,
            "comment": record.comment,
        }
        try:
            return annotation_parse(content, rules)
        except Invalid as error:
            raise Invalid(f"{where}: {error.message}") from error

    def _check_final(self, where: str, record: AnnotationRecord, item: Item) -> None:
        if record.purpose != Purpose.ADJUDICATION:
            return
        if item.pk in self._finals:
            raise Invalid(f"{where}: this list has an adjudicated annotation already.")
        self._finals.add(item.pk)

    def _assignment(
        self, membership: Membership, item: Item, record: AnnotationRecord, answer: Annotation
    ) -> Assignment:
        if record.guidelines_version and record.guidelines_version not in self._guidelines:
            self.imported.guidelines_missing.add(record.guidelines_version)
        return Assignment(
            membership=membership,
            item=item,
            purpose=record.purpose,
            position=self._position(membership.pk, record.position),
            state=State.SUBMITTED,
            unblinded=record.unblinded,
            looked_before=record.looked_before,
            surplus=record.surplus,
            version=record.version,
            draft={"annotation": answer.to_json()},
            draft_version=record.version,
            active_seconds=record.active_seconds,
            comment=answer.comment,
            guidelines_version=record.guidelines_version,
            opened_at=record.opened_at,
            submitted_at=record.submitted_at,
        )

    def _position(self, membership: int, wanted: int) -> int:
        """The file's position; behind the last where a person of this study has it already."""
        used = self._positions.get(membership)
        if used is None:
            own = Assignment.objects.filter(membership=membership)
            used = self._positions[membership] = set(own.values_list("position", flat=True))
        position = wanted if wanted not in used else max(used) + 1
        used.add(position)
        return position


def _is_same_score(one: float | None, other: float | None) -> bool:
    if one is None or other is None:
        return one is other
    return math.isclose(one, other, abs_tol=SAME_SCORE)


def _write(
    rows: list[tuple[Assignment, Annotation, AnnotationRecord]], stopwords: Mapping[int, Set[int]]
) -> int:
    """Store the rows; returns how many proposed flags the file has otherwise."""
    Assignment.objects.bulk_create(assignment for assignment, _, _ in rows)
    patterns = Pattern.objects.bulk_create(_patterns(rows, stopwords))
    ranks = (p.ranks for _, answer, _ in rows for p in answer.patterns)
    PatternMember.objects.bulk_create(
        PatternMember(pattern=pattern, rank=rank)
        for pattern, own in zip(patterns, ranks, strict=True)
        for rank in own
    )
    Revision.objects.bulk_create(
        Revision(
            assignment=assignment,
            version=assignment.version,
            key=uuid.uuid4(),
            snapshot={
                "annotation": answer.to_json(),
                "state": assignment.state,
                "surplus": assignment.surplus,
                "active_seconds": assignment.active_seconds,
                "guidelines_version": assignment.guidelines_version,
                "imported": True,
            },
        )
        for assignment, answer, _ in rows
    )
    stored = (pattern for _, _, record in rows for pattern in record.patterns)
    return sum(
        one.stopwords_proposed != other.stopwords_proposed
        for one, other in zip(patterns, stored, strict=True)
    )


def _patterns(
    rows: list[tuple[Assignment, Annotation, AnnotationRecord]], stopwords: Mapping[int, Set[int]]
) -> Iterator[Pattern]:
    for assignment, answer, _ in rows:
        flagged = stopwords[assignment.item.vector_id]
        for pattern in answer.patterns:
            proposed = pattern.proposed_stopwords({rank: rank in flagged for rank in pattern.ranks})
            yield Pattern(
                assignment=assignment,
                number=pattern.number,
                description=pattern.description,
                category=pattern.category,
                stopwords=proposed if pattern.stopwords is None else pattern.stopwords,
                stopwords_proposed=proposed,
            )
