"""Options of a measurement; importable without torch."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from ffn_extract.errors import OptionError
from ffn_extract.measurements import suppression_options
from ffn_extract.measurements.suppression_options import SuppressionOptions
from ffn_extract.options import ExtractOptions

_LARGEST_SEED = 2**63 - 1
_LIMITS = {
    "examples": (2, 1_000_000), "seed": (0, _LARGEST_SEED), "min_prefix": (1, 10_000),
    "batch_rows": (2, 4_096), "length_multiple": (1, 4_096), "workers": (0, 1_024),
    "resamples": (100, 1_000_000), "clusters": (2, 10_000_000), "cluster_sample": (3, 10_000_000),
}  # fmt: skip
DTYPES = ("float32", "bfloat16", "float16")
"""Precisions of weights, the default first."""


@dataclass(frozen=True)
class MeasureOptions:
    """The parameters of one measurement.

    Attributes
    ----------
    model
        How the model is found and read, and for `norm` which vectors are compared.
    corpus, corpus_field, examples, seed
        One prefix is read of each of `examples` sentences, drawn by the seed.
    min_prefix
        Tokens of the shortest prefix; None: 2 where the first position holds no token that was put
        before the text, because that position is an attention sink, else 1.
    split_sentences
        Whether each text of the corpus is split into sentences, by the rule of
        `ffn_extract.sentences`; otherwise a text is one.
    prepend
        What stands before each text: "none", "bos", a token id, or None for what the tokenizer
        does.
    without_norm
        Whether x and x̃ are read without the model's final norm.
    dtype
        Of the weights while the model runs: one of `DTYPES`. x̃ and o are subtracted, and scores
        computed, in float32 at least.
    batch_rows, length_multiple
        The batch plan. Other numbers change last bits.
    workers
        Processes that run batches; 0 for one on each processor. They change no bit.
    control
        Whether `saturation` also runs the same model with random weights.
    extreme_below, extreme_above
        Scores beyond which a sub-update is extreme in `top-candidate`; None: minus and plus the
        99.9th percentile of |score| over all dominant sub-updates.
    clusters
        Clusters of value vectors, in `clusters` and `early-exit`.
    cluster_sample
        Value vectors that are clustered, drawn by the seed; the others join the clusters. None:
        all are clustered.
    resamples
        Bootstrap resamples of each interval.
    suppression
        What `suppression` alone needs.

    Raises
    ------
    OptionError
        With a sentence about a value that cannot be used.
    """

    model: ExtractOptions = field(default_factory=ExtractOptions)
    corpus: str = "wordnet"
    corpus_field: str = "text"
    examples: int = 2_000
    seed: int = 0
    min_prefix: int | None = None
    split_sentences: bool = False
    prepend: str | int | None = None
    without_norm: bool = False
    dtype: str = DTYPES[0]
    batch_rows: int = 32
    length_multiple: int = 8
    workers: int = 0
    control: bool = False
    extreme_below: float | None = None
    extreme_above: float | None = None
    clusters: int = 10_000
    cluster_sample: int | None = None
    resamples: int = 10_000
    suppression: SuppressionOptions = field(default_factory=SuppressionOptions)

    def __post_init__(self) -> None:
        for name, (low, high) in _LIMITS.items():
            value = getattr(self, name)
            if value is not None and not low <= value <= high:
                raise OptionError.about(name, f"must be from {low:,} to {high:,}, not {value:,}.")
        words = ("none", "bos", None)
        if self.prepend not in words and not isinstance(self.prepend, int):
            raise OptionError.about("prepend", f"is none, bos or a token id, not {self.prepend!r}.")
        if self.dtype not in DTYPES:
            raise OptionError.about("dtype", f"is {', '.join(DTYPES)}, not {self.dtype!r}.")
        below, above = self.extreme_below, self.extreme_above
        if (below is None) != (above is None) or (below or 0) > (above or 0):
            raise OptionError.about(
                "extreme_below", "and extreme_above belong together, the lower one first."
            )

    def recorded(self) -> dict[str, Any]:
        """The entries of a manifest's parameters; examples and corpus have their own."""
        own = asdict(self)
        for name in ("model", "corpus", "corpus_field", "workers", "suppression"):
            del own[name]
        own["precision"] = own.pop("dtype")
        return own


def limits() -> Mapping[str, tuple[int, int]]:
    """The lowest and the highest value of each whole number, by name."""
    return {**_LIMITS, **suppression_options.LIMITS}
