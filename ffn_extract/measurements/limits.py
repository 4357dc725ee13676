"""Numbers that bound a measurement's memory, and what an estimate of it knows."""

MOST_TOKENS = 512
"""Of an example; longer sentences are cut."""
NEW_TOKENS = 20
"""Of a continuation."""
BLOCK_BATCHES = 8
"""Batches of one layer whose states are projected onto the vocabulary at once."""
