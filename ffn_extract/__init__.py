"""From a language model's weights to token lists: the offline half of FFN Concepts.

This package never imports Django, and importing it loads nothing heavy: torch and transformers
come in only with the modules that compute (`pipeline`, `projection`, `updates`, ...), so a web
server can read bundles and check options without them.
"""

__version__ = "0.2.0.dev0"
