"""Agreement between people; `registry` lists its measures.

This file imports nothing, so that the web process can score an answer without pandas.
"""
