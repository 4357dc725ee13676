"""What the API takes and gives, field by field; one module per area, as the views."""
