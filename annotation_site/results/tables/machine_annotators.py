"""Machine annotators' annotations of a study's lists, for the tables that name them."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import pandas as pd
from django.utils.translation import gettext_noop

from annotation_site.analysis.annotation_frames import AnnotationFrames, typed_frame
from annotation_site.analysis.machine_annotators import (
    MACHINE_ANNOTATORS,
    MachineAnnotator,
    ProposedPattern,
    SynsetLookup,
)
from annotation_site.analysis.stopwords import propose_stopwords_flag
from annotation_site.annotation.lists.entries import ListEntry, entries_of_lists
from annotation_site.annotation.models import Item, Study
from annotation_site.corpus.loading import CONTINUATION
from annotation_site.machine_annotators.models import MachineAnnotation
from annotation_site.machine_annotators.selectors import ready_runs
from annotation_site.results.tables.request import FAILURE_COLUMNS
from ffn_extract.errors import WordNetError

NO_WORDNET = gettext_noop("The worker does not have WordNet installed.")


@dataclass(frozen=True, eq=False)
class MachineFrames:
    """The annotations of a study's machine annotators.

    Attributes
    ----------
    labels
        Their annotations; the ids are negative, people's are positive.
    failures
        Lists without an annotation, because the replies about them failed: ``annotator``,
        ``list_id``.
    missing
        The machine annotators that cannot work here, with the reason.
    """

    labels: AnnotationFrames
    failures: pd.DataFrame
    missing: dict[str, str]


def machine_frames(
    study: Study,
    lists: pd.DataFrame,
    *,
    min_tokens: int,
    categories: Sequence[str],
    chosen: Sequence[str] | None = None,
) -> MachineFrames:
    """The annotations of each machine annotator that reads the study's entries: first programs,
    then language models in the order of their names, by their finished runs.

    Patterns of categories that the study does not have, or that `chosen` leaves out, are dropped.
    """
    wordnet, programs = _wordnet(), _of_study(study)
    missing = {
        name: NO_WORDNET for name, one in programs.items() if one.needs_wordnet and wordnet is None
    }
    wanted = set(categories) if chosen is None else set(chosen) & set(categories)
    shown = _Lists.of(study, lists["list_id"].tolist())
    rows = _Rows()
    for name in programs:
        if name not in missing:
            for list_id, entries in shown.entries.items():
                found = _propose(name, _texts(entries), min_tokens)
                rows.add(
                    list_id,
                    name,
                    [(one.category, False, one.ranks) for one in found],
                    wanted,
                )
    failures: list[tuple[str, int]] = []
    for name, list_id, annotation in _of_models(study, shown):
        if annotation is None:
            failures.append((name, list_id))
        else:
            patterns = _patterns(annotation, shown.entries[list_id], study)
            rows.add(list_id, name, patterns, wanted)
    return MachineFrames(rows.labels(lists), typed_frame(failures, FAILURE_COLUMNS), missing)


_Pattern = tuple[str, bool, Collection[int]]
"""Category, stopwords flag and ranks of a pattern."""


@dataclass
class _Rows:
    """Rows of annotations and of members, as they are added."""

    annotations: list[tuple[int, int, str]] = field(default_factory=list)
    members: list[tuple[int, int, int, str, bool]] = field(default_factory=list)

    def add(
        self, list_id: int, name: str, patterns: Sequence[_Pattern], wanted: Collection[str]
    ) -> None:
        """Add an annotation with its patterns of the wanted categories."""
        number = -1 - len(self.annotations)
        self.annotations.append((number, list_id, name))
        for pattern, (category, stopwords, ranks) in enumerate(patterns, start=1):
            if category in wanted:
                self.members += [(number, pattern, rank, category, stopwords) for rank in ranks]

    def labels(self, lists: pd.DataFrame) -> AnnotationFrames:
        columns = ["annotation_id", "pattern", "rank", "category", "stopwords"]
        members = pd.DataFrame(self.members, columns=columns)
        return AnnotationFrames(
            lists=lists[["list_id", "model", "kind", "layer", "length"]],
            annotations=pd.DataFrame(
                self.annotations, columns=["annotation_id", "list_id", "annotator"]
            ),
            members=members.astype({"stopwords": bool}),
        )


@dataclass(frozen=True)
class _Lists:
    """Some of a study's lists: their entries in the order of ids, and each vector's list."""

    entries: Mapping[int, Sequence[ListEntry]]
    of_vector: Mapping[int, int]

    @classmethod
    def of(cls, study: Study, list_ids: Sequence[int]) -> "_Lists":
        items = Item.objects.filter(study=study).select_related("vector").in_bulk()
        lists = [items[pk] for pk in list_ids]
        found = entries_of_lists([item.vector for item in lists], study.list_source)
        return cls(
            {item.pk: found[item.vector_id] for item in lists},
            {item.vector_id: item.pk for item in lists},
        )


def _of_models(study: Study, shown: _Lists) -> Iterator[tuple[str, int, dict[str, Any] | None]]:
    """Name, list and annotation, None where replies failed, of each finished run of the study."""
    names = dict(ready_runs(study).values_list("pk", "name"))
    own = Item.objects.filter(study=study).values("vector")
    place = {list_id: number for number, list_id in enumerate(shown.entries)}
    for run, name in sorted(names.items(), key=lambda one: one[1]):
        found = [
            (shown.of_vector[vector], annotation)
            for vector, annotation in MachineAnnotation.objects.filter(run=run, vector__in=own)
            .values_list("vector", "annotation")
            .iterator()
            if vector in shown.of_vector
        ]
        # Not in the order in which the replies came: tables of equal data are equal.
        for list_id, annotation in sorted(found, key=lambda one: place[one[0]]):
            yield name, list_id, annotation


def _patterns(
    annotation: Mapping[str, Any], entries: Sequence[ListEntry], study: Study
) -> list[_Pattern]:
    """The patterns of a stored annotation; a flag that it leaves open is the proposed one."""
    has_flag = study.list_source == Study.ListSource.TOP_TOKENS
    return [
        (
            one["category"],
            has_flag
            and (
                propose_stopwords_flag([entries[rank - 1].is_stopword for rank in one["ranks"]])
                if one["stopwords"] is None
                else one["stopwords"]
            ),
            one["ranks"],
        )
        for one in annotation["patterns"]
    ]


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


def _texts(entries: Sequence[ListEntry]) -> tuple[str, ...]:
    """The tokens of a list, without marks for pieces of words, or its prefixes."""
    return tuple(one.text.removeprefix(CONTINUATION) for one in entries)
