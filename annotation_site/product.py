"""What this software calls itself in the files that it writes."""

NAME = "FFN Concepts"
VERSION = "0.1.0"  # pyproject.toml has the same, a test compares
PACKAGE = "ffn-concepts"
