"""A study's annotations from the database as dataframes, for the measures."""

from dataclasses import dataclass

import pandas as pd

from annotation_site.analysis.annotation_frames import AnnotationFrames, typed_frame
from annotation_site.annotation.lists.entries import list_lengths
from annotation_site.annotation.models import (
    Assignment,
    Item,
    Pattern,
    PatternMember,
    Study,
)
from annotation_site.annotation.review.training import silent_scores_ensure
from annotation_site.results.pseudonyms import pseudonyms_ensure, pseudonyms_of
from annotation_site.results.tables.filters import Filters
from annotation_site.results.tables.model_names import model_names
from annotation_site.results.tables.reading import one_moment
from annotation_site.results.tables.request import FINAL

Purpose = Assignment.Purpose
_LISTS = {"list_id": int, "model": str, "kind": str, "layer": int, "length": int}
_ANNOTATIONS = {
    "annotation_id": int,
    "list_id": int,
    "annotator": str,
    "purpose": str,
    "surplus": bool,
    "unblinded": bool,
    "looked_before": bool,
    "active_seconds": int,
    "submitted_at": object,
    "reference_score": float,
}
_PATTERNS = {
    "pattern_id": int,
    "annotation_id": int,
    "pattern": int,
    "category": str,
    "stopwords": bool,
}
_MEMBERS = ["annotation_id", "pattern", "rank", "category", "stopwords"]


@dataclass(frozen=True, eq=False)
class StudyAnnotations:
    """All submissions of a study, for every purpose, in three dataframes.

    `lists`: as in `AnnotationFrames`, with ``use``; `annotations`: as there, with ``purpose``,
    ``surplus``, ``unblinded``, ``looked_before``, ``active_seconds``, ``submitted_at`` and
    ``reference_score``; `members`: as in `AnnotationFrames`.
    """

    lists: pd.DataFrame
    annotations: pd.DataFrame
    members: pd.DataFrame

    def labels(
        self, annotations: pd.DataFrame, filters: Filters, *, lists: pd.DataFrame | None = None
    ) -> AnnotationFrames:
        """These annotations with their members, as `AnnotationFrames`.

        Of the lists that the filter takes; with the categories that it takes, as if the other
        patterns had not been there.
        """
        lists = self.chosen_lists(filters) if lists is None else lists
        annotations = annotations[annotations["list_id"].isin(lists["list_id"])]
        members = self.members[self.members["annotation_id"].isin(annotations["annotation_id"])]
        if filters.categories is not None:
            members = members[members["category"].isin(filters.categories)]
        return AnnotationFrames(
            lists=lists[list(_LISTS)],
            annotations=annotations[["annotation_id", "list_id", "annotator"]],
            members=members[_MEMBERS],
        )

    def chosen_lists(self, filters: Filters, use: str = Item.Use.STUDY) -> pd.DataFrame:
        """The study's lists of a use that pass the filter; its own without another one."""
        lists = self.lists[self.lists["use"] == use]
        if filters.kinds is not None:
            lists = lists[lists["kind"].isin(filters.kinds)]
        if filters.layer_from is not None:
            lists = lists[lists["layer"] >= filters.layer_from]
        if filters.layer_to is not None:
            lists = lists[lists["layer"] <= filters.layer_to]
        if filters.adjudicated == "only":
            lists = lists[lists["list_id"].isin(self.of(Purpose.ADJUDICATION)["list_id"])]
        return lists

    def of(self, purpose: str) -> pd.DataFrame:
        """The annotations for one purpose."""
        return self.annotations[self.annotations["purpose"] == purpose]

    def counted(self, filters: Filters) -> pd.DataFrame:
        """The annotations that count and pass the filter.

        Left out: training, repeats, reference and adjudication; surplus annotations; and those of
        people who were not blind when they gave them (METHOD section 4).
        """
        found = self.of(Purpose.ANNOTATION)
        return self._passing(found[~found["surplus"] & ~found["unblinded"]], filters)

    def of_pilot(self, filters: Filters) -> AnnotationFrames:
        """The pilot's lists, and the blind annotations of them, that pass the filter."""
        found = self.of(Purpose.PILOT)
        found = self._passing(found[~found["unblinded"]], filters)
        return self.labels(found, filters, lists=self.chosen_lists(filters, Item.Use.PILOT))

    def _passing(self, found: pd.DataFrame, filters: Filters) -> pd.DataFrame:
        """Annotations by the people and of the days that a filter takes."""
        if filters.people is not None:
            found = found[found["annotator"].isin(filters.people)]
        day = pd.to_datetime(found["submitted_at"], utc=True).dt.strftime("%Y-%m-%d")
        if filters.day_from is not None:
            found = found[day.loc[found.index] >= filters.day_from]
        if filters.day_to is not None:
            found = found[day.loc[found.index] <= filters.day_to]
        return found


def annotations_of(study: Study) -> StudyAnnotations:
    """Load all submissions of a study in a few queries, however many there are.

    Each is there whole, as of one moment, also while people go on submitting. People are named by
    their codes in this study, which they are given where they have none yet; answers to silent
    reference lists are scored where they are not.
    """
    pseudonyms_ensure(study=study)
    silent_scores_ensure(study=study)
    with one_moment():
        return _annotations_now(study)


def _annotations_now(study: Study) -> StudyAnnotations:
    codes = pseudonyms_of(study)
    submitted = Assignment.objects.filter(item__study=study, state=Assignment.State.SUBMITTED)
    patterns = typed_frame(
        Pattern.objects.filter(assignment__in=submitted).values_list(
            "pk", "assignment_id", "number", "category", "stopwords"
        ),
        _PATTERNS,
    )
    members = typed_frame(
        PatternMember.objects.filter(pattern__assignment__in=submitted).values_list(
            "pattern_id", "rank"
        ),
        {"pattern_id": int, "rank": int},
    )
    rows = submitted.order_by("submitted_at", "pk").values_list(
        "pk",
        "item_id",
        "membership__user_id",
        "purpose",
        "surplus",
        "unblinded",
        "looked_before",
        "active_seconds",
        "submitted_at",
        "reference_score",
    )
    annotations = typed_frame(
        # Without those of somebody who came a moment ago and has no code.
        ((pk, item, codes[user], *rest) for pk, item, user, *rest in rows if user in codes),
        _ANNOTATIONS,
    )
    members = members.merge(patterns, on="pattern_id").drop(columns="pattern_id")
    members = members[members["annotation_id"].isin(annotations["annotation_id"])]
    return StudyAnnotations(_lists(study), annotations, members.reset_index(drop=True))


def _lists(study: Study) -> pd.DataFrame:
    items = Item.objects.filter(study=study).select_related("vector")
    items = items.only(
        "use", *(f"vector__{n}" for n in ("extraction", "kind", "layer", "token_ids"))
    )
    found = list(items)
    lengths = list_lengths([item.vector for item in found], study.list_source)
    names = model_names(study)
    rows = [
        (
            item.pk, names[item.vector.extraction_id], item.vector.kind, item.vector.layer,
            lengths[item.vector_id], item.use,
        )
        for item in found
    ]  # fmt: skip
    return typed_frame(rows, {**_LISTS, "use": str})


def has_crowd(study: Study) -> bool:
    """Whether a participant of an open link submitted an annotation of the study's own lists."""
    of_crowd = Assignment.objects.filter(
        item__study=study,
        purpose=Purpose.ANNOTATION,
        state=Assignment.State.SUBMITTED,
        membership__user__is_crowd=True,
    )
    return of_crowd.exists()


def frames_with_adjudicated(answers: StudyAnnotations, filters: Filters) -> AnnotationFrames:
    """People's annotations, replaced by the adjudicated annotation of each list that has one."""
    final = answers.of(Purpose.ADJUDICATION).assign(annotator=FINAL)
    counted = answers.counted(filters)
    counted = counted[~counted["list_id"].isin(final["list_id"])]
    return answers.labels(pd.concat([counted, final], ignore_index=True), filters)
