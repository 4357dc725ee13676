"""How large a worker is after each of many snapshots: `python -m benchmarks.worker_memory`.

One process computes the same study's tables and figures, those for print too, again and again, as
tasks of a worker. Nothing is added to the study, so whatever grows is kept by mistake. With
`--keep` nothing is given back after a task, to see what that is for. Resident sizes are compared
from the third snapshot on, as the first two load what all need. A small study and few resamples,
so that a snapshot takes seconds. Linux.
"""

import argparse
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from annotation_site.analysis import intervals

TIMES, RESAMPLES = 15, 200
SETTLED = 2  # snapshots before the first that counts
MOST_GROWTH = 1.1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=TIMES)
    parser.add_argument("--keep", action="store_true", help="give nothing back after a task")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ffn-concepts-benchmark-") as folder:
        _set_up(folder)
        sizes = measure(options.times, give_back=not options.keep)
    first, most = sizes[SETTLED], max(sizes[SETTLED:])
    print(f"{most / first:.2f} times, from {first / 2**20:.0f} to {most / 2**20:.0f} MB at most")
    if most > MOST_GROWTH * first:
        sys.exit("The worker grows.")


def measure(times: int, *, give_back: bool) -> list[int]:
    """Resident bytes after each of so many snapshots of the same answers."""
    from annotation_site import celery
    from annotation_site.results.models import Snapshot
    from annotation_site.results.tasks import snapshot_compute_due

    if not give_back:
        celery.release = lambda: None
    snapshot = _snapshot()
    sizes = []
    for number in range(times):
        Snapshot.objects.update(state=Snapshot.State.DUE, attempts=0)
        snapshot_compute_due.apply((snapshot.pk,)).get()
        sizes.append(resident_bytes())
        if number < 10 or number % 10 == 9:
            print(f"{number + 1:4} {sizes[-1] / 2**20:6.0f} MB", flush=True)
    return sizes


def _snapshot() -> Any:
    """Of a study of 12 lists that six people have answered."""
    from annotation_site.annotation.models import Assignment
    from annotation_site.results.snapshots.services import snapshot_request
    from tests.annotation_site.factories import answer, make_study, pattern, submit

    study = make_study(annotators=6, annotators_per_list=6)
    for number, assignment in enumerate(Assignment.objects.filter(item__study=study)):
        ranks = list(range(1, 5 + number % 7))
        submit(assignment, answer(pattern(1, ranks)))
    return snapshot_request(study=study)


def resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def _set_up(folder: str) -> None:
    os.environ |= {
        "DJANGO_SETTINGS_MODULE": "annotation_site.settings",
        "VAR_DIR": folder,
        "DATABASE_URL": f"sqlite:///{folder}/db.sqlite3",
        "SECRET_KEY": "the key of a benchmark, which guards nothing",
    }
    intervals.RESAMPLES = RESAMPLES  # before what takes it for a default is imported
    import django

    django.setup()
    from django.core.management import call_command

    call_command("migrate", verbosity=0)


if __name__ == "__main__":
    main()
