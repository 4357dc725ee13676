"""What this software calls itself in the files that it writes."""

NAME = "FFN Concepts"
VERSION = "0.1.0"  # as in pyproject.toml
PACKAGE = "ffn-concepts"
