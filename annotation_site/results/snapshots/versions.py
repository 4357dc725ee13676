"""Data version of a study."""

from django.db.models import Count

from annotation_site.annotation.models import Study


def data_version(study_id: int) -> int:
    """The data version: a number that grows with every change of a study's tables, and never
    repeats.

    The number of revisions (submissions and skips), plus what removals add for those that they
    delete, plus the number of other changes: rules, lists, places. The newest id would not do: ids
    are given before a transaction commits, so a lower one can become visible later.
    """
    counted = (
        Study.objects.filter(pk=study_id)
        .values("removals", "other_changes")
        .annotate(revisions=Count("items__assignments__revisions"))
    )
    return sum(counted.values_list("removals", "other_changes", "revisions").get())
