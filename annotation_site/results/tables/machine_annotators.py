"""Machine annotators' annotations of a study's lists, for the tables named "machine"."""

from collections.abc import Mapping, Sequence
from functools import lru_cache

import pandas as pd
from django.utils.translation import gettext_noop

from annotation_site.analysis.annotation_frames import AnnotationFrames
from annotation_site.analysis.machine_annotators import (
    MACHINE_ANNOTATORS,
    MachineAnnotator,
    ProposedPattern,
    SynsetLookup,
)
from annotation_site.annotation.lists.entries import entries_of_lists
from annotation_site.annotation.models import Item, Study
from annotation_site.corpus.loading import CONTINUATION
from ffn_extract.errors import WordNetError

NO_WORDNET = gettext_noop("The worker does not have WordNet installed.")


def machine_frames(
    study: Study,
    lists: pd.DataFrame,
    *,
    min_tokens: int,
    categories: Sequence[str],
    chosen: Sequence[str] | None = None,
) -> tuple[AnnotationFrames, dict[str, str]]:
    """The annotations of each machine annotator that reads the study's entries, and why some
    have none.

    Patterns of categories that the study does not have, or that `chosen` leaves out, are dropped.
    The second value names the machine annotators that cannot work here, with the reason.
    """
    wordnet, programs = _wordnet(), _of_study(study)
    missing = {
        name: NO_WORDNET for name, one in programs.items() if one.needs_wordnet and wordnet is None
    }
    wanted = set(categories) if chosen is None else set(chosen) & set(categories)
    entries = _entries(study, lists["list_id"].tolist())
    annotations: list[tuple[int, int, str]] = []
    members: list[tuple[int, int, int, str, bool]] = []
    for name in programs:
        if name in missing:
            continue
        for list_id in lists["list_id"].tolist():
            number = -1 - len(annotations)  # people's annotations have positive ids
            annotations.append((number, list_id, name))
            for pattern, found in enumerate(_propose(name, entries[list_id], min_tokens), start=1):
                if found.category in wanted:
                    members += [
                        (number, pattern, rank, found.category, False) for rank in found.ranks
                    ]
    frame = pd.DataFrame(
        members, columns=["annotation_id", "pattern", "rank", "category", "stopwords"]
    )
    labels = AnnotationFrames(
        lists=lists[["list_id", "model", "kind", "layer", "length"]],
        annotations=pd.DataFrame(annotations, columns=["annotation_id", "list_id", "annotator"]),
        members=frame.astype({"stopwords": bool}),
    )
    return labels, missing


def _of_study(study: Study) -> dict[str, MachineAnnotator]:
    """The machine annotators that read the entries of a study's lists, by name."""
    prefixes = study.list_source == Study.ListSource.TRIGGER_PREFIXES
    return {n: one for n, one in MACHINE_ANNOTATORS.items() if one.reads_prefixes == prefixes}


@lru_cache(maxsize=50_000)  # lists never change, and every snapshot asks again
def _propose(name: str, entries: tuple[str, ...], min_tokens: int) -> tuple[ProposedPattern, ...]:
    return tuple(MACHINE_ANNOTATORS[name].propose(entries, min_tokens, _wordnet()))


def _wordnet() -> SynsetLookup | None:
    try:
        from ffn_extract.wordnet import open_wordnet

        return open_wordnet()  # type: ignore[no-any-return]
    except (WordNetError, ModuleNotFoundError):  # a site alone can be installed without nltk
        return None


def _entries(study: Study, list_ids: Sequence[int]) -> Mapping[int, tuple[str, ...]]:
    """The tokens of each list, without marks for pieces of words, or its prefixes."""
    wanted = set(list_ids)
    items = Item.objects.filter(study=study).select_related("vector")
    lists = [item for item in items if item.pk in wanted]
    found = entries_of_lists([item.vector for item in lists], study.list_source)
    return {
        item.pk: tuple(e.text.removeprefix(CONTINUATION) for e in found[item.vector_id])
        for item in lists
    }
