"""Measurements of what FFN layers do while a model runs; one file each, and one line here."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ffn_extract.measurements.measurement import Measurement

MEASUREMENTS = {
    "norm": "norm",
    "contribution": "contribution",
    "saturation": "saturation",
    "promotion": "promotion",
    "top-candidate": "top_candidate",
    "suppression": "suppression",
}
"""Names, in the paper's order of what they rest on, and the modules that declare them."""

RUN_NO_MODEL = frozenset({"norm"})
"""Those that read weights alone; a test compares it with the declarations."""


def measurement_of(name: str) -> "Measurement":
    """The declaration of a measurement; it loads torch, which the names do not need."""
    module = import_module(f"{__name__}.{MEASUREMENTS[name]}")
    declared: Measurement = module.MEASUREMENT
    return declared
