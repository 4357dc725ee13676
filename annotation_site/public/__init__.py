"""Public pages: what a researcher publishes of a closed study, as files that cost no query."""
