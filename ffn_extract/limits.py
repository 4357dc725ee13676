"""Upper limits on a model's sizes; a file beyond them is damaged or hostile."""

MOST_LAYERS = 10_000
MOST_WIDTH = 1 << 20
"""Of a vector, and of one FFN in vectors."""
MOST_EXPERTS = 10_000
MOST_VOCABULARY = 1 << 24
