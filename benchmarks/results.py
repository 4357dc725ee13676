"""Every table of a results page on 1,000,000 labels, without intervals and with them.

Run ``python -m benchmarks.results [LISTS [RESAMPLES [PEOPLE]]]`` in the repository's root. A label
is one person's answer for one rank: 11,112 lists × 30 tokens × 3 people. PEOPLE is from how many
the three of each list are drawn. Times are the processor's, of all cores together, so that other
work on the machine does not count.
"""

import sys
import time
from collections.abc import Iterator

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from annotation_site.analysis.annotation_frames import AnnotationFrames
from annotation_site.analysis.coverage import DEFAULT_CATEGORIES
from annotation_site.analysis.intervals import RESAMPLES
from annotation_site.analysis.machine_annotators import MACHINE_ANNOTATORS
from annotation_site.results.tables.registry import TABLES
from annotation_site.results.tables.request import TableRequest
from benchmarks.coverage import MIN_TOKENS, PEOPLE, TOKENS, frames_of
from benchmarks.figures import Figure


def shared_out(labels: AnnotationFrames, people: int, seed: int = 0) -> AnnotationFrames:
    """The same answers, given by three of so many people for each list."""
    if people == PEOPLE:
        return labels
    generator = np.random.default_rng(seed)
    lists = len(labels.lists)
    who = np.argsort(generator.random((lists, people)), axis=1)[:, :PEOPLE].ravel()
    annotations = labels.annotations.assign(annotator=[f"p{one:03}" for one in who])
    return AnnotationFrames(labels.lists, annotations, labels.members)


def request(labels: AnnotationFrames, resamples: int) -> TableRequest:
    """With two machine annotators, and a tenth of everybody's lists answered twice."""
    other = frames_of(len(labels.lists), seed=1)
    machines = dict(zip(("ana", "ben"), MACHINE_ANNOTATORS, strict=False))
    proposals = other.annotations[other.annotations["annotator"].isin(machines)]
    proposals = proposals.assign(annotator=proposals["annotator"].map(machines))
    again = labels.annotations[labels.annotations["list_id"] % 10 == 0]
    times = labels.annotations[["annotation_id", "annotator"]].assign(active_seconds=60)
    return TableRequest(
        labels,
        list(DEFAULT_CATEGORIES),
        MIN_TOKENS,
        resamples=resamples,
        times=times,
        machines=answers(other, proposals),
        repeats=answers(other, again),
    )


def answers(labels: AnnotationFrames, annotations: pd.DataFrame) -> AnnotationFrames:
    """Some answers with their members."""
    inside = labels.members["annotation_id"].isin(annotations["annotation_id"])
    return AnnotationFrames(labels.lists, annotations, labels.members[inside])


def all_tables(labels: AnnotationFrames, resamples: int) -> dict[str, float]:
    """Seconds of processor time of each table, in the order in which a snapshot computes them."""
    wanted = request(labels, resamples)
    taken = {}
    with threadpool_limits(limits=1, user_api="blas"):  # as a snapshot does
        for name, table in TABLES.items():
            start = time.process_time()
            table(wanted)
            taken[name] = time.process_time() - start
    return taken


def figures() -> Iterator[Figure]:
    """A million labels of three people: the tables, and then with every interval."""
    all_tables(frames_of(60), 10)
    labels = frames_of(11_112)
    yield Figure("tables of 1,000,080 labels", sum(all_tables(labels, 0).values()), "s", 2.5)
    whole = sum(all_tables(labels, RESAMPLES).values())
    yield Figure(f"with intervals, {RESAMPLES:,} resamples", whole, "s", 30)


def main() -> None:
    lists = int(sys.argv[1]) if len(sys.argv) > 1 else 11_112
    resamples = int(sys.argv[2]) if len(sys.argv) > 2 else RESAMPLES
    people = int(sys.argv[3]) if len(sys.argv) > 3 else PEOPLE
    all_tables(frames_of(60), 10)  # first calls import and compile
    labels = shared_out(frames_of(lists), people)
    print(f"{lists * PEOPLE * TOKENS:,} labels, {len(labels.members):,} pattern members, ", end="")
    print(f"{people} people")
    plain = all_tables(labels, 0)
    print(f"all tables without intervals         {sum(plain.values()):8.2f} s")
    with_intervals = all_tables(labels, resamples)
    print(f"all tables, {resamples:,} resamples         {sum(with_intervals.values()):8.2f} s")
    for name, taken in with_intervals.items():
        print(f"  {name:<24} {plain[name]:8.2f} s {taken:8.2f} s")


if __name__ == "__main__":
    main()
