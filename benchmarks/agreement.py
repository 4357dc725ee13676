"""Agreement on 1,000,000 labels: tables, intervals, and NLTK's AnnotationTask on the same data.

Run ``python -m benchmarks.agreement [LISTS [RESAMPLES]]`` in the repository's root. A label is one
person's answer for one rank: 11,112 lists × 30 tokens × 3 people. NLTK takes minutes for them;
fewer lists give the same ratio in less time.
"""

import importlib
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from annotation_site.analysis.agreement.encoding import encode
from annotation_site.analysis.agreement.registry import AGREEMENT_MEASURES
from annotation_site.analysis.agreement.tables import (
    Agreement,
    agreement_table,
    agreement_tables,
    measure_agreement,
)
from annotation_site.analysis.annotation_frames import AnnotationFrames
from annotation_site.analysis.comparisons import kind_comparison
from annotation_site.analysis.coverage import (
    DEFAULT_CATEGORIES,
    coverage_table,
    list_counts,
    list_coverage,
)
from annotation_site.analysis.intervals import RESAMPLES
from annotation_site.analysis.means import mean_intervals
from benchmarks.coverage import MIN_TOKENS, PEOPLE, TOKENS, frames_of, seconds
from benchmarks.figures import Figure

GROUPINGS = [(), ("kind",), ("layer",), ("kind", "layer"), ("category",), ("kind", "category")]
COVERAGE = [("model",), ("model", "kind"), ("model", "kind", "layer")]
# What NLTK defines too, by our names.
NLTK_MEASURES = {
    "percent_agreement_concept": lambda concept, sets: concept.avg_Ao(),
    "cohen_kappa_concept": lambda concept, sets: concept.kappa(),
    "krippendorff_alpha_concept": lambda concept, sets: concept.alpha(),
    "krippendorff_alpha_masi": lambda concept, sets: sets.alpha(),
}


def tables(labels: AnnotationFrames) -> Agreement:
    """Every table of coverage and agreement, without intervals."""
    for by in COVERAGE:
        coverage_table(labels, min_tokens=MIN_TOKENS, categories=DEFAULT_CATEGORIES, by=by)
    agreement = measure_agreement(labels, min_tokens=MIN_TOKENS, categories=DEFAULT_CATEGORIES)
    agreement_tables(agreement, by=GROUPINGS)
    agreement_table(agreement.by_pair(), by=["first", "second"])
    return agreement


def intervals(labels: AnnotationFrames, agreement: Agreement, resamples: int) -> list[pd.DataFrame]:
    """Agreement tables with intervals, after those of coverage and real against random."""
    lists = list_coverage(labels, min_tokens=MIN_TOKENS, categories=DEFAULT_CATEGORIES)
    columns = ["coverage", "coverage_with_stopwords", *DEFAULT_CATEGORIES, "concepts_per_list"]
    mean_intervals(lists, columns=columns, by=COVERAGE)
    counts = list_counts(labels, min_tokens=MIN_TOKENS)
    kind_comparison(counts, columns=["coverage"], permutations=resamples)
    return agreement_tables(agreement, by=GROUPINGS, resamples=resamples)


def ours(labels: AnnotationFrames) -> dict[str, float]:
    """From labels to the measures that NLTK has, by all lists together."""
    measures = {name: AGREEMENT_MEASURES[name] for name in NLTK_MEASURES}
    table = agreement_table(Agreement(encode(labels, min_tokens=MIN_TOKENS), measures))
    return dict(zip(table["measure"], table["value"], strict=True))


def triples(labels: AnnotationFrames) -> tuple[list[Any], list[Any]]:
    """NLTK's input, person, item and label: in a concept or not; the set of categories."""
    answers = encode(labels, min_tokens=MIN_TOKENS)[None]
    names = ["none", *answers.categories]
    sets = [frozenset(np.array(names)[row].tolist()) for row in answers.sets]
    concept, category_sets = [], []
    for annotation, (marks, codes) in enumerate(
        zip(answers.in_concept.tolist(), answers.category_set.tolist(), strict=True)
    ):
        number, person = divmod(annotation, PEOPLE)
        for rank, (mark, code) in enumerate(zip(marks, codes, strict=True)):
            item = number * TOKENS + rank
            concept.append((f"p{person}", item, mark))
            category_sets.append((f"p{person}", item, sets[code]))
    return concept, category_sets


def theirs(concept: list[Any], category_sets: list[Any]) -> dict[str, float]:
    # NLTK's packages export names that shadow these modules.
    task = importlib.import_module("nltk.metrics.agreement").AnnotationTask
    masi = importlib.import_module("nltk.metrics.distance").masi_distance
    one, other = task(concept), task(category_sets, distance=masi)
    return {name: function(one, other) for name, function in NLTK_MEASURES.items()}


def figures() -> Iterator[Figure]:
    """A quarter of a million labels, beside NLTK."""
    labels = frames_of(2_778)
    ours(labels)
    quick = min(seconds(ours, labels)[0] for _ in range(3))
    slow, _ = seconds(theirs, *triples(labels))
    yield Figure("agreement, NLTK beside it", slow / quick, "× our time", 50, at_least=True)


def main() -> None:
    lists = int(sys.argv[1]) if len(sys.argv) > 1 else 11_112
    resamples = int(sys.argv[2]) if len(sys.argv) > 2 else RESAMPLES
    labels = frames_of(lists)
    print(f"{lists * PEOPLE * TOKENS:,} labels, {len(labels.members):,} pattern members")
    tables(frames_of(60))  # first calls import and compile
    plain, agreement = seconds(tables, labels)
    print(f"tables of coverage and agreement       {plain:8.2f} s")
    with_intervals, _ = seconds(intervals, labels, agreement, resamples)
    print(f"intervals, {resamples:,} resamples           {with_intervals:8.2f} s")
    quick, found = min((seconds(ours, labels) for _ in range(3)), key=lambda timed: timed[0])
    slow, wanted = seconds(theirs, *triples(labels))
    difference = max(abs(found[name] - wanted[name]) for name in wanted)
    assert difference < 1e-9, (found, wanted)
    print(f"four measures from the labels          {quick:8.2f} s")
    print(
        f"the same with NLTK's AnnotationTask    {slow:8.2f} s, largest difference {difference:.0e}"
    )
    print(f"ratio                                  {slow / quick:8.0f}")


if __name__ == "__main__":
    main()
