"""Machine annotators: two programs that annotate as a lower reference, never mixed with people.

To add one, write a function like those below and one entry in `BASELINES`.
"""

from collections.abc import Mapping

from annotation_site.analysis.baselines.affixes import propose_by_affixes
from annotation_site.analysis.baselines.hypernyms import propose_by_hypernyms
from annotation_site.analysis.baselines.proposal import (
    Baseline,
    ProposedPattern,
    Synset,
    SynsetLookup,
)

__all__ = ["BASELINES", "Baseline", "ProposedPattern", "Synset", "SynsetLookup"]

_BASELINES = (
    Baseline(
        name="machine-hypernyms",
        title="Machine: shared hypernyms",
        description="A program that proposes semantic patterns: nouns with a hypernym in common "
        "in WordNet.",
        needs_wordnet=True,
        propose=propose_by_hypernyms,
    ),
    Baseline(
        name="machine-affixes",
        title="Machine: shared affixes",
        description="A program that proposes syntactic patterns: words with a prefix, a suffix or "
        "an inflection in common.",
        needs_wordnet=False,
        propose=propose_by_affixes,
    ),
)

BASELINES: Mapping[str, Baseline] = {baseline.name: baseline for baseline in _BASELINES}
"""Every machine annotator by name; the names start with "machine-"."""
