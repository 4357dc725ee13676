"""The options of `ffn-extract measure` as declarations, for pages, the API and other commands.

Taken from the command itself, so that each option has its words and bounds in one place, and one
that is added to the command is known here. Light: nothing here loads torch.
"""

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

import click

from ffn_extract.cli import measure
from ffn_extract.cli_options import OF_KEYS, suppression_of
from ffn_extract.errors import OptionError
from ffn_extract.measurements.options import MeasureOptions, limits
from ffn_extract.measurements.suppression_options import SuppressionOptions
from ffn_extract.option_types import Choice, Flag, Integer, Number, OptionType, Text
from ffn_extract.options import MACHINE, OPTIONS, OUTPUT, UNKNOWN, ExtractOptions, Option

OF_THE_MODEL = frozenset(
    name
    for name, one in OPTIONS.items()
    if one.heading in (OUTPUT, MACHINE, UNKNOWN) and name not in OF_KEYS
)
"""How a model is found and read."""
_FIXED = {"kinds": ("value", "random"), "glosses": (), "projection": "norm"}
"""Of a model's options; only `norm` compares vectors, of these kinds."""
_PARTS = {"model", "suppression"}  # options with declarations of their own
_OWN = {one.name: one.default for one in fields(MeasureOptions) if one.name not in _PARTS}
_OF_SUPPRESSION = {one.name: one.default for one in fields(SuppressionOptions)}
_DEFAULTS = _OWN | {name: default for name, default in _OF_SUPPRESSION.items() if default != ()}
_LARGEST = 2**31 - 1


def _declared() -> dict[str, Option]:
    """Every option of the command that a value of JSON can give; a path of a file cannot."""
    found: dict[str, Option] = {}
    for one in measure.params:
        name = one.name or ""
        kind = _type_of(one) if isinstance(one, click.Option) else None
        if kind is None or name in OF_THE_MODEL:
            continue
        help = getattr(one, "help", None) or ""
        heading = getattr(one, "heading", OUTPUT)
        declared = None if name in OF_KEYS else OPTIONS.get(name)
        if declared is None:
            declared = Option(name=name, default=None, type=kind, heading=heading, help=help)
        elif isinstance(kind, Integer) and declared.type != kind:
            declared = replace(declared, type=kind, help=help)  # narrower than an extraction's
        found[name] = replace(declared, default=_DEFAULTS.get(name, _default_of(one)))
    return found


def _default_of(parameter: click.Parameter) -> Any:
    """The command's own default, None where it names none."""
    given = parameter.default
    if isinstance(parameter, click.Option) and parameter.is_flag:
        return given is True
    return given if isinstance(given, (bool, int, float, str)) else None


def _type_of(parameter: click.Option) -> OptionType | None:
    name = parameter.name or ""
    if parameter.is_flag:
        return Flag()
    match parameter.type:
        case click.types.IntParamType():
            declared = OPTIONS.get(name)
            if declared is not None and isinstance(declared.type, Integer):
                return replace(declared.type, word=None, metavar="N")
            return Integer(*limits().get(name, (0, _LARGEST)))
        case click.types.FloatParamType():
            return Number()
        case click.Choice(choices=choices):
            return Choice({str(word): str(word) for word in choices})
        case click.Path():
            return None
    return Text(metavar=parameter.metavar or "TEXT")


MEASURE_OPTIONS = _declared()
"""By name, in the command's order; how a model is found and read is left out."""
_TYPES = {str(one.name): one.type for one in measure.params}


def measure_options(
    values: Mapping[str, Any], model: Mapping[str, Any] | None = None, *, workers: int = 0
) -> MeasureOptions:
    """The options of a measurement from JSON: `values` of MEASURE_OPTIONS, `model` of OF_THE_MODEL.

    None means the default. Raises OptionError for an unknown name and for a value that cannot be
    used.
    """
    unknown = sorted({*values} - {*MEASURE_OPTIONS})
    if unknown:
        raise OptionError(f"Unknown option: {', '.join(unknown)}.")
    given = {name: value for name, value in values.items() if value is not None}
    for name, value in given.items():
        if problem := MEASURE_OPTIONS[name].problem(_plain(name, value)):
            raise OptionError(problems=[problem])
    own = {name: _converted(name, value) for name, value in given.items() if name in _OWN}
    of_lists = {
        name: value
        for name, value in given.items()
        if name in OPTIONS and (name == "seed" or name not in _OWN)
    }
    of_model = ExtractOptions.from_json(
        {"per_layer": MEASURE_OPTIONS["per_layer"].default, **_FIXED, **of_lists, **(model or {})}
    )
    return MeasureOptions(
        model=of_model, suppression=_suppression(given), **{"workers": workers, **own}
    )


def _suppression(given: Mapping[str, Any]) -> SuppressionOptions:
    """Options of `suppression`. Code is no option of JSON: `scorer` is not among them."""
    if given.get("scorer"):
        raise OptionError.about("scorer", "is an option of the command line only.")
    typed = {name: given.get(name, default) for name, default in _OF_SUPPRESSION.items()}
    # As the command has them: vectors one by one, words in one text.
    typed["set"] = [one.strip() for one in str(given.get("set", "")).split(",") if one.strip()]
    typed |= {name: given.get(name, "") for name in ("promoting", "described")}
    return suppression_of({**typed, "scorer": None})[0]


def _plain(name: str, value: Any) -> Any:
    """A value as its declaration has it: a token id may be typed for a word."""
    return str(value) if isinstance(MEASURE_OPTIONS[name].type, Text) else value


def _converted(name: str, value: Any) -> Any:
    """A text as the command reads it."""
    kind = _TYPES.get(name)
    return kind.convert(value, None, None) if kind is not None and isinstance(value, str) else value
