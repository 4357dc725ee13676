"""Value vectors that share most top tokens with one."""

from collections.abc import Sequence
from dataclasses import dataclass

from annotation_site.annotation.lists.hidden import Hidden
from annotation_site.corpus.models import Vector
from annotation_site.explorer.lookups import lists_sharing

LEAST = 3  # top tokens shared; fewer are no likeness
MOST = 10  # vectors shown


@dataclass(frozen=True)
class SharedToken:
    """A top token of both vectors."""

    token_id: int
    display: str


@dataclass(frozen=True)
class SimilarVector:
    """A value vector with the top tokens that it shares, in the order of the other's ranks."""

    layer: int
    index: int
    shared: list[SharedToken]

    @property
    def count(self) -> int:
        """Number of shared tokens."""
        return len(self.shared)


def similar_vectors(vector: Vector, displays: Sequence[str], hidden: Hidden) -> list[SimilarVector]:
    """The value vectors of the extraction that share most top tokens with a vector.

    At most MOST, each with at least LEAST; of equals the lower layer, then index. `displays` are
    the vector's top tokens. Hidden vectors are left out.
    """
    without = [vector.pk, *hidden.within(vector.extraction).values_list("pk", flat=True)]
    found = lists_sharing(
        vector.extraction, vector.token_ids, least=LEAST, most=MOST, without=without
    )
    rows = Vector.objects.only("layer", "index", "token_ids").in_bulk([pk for pk, _ in found])
    tokens = [SharedToken(*pair) for pair in zip(vector.token_ids, displays, strict=True)]
    return [
        SimilarVector(
            rows[pk].layer,
            rows[pk].index,
            [token for token in tokens if token.token_id in set(rows[pk].token_ids)],
        )
        for pk, _ in found
        if pk in rows
    ]
