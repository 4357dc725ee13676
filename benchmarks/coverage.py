"""Time of coverage on 1,000,000 labels, beside a plain loop over annotations.

Run ``python -m benchmarks.coverage [LISTS]`` in the repository's root. A label is one person's
answer for one rank: 11,112 lists × 30 tokens × 3 people.
"""

import sys
import time
from collections import defaultdict

import numpy as np
import pandas as pd

from annotation_site.analysis.annotation_frames import KINDS
from annotation_site.analysis.coverage import (
    DEFAULT_CATEGORIES,
    AnnotationFrames,
    annotation_coverage,
    coverage_table,
)

TOKENS, PEOPLE, LAYERS, MIN_TOKENS = 30, 3, 12, 4


def frames_of(lists: int, seed: int = 0) -> AnnotationFrames:
    """Answers with up to three patterns of every size, which may share tokens."""
    rng = np.random.default_rng(seed)
    annotations = lists * PEOPLE
    per_pattern = rng.random((annotations, 3, TOKENS)) < rng.uniform(0, 0.6, (annotations, 3, 1))
    annotation, pattern, token = np.nonzero(per_pattern)
    category = rng.integers(0, 3, (annotations, 3))[annotation, pattern]
    stopwords = (rng.random((annotations, 3)) < 0.15)[annotation, pattern]
    number = np.arange(lists)
    return AnnotationFrames(
        lists=pd.DataFrame(
            {
                "list_id": number,
                "model": "gpt2",
                "kind": np.array(KINDS)[number % 3],
                "layer": number // 3 % LAYERS,
                "length": TOKENS,
            }
        ),
        annotations=pd.DataFrame(
            {
                "annotation_id": np.arange(annotations),
                "list_id": np.arange(annotations) // PEOPLE,
                "annotator": np.array(["ana", "ben", "cem"])[np.arange(annotations) % PEOPLE],
            }
        ),
        members=pd.DataFrame(
            {
                "annotation_id": annotation,
                "pattern": pattern + 1,
                "rank": token + 1,
                "category": np.array(DEFAULT_CATEGORIES)[category],
                "stopwords": stopwords,
            }
        ),
    )


def plain_loop(labels: AnnotationFrames) -> pd.DataFrame:
    """The same numbers with dictionaries and sets, one annotation after another."""
    length = dict(zip(labels.lists["list_id"], labels.lists["length"], strict=True))
    patterns: dict[int, dict[int, tuple[set[int], str, bool]]] = defaultdict(dict)
    for annotation, pattern, rank, category, flag in labels.members.itertuples(index=False):
        patterns[annotation].setdefault(pattern, (set(), category, flag))[0].add(rank)
    rows = []
    for annotation, list_id, annotator in labels.annotations.itertuples(index=False):
        answer = patterns.get(annotation, {})
        qualifying = [one for one in answer.values() if len(one[0]) >= MIN_TOKENS]
        headline = [one for one in qualifying if not one[2]]
        of_token: dict[int, set[str]] = defaultdict(set)
        for ranks, category, _ in headline:
            for rank in ranks:
                of_token[rank].add(category)
        k = length[list_id]
        shares = dict.fromkeys(sorted(DEFAULT_CATEGORIES), 0.0)
        for categories in of_token.values():
            for category in categories:
                shares[category] += 1 / len(categories)
        with_stopwords = set().union(*(ranks for ranks, _, _ in qualifying))
        rows.append(
            {
                "annotation_id": annotation,
                "list_id": list_id,
                "annotator": annotator,
                "patterns": len(answer),
                "coverage": len(of_token) / k,
                "coverage_with_stopwords": len(with_stopwords) / k,
                **{category: share / k for category, share in shares.items()},
                "concepts": len(headline),
                "concepts_with_stopwords": len(qualifying),
            }
        )
    return pd.DataFrame(rows)


def seconds(function, *arguments, **options):  # type: ignore[no-untyped-def]
    start = time.perf_counter()
    result = function(*arguments, **options)
    return time.perf_counter() - start, result


def main() -> None:
    lists = int(sys.argv[1]) if len(sys.argv) > 1 else 11_112
    labels = frames_of(lists)
    frames = labels.lists, labels.annotations, labels.members
    checking, _ = seconds(AnnotationFrames, *frames)
    vectorised, ours = min(
        (seconds(annotation_coverage, labels, min_tokens=MIN_TOKENS) for _ in range(3)),
        key=lambda timed: timed[0],
    )
    loop, theirs = seconds(plain_loop, labels)
    pd.testing.assert_frame_equal(ours, theirs, check_dtype=False, rtol=0, atol=1e-12)
    options = {"min_tokens": MIN_TOKENS, "categories": DEFAULT_CATEGORIES}
    table, _ = seconds(coverage_table, labels, by=("model", "kind", "layer"), **options)
    print(f"{lists * PEOPLE * TOKENS:,} labels, {len(labels.members):,} pattern members")
    print(f"checking the labels            {checking:6.2f} s")
    print(f"coverage of every annotation   {vectorised:6.2f} s")
    print(f"table by kind and layer        {table:6.2f} s (the line above included)")
    print(f"plain loop over annotations    {loop:6.2f} s, equal to 1e-12")
    print(f"ratio                          {loop / vectorised:6.1f}")


if __name__ == "__main__":
    main()
