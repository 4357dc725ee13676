"""Views about people. As entry points they may import annotation; the rest of accounts may not."""
