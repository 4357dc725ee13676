"""The version of FFN Concepts: the site and extraction are released together."""

__version__ = "0.2.0"
