"""Pages about people. As entry points they see annotation too; the rest of accounts does not."""
