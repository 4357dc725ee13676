"""The tables that grow with use."""

# A row per list, per answer, per token of a vocabulary or per entry of the log.
LARGE = {
    ("accounts", "auditentry"),
    ("annotation", "assignment"),
    ("annotation", "item"),
    ("annotation", "pattern"),
    ("annotation", "patternmember"),
    ("annotation", "revision"),
    ("annotation", "workedday"),
    ("corpus", "token"),
    ("corpus", "tokenpostings"),
    ("corpus", "triggerprefixes"),
    ("corpus", "valuestatistics"),
    ("corpus", "vector"),
}
