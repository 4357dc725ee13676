"""Which annotations of an extraction's lists count for a reader, over all studies."""

from django.db.models import Count, Exists, OuterRef, QuerySet

from annotation_site.accounts.models import User
from annotation_site.annotation.lists.hidden import Hidden
from annotation_site.annotation.models import Assignment, Item, Study
from annotation_site.annotation.selectors import studies_of
from annotation_site.corpus.models import Extraction, Vector
from annotation_site.explorer.places import IN_WORK

FINISHED = (Study.State.CLOSED, Study.State.ARCHIVED)


def studies_counted(user: User) -> QuerySet[Study]:
    """Studies whose annotations a reader may count: finished ones, and begun ones that they run.

    Nothing of another's unfinished study counts, not even how many lists it has.
    """
    own = studies_of(user).filter(state__in=IN_WORK).values("pk")
    return Study.objects.filter(state__in=FINISHED) | Study.objects.filter(pk__in=own)


def annotations_counted() -> QuerySet[Assignment]:
    """Annotations that count (METHOD, section 4): of a study's own lists, blind, within k."""
    return Assignment.objects.filter(
        purpose=Assignment.Purpose.ANNOTATION,
        state=Assignment.State.SUBMITTED,
        surplus=False,
        unblinded=False,
        item__use=Item.Use.STUDY,
    )


def lists_annotated(extractions: list[Extraction], *, user: User, hidden: Hidden) -> dict[int, int]:
    """How many lists of each extraction have an annotation that the reader may count, by key."""
    held = annotations_counted().filter(item=OuterRef("pk"))
    items = Item.objects.filter(
        Exists(held), study__in=studies_counted(user), vector__extraction__in=extractions
    )
    if hidden:
        shown = hidden.left_out_of(Vector.objects.filter(extraction__in=extractions))
        items = items.filter(vector__in=shown)
    found = items.order_by().values("vector__extraction").annotate(n=Count("vector", distinct=True))
    return dict(found.values_list("vector__extraction", "n"))
