"""`compare-norm`: effect of the norm before the unembedding on top tokens.

The paper projects value vectors without it and shows that little is lost: the intersection over
union of the top tokens of E·v and of E·Norm(v), per layer, for value vectors beside random ones
(appendix A.1, figure 4).
"""

import contextlib
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ffn_extract.architectures import ModelWeights
from ffn_extract.checkpoints.find import find_checkpoint
from ffn_extract.checkpoints.fingerprint import fingerprint
from ffn_extract.environment import environment
from ffn_extract.errors import OptionError
from ffn_extract.names import model_name
from ffn_extract.norm_table import Row, table_csv
from ffn_extract.options import ExtractOptions
from ffn_extract.pipeline import open_device, open_weights
from ffn_extract.possible import require_possible, require_top_k
from ffn_extract.progress import Progress, Report, ignore
from ffn_extract.projection.projector import project
from ffn_extract.vectors import Vector, random_vectors, value_vectors
from ffn_extract.vocabulary import open_vocabulary

TABLE_FILE = "compare-norm.csv"
FIGURE_FILE = "compare-norm.png"
PARAMETERS_FILE = "compare-norm.json"
KINDS = ("value", "random")
_LINES = {
    "value": ("value vectors", "#0072b2", "o", "-"),
    "random": ("random vectors", "#d55e00", "s", "--"),
}
"""Label, colour (Okabe and Ito's), marker and dash of each kind: no need to tell colours apart."""
NO_MATPLOTLIB = (
    "No figure was drawn: matplotlib is not installed. pip install matplotlib, and run this again "
    "in another folder; the table holds what the figure shows."
)

Ids = NDArray[np.int64]


def compare_norm(
    model: str, out: Path, options: ExtractOptions, report: Report = ignore
) -> list[Row]:
    """Compare the top tokens with and without the norm; write table, figure and parameters.

    Of the options, `per_layer`, `top_k`, `seed`, `random_grain`, `drop_special`, `device`,
    `revision`, `name` and those that describe a family are used; a norm that is described needs the
    projection "norm", without which it counts for nothing. The figure is left out where matplotlib
    is not installed.

    Raises
    ------
    FFNExtractError
        With a sentence that says what to do, also when the model has no such norm, or `out` holds
        a comparison already.
    """
    _require_new(out)
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
    rows = list(_table(vectors, overlaps))
    parameters = {
        "model": {
            "name": name,
            "revision": checkpoint.revision,
            "model_type": weights.architecture.model_type,
            "fingerprint": fingerprint(checkpoint.tensors, weights.used_tensors()),
            **asdict(weights.dimensions),
        },
        "parameters": {
            "kinds": list(KINDS),
            "projections": ["raw", "norm"],
            **{
                name: getattr(options, name)
                for name in ("per_layer", "top_k", "seed", "random_grain", "drop_special")
            },
            **({"tensors": options.tensors} if options.tensors else {}),
        },
        "environment": environment(str(device), {}),
    }
    _write(out, rows, parameters)
    return rows


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


def _require_new(out: Path) -> None:
    if any((out / name).exists() for name in (TABLE_FILE, FIGURE_FILE, PARAMETERS_FILE)):
        raise OptionError(f"{out} holds a comparison already. Give another folder with --out.")


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


def _write(out: Path, rows: Sequence[Row], parameters: dict[str, Any]) -> None:
    """The parameters last: with them, a comparison is complete."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        (out / TABLE_FILE).write_text(table_csv(rows), encoding="utf-8")
        with contextlib.suppress(ImportError):
            (out / FIGURE_FILE).write_bytes(_figure(rows, parameters))
        text = json.dumps(parameters, sort_keys=True, indent=2, ensure_ascii=False)
        (out / PARAMETERS_FILE).write_text(f"{text}\n", encoding="utf-8")
    except OSError as error:
        raise OptionError(f"Cannot write to {out}: {error.strerror}.") from error


def _figure(rows: Sequence[Row], parameters: dict[str, Any]) -> bytes:
    """A PNG: mean intersection over union per layer, bands of one standard deviation.

    Raises ImportError where there is no matplotlib; nothing else of extraction needs it.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(6.4, 3.6), layout="constrained")
    axes = figure.add_subplot()
    for kind, (label, colour, marker, dash) in _LINES.items():
        own = [row for row in rows if row.kind == kind]
        layers = [row.layer for row in own]
        means = [row.mean_iou for row in own]
        low = [max(0.0, row.mean_iou - row.std_iou) for row in own]
        high = [min(1.0, row.mean_iou + row.std_iou) for row in own]
        axes.fill_between(layers, low, high, color=colour, alpha=0.15, linewidth=0)
        axes.plot(layers, means, color=colour, marker=marker, linestyle=dash, label=label)
    top_k = parameters["parameters"]["top_k"]
    axes.set_xlabel("layer (counted from 0)")
    axes.set_ylabel("intersection over union")
    name = parameters["model"]["name"]
    axes.set_title(f"Top {top_k} tokens with and without the norm\n{name}", fontsize=10)
    axes.set_ylim(0, 1.02)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(axis="y", color="#e4e3de")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=150, metadata={"Software": None})
    return content.getvalue()
