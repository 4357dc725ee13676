"""Names of the queues, for the worker's entry point and the site's apps."""

# Extractions have a queue of their own, so that results never wait behind one. A worker takes both
# unless it is told which (--queues).
RESULTS_QUEUE, EXTRACTION_QUEUE = "celery", "extraction"
