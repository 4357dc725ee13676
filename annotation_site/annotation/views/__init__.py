"""Views of studies and annotation."""
