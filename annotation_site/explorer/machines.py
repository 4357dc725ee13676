"""Machine annotators' patterns in one list, apart from people's annotations.

Computed on the spot: lists never change, and equal entries always get equal patterns. Those that
need WordNet work in a worker alone, for the tables of a study.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from annotation_site.analysis.machine_annotators import (
    MACHINE_ANNOTATORS,
    MachineAnnotator,
    ProposedPattern,
)
from annotation_site.annotation.lists.entries import ListEntry
from annotation_site.corpus.loading import CONTINUATION

MIN_TOKENS = 4  # of a pattern: the papers' number


@dataclass(frozen=True)
class MachinePatterns:
    """The patterns of one machine annotator in a list; none is an answer too."""

    annotator: MachineAnnotator
    patterns: list[ProposedPattern]


@dataclass(frozen=True)
class MachinesSaid:
    """The machine annotators of a list; `elsewhere` work in workers alone."""

    here: list[MachinePatterns] = field(default_factory=list)
    elsewhere: list[MachineAnnotator] = field(default_factory=list)


def machines_said(entries: Sequence[ListEntry], *, prefixes: bool = False) -> MachinesSaid:
    """The patterns that each machine annotator of such entries proposes; none for no entries."""
    if not entries:
        return MachinesSaid()
    reading = [one for one in MACHINE_ANNOTATORS.values() if one.reads_prefixes == prefixes]
    texts = [entry.text.removeprefix(CONTINUATION) for entry in entries]
    here = [
        MachinePatterns(one, list(one.propose(texts, MIN_TOKENS, None)))
        for one in reading
        if not one.needs_wordnet
    ]
    return MachinesSaid(here, [one for one in reading if one.needs_wordnet])
