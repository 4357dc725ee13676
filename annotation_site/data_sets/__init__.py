"""Data sets: a closed study as a folder that others can load, with a card that says what it is."""
