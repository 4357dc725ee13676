"""People who label list after list, and what must be in the database afterwards."""

import itertools
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from tests.annotation_site.factories import answer, pattern
from tests.e2e.annotators import Annotator, require_all_stored
from tests.e2e.site import Site


def work(annotator: Annotator, lists: list[str], done: threading.Event) -> None:
    """Label list after list, and begin again where there are no more, until told to stop."""
    numbers = itertools.count(1)
    for list_id in itertools.cycle(lists):
        own = annotator.open(list_id)
        for _ in range(3):  # keystrokes
            annotator.save(own, answer(pattern(1, [1, 2], description=f"draft {next(numbers)}")))
        following = annotator.submit(
            own, answer(pattern(1, [1, 2, 3, 4], description=f"answer {next(numbers)}"))
        )
        if following:
            annotator.meet(following)
        if done.is_set():
            return


@contextmanager
def at_work(annotators: list[Annotator], people: list[list[str]]) -> Iterator[None]:
    """All label their lists in the block; at its end, however it ends, they come to theirs."""
    done = threading.Event()
    with ThreadPoolExecutor(len(annotators)) as pool:
        working = [
            pool.submit(work, annotator, lists, done)
            for annotator, (_, *lists) in zip(annotators, people, strict=True)
        ]
        try:
            yield
        finally:
            done.set()
        for session in working:
            session.result()


def require_nothing_lost_or_double(site: Site, annotators: list[Annotator]) -> int:
    """Each page shows what was acknowledged last, and each submission is stored once.

    Returns how many submissions there are. The people leave.
    """
    for annotator in annotators:
        for list_id in list(annotator.lists):
            annotator.open(list_id)
        annotator.close()
    return require_all_stored(site, annotators)
