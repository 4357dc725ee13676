"""The command line. It imports heavy modules only when a command needs them."""

import json
import logging
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import click
from tqdm import tqdm

from ffn_extract import cli_options as asked
from ffn_extract.architectures import ARCHITECTURES
from ffn_extract.architectures.formats import lines
from ffn_extract.chosen_vectors import places_given
from ffn_extract.cli_options import options_of
from ffn_extract.errors import FFNExtractError, OptionError
from ffn_extract.help_groups import GroupedCommand
from ffn_extract.measurements.options import MeasureOptions
from ffn_extract.measurements.scorers import WORD_LISTS, Scorer, scorer_at
from ffn_extract.options import VECTOR_KINDS, flag_of
from ffn_extract.progress import MEASUREMENT_STEPS, STEPS, TRACE_STEPS, Progress
from ffn_extract.projection.native import building, library
from ffn_extract.target_lock import locked
from ffn_extract.terminal import PrintableFormatter, printable
from ffn_extract.traces.table import trace_lines
from ffn_extract.version import __version__

P = ParamSpec("P")
R = TypeVar("R")
_NORM_CHECK_VECTORS = 100  # enough for a steady mean, and cheap: the lists are only compared
_UNITS = {"projection": " vectors", "updates": " updates", "glosses": " tokens"}
_UNITS |= {"keys": " sentences"}
_UNITS |= {"reading": " batches", "control": " batches"}
_UNITS |= {"trace": " layers", "continuation": " tokens"}
_UNITS |= {"choosing": " layers", "perplexity": " batches", "writing": " batches"}
_FORMATS = ("text", "json", "csv")
_OF_EXTRACTION = {"torch", "transformers", "safetensors", "nltk"}  # bundles are read without


def _sentences(command: Callable[P, R]) -> Callable[P, R]:
    """Print an FFNExtractError as its sentence and exit with 1; bugs keep their traceback."""

    @wraps(command)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return command(*args, **kwargs)
        except OptionError as error:
            raise click.ClickException(printable(error.named(flag_of))) from error
        except FFNExtractError as error:
            raise click.ClickException(printable(str(error))) from error
        except ModuleNotFoundError as error:
            if error.name not in _OF_EXTRACTION:
                raise
            raise click.ClickException(
                f"This command needs more packages ({error.name} is missing): "
                "pip install 'ffn-concepts[extract]'"
            ) from error

    return wrapped


def _say(line: str) -> None:
    """Print a line; nothing in it can act on a terminal."""
    click.echo(printable(line))


@click.group(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.version_option(__version__, prog_name="ffn_extract")
def main() -> None:
    """From a language model's weights to the token lists that its FFN layers promote."""
    lines = logging.StreamHandler()
    lines.setFormatter(PrintableFormatter("%(message)s"))
    logging.basicConfig(handlers=[lines], level=logging.WARNING)


@main.command(
    cls=GroupedCommand,
    example="python -m ffn_extract extract gpt2 --out gpt2-bundle --per-layer 20 --seed 0",
)
@click.argument("model")
@asked.output
@asked.every
@_sentences
def extract(
    model: str, out: Path, vectors: str | None, vectors_file: Path | None, **rest: Any
) -> None:
    """Extract the lists of MODEL, a folder or a hub id, into a bundle."""
    options = options_of(vectors=places_given(vectors, vectors_file), **rest)
    from ffn_extract.pipeline import extract as run

    with locked(out), _Bars() as bars:
        manifest = run(model, out, options, bars.show)
    counts = manifest.counts
    _say(f"{counts.vectors} lists over {counts.tokens} tokens in {out}")
    _say(f"digest {manifest.digest}")


@main.command(
    cls=GroupedCommand,
    example="python -m ffn_extract inspect gpt2-bundle --layer 14 --index 518 --glosses",
)
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--layer", type=int, metavar="N", help="Only this layer, counted from 0.")
@click.option("--index", type=int, metavar="N", help="Only vectors with this index, from 0.")
@click.option("--kind", type=click.Choice(VECTOR_KINDS), help="Only this kind.")
@click.option(
    "--limit",
    type=click.IntRange(min=0),
    metavar="N",
    help="At most so many lists, 0 for all.  [default: 10 as text, else all]",
)
@click.option("--format", "form", type=click.Choice(_FORMATS), default="text")
@click.option("--glosses", is_flag=True, help="Each token on a line of its own, with its gloss.")
@_sentences
def inspect(form: str, limit: int | None, **filters: Any) -> None:
    """Print the lists of the bundle in DIR."""
    from ffn_extract.inspection import Wanted, describe

    if limit is None:
        limit = 10 if form == "text" else 0
    for line in describe(Wanted(limit=limit, **filters), form):
        _say(line)


@main.command(cls=GroupedCommand, example="python -m ffn_extract tensors gpt2")
@click.argument("model")
@click.option("--all", "every", is_flag=True, help="Each tensor by itself, not by pattern.")
@click.option("--format", "form", type=click.Choice(("text", "json")), default="text")
@click.option("--revision", metavar="TEXT", help="Branch, tag or commit of a hub model.")
@click.option("--gguf-file", metavar="NAME", help="The GGUF file, where there are several.")
@_sentences
def tensors(
    model: str, every: bool, form: str, revision: str | None, gguf_file: str | None
) -> None:
    """List the tensors of MODEL, a folder or a hub id, with shapes and types.

    A pattern stands for the tensors that differ in the number of the layer or of the expert; it is
    what --value-tensor and its like take.
    """
    from ffn_extract.listing import tensor_lines

    for line in tensor_lines(model, revision, every=every, form=form, gguf_file=gguf_file):
        _say(line)


@main.command(
    cls=GroupedCommand,
    example="python -m ffn_extract measure saturation gpt2 --out gpt2-saturation --control",
)
@click.argument("measurement")
@click.argument("model")
@asked.output
@asked.per_layer(_NORM_CHECK_VECTORS)
@asked.of_a_measurement
@asked.of_suppression
@asked.of_a_comparison
@_sentences
def measure(measurement: str, model: str, out: Path, **rest: Any) -> None:
    """Measure what the FFN layers of MODEL do.

    MEASUREMENT is norm, contribution, saturation, promotion, top-candidate, clusters, suppression,
    early-exit, key-value-agreement, composition or residual; several, separated by commas, share
    one model in memory and get a folder each in DIR. A folder holds tables, figures, the examples
    and a README with definition and result. A run that was killed goes on where it stood when the
    same command is given again.
    """
    wanted, by = _measure_options(rest)
    from ffn_extract.measurements.folder import NO_MATPLOTLIB
    from ffn_extract.measurements.run import measure as run

    with _Bars() as bars:
        done = run(_names_in(measurement), model, out, wanted, bars.show, by)
    for one in done:
        for line in one.result.words:
            _say(line)
        _say(f"tables{' and figures' if one.has_figures else ''} in {one.folder}")
    if any(one.result.figures and not one.has_figures for one in done):
        click.echo(NO_MATPLOTLIB, err=True)


@main.command(
    cls=GroupedCommand,
    example="python -m ffn_extract paper gpt2 --out gpt2-paper --promoting safe,peace,thank",
)
@click.argument("model")
@asked.output
@asked.only
@asked.per_layer(_NORM_CHECK_VECTORS)
@asked.of_a_measurement
@asked.of_suppression
@asked.of_a_comparison
@_sentences
def paper(model: str, out: Path, only: str | None, **rest: Any) -> None:
    """Measure MODEL as in the 2022 paper, and write one page with the paper's numbers beside.

    DIR gets paper.html and paper.md, and a folder for each measurement, as the command measure
    writes it. A measurement that is refused, for want of memory or of vectors to turn on, is a
    sentence on the page. A run that was killed goes on where it stood when the same command is
    given again.
    """
    wanted, by = _measure_options(rest)
    from ffn_extract.paper.run import HTML_FILE, MARKDOWN_FILE, write_paper

    with _Bars() as bars:
        names = [] if only is None else _names_in(only)
        done = write_paper(model, out, wanted, names, bars.show, by)
    for name, reason in done.refused.items():
        _say(f"{name} was not measured: {reason}")
    _say(f"{HTML_FILE} and {MARKDOWN_FILE} in {done.folder}")


@main.command(
    cls=GroupedCommand,
    example='python -m ffn_extract trace gpt2 "The capital of France is" --zero 8:1954',
)
@click.argument("model")
@click.argument("prompt")
@click.option("--format", "form", type=click.Choice(("text", "json")), default="text")
@asked.of_a_trace
@asked.of_a_reading
@_sentences
def trace(
    model: str,
    prompt: str,
    form: str,
    set_to: tuple[str, ...],
    scaled: tuple[str, ...],
    zeroed: tuple[str, ...],
    **rest: Any,
) -> None:
    """Trace which FFN sub-updates of MODEL made its prediction after PROMPT.

    Of each layer, at one position: the top token before and after the FFN with its probability, the
    rank of the token that is followed, and the largest sub-update with its coefficient m, its share
    of all sub-updates, and the tokens of its value vector, the lowest-scoring ones where m is below
    0. Then the logit as a sum, a continuation, and the vectors that pushed the token most. JSON has
    ten of everything. Interventions trace the prompt a second time with changed coefficients.
    """
    own = {name: rest.pop(name) for name in asked.TRACE_NAMES}
    changed = {"set": set_to, "scale": scaled, "zero": zeroed}
    request = asked.trace_request_of(prompt, changed=changed, **own)
    options = options_of(kinds=("value",), glosses=(), **rest)
    from ffn_extract.traces.run import trace as run

    with _Bars() as bars:
        found = run(model, request, options, bars.show)
    if form == "json":
        # The one control that JSON leaves as it is.
        _say(json.dumps(found).replace("\x7f", "\\u007f"))
        return
    for line in trace_lines(found):
        _say(line)


def _names_in(text: str) -> list[str]:
    return [one.strip() for one in text.split(",")]


def _measure_options(rest: dict[str, Any]) -> tuple[MeasureOptions, Scorer]:
    """The options of a command that measures, and the scorer of `suppression`."""
    own = {key: rest.pop(key) for key in asked.MEASURE_NAMES}
    suppression, scorer = asked.suppression_of(rest)
    options = options_of(kinds=("value", "random"), glosses=(), projection="norm", **rest)
    wanted = MeasureOptions(model=options, seed=options.seed, suppression=suppression, **own)
    return wanted, WORD_LISTS if scorer is None else scorer_at(scorer)


@main.command()
def architectures() -> None:
    """List the model families that can be read."""
    for name, architecture in sorted(ARCHITECTURES.items()):
        ffn = architecture.ffns[0]
        gated = ", gated" if ffn.up else ""
        experts = ", experts" if ffn.experts_keys else ""
        _say(f"{name:12} values: {ffn.value.orientation}s of {ffn.value.name}{gated}{experts}")


@main.command()
def formats() -> None:
    """List what is read of each format of weights, quantised or not, by family."""
    for line in lines():
        _say(line)


@main.command("compile-kernel")
@click.option("--check", is_flag=True, help="Only say whether there is one; exit with 1 if not.")
@_sentences
def compile_kernel(check: bool) -> None:
    """Compile the native kernel, which makes projection faster and changes no list.

    It needs a C++ compiler: the one that CXX names, or c++, g++ or clang++. FFN_KERNEL chooses
    other instructions than the processor's best, or "off".
    """
    if not check:
        try:
            building.compile_kernel(library.folders()[-1])
        except building.CannotCompile as error:
            raise FFNExtractError(str(error)) from error
        library.forget()
    found = library.loaded()
    if found.library is None:
        _say(f"No kernel: {found.reason}. PyTorch is used.")
        raise SystemExit(1)
    path, possible = library.chosen_path(), [path.name for path in library.possible_paths()]
    _say(f"Kernel: {found.file}")
    _say(f"This processor can run: {', '.join(possible) or 'none of its instructions'}")
    _say(f"Chosen: {path.name if path else 'PyTorch'}")


@main.command("fetch-wordnet")
@_sentences
def fetch_wordnet() -> None:
    """Find the whole of WordNet, or download it, and print its place."""
    from ffn_extract.wordnet import fetch_wordnet as fetch

    _say(str(fetch()))


class _Bars:
    """One progress bar per step, on standard error."""

    def __init__(self) -> None:
        self._sentences = dict(STEPS) | dict(MEASUREMENT_STEPS) | dict(TRACE_STEPS)
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
