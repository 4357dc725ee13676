"""Language models as machine annotators: their prompts, runs, annotations and exchanges."""
