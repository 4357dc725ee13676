"""The figures of the 2022 paper, for comparison on pages; never a test of our data."""

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
