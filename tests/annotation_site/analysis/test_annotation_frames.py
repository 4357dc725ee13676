import pytest

from annotation_site.analysis.annotation_frames import AnnotationFrames
from tests.annotation_site.analysis.hand_worked import frames_of, hand_worked_labels

LIST = ("A", "toy", "value", 0, 5)
ANNOTATION = ("a1", "A", "ana")


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ({"lists": [LIST, LIST]}, "lists names a list twice"),
        (
            {"lists": [("A", "toy", "real", 0, 5)]},
            "the kinds real; known are value, random, update",
        ),
        ({"lists": [("A", "toy", "value", None, 5)]}, "lists has missing cells in layer"),
        ({"annotations": [ANNOTATION, ANNOTATION]}, "annotations names an annotation twice"),
        ({"annotations": [("a1", "B", "ana")]}, "a list that is not in lists"),
        ({"members": [("a2", 1, 1, "names", False)]}, "an annotation that is not in annotations"),
        ({"members": [("a1", 1, 0, "names", False)]}, "a rank outside its list"),
        ({"members": [("a1", 1, 6, "names", False)]}, "a rank outside its list"),
        ({"members": [("a1", 1, 1, None, False)]}, "members has missing cells in category"),
        ({"members": 2 * [("a1", 1, 1, "names", False)]}, "the same rank twice"),
        (
            {"members": [("a1", 1, 1, "names", False), ("a1", 1, 2, "semantic", False)]},
            "two categories or two stopwords flags",
        ),
        (
            {"members": [("a1", 1, 1, "names", False), ("a1", 1, 2, "names", True)]},
            "two categories or two stopwords flags",
        ),
    ],
)
def test_labels_that_contradict_themselves_are_refused(rows: dict, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        frames_of(**{"lists": [LIST], "annotations": [ANNOTATION], "members": [], **rows})


def test_a_missing_column_is_named() -> None:
    labels = hand_worked_labels()
    with pytest.raises(ValueError, match="members lacks the columns category, stopwords"):
        AnnotationFrames(labels.lists, labels.annotations, labels.members.iloc[:, :3])
