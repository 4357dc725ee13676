"""The hand-worked study of docs/measures.md as `AnnotationFrames`."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from annotation_site.analysis.annotation_frames import FRAME_COLUMNS, AnnotationFrames

FIXTURE = Path(__file__).parents[3] / "fixtures" / "hand_worked_study.json"


def hand_worked_study() -> dict[str, Any]:
    return json.loads(FIXTURE.read_text(encoding="utf-8"))


def hand_worked_labels(*, third_person: bool = False) -> AnnotationFrames:
    """The study; agreement is worked out with a third person's answers."""
    study = hand_worked_study()
    answers = study["annotations"] + (study["third_person"] if third_person else [])
    return frames_of(
        lists=[
            (one["list_id"], one["model"], one["kind"], one["layer"], len(one["tokens"]))
            for one in study["lists"]
        ],
        annotations=[(one["annotation_id"], one["list_id"], one["annotator"]) for one in answers],
        members=[
            (one["annotation_id"], pattern["number"], rank, pattern["category"], flag)
            for one in answers
            for pattern in one["patterns"]
            for flag in [pattern["stopwords"]]
            for rank in pattern["ranks"]
        ],
    )


def frames_of(
    *,
    lists: Iterable[tuple[Any, ...]],
    annotations: Iterable[tuple[Any, ...]] = (),
    members: Iterable[tuple[Any, ...]] = (),
) -> AnnotationFrames:
    """Labels from rows in the order of the documented columns."""
    rows = {"lists": lists, "annotations": annotations, "members": members}
    return AnnotationFrames(
        **{name: pd.DataFrame(list(rows[name]), columns=FRAME_COLUMNS[name]) for name in rows}
    )
