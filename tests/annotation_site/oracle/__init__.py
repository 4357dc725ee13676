"""Every number of a study's tables from its exported files, in exact fractions.

Written from the definitions in docs/measures.md alone: it shares no code with the product's
measures, and is slow and plain where they are fast. Square roots and quantiles of Student's t are
its only floats.
"""
