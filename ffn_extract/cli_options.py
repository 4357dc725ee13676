"""Command-line options, generated from the declarations, grouped in `--help`."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import click

from ffn_extract.chosen_vectors import place_of
from ffn_extract.errors import OptionError
from ffn_extract.help_groups import option
from ffn_extract.measurements.options import DTYPES
from ffn_extract.measurements.suppression_options import (
    SuppressionOptions,
    turned_of,
    typed_words,
)
from ffn_extract.option_types import Choice, Flag, Integer, Names, Number
from ffn_extract.options import (
    ALL,
    HEADINGS,
    MACHINE,
    OPTIONS,
    OUTPUT,
    SAMPLING,
    UNKNOWN,
    ExtractOptions,
    Option,
    flag_of,
)
from ffn_extract.traces.request import (
    MOST_NEW_TOKENS,
    MOST_TOKENS,
    NEW_TOKENS,
    RequestedIntervention,
    TraceRequest,
)

EXAMPLES, RESULTS, SUPPRESSION = "Examples", "Results", "Suppression"
PROMPT, INTERVENTIONS = "Prompt", "Interventions"
F = TypeVar("F", bound=Callable[..., Any])


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


def options_of(**values: Any) -> ExtractOptions:
    """The options of a command, with a line on standard error for each that has no effect.

    Raises OptionError.
    """
    options = ExtractOptions.read(values)
    for note in options.notes:
        click.echo(f"Note: {note.write(flag_of)}", err=True)
    return options


def _all(*options: Callable[[Any], Any]) -> Callable[[F], F]:
    def decorate(command: F) -> F:
        for one in reversed(options):
            command = one(command)
        return command

    return decorate


def declared(names: Iterable[str]) -> Callable[[F], F]:
    """Some options of `ExtractOptions`, and the file option for `--vectors`."""
    wanted = sorted(map(OPTIONS.__getitem__, names), key=lambda one: HEADINGS.index(one.heading))
    return _all(*(_typed(one) for one in wanted))


def _typed(one: Option) -> Callable[[F], F]:
    settings: dict[str, Any] = {"default": one.default, "metavar": one.type.metavar}
    match one.type:
        case Flag():
            settings = {"is_flag": True}
        case Choice(meanings):
            settings["type"] = click.Choice(list(meanings))
        case Names() as names:
            settings["default"] = names.write(one.default)
        case Integer(word=word):
            settings["type"] = PerLayer() if word else int
        case Number():
            settings["type"] = float
    typed = option(one.heading)(
        flag_of(one.name), help=" ".join(filter(None, (one.help, one.type.typed))), **settings
    )
    return _all(typed, _vectors_file) if one.name == "vectors" else typed


_vectors_file = option(SAMPLING)(
    "--vectors-file", metavar="FILE", type=click.Path(path_type=Path),
    help="The same from a file: one LAYER:INDEX on each line, # before a comment.",
)  # fmt: skip

output = option(OUTPUT)(
    "--out", required=True, metavar="DIR", type=click.Path(path_type=Path), help="Folder to write."
)

only = option(OUTPUT)(
    "--only", metavar="NAME,…", help="Measurements, separated by commas; by default all."
)

every = declared(OPTIONS)

MEASURE_NAMES = (
    "corpus", "corpus_field", "split_sentences", "examples", "min_prefix", "prepend",
    "without_norm", "dtype", "batch_rows", "length_multiple", "workers", "control",
    "extreme_below", "extreme_above", "clusters", "cluster_sample", "resamples",
)  # fmt: skip
"""The options of `MeasureOptions` that a command has beside a model's."""


class Prepend(click.ParamType[int | str]):
    """A word or a token id."""

    name = "none|bos|ID"

    def convert(self, value: Any, param: Any, ctx: Any) -> int | str:
        """The number, or the word."""
        return int(value) if str(value).isdecimal() else str(value)


def _measured(heading: str, name: str, help: str, **settings: Any) -> Callable[[F], F]:
    return option(heading)(flag_of(name), help=help, **settings)


of_a_measurement = _all(
    _measured(EXAMPLES, "corpus", OPTIONS["corpus"].help, default="wordnet", metavar="FILE"),
    _measured(
        EXAMPLES, "corpus_field", OPTIONS["corpus_field"].help, default="text", metavar="NAME"
    ),
    _measured(
        EXAMPLES, "split_sentences", OPTIONS["split_sentences"].help, is_flag=True
    ),
    _measured(
        EXAMPLES, "examples",
        "Sentences of which one prefix each is read; every one in key-value-agreement.", type=int,
        default=2_000, metavar="N",
    ),
    _measured(
        EXAMPLES, "min_prefix",
        "Tokens of the shortest prefix; by default 2, or 1 behind a token put before the text.",
        type=int, metavar="N",
    ),
    _measured(
        EXAMPLES, "prepend",
        "What stands before each text: none, bos or a token id; by default what the tokenizer "
        "puts there.",
        type=Prepend(), metavar="none|bos|ID",
    ),
    _measured(
        RESULTS, "without_norm", "Read x and x̃ without the model's final norm.", is_flag=True
    ),
    _measured(
        RESULTS, "control", "saturation: the same model with random weights too.", is_flag=True
    ),
    _measured(
        RESULTS, "extreme_below",
        "top-candidate: lower scores are extreme; by default minus the 99.9th percentile of "
        "|score|.",
        type=float, metavar="X",
    ),
    _measured(
        RESULTS, "extreme_above", "top-candidate: higher scores are extreme.", type=float,
        metavar="X",
    ),
    _measured(
        RESULTS, "clusters", "clusters and early-exit: clusters of value vectors.", type=int,
        default=10_000, metavar="N",
    ),
    _measured(
        RESULTS, "cluster_sample",
        "Value vectors that are clustered, where all do not fit into memory; the others join them.",
        type=int, metavar="N",
    ),
    _measured(
        RESULTS, "resamples", "Bootstrap resamples of each interval.", type=int, default=10_000,
        metavar="N",
    ),
    _measured(
        MACHINE, "dtype", "Precision of the weights while the model runs.",
        type=click.Choice(DTYPES), default=DTYPES[0],
    ),
    _measured(
        MACHINE, "batch_rows", "Texts that the model reads at once.", type=int, default=32,
        metavar="N",
    ),
    _measured(
        MACHINE, "length_multiple", "Batches are padded to a multiple of so many tokens.",
        type=int, default=8, metavar="N",
    ),
    _measured(
        MACHINE, "workers", "Processes that run batches; 0: one for each processor.", type=int,
        default=0, metavar="N",
    ),
)  # fmt: skip


def _of_suppression(name: str, help: str, **settings: Any) -> Callable[[F], F]:
    return _measured(SUPPRESSION, name, help, **settings)


of_suppression = _all(
    _of_suppression(
        "set", "Turn on this vector; repeatable.", multiple=True, metavar="LAYER:INDEX[=X]"
    ),
    _of_suppression(
        "promoting", "Turn on the vectors whose lists hold the most of these words.",
        metavar="WORD,…",
    ),
    _of_suppression(
        "labels",
        "Turn on vectors by what people said of them: a study's adjudicated annotations as CSV or "
        "its labels as JSON lines.",
        metavar="FILE",
    ),
    _of_suppression(
        "described", "Of --labels: patterns with one of these words in their description.",
        metavar="WORD,…",
    ),
    _of_suppression("category", "Of --labels: patterns of this category.", metavar="NAME"),
    _of_suppression(
        "chosen", "How many vectors words or labels choose.", type=int, default=10, metavar="N"
    ),
    _of_suppression(
        "coefficient", "What they are set to.", type=float, default=3.0, metavar="X"
    ),
    _of_suppression(
        "before_activation", "Set what the activation reads, not what it gives.", is_flag=True
    ),
    _of_suppression(
        "prompts", "File of prompts; without it, prefixes of the corpus.", metavar="FILE"
    ),
    _of_suppression(
        "prompt_field", "The field or column with the prompt.", default="text", metavar="NAME"
    ),
    _of_suppression(
        "prompt_count", "Prompts to continue, drawn by the seed.", type=int, default=100,
        metavar="N",
    ),
    _of_suppression(
        "prompt_rows", "Prompts that are continued at once.", type=int, default=8, metavar="N"
    ),
    _of_suppression(
        "beams", "Beams of the search; 1 is greedy.", type=int, default=3, metavar="N"
    ),
    _of_suppression(
        "scorer",
        "Scores continuations: a function or object that Python imports, instead of lists of "
        "words. Its code is run.",
        metavar="PACKAGE.MODULE:NAME",
    ),
    _of_suppression(
        "perplexity_tokens", "Tokens of the corpus to measure perplexity on.", type=int,
        default=20_000, metavar="N",
    ),
    _of_suppression(
        "window", "Tokens that are read at once; by default the context, at most 1,024.", type=int,
        metavar="N",
    ),
)  # fmt: skip


def suppression_of(given: dict[str, Any]) -> tuple[SuppressionOptions, str | None]:
    """The options of `suppression`, and the scorer's import path; takes them out of `given`.

    Raises OptionError.
    """
    own = {name: given.pop(name) for name in SuppressionOptions.__dataclass_fields__}
    own["set"] = tuple(turned_of(text, own["coefficient"]) for text in own["set"])
    own |= {name: typed_words(own[name]) for name in ("promoting", "described")}
    return SuppressionOptions(**own), given.pop("scorer")


OF_KEYS = frozenset({"workers"})
"""Options of an extraction under whose name a measurement has one of its own."""
of_a_comparison = declared(
    name
    for name, one in OPTIONS.items()
    if (one.heading in (UNKNOWN, MACHINE) and name not in OF_KEYS)
    or name in ("name", "seed", "random_grain", "top_k", "drop_special")
)

of_a_reading = declared(
    name
    for name, one in OPTIONS.items()
    if (one.heading in (UNKNOWN, MACHINE) and name not in OF_KEYS)
    or name in ("name", "drop_special")
)
"""How a model is found and read, where nothing is drawn."""


class TokenChoice(click.ParamType[int | str]):
    """A token id, or a token as a text."""

    name = "TEXT|ID"

    def convert(self, value: Any, param: Any, ctx: Any) -> int | str:
        """The number, or the text."""
        return int(value) if str(value).isdecimal() and str(value).isascii() else str(value)


of_a_trace = _all(
    option(PROMPT)(
        "--position", type=int, metavar="N",
        help="The position that is read, from 0; by default the last one of the prompt.",
    ),
    option(PROMPT)(
        "--token", type=TokenChoice(), metavar="TEXT|ID",
        help="The token that is followed: its id, or its text as a trace shows it; by default the "
        "model's top token.",
    ),
    option(PROMPT)(
        "--new-tokens", type=int, default=NEW_TOKENS, metavar="N",
        help=f"Tokens of the continuation, 0 to {MOST_NEW_TOKENS}.",
    ),
    option(PROMPT)(
        "--max-tokens", type=int, default=MOST_TOKENS, metavar="N",
        help="A longer prompt is refused; what the tokenizer puts before it counts.",
    ),
    option(INTERVENTIONS)(
        "--set", "set_to", multiple=True, metavar="LAYER:INDEX=X",
        help="Trace once more with this vector's coefficient set to X; repeatable.",
    ),
    option(INTERVENTIONS)(
        "--scale", "scaled", multiple=True, metavar="LAYER:INDEX=X",
        help="The same, with the coefficient multiplied by X.",
    ),
    option(INTERVENTIONS)(
        "--zero", "zeroed", multiple=True, metavar="LAYER:INDEX",
        help="The same, with the coefficient set to 0.",
    ),
    option(INTERVENTIONS)(
        "--from-position", type=int, default=0, metavar="N",
        help="The first position at which coefficients are changed, from 0; new tokens count.",
    ),
    option(MACHINE)(
        "--dtype", type=click.Choice(DTYPES), default=DTYPES[0],
        help="Precision of the weights while the model runs.",
    ),
)  # fmt: skip

TRACE_NAMES = ("position", "token", "new_tokens", "max_tokens", "from_position", "dtype")
"""The options of `trace_request_of` that a command has under their own names."""


def trace_request_of(
    prompt: str,
    token: int | str | None,
    changed: Mapping[str, Iterable[str]],
    from_position: int,
    **rest: Any,
) -> TraceRequest:
    """The request for a trace. `changed` has the vectors of `set`, `scale` and `zero` as typed.

    Raises OptionError.
    """
    followed: dict[str, Any] = {"token_id" if isinstance(token, int) else "token": token}
    interventions = [
        _intervention_of(action, text, from_position)
        for action, texts in changed.items()
        for text in texts
    ]
    return TraceRequest(prompt, interventions=tuple(interventions), **followed, **rest)


def _intervention_of(action: Any, text: str, from_position: int) -> RequestedIntervention:
    name, equals, number = text.partition("=")
    place = place_of(name)
    wants_number = action != "zero"
    try:
        value = float(number) if wants_number else 0.0
    except ValueError:
        place = None
    if place is None or bool(equals) != wants_number:
        form = "LAYER:INDEX=X, as 13:1852=3" if wants_number else "LAYER:INDEX, as 13:1852"
        raise OptionError.about(action, f"is {form}, not {text!r}.")
    return RequestedIntervention(*place, action, value, from_position)


def per_layer(default: int) -> Callable[[F], F]:
    """The option for the number of vectors per layer, without "all"."""
    return option(SAMPLING)(
        "--per-layer", type=int, default=default, metavar="N", help="Vectors per layer and kind."
    )
