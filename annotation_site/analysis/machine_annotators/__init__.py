"""Machine annotators: programs that annotate as a lower reference, never mixed with people.

To add one, write a function like those below and one entry in `MACHINE_ANNOTATORS`. Language models
are machine annotators too; their runs are in `annotation_site.machine_annotators`.
"""

from collections.abc import Mapping

from annotation_site.analysis.machine_annotators.affixes import propose_by_affixes
from annotation_site.analysis.machine_annotators.hypernyms import propose_by_hypernyms
from annotation_site.analysis.machine_annotators.proposal import (
    MachineAnnotator,
    ProposedPattern,
    Synset,
    SynsetLookup,
)
from annotation_site.analysis.machine_annotators.shallow import propose_by_form

__all__ = [
    "MACHINE_ANNOTATORS",
    "PREFIX",
    "MachineAnnotator",
    "ProposedPattern",
    "Synset",
    "SynsetLookup",
    "is_machine",
    "machine_title",
]

PREFIX = "machine-"
"""How the names of machine annotators begin; no person's code does."""

_MACHINE_ANNOTATORS = (
    MachineAnnotator(
        name="machine-hypernyms",
        title="Machine: shared hypernyms",
        description="A program that proposes semantic patterns: nouns with a hypernym in common "
        "in WordNet.",
        needs_wordnet=True,
        propose=propose_by_hypernyms,
    ),
    MachineAnnotator(
        name="machine-affixes",
        title="Machine: shared affixes",
        description="A program that proposes syntactic patterns: words with a prefix, a suffix or "
        "an inflection in common.",
        needs_wordnet=False,
        propose=propose_by_affixes,
    ),
    MachineAnnotator(
        name="machine-shallow",
        title="Machine: shared endings of prefixes",
        description="A program that proposes shallow patterns: trigger prefixes whose last words "
        "are the same, or whose last word has the same ending.",
        needs_wordnet=False,
        propose=propose_by_form,
        reads_prefixes=True,
    ),
)

MACHINE_ANNOTATORS: Mapping[str, MachineAnnotator] = {one.name: one for one in _MACHINE_ANNOTATORS}
"""Every machine annotator by name; the names start with "machine-"."""


def is_machine(annotator: str) -> bool:
    """Whether an annotator of tables and files is a machine annotator, not a person."""
    return annotator.startswith(PREFIX)


def machine_title(name: str) -> str:
    """The English title of a machine annotator by its name.

    Examples
    --------
    >>> machine_title("machine-affixes"), machine_title("machine-smollm2-135m-instruct")
    ('Machine: shared affixes', 'Machine: smollm2-135m-instruct')
    """
    known = MACHINE_ANNOTATORS.get(name)
    return known.title if known else f"Machine: {name.removeprefix(PREFIX)}"
