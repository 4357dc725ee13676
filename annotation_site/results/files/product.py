"""Name and version of this software in the files that it writes."""

from ffn_extract.version import __version__ as VERSION

__all__ = ["NAME", "PACKAGE", "VERSION"]

NAME = "FFN Concepts"
PACKAGE = "ffn-concepts"
