"""Pages of studies: where people find their work and do it."""
