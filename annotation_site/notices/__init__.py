"""Notices inside the product: one row per person and event, written with the event itself."""
