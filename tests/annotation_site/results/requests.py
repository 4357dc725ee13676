"""What tables are made from, without a database."""

import numpy as np

from annotation_site.analysis.annotation_frames import AnnotationFrames
from annotation_site.results.tables.request import TableRequest
from tests.annotation_site.analysis.hand_worked import hand_worked_labels

CATEGORIES = ["semantic", "syntactic", "names"]


def request(labels: AnnotationFrames | None = None, **changes) -> TableRequest:
    labels = labels or hand_worked_labels()
    seconds = 10 * np.arange(1, len(labels.annotations) + 1)
    times = labels.annotations[["annotation_id", "annotator"]].assign(active_seconds=seconds)
    options = {"resamples": 200, "times": times, **changes}
    return TableRequest(labels, CATEGORIES, 4, **options)
