"""Members of patterns as arrays, from which coverage and shares of categories are counted."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Members:
    """Members of patterns as arrays with one entry per row; ids replaced by row numbers."""

    shape: tuple[int, int]  # annotations × tokens of the longest list
    annotation: NDArray[np.intp]
    token: NDArray[np.intp]  # rank - 1
    pattern_size: NDArray[np.intp]  # of the row's pattern
    first_of_pattern: NDArray[np.bool_]  # true in one row of every pattern
    stopwords: NDArray[np.bool_]
    category: NDArray[np.intp]  # index into `categories`
    categories: list[str]  # by name

    def patterns(self, chosen: NDArray[np.bool_]) -> NDArray[np.intp]:
        """Count the patterns of each annotation among the chosen rows; shape (annotations,)."""
        once = self.annotation[chosen & self.first_of_pattern]
        return np.bincount(once, minlength=self.shape[0])

    def tokens(self, chosen: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Mark the tokens that the chosen rows cover, each once; shape (annotations, tokens)."""
        covered = np.zeros(self.shape, dtype=np.bool_)
        covered[self.annotation[chosen], self.token[chosen]] = True
        return covered


def encode_members(members: pd.DataFrame, annotations: pd.DataFrame, *, width: int) -> Members:
    """Encode the members of these annotations, whose order they keep.

    `width` is the number of entries of the longest list.
    """
    annotation = pd.Index(annotations["annotation_id"]).get_indexer(members["annotation_id"])
    number, numbers = pd.factorize(members["pattern"])
    pattern, _ = pd.factorize(annotation * max(len(numbers), 1) + number)
    category, categories = pd.factorize(members["category"], sort=True)
    names = [str(name) for name in categories]
    return Members(
        shape=(len(annotations), width),
        annotation=annotation,
        token=members["rank"].to_numpy(dtype=np.intp) - 1,
        pattern_size=np.bincount(pattern)[pattern],
        first_of_pattern=~pd.Series(pattern).duplicated().to_numpy(),
        stopwords=members["stopwords"].to_numpy(dtype=np.bool_),
        category=category,
        categories=names,
    )
