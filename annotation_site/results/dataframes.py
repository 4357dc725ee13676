"""The only crossing from the database to dataframes: a study's labels, as measures want them."""

import pandas as pd
from django.db.models import QuerySet

from annotation_site.analysis.labels import Labels
from annotation_site.annotation.models import (
    Assignment,
    Item,
    PatternMember,
    Study,
)


def counted_assignments(study: Study) -> QuerySet[Assignment]:
    """Submitted annotations that results rest on.

    Left out: training, repeats, reference and adjudication; surplus answers; and those of people
    who were not blind when they gave them (METHOD section 4).
    """
    return Assignment.objects.filter(
        item__study=study,
        purpose=Assignment.Purpose.ANNOTATION,
        state=Assignment.State.SUBMITTED,
        surplus=False,
        unblinded=False,
    )


def labels_of(study: Study) -> Labels:
    """The study's own lists and the annotations that count, in three dataframes."""
    lists = Item.objects.filter(study=study, use=Item.Use.STUDY).values_list(
        "pk",
        "vector__extraction__model__name",
        "vector__kind",
        "vector__layer",
        "vector__token_ids",
    )
    annotations = counted_assignments(study)
    members = PatternMember.objects.filter(pattern__assignment__in=annotations).values_list(
        "pattern__assignment_id",
        "pattern__number",
        "rank",
        "pattern__category",
        "pattern__stopwords",
    )
    answers = _frame(
        annotations.values_list("pk", "item_id", "membership__user__public_id"),
        {"annotation_id": int, "list_id": int, "annotator": str},
    )
    marked = _frame(
        members,
        {"annotation_id": int, "pattern": int, "rank": int, "category": str, "stopwords": bool},
    )
    return Labels(
        lists=_frame(
            [(pk, model, kind, layer, len(ids)) for pk, model, kind, layer, ids in lists],
            {"list_id": int, "model": str, "kind": str, "layer": int, "length": int},
        ),
        annotations=answers,
        # A submission between the two reads has members without its annotation: it belongs to
        # the next version of the data.
        members=marked[marked["annotation_id"].isin(answers["annotation_id"])],
    )


def _frame(rows: object, types: dict[str, type]) -> pd.DataFrame:
    """Rows with the types named; an empty frame keeps them too."""
    return pd.DataFrame(list(rows), columns=list(types)).astype(types)  # type: ignore[call-overload]
