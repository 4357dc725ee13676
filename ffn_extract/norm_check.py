"""The measurement `norm`: effect of the norm before the unembedding on top tokens.

The paper projects value vectors without it and shows that little is lost: the intersection over
union of the top tokens of E·v and of E·Norm(v), per layer, for value vectors beside random ones
(appendix A.1, figure 4).
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ffn_extract.architectures import ModelWeights
from ffn_extract.checkpoints.find import find_checkpoint
from ffn_extract.checkpoints.fingerprint import fingerprint
from ffn_extract.environment import environment
from ffn_extract.names import model_name
from ffn_extract.norm_table import Row
from ffn_extract.options import ExtractOptions
from ffn_extract.pipeline import open_device, open_weights
from ffn_extract.possible import require_possible, require_top_k
from ffn_extract.progress import Progress, Report, ignore
from ffn_extract.projection.projector import project
from ffn_extract.vectors import Vector, random_vectors, value_vectors
from ffn_extract.vocabulary import open_vocabulary

KINDS = ("value", "random")

Ids = NDArray[np.int64]


@dataclass(frozen=True)
class Comparison:
    """Rows, and what a manifest tells of the model, the parameters and the environment."""

    rows: list[Row]
    model: dict[str, Any]
    parameters: dict[str, Any]
    environment: dict[str, Any]


def compare_norm(model: str, options: ExtractOptions, report: Report = ignore) -> Comparison:
    """Compare the top tokens with and without the norm.

    Of the options, `per_layer`, `top_k`, `seed`, `random_grain`, `drop_special`, `device`,
    `revision`, `name` and those that describe a family are used; a norm that is described needs the
    projection "norm", without which it counts for nothing.

    Raises
    ------
    FFNExtractError
        With a sentence that says what to do, also when the model has no such norm.
    """
    device = open_device(options.device)
    report(Progress("checkpoint", 0, 1))
    checkpoint = find_checkpoint(model, options.revision, gguf_file=options.gguf_file)
    weights = open_weights(checkpoint, options)
    require_possible(replace(options, projection="norm"), weights)
    name = model_name(checkpoint, options)
    report(Progress("checkpoint", 1, 1))
    _, vocabulary = open_vocabulary(checkpoint)
    n_rows = weights.dimensions.vocab_size
    vocabulary.check_rows(n_rows)
    weights.forget_rows(~vocabulary.allowed(n_rows, drop_special=False))
    allowed = vocabulary.allowed(n_rows, drop_special=options.drop_special)
    require_top_k(options.top_k, int(allowed.sum()))
    vectors = list(_vectors(weights, options, report))
    plain = np.stack([vector.values for vector in vectors])
    projection = project(
        weights.before_unembedding(np.concatenate([plain, _normed(plain, vectors, weights)])),
        weights.unembedding,
        allowed,
        options.top_k,
        both_sides=False,
        device=device,
        report=lambda rows: report(Progress("projection", rows, n_rows)),
    )
    ids = projection.top.token_ids
    overlaps = intersection_over_union(ids[: len(vectors)], ids[len(vectors) :])
    return Comparison(
        rows=list(_table(vectors, overlaps)),
        model={
            "name": name,
            "revision": checkpoint.revision,
            "model_type": weights.architecture.model_type,
            "fingerprint": fingerprint(checkpoint.tensors, weights.used_tensors()),
            **asdict(weights.dimensions),
        },
        parameters={
            "kinds": list(KINDS),
            "projections": ["raw", "norm"],
            **{
                name: getattr(options, name)
                for name in ("per_layer", "top_k", "seed", "random_grain", "drop_special")
            },
            **({"tensors": options.tensors} if options.tensors else {}),
        },
        environment=environment(str(device), {}),
    )


def intersection_over_union(first: Ids, second: Ids) -> NDArray[np.float64]:
    """|A ∩ B| / |A ∪ B| of each row's ids; both of shape (n, k) without repetition in a row.

    Examples
    --------
    >>> intersection_over_union(np.array([[1, 2, 3]]), np.array([[3, 4, 2]])).tolist()
    [0.5]
    """
    both = np.sort(np.concatenate([first, second], axis=1), axis=1)
    shared = (both[:, 1:] == both[:, :-1]).sum(axis=1)
    overlap: NDArray[np.float64] = shared / (first.shape[1] + second.shape[1] - shared)
    return overlap


def _vectors(weights: ModelWeights, options: ExtractOptions, report: Report) -> Iterator[Vector]:
    n_layers = weights.dimensions.n_layers
    for layer in weights.layers:
        yield from value_vectors(weights, layer, options.drawn_count, options.seed)
        report(Progress("vectors", layer + 1, 2 * n_layers))
    yield from random_vectors(
        weights,
        options,
        weights.layers,
        lambda layers: report(Progress("vectors", n_layers + layers, 2 * n_layers)),
    )


def _normed(
    plain: NDArray[np.float64], vectors: Sequence[Vector], weights: ModelWeights
) -> NDArray[np.float64]:
    layers = np.array([vector.layer for vector in vectors])
    normed = np.empty_like(plain)
    for layer in weights.layers:
        normed[layers == layer] = weights.norm(layer).normed(plain[layers == layer])
    return normed


def _table(vectors: Sequence[Vector], overlaps: NDArray[np.float64]) -> Iterator[Row]:
    places = np.array([(vector.layer, KINDS.index(vector.kind)) for vector in vectors])
    for layer in sorted(set(places[:, 0].tolist())):
        for number, kind in enumerate(KINDS):
            some = overlaps[(places == (layer, number)).all(axis=1)]
            yield Row(
                layer,
                kind,
                len(some),
                *(round(float(x), 6) for x in (some.mean(), some.std(), some.min(), some.max())),
            )
