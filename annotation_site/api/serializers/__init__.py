"""Requests and responses of the API, field by field; one module per area, as the views."""
