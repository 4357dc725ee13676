"""The options of the command line, under the headings of `--help`."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from ffn_extract.errors import OptionError
from ffn_extract.glosses import GLOSS_SOURCES
from ffn_extract.help_groups import option
from ffn_extract.options import (
    ALL,
    DRAWN_BESIDE_ALL,
    KINDS,
    MAX_TOP_K,
    NORM_KINDS,
    ORIENTATIONS,
    PROJECTIONS,
    RANDOM_GRAINS,
    ExtractOptions,
    flag_of,
)

F = TypeVar("F", bound=Callable[..., Any])
DEFAULTS = ExtractOptions()

_output = option("Output")
_sampling = option("Which vectors")
_projection = option("Projection")
_texts = option("Texts of updates")
_glosses = option("Glosses")
_unknown = option("Families that are not known")
_machine = option("Model and machine")


class PerLayer(click.ParamType[int | str]):
    """A whole number, or the word all in any case."""

    name = "N|all"

    def convert(self, value: Any, param: Any, ctx: Any) -> int | str:
        """The number, or the word."""
        if isinstance(value, str) and value.strip().lower() == ALL:
            return ALL
        try:
            return int(value)
        except ValueError:
            self.fail(f"{value!r} is neither a whole number nor the word {ALL}.", param, ctx)


def names_of(value: str) -> tuple[str, ...]:
    """The names in a text with commas."""
    return tuple(name.strip() for name in value.split(",") if name.strip())


def options_of(**values: Any) -> ExtractOptions:
    """The options of a command, with a line on standard error for each that has no effect.

    Raises OptionError.
    """
    options = ExtractOptions(**values)
    for note in options.notes:
        click.echo(f"Note: {note.write(flag_of)}", err=True)
    return options


def chosen(vectors: str | None, file: Path | None) -> tuple[tuple[int, int], ...] | None:
    """The vectors of both options; None without either. Raises OptionError."""
    from ffn_extract.chosen_vectors import places_of, read_places

    if vectors is not None and not vectors.strip():
        raise OptionError("--vectors names no vector. Give LAYER:INDEX, such as 14:518.")
    if vectors is None and file is None:
        return None
    return places_of(vectors or "") + (() if file is None else read_places(file))


def _all(*options: Callable[[Any], Any]) -> Callable[[F], F]:
    def decorate(command: F) -> F:
        for one in reversed(options):
            command = one(command)
        return command

    return decorate


output = _all(
    _output(
        "--out", required=True, metavar="DIR", type=click.Path(path_type=Path),
        help="Folder to write.",
    ),
    _output(
        "--name", metavar="TEXT",
        help="What the model is called there; else its hub id or the name of its folder.",
    ),
)  # fmt: skip

vectors = _all(
    _sampling(
        "--kinds", default=",".join(KINDS), metavar="KIND,…",
        help=f"Of {', '.join(KINDS)}, separated by commas.",
    ),
    _sampling(
        "--per-layer", type=PerLayer(), default=DEFAULTS.per_layer, metavar=f"N|{ALL}",
        help=f"Vectors per layer and kind, drawn at random; or {ALL}, for every value vector.",
    ),
    _sampling(
        "--vectors", metavar="LAYER:INDEX,…",
        help="These value vectors in place of a sample, such as 14:518,14:72; both from 0.",
    ),
    _sampling(
        "--vectors-file", metavar="FILE", type=click.Path(path_type=Path),
        help="The same from a file: one LAYER:INDEX on each line, # before a comment.",
    ),
    _sampling(
        "--drawn-per-layer", type=int, metavar="N",
        help="Random vectors and updates per layer, if not as many as value vectors; "
        f"{DRAWN_BESIDE_ALL} beside --per-layer {ALL} and --vectors.",
    ),
)  # fmt: skip


def per_layer(default: int) -> Callable[[F], F]:
    """The number of vectors where every one of a layer is no choice."""
    return _sampling(
        "--per-layer", type=int, default=default, metavar="N", help="Vectors per layer and kind."
    )


seed = _sampling("--seed", default=DEFAULTS.seed, help="The same seed draws the same vectors.")

random_grain = _sampling(
    "--random-grain", type=click.Choice(RANDOM_GRAINS), default=DEFAULTS.random_grain,
    help="What the random vectors' mean and deviation are taken over: each dimension of the "
    "layer, the layer, or the model.",
)  # fmt: skip

lists = _all(
    _projection(
        "--top-k", default=DEFAULTS.top_k, metavar="N", help=f"Tokens per list, 1 to {MAX_TOP_K}."
    ),
    _projection(
        "--drop-special", is_flag=True, help="Keep special and unused tokens out of lists."
    ),
)

projection = _all(
    _projection(
        "--projection", type=click.Choice(PROJECTIONS), default=DEFAULTS.projection,
        help="raw: E·v, as in the paper. fold: with the final norm's gain. norm: through the norm.",
    ),
    _projection(
        "--through-head", is_flag=True,
        help="Of encoders: through the masked-LM head's dense layer and norm, to its embeddings.",
    ),
)  # fmt: skip

texts = _all(
    _texts(
        "--corpus", default=DEFAULTS.corpus, metavar="FILE",
        help='.txt (a text on each line), .json, .jsonl, .csv, .tsv or .parquet; or "wordnet" for '
        "WordNet's example sentences.",
    ),
    _texts(
        "--corpus-field", default=DEFAULTS.corpus_field, metavar="NAME",
        help="The field of .json or .jsonl, or column of a table, that holds the text.",
    ),
)  # fmt: skip

glosses = _glosses(
    "--glosses", default=",".join(DEFAULTS.glosses), metavar="SOURCE,…",
    help=f'Of {", ".join(GLOSS_SOURCES)}, separated by commas, in the order to ask; or "none".',
)  # fmt: skip

unknown_family = _all(
    _unknown(
        "--value-tensor", metavar="NAME",
        help="The FFN's output matrix, {layer} for the layer's number and {expert} for an "
        "expert's. `ffn_extract tensors MODEL` lists names.",
    ),
    _unknown(
        "--orientation", type=click.Choice(ORIENTATIONS),
        help="Value i is row i, or column i, of that matrix.",
    ),
    _unknown(
        "--unembedding-tensor", metavar="NAME",
        help="The matrix with a row for each token. Alone, of a known family too.",
    ),
    _unknown(
        "--key-tensor", metavar="NAME",
        help="The FFN's input matrix, to compare its shape. No list needs it.",
    ),
    _unknown(
        "--projection-tensor", metavar="NAME",
        help="The matrix between value vectors and an unembedding with narrower rows.",
    ),
    _unknown(
        "--norm-gain-tensor", metavar="NAME",
        help="The gain of the norm before the unembedding, for --projection fold or norm; with "
        "{layer}, each layer's own.",
    ),
    _unknown(
        "--norm-kind", type=click.Choice(NORM_KINDS),
        help="LayerNorm, which subtracts the mean, or RMSNorm, which does not.",
    ),
    _unknown("--norm-bias-tensor", metavar="NAME", help="The norm's bias, if it has one."),
    _unknown(
        "--norm-offset", type=float, default=DEFAULTS.norm_offset, metavar="X",
        help="Added to the stored gain: 1 in Gemma and its kin.",
    ),
    _unknown(
        "--norm-epsilon", type=float, metavar="X", help="The norm's epsilon; else config.json's."
    ),
    _unknown(
        "--norm-after-ffn-tensor", metavar="NAME",
        help="The gain of an RMSNorm between the FFN and the residual stream, if there is one.",
    ),
    _unknown(
        "--allow-fewer-layers", is_flag=True,
        help="Read the layers that have the FFN's tensors, where others lack them.",
    ),
)  # fmt: skip

machine = _all(
    _machine("--revision", metavar="TEXT", help="Branch, tag or commit of a hub model."),
    _machine(
        "--gguf-file", metavar="NAME",
        help="The GGUF file of a folder or hub model that has several, or safetensors too.",
    ),
    _machine(
        "--device", default=DEFAULTS.device, metavar="NAME", help="auto, cpu, cuda or cuda:N."
    ),
)  # fmt: skip
