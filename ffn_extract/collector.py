"""Python's garbage collector while much is computed."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def only_new_objects() -> Iterator[None]:
    """Let the collector look at new objects alone.

    The libraries of a model are hundreds of thousands of objects that stay; to look through them
    again and again takes a tenth of the time of extracting every vector of a small model.
    """
    if gc.get_freeze_count():  # the caller's own choice
        yield
        return
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
