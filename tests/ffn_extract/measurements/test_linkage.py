"""Complete-linkage clusters of vectors: by hand, and as SciPy finds them."""

import tracemalloc

import numpy as np
import pytest
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import pdist

from ffn_extract.errors import FFNExtractError, OptionError
from ffn_extract.measurements.linkage import (
    BLOCK,
    cluster,
    complete_linkage,
    condensed,
    directions,
    join,
    linkage_bytes,
    numbered,
)
from ffn_extract.measurements.options import MeasureOptions
from ffn_extract.measurements.value_clusters import require_clusters, value_clusters
from tests.ffn_extract.tiny_models import weights_of


def at(*degrees):
    angles = np.radians(degrees)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def random_units(n, d=24):
    return directions(np.random.default_rng(3).normal(size=(n, d)))[0]


def test_linkage_is_complete_and_not_single():
    """0° and 20° are nearest. From 41° it is 21° to the nearer of them and 41° to the farther one.

    To 71° it is 30°: between the two.
    """
    units = at(0, 20, 41, 71)
    assert cluster(units, 2).tolist() == [0, 0, 1, 1]
    found = {
        method: numbered(fcluster(linkage(pdist(units, "cosine"), method), 2, "maxclust")).tolist()
        for method in ("single", "complete")
    }
    assert found == {"single": [0, 0, 0, 1], "complete": [0, 0, 1, 1]}


def test_only_directions_count_and_opposite_ones_are_farthest_apart():
    units, zero = directions(np.array([[2.0, 0.0], [-1.0, 0.0], [1e-200, 0.0], [0.0, 0.0]]))
    assert units.tolist() == [[1, 0], [-1, 0], [1, 0], [0, 0]]
    assert zero.tolist() == [False, False, False, True]
    assert condensed(units[:3]).tolist() == [2.0, 0.0, 2.0]


@pytest.mark.parametrize("n", [7, BLOCK, BLOCK + 1, 2 * BLOCK + 90])
def test_distances_joins_and_clusters_are_those_of_scipy(n):
    units = random_units(n)
    distances = condensed(units)
    assert np.abs(distances - pdist(units, "cosine")).max() < 1e-14
    merges = linkage(distances, "complete")
    for number in (2, n // 2, n - 1):
        expected = numbered(fcluster(merges, number, "maxclust"))
        assert cluster(units, number).tolist() == expected.tolist()
    assert complete_linkage(distances).tolist() == merges.tolist()


def test_the_distances_are_overwritten_and_not_copied():
    distances = condensed(random_units(2_000, 4))
    tracemalloc.start()
    complete_linkage(distances)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 0.02 * distances.nbytes
    assert linkage_bytes(2_000, 4) > distances.nbytes
    assert linkage_bytes(46_080, 576) < 1.1 * (46_080 * 46_079 // 2 * 8 + 46_080 * 576 * 8)


def test_equal_distances_are_joined_in_the_order_of_the_vectors():
    """Four vectors at right angles: all distances are 1."""
    assert cluster(np.eye(4), 3).tolist() == [0, 0, 1, 2]
    assert cluster(np.eye(4), 4).tolist() == [0, 1, 2, 3]


def test_clusters_are_numbered_by_their_first_member():
    assert numbered([9, 2, 9, 0, 2]).tolist() == [0, 1, 0, 2, 1]


def test_a_vector_outside_the_sample_joins_the_cluster_whose_farthest_member_is_nearest():
    """At 35°, the nearest member is that at 40°, but 60° is farther from it than 0° and 12° are.

    From 35°: cluster 0 at most 35°, cluster 1 (40° and 75°) at most 40°.
    """
    members, labels = at(0, 40, 12, 75), np.array([0, 1, 0, 1])
    assert join(at(35, 50), members, labels).tolist() == [0, 1]


@pytest.fixture(scope="module")
def weights(tiny_model):
    return weights_of(tiny_model("gpt2"))


def vectors_of(weights):
    rows = [weights.value_rows(layer, 0, weights.n_values(layer)) for layer in weights.layers]
    return np.concatenate([one.double().numpy() for one in rows])


def test_all_value_vectors_are_clustered_in_the_order_of_layer_and_index(weights):
    vectors = vectors_of(weights)
    expected = numbered(
        fcluster(linkage(pdist(vectors, "cosine"), "complete"), 9, "maxclust")
    ).tolist()
    assert value_clusters(weights, MeasureOptions(clusters=9)).tolist() == expected


class WithZeros:
    """Weights with some vectors of zeros."""

    def __init__(self, weights, zeros):
        self.layers, self.dimensions, self.n_values = (
            weights.layers, weights.dimensions, weights.n_values,
        )  # fmt: skip
        self._weights, self._zeros = weights, zeros

    def value_rows(self, layer, start, stop):
        rows = self._weights.value_rows(layer, start, stop).clone()
        for of, index in self._zeros:
            if of == layer:
                rows[index] = 0.0
        return rows


def test_zero_vectors_are_one_of_the_clusters(weights):
    some = WithZeros(weights, [(0, 2), (1, 0), (1, 5)])
    labels = value_clusters(some, MeasureOptions(clusters=9))
    n = weights.n_values(0)
    assert len(set(labels.tolist())) == 9
    assert np.flatnonzero(labels == labels[2]).tolist() == [2, n, n + 5]


def test_a_sample_clusters_as_many_vectors_and_every_vector_has_a_cluster(weights):
    given = MeasureOptions(clusters=9, cluster_sample=40, seed=1)
    labels = value_clusters(weights, given)
    vectors = vectors_of(weights)
    assert len(labels) == len(vectors) > 40
    assert set(labels.tolist()) == set(range(9))
    assert labels.tolist() == value_clusters(weights, given).tolist()
    whole = MeasureOptions(clusters=9, cluster_sample=len(vectors))
    expected = value_clusters(weights, MeasureOptions(clusters=9))
    assert value_clusters(weights, whole).tolist() == expected.tolist()


def test_vectors_that_are_not_finite_are_refused(weights):
    broken = WithZeros(weights, [])
    broken.value_rows = lambda layer, start, stop: weights.value_rows(layer, start, stop) / 0
    with pytest.raises(FFNExtractError, match="Layer 0's value vectors are not all finite"):
        value_clusters(broken, MeasureOptions(clusters=9))


def test_what_cannot_be_clustered_is_refused_with_what_to_do():
    def refused(sizes, free=None, **changes):
        with pytest.raises(OptionError) as caught:
            require_clusters("gpt2", sizes, 768, MeasureOptions(**changes), free)
        return str(caught.value)

    assert refused([50, 50]) == (
        "gpt2 has 100 value vectors, of which 100 are clustered; 10,000 clusters are not fewer. "
        "Give a smaller --clusters."
    )
    assert "of which 60 are clustered; 60 clusters" in refused(
        [50, 50], clusters=60, cluster_sample=60
    )
    all_of_it = [3072] * 12
    assert refused(all_of_it, free=3 * 10**9) == (
        "Clustering 36,864 value vectors of gpt2 needs about 6.3 GB of memory, and 3.0 GB are "
        "free. Give --cluster-sample 20000, or use a larger machine."
    )
    assert "Close other programs, or use" in refused(all_of_it, free=10**8)
    require_clusters("gpt2", all_of_it, 768, MeasureOptions(cluster_sample=20_000), 3 * 10**9)
    require_clusters("gpt2", all_of_it, 768, MeasureOptions(), 8 * 10**9)
    require_clusters("gpt2", all_of_it, 768, MeasureOptions(), None)


def test_progress_is_told_while_distances_are_computed(weights):
    told = []
    value_clusters(weights, MeasureOptions(clusters=9), lambda *given: told.append(given))
    assert told == [(len(vectors_of(weights)),) * 2]
