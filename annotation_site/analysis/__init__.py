"""Measures: pure functions over dataframes and plain values, without Django.

Import the modules by name (``from annotation_site.analysis.coverage import coverage_table``):
this file imports none of them, so that the web process can propose stopword flags without
loading pandas.
"""

MEASURES_VERSION = 7
"""Raised by hand with every change that can change a number; stored results of another version
are computed anew."""
