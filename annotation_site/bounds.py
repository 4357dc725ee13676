"""Limits on the length of texts, the same in pages, API and files: one number per kind of text.

In characters. Nothing that people send is larger than DATA_UPLOAD_MAX_MEMORY_SIZE in any case.
"""

TITLE = 200
# Guidelines and consent texts: four times the paper's protocol. Rendering costs up to a second of
# one core, for tables that write out empty cells; it happens once for each version.
MARKDOWN = 20_000
ANSWER = 2_000  # the description of a pattern; the comment on a list
SKIP_REASON = 500
LOGIN_NAME = 150
PASSWORD = 1_000  # also codes: of what is only compared
TOKEN_NAME = 100  # of an API token
MODEL = 300  # names of models and files; extraction options declare their own
SEARCHED_TOKEN = 200
CHOSEN_VECTORS = 200_000
CORPUS_NAME = 100
LICENCE = 200
SENTENCE = 10_000  # of an uploaded corpus
VECTOR_SET_NOTE = 2_000
PROMPT = 2_000  # of a trace
TRACE_CHANGES = 20  # vectors of one trace
