"""Unfinished studies that stand against a public page: they hold one of its vectors."""

from collections import defaultdict
from collections.abc import Iterable

from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from annotation_site.accounts.models import User
from annotation_site.annotation.lists.hidden import NEURON_KINDS, UNFINISHED
from annotation_site.annotation.models import Item, Membership, Study
from annotation_site.annotation.selectors import studies_of
from annotation_site.corpus.models import Extraction
from annotation_site.public.models import Publication

Place = tuple[str, str, int, int]  # digest of the weights, first kind of those alike, layer, index


def held() -> QuerySet[Study]:
    """Studies in which people annotate, now or later: pilot, open, paused, drafts with people."""
    people = Membership.objects.filter(
        study=OuterRef("pk"),
        role=Membership.Role.ANNOTATOR,
        withdrawn_at=None,
        removed_at=None,
    )
    return Study.objects.filter(
        ~Q(state=Study.State.DRAFT) | Q(Exists(people)), state__in=UNFINISHED
    )


def studies_against(study: Study, *, own_lists: bool = True) -> list[Study]:
    """The other studies that hold a vector of this one's own lists while people annotate.

    Without `own_lists` a vector of any of its lists, such as one of its training.
    """
    own = places([study.pk], own_lists=own_lists).get(study.pk, set())
    unfinished = held().exclude(pk=study.pk).values_list("pk", flat=True)
    others = places(unfinished, weights={one[0] for one in own})
    found = [pk for pk, of_other in others.items() if own & of_other]
    return list(Study.objects.filter(pk__in=found).order_by("pk"))


def published_sharing(study: Study, *, lock: bool = False) -> list[Publication]:
    """Publications of studies that share a vector with this one, its own among them.

    With `lock`, within a transaction, none of them is switched on before it ends.
    """
    rows = Publication.objects.select_related("study").order_by("pk")
    there = list(rows.select_for_update(of=("self",)) if lock else rows)
    if not there:
        return []
    own = places([study.pk]).get(study.pk, set())
    published = [one.study_id for one in there if one.study_id != study.pk]
    others = places(published, own_lists=True, weights={one[0] for one in own})
    return [
        one for one in there if one.study_id == study.pk or own & others.get(one.study_id, set())
    ]


def published_of_models(extractions: Iterable[Extraction]) -> list[Study]:
    """The published studies with own lists of the models of some extractions, by title."""
    if not Publication.objects.filter(is_public=True).exists():
        return []
    weights = [one.model.weights_digest for one in extractions if one.model is not None]
    items = Item.objects.filter(
        use=Item.Use.STUDY,
        study__publication__is_public=True,
        vector__extraction__model__weights_digest__in=weights,
    )
    return list(Study.objects.filter(pk__in=items.values("study")).order_by("title", "pk"))


def places(
    studies: Iterable[int],
    *,
    own_lists: bool = False,
    weights: set[str] | None = None,
) -> dict[int, set[Place]]:
    """The vectors that studies hold, by study: in all lists, or in their own ones alone.

    Lists of all extractions of the same weights are the same vectors; a value and a key at one
    place are one neuron.
    """
    items = Item.objects.filter(study__in=list(studies))
    if own_lists:
        items = items.filter(use=Item.Use.STUDY)
    if weights is not None:
        items = items.filter(vector__extraction__model__weights_digest__in=weights)
    found: defaultdict[int, set[Place]] = defaultdict(set)
    for study, digest, kind, layer, index in items.values_list(
        "study_id",
        "vector__extraction__model__weights_digest",
        "vector__kind",
        "vector__layer",
        "vector__index",
    ):
        first = NEURON_KINDS[0] if kind in NEURON_KINDS else kind
        found[study].add((digest, first, layer, index))
    return found


def named(studies: Iterable[Study], *, reader: User | None) -> list[str]:
    """Studies by their titles; those that the reader does not run only by their number.

    Without a reader, somebody at the server's command line asks, who can see all of them.
    """
    studies = list(studies)
    if reader is None:
        return [f"“{one.title}”" for one in studies]
    runs = set(studies_of(reader).filter(pk__in=[one.pk for one in studies]).values_list("pk"))
    own = [f"“{one.title}”" for one in studies if (one.pk,) in runs]
    others = len(studies) - len(own)
    if others:
        own.append(
            ngettext("a study of other people", "%(n)s studies of other people", others)
            % {"n": others}
        )
    return own


def against_words(study: Study, *, reader: User | None, own_lists: bool = True) -> str:
    """The sentence on the studies that stand against making it public; empty without any.

    `own_lists` is whether its own lists alone become public, as on a page.
    """
    against = studies_against(study, own_lists=own_lists)
    if not against:
        return ""
    return _(
        "People annotate vectors of this study elsewhere: %(studies)s. Nothing of a vector is "
        "public meanwhile. Close these studies first."
    ) % {"studies": ", ".join(named(against, reader=reader))}
