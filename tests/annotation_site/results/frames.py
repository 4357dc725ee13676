"""Dataframes of a study's annotations, as tests look at them."""

import pandas as pd

from annotation_site.analysis.annotation_frames import AnnotationFrames
from annotation_site.annotation.models import Study
from annotation_site.results.tables.dataframes import StudyAnnotations, annotations_of
from annotation_site.results.tables.filters import Filters


def frames_of(study: Study) -> AnnotationFrames:
    """The study's own lists and the annotations that count, without any filter."""
    filters = Filters.of(study)
    answers = annotations_of(study)
    return answers.labels(answers.counted(filters), filters)


def token_judgements_frame(answers: StudyAnnotations) -> pd.DataFrame:
    """One row per rank in a pattern of an annotation, with all its attributes.

    An answer without patterns keeps one row, with ``pattern`` and ``rank`` missing.
    """
    return answers.annotations.merge(answers.lists, on="list_id").merge(
        answers.members, on="annotation_id", how="left"
    )
