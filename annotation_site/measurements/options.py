"""Options of measurements on the site, from the declarations of `ffn-extract measure`."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from django.utils.translation import gettext

from annotation_site.errors import Invalid
from ffn_extract.errors import FFNExtractError
from ffn_extract.measurements.declared import MEASURE_OPTIONS, measure_options
from ffn_extract.measurements.options import MeasureOptions
from ffn_extract.option_types import Integer, Text
from ffn_extract.options import Option

NOT_OFFERED = frozenset({"corpus", "workers"})
"""Chosen by another field, and by the machine."""
TEXTS = frozenset({"corpus_field", "prepend", "promoting", "set"})
"""The texts that anybody may give. Others could name code or files of the server: they stay with
the command line until somebody looked at them and added them here."""
MOST = {
    "batch_rows": 256, "beams": 8, "chosen": 1_000, "cluster_sample": 50_000, "clusters": 50_000,
    "examples": 20_000, "length_multiple": 256, "min_prefix": 500, "per_layer": 10_000,
    "perplexity_tokens": 200_000, "prompt_count": 1_000, "prompt_rows": 64, "resamples": 100_000,
    "window": 4_096,
}  # fmt: skip
"""What one measurement may cost, where the command line allows more."""


def _offered() -> dict[str, Option]:
    found = {}
    for name, one in MEASURE_OPTIONS.items():
        kind = one.type
        if name in NOT_OFFERED or (isinstance(kind, Text) and name not in TEXTS):
            continue
        if name in MOST and isinstance(kind, Integer):
            one = replace(one, type=replace(kind, high=MOST[name], most=None))
        found[name] = one
    return found


OFFERED: dict[str, Option] = _offered()
"""The options that pages and the API have, by name: an option that a measurement adds to the
command is among them, unless it is a text or a file."""


def options_checked(values: Mapping[str, Any]) -> dict[str, Any]:
    """The value of every offered option, those that are not given with their defaults.

    None means the default. Raises Invalid for an option that is not offered and for a value that
    cannot be used.
    """
    hidden = sorted({*values} - {*OFFERED})
    if hidden:
        raise Invalid(
            gettext("%(names)s cannot be chosen here. These can: %(offered)s.")
            % {"names": ", ".join(hidden), "offered": ", ".join(OFFERED)}
        )
    given = {name: value for name, value in values.items() if value is not None}
    for name, value in given.items():
        one = OFFERED[name]
        # A token id is a number or its digits.
        plain = str(value) if isinstance(one.type, Text) and isinstance(value, int) else value
        if problem := one.problem(plain):
            raise Invalid(str(problem))
    whole = {name: one.default for name, one in OFFERED.items()} | given
    options_of(whole)
    return whole


def options_of(parameters: Mapping[str, Any]) -> MeasureOptions:
    """A measurement's stored parameters as the command has them. Raises Invalid."""
    try:
        return measure_options(parameters)
    except FFNExtractError as error:
        raise Invalid(str(error)) from error
