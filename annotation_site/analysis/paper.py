"""The figures of the papers, for comparison on pages; never a test of our data."""

from dataclasses import dataclass

PAPER_TABLE_2 = {
    "GPT2": {
        ("value", False): 0.367,
        ("value", True): 0.37,
        ("random", False): 0.16,
        ("random", True): None,
        ("update", False): 0.118,
        ("update", True): 0.46,
    },
    "WikiLM": {
        ("value", False): 0.551,
        ("value", True): 0.551,
        ("random", False): 0.227,
        ("random", True): None,
        ("update", False): 0.197,
        ("update", True): 0.394,
    },
}
"""Geva et al. (2022), table 2: coverage by model, then by kind of vector and whether stopwords
concepts are counted too. The paper has no random row with them."""

PREFIXES_SHOWN = 25
"""Trigger prefixes in a list, at most (Geva et al. 2021, section 3.1)."""


@dataclass(frozen=True)
class PaperKeys:
    """Keys that an expert annotated, and what was found: shares are between 0 and 1.

    `covered` are the lowest and the highest share of a layer's prefixes in a pattern; layers count
    from 1. Every key had a pattern.
    """

    keys: int
    patterns_per_key: float
    covered: tuple[float, float]
    shallow_layers: tuple[int, int]
    semantic_layers: tuple[int, int]


PAPER_KEYS = PaperKeys(
    keys=160,
    patterns_per_key=3.6,
    covered=(0.65, 0.8),
    shallow_layers=(1, 9),
    semantic_layers=(10, 16),
)
"""Geva et al. (2021), section 3.2 and figure 2."""
