"""Clusters of value vectors, and which of them extreme sub-updates use (section 5.2)."""

from collections import Counter
from collections.abc import Mapping

import numpy as np

from ffn_extract.measurements.in_paper import MOST_ROWS, Beside, InPaper, Numbers
from ffn_extract.measurements.linkage import Labels, directions
from ffn_extract.measurements.measurement import (
    Cell,
    Figure,
    Line,
    Measurement,
    Readings,
    Result,
    Table,
    rounded,
)
from ffn_extract.measurements.top_candidate import extreme_thresholds
from ffn_extract.measurements.words import Floats, Words

COLUMNS = ("layer", "index", "cluster")
EXTREME = ("cluster", "size", "layer", "active", "mean_token_rank", "tokens")
Place = tuple[int, int]
"""Cluster and layer."""


def compute(readings: Readings) -> Result:
    """The cluster of each value vector, and the active ones among extreme sub-updates."""
    if readings.words is None:
        raise ValueError("no words, no tokens of clusters")
    above, below = extreme_thresholds(readings)
    starts = np.cumsum([0, *readings.n_values])
    places: list[tuple[Cell, ...]] = [
        (layer, index, int(readings.clusters[starts[layer] + index]))
        for layer, n in enumerate(readings.n_values)
        for index in range(n)
    ]
    sizes = np.bincount(readings.clusters)
    active = _active(readings, above, below)
    promoted = _promoted(active, readings.words)
    rows: list[tuple[Cell, ...]] = [
        (cluster, int(sizes[cluster]), layer, sum(uses.values()), *promoted[cluster, layer])
        for (cluster, layer), uses in sorted(active.items())
    ]
    return Result(
        [Table("clusters", COLUMNS, places), Table("extreme_clusters", EXTREME, rows)],
        [_figure(rows)],
        _words(rows, sizes),
        {"extreme_above": rounded(above), "extreme_below": rounded(below)},
    )


def _active(readings: Readings, above: float, below: float) -> dict[Place, Counter[Place]]:
    """Extreme dominant sub-updates by cluster and layer: how often each (index, sign of m)."""
    arrays = readings.arrays
    scores = np.asarray(arrays["dominant_top"], dtype=np.float64)
    starts = np.cumsum([0, *readings.n_values])
    found: dict[Place, Counter[Place]] = {}
    examples, layers, ranks = np.nonzero((scores > above) | (scores < below))
    indices = arrays["dominant"][examples, layers, ranks].tolist()
    signs = arrays["signs"][examples, layers, ranks].tolist()
    for layer, index, sign in zip(layers.tolist(), indices, signs, strict=True):
        cluster = int(readings.clusters[starts[layer] + index])
        found.setdefault((cluster, layer), Counter())[index, sign] += 1
    return found


def _promoted(
    active: Mapping[Place, Counter[Place]], words: Words
) -> dict[Place, tuple[Cell, Cell]]:
    """Mean unigram rank and text of the tokens that each cluster's sub-updates promote most."""
    sums: list[Floats] = []
    for (_, layer), uses in active.items():
        vectors, _ = directions(words.vectors(layer, [index for index, _ in uses]))
        weights = np.array([sign * count for (_, sign), count in uses.items()], dtype=np.float64)
        sums.append((vectors * weights[:, None]).sum(axis=0))
    if not sums:
        return {}
    tokens = words.top(np.stack(sums))
    found: dict[Place, tuple[Cell, Cell]] = {}
    for place, own, c in zip(active, tokens, sums, strict=True):
        rank = rounded(float(words.ranks[own].mean()))
        found[place] = (rank, words.shown(own)) if c.any() else (None, "")
    return found


def _figure(rows: list[tuple[Cell, ...]]) -> Figure:
    layers = sorted({int(row[2] or 0) for row in rows})
    means = []
    for layer in layers:
        own = [(float(row[3] or 0), float(row[4] or 0)) for row in rows if row[2] == layer]
        means.append(sum(n * rank for n, rank in own) / sum(n for n, _ in own))
    return Figure(
        "extreme_clusters",
        "Tokens that extreme sub-updates promote",
        "mean unigram rank",
        [Line("clusters of extreme sub-updates", layers, means)],
    )


def _words(rows: list[tuple[Cell, ...]], sizes: Labels) -> list[str]:
    counts: Counter[int] = Counter()
    for row in rows:
        counts[int(row[0] or 0)] += int(row[3] or 0)
    total, within = sum(counts.values()), sum(int(sizes[cluster]) for cluster in counts)
    half = most = 0
    for _, count in counts.most_common():
        if 2 * half < total:
            half, most = half + count, most + 1
    return [
        f"The {int(sizes.sum()):,} value vectors are in {len(sizes):,} clusters; "
        f"{int((sizes == 1).sum()):,} hold one vector. {total:,} extreme sub-updates are of "
        f"{len(counts):,} clusters, which hold {within / int(sizes.sum()):.1%} of the vectors; "
        f"{most:,} of these clusters have half of them or more."
    ]


MEASUREMENT = Measurement(
    name="clusters",
    title="Clusters of value vectors",
    definition=(
        "Complete-linkage agglomerative clustering of 1 − cos over all value vectors, in the order "
        "(layer, index) and in float64: the two clusters whose farthest members are nearest are "
        "joined until --clusters are left. Zero vectors are one of them. Clusters are numbered by "
        "their first member. With --cluster-sample N, N vectors drawn by the seed are clustered, "
        "and each of the others joins the cluster whose farthest member is nearest. Extreme "
        "sub-updates are those of `top-candidate`: dominant ones whose score of the token that is "
        "top in x is beyond two thresholds, which the manifest names. For the extreme ones of a "
        "cluster in a layer, the tokens are the 10 with the highest score E·c, c the sum of "
        "v/‖v‖ over them, −v/‖v‖ where m < 0 (none where c = 0). The unigram rank of a token is 1 "
        "for the most frequent one in the whole corpus measured; equally frequent ones, such as "
        "those that do not occur, share their mean rank."
    ),
    source="Geva et al. (2022), section 5.2, with 10,000 clusters.",
    columns={
        "clusters": {
            "layer": "layer, counted from 0",
            "index": "index of the value vector",
            "cluster": "its cluster, counted from 0",
        },
        "extreme_clusters": {
            "cluster": "cluster with extreme sub-updates",
            "size": "value vectors in it, of all layers",
            "layer": "layer of the sub-updates, counted from 0",
            "active": "extreme sub-updates of the cluster there, over all examples",
            "mean_token_rank": "mean unigram rank of the tokens",
            "tokens": "the 10 tokens that they promote most, separated by spaces",
        },
    },
    needs=("sizes", "candidates", "pushes"),
    clusters=True,
    words=True,
    packages=("fastcluster",),
    compute=compute,
    in_paper=InPaper(
        section="5.2",
        says=(
            "With 10,000 clusters[^numbers-of-clusters][^clustered], few homogeneous ones hold the "
            "extreme sub-updates: 1.7% of the value vectors in GPT2, 1.1% in WikiLM. There are two "
            "groups: vectors of upper layers that promote rare tokens, and vectors of all layers "
            "that promote common ones, such as stopwords.[^layers][^corpus][^prefix]"
        ),
        tables=[
            Beside(
                "extreme_clusters",
                f"The {MOST_ROWS} places with the most extreme sub-updates",
                "cluster {cluster}, layer {layer}",
                [
                    Numbers("size", "vectors"),
                    Numbers("active", "extreme sub-updates"),
                    Numbers("mean_token_rank", "mean rank of tokens", "{:,.0f}"),
                    Numbers("tokens", "tokens"),
                ],
                most="active",
            ),
        ],
        footnotes={
            "numbers-of-clusters": "The released code also makes 200 and 3,000 (--clusters).",
            "clustered": "The released instructions cluster the scores E·v of value vectors v. "
            "Here, as in the text of the paper, the vectors are clustered.",
        },
    ),
)
