"""Agreement between people; its measures stand in `registry`.

This file imports nothing, so that the web process can score an answer without pandas.
"""
