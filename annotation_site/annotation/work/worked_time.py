"""Active time that counts: no moment of a person counts twice. Pure.

Pages report a list's active seconds so far, and nobody can check them against what somebody did.
What can be checked is the clock: one person has one life, whatever the number of lists, tabs and
devices. So each second that counts takes a second of the time since its list was opened, and of
that only what no other list has taken.
"""

import math
from collections.abc import Iterable
from datetime import timedelta

MOST_A_DAY = 16 * 3600  # seconds that count on one day (UTC), over all lists and studies
OLDEST = timedelta(days=1).total_seconds()  # what was worked before that can't be reported any more
CLOCK_SKEW = 10.0  # seconds by which the clocks of two servers may differ
MOST_SPANS = 100  # kept of a person; beyond, the oldest gap counts as taken

Span = tuple[float, float]
"""From and to, in seconds since 1970."""


def time_take(
    taken: Iterable[Span], *, since: float, now: float, seconds: int
) -> tuple[int, list[Span]]:
    """Take up to `seconds` of the time from `since` to `now` that is not in `taken`.

    Returns how many there were and `taken` with them. The earliest are taken, so that what is left
    serves lists that were opened later as well. The second that has begun counts: its rest is taken
    from the future.
    """
    since = max(since, now - OLDEST)
    taken = sorted((start, end) for start, end in taken)  # from JSON these are lists
    free: list[Span] = []
    at = since
    for start, end in taken:
        if at < start < now:
            free.append((at, start))
        at = max(at, end)
    if at < now:
        free.append((at, now))
    got = min(seconds, math.ceil(sum(end - start for start, end in free)))
    left = float(got)
    for start, end in free:
        part = min(left, end - start) if end < now else left
        taken.append((start, start + part))
        left -= part
        if left <= 0:
            break
    return got, _joined(taken, after=now - OLDEST)


def clock_follow(taken: Iterable[Span], *, last: float, now: float) -> list[Span]:
    """Move `taken` back with a clock that was set back since `last`.

    Left where it is, a person's time would not count until the clock has come to where it was.
    """
    back = last - now
    return [(a - back, b - back) for a, b in taken] if back > CLOCK_SKEW else list(taken)


def _joined(spans: list[Span], *, after: float) -> list[Span]:
    """Disjoint spans in order, without those that ended before `after`."""
    found: list[Span] = []
    for start, end in sorted(spans):
        if end <= after or start >= end:
            continue
        if found and start <= found[-1][1] + 0.001:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((start, end))
    while len(found) > MOST_SPANS:
        found[:2] = [(found[0][0], found[1][1])]
    return found
