"""Command-line options, generated from the declarations, grouped in `--help`."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

import click

from ffn_extract.help_groups import option
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


def _all(*options: Callable[[Any], Any]) -> Callable[[F], F]:
    def decorate(command: F) -> F:
        for one in reversed(options):
            command = one(command)
        return command

    return decorate


_vectors_file = option(SAMPLING)(
    "--vectors-file", metavar="FILE", type=click.Path(path_type=Path),
    help="The same from a file: one LAYER:INDEX on each line, # before a comment.",
)  # fmt: skip

output = option(OUTPUT)(
    "--out", required=True, metavar="DIR", type=click.Path(path_type=Path), help="Folder to write."
)

every = declared(OPTIONS)

of_a_comparison = declared(
    name
    for name, one in OPTIONS.items()
    if one.heading in (UNKNOWN, MACHINE)
    or name in ("name", "seed", "random_grain", "top_k", "drop_special")
)


def per_layer(default: int) -> Callable[[F], F]:
    """The option for the number of vectors per layer, without "all"."""
    return option(SAMPLING)(
        "--per-layer", type=int, default=default, metavar="N", help="Vectors per layer and kind."
    )
