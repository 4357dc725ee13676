"""The command line: it only translates. What computes is imported when a command needs it."""

import logging
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import click
from tqdm import tqdm

from ffn_extract.errors import FFNExtractError
from ffn_extract.glosses import GLOSS_SOURCES
from ffn_extract.options import (
    ALL,
    DRAWN_BESIDE_ALL,
    KINDS,
    PROJECTIONS,
    RANDOM_GRAINS,
    ExtractOptions,
)
from ffn_extract.progress import STEPS, Progress
from ffn_extract.target_lock import locked

P = ParamSpec("P")
R = TypeVar("R")
_DEFAULTS = ExtractOptions()
_NORM_CHECK_VECTORS = 100  # enough for a steady mean, and cheap: the lists are only compared
_UNITS = {"projection": " vectors", "updates": " updates", "glosses": " tokens"}


def _sentences(command: Callable[P, R]) -> Callable[P, R]:
    """Print an FFNExtractError as its sentence and exit with 1; bugs keep their traceback."""

    @wraps(command)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return command(*args, **kwargs)
        except FFNExtractError as error:
            raise click.ClickException(str(error)) from error

    return wrapped


class _PerLayer(click.ParamType[int | str]):
    """A whole number, or the word all."""

    name = "N|all"

    def convert(self, value: Any, param: Any, ctx: Any) -> int | str:
        return ALL if value == ALL else int(click.INT.convert(value, param, ctx))


@click.group(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
def main() -> None:
    """From a language model's weights to the token lists that its FFN layers promote."""
    logging.basicConfig(format="%(message)s", level=logging.WARNING)


@main.command()
@click.argument("model")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder to write.")
@click.option("--kinds", default=",".join(KINDS), help="Comma-separated.")
@click.option(
    "--per-layer",
    type=_PerLayer(),
    default=_DEFAULTS.per_layer,
    help="Vectors per layer and kind; or all, for every value vector.",
)
@click.option(
    "--drawn-per-layer",
    type=int,
    help=f"Random vectors and updates, if not as many; {DRAWN_BESIDE_ALL} beside all.",
)
@click.option("--top-k", default=_DEFAULTS.top_k, help="Tokens per list.")
@click.option("--seed", default=_DEFAULTS.seed)
@click.option("--projection", default=_DEFAULTS.projection, help=", ".join(PROJECTIONS))
@click.option("--random-grain", default=_DEFAULTS.random_grain, help=", ".join(RANDOM_GRAINS))
@click.option(
    "--corpus",
    default=_DEFAULTS.corpus,
    metavar="FILE",
    help="Texts for updates: .txt (one per line), .json, .jsonl, .csv, .tsv or .parquet; or "
    '"wordnet" for WordNet\'s example sentences.',
)
@click.option(
    "--corpus-field",
    default=_DEFAULTS.corpus_field,
    help="The field of .json or .jsonl, or column of a table, that holds the text.",
)
@click.option(
    "--glosses",
    default=",".join(_DEFAULTS.glosses),
    help=f'Of {", ".join(GLOSS_SOURCES)}, comma-separated, in the order to ask; or "none".',
)
@click.option("--drop-special", is_flag=True, help="Keep special and unused tokens out of lists.")
@click.option(
    "--through-head",
    is_flag=True,
    help="Of encoders: through the masked-LM head's dense layer and norm, to its embeddings.",
)
@click.option("--device", default=_DEFAULTS.device, help="auto, cpu, cuda or cuda:N.")
@click.option(
    "--value-tensor", metavar="NAME", help="For a family that is not known: {layer} in the name."
)
@click.option("--key-tensor", metavar="NAME", help="As --value-tensor.")
@click.option("--unembedding-tensor", metavar="NAME", help="As --value-tensor, but no {layer}.")
@click.option("--orientation", help="Value i is this of the value tensor: row or col.")
@click.option("--revision", help="Branch, tag or commit of a hub model.")
@click.option("--name", help="What the bundle calls the model; else its hub id or folder name.")
@_sentences
def extract(model: str, out: Path, kinds: str, glosses: str, **rest: Any) -> None:
    """Extract the lists of MODEL, a folder or a hub id, into a bundle."""
    options = ExtractOptions(
        kinds=_names(kinds), glosses=() if glosses == "none" else _names(glosses), **rest
    )
    from ffn_extract.pipeline import extract as run

    with locked(out), _Bars() as bars:
        manifest = run(model, out, options, bars.show)
    counts = manifest.counts
    click.echo(f"{counts.vectors} lists over {counts.tokens} tokens in {out}")
    click.echo(f"digest {manifest.digest}")


@main.command()
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--layer", type=int, help="Only this layer, counted from 0.")
@click.option("--kind", help=f"Only this kind: {', '.join(KINDS)}.")
@click.option("--limit", default=10, help="At most so many lists; 0 for all.")
@_sentences
def inspect(folder: Path, layer: int | None, kind: str | None, limit: int) -> None:
    """Print the lists of the bundle in DIR."""
    from ffn_extract.inspection import describe

    for line in describe(folder, layer=layer, kind=kind, limit=limit):
        click.echo(line)


@main.command("compare-norm")
@click.argument("model")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder to write to.")
@click.option("--per-layer", default=_NORM_CHECK_VECTORS, help="Vectors per layer and kind.")
@click.option("--top-k", default=_DEFAULTS.top_k, help="Tokens per list.")
@click.option("--seed", default=_DEFAULTS.seed)
@click.option("--random-grain", default=_DEFAULTS.random_grain, help=", ".join(RANDOM_GRAINS))
@click.option("--drop-special", is_flag=True, help="Keep special and unused tokens out of lists.")
@click.option("--device", default=_DEFAULTS.device, help="auto, cpu, cuda or cuda:N.")
@click.option("--revision", help="Branch, tag or commit of a hub model.")
@click.option("--name", help="What the figure calls the model; else its hub id or folder name.")
@_sentences
def compare_norm(model: str, out: Path, **rest: Any) -> None:
    """Compare MODEL's top tokens with and without its final norm, layer by layer.

    The paper's appendix A.1 and figure 4: the intersection over union of the two lists, for value
    vectors and for random ones; a table, a figure and the parameters.
    """
    options = ExtractOptions(kinds=("value", "random"), glosses=(), **rest)
    from ffn_extract.norm_check import FIGURE_FILE, NO_MATPLOTLIB, TABLE_FILE
    from ffn_extract.norm_check import compare_norm as run

    with _Bars() as bars:
        rows = run(model, out, options, bars.show)
    click.echo("layer   value  random")
    means = {(row.layer, row.kind): row.mean_iou for row in rows}
    for layer in sorted({row.layer for row in rows}):
        click.echo(f"{layer:5}   {means[layer, 'value']:.3f}   {means[layer, 'random']:.3f}")
    if (out / FIGURE_FILE).exists():
        click.echo(f"mean intersection over union; table and figure in {out}")
    else:
        click.echo(f"mean intersection over union; table in {out / TABLE_FILE}")
        click.echo(NO_MATPLOTLIB, err=True)


@main.command()
def architectures() -> None:
    """List the model families that can be read."""
    from ffn_extract.architectures import ARCHITECTURES

    for name, architecture in sorted(ARCHITECTURES.items()):
        ffn = architecture.ffns[0]
        gated = ", gated" if ffn.up else ""
        experts = ", experts" if ffn.experts_keys else ""
        click.echo(
            f"{name:12} values: {ffn.value.orientation}s of {ffn.value.name}{gated}{experts}"
        )


@main.command("fetch-wordnet")
@_sentences
def fetch_wordnet() -> None:
    """Find WordNet, or fetch it, and print where it is."""
    from ffn_extract.wordnet import find_wordnet

    click.echo(str(find_wordnet()))


def _names(value: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in value.split(",") if name.strip())


class _Bars:
    """One progress bar per step, on standard error."""

    def __init__(self) -> None:
        self._sentences = dict(STEPS)
        self._width = max(map(len, self._sentences.values()))
        self._step = ""
        self._bar: tqdm[Any] | None = None

    def __enter__(self) -> "_Bars":
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def show(self, progress: Progress) -> None:
        """Draw the progress; a new step gets a new line."""
        if self._bar is None or progress.step != self._step:
            self._close()
            self._step = progress.step
            label = self._sentences[progress.step].ljust(self._width)
            # smoothing 0: rate and time left from the whole step, as its parts differ in speed.
            self._bar = tqdm(desc=label, leave=True, smoothing=0, unit=_UNITS.get(self._step, "it"))
        self._bar.total = progress.total
        self._bar.initial = progress.before
        self._bar.update(progress.done - self._bar.n)

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None
