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
    "clusters": "clusters",
    "suppression": "suppression",
    "early-exit": "early_exit",
    "key-value-agreement": "key_value_agreement",
    "composition": "composition",
    "residual": "residual",
}
"""Names, in the papers' order of what they rest on, and the modules that declare them."""

RUN_NO_MODEL = frozenset({"norm"})
"""Those that read weights alone; a test compares it with the declarations."""
STEPS_OF_SOME = {
    "frequencies": {"clusters"},
    "clusters": {"clusters", "early-exit"},
    "control": {"saturation"},
    "choosing": {"suppression"},
    "perplexity": {"suppression"},
    "writing": {"suppression"},
    "scoring": {"suppression"},
    "exits": {"early-exit"},
    "triggers": {"key-value-agreement"},
    "values": {"key-value-agreement", "composition"},
}
"""Steps that some measurements have, and which; a test compares it with the declarations."""
STEPS_WITHOUT = {
    "examples": {"suppression"},
    "reading": {"suppression", "key-value-agreement"},
}
"""Steps that all the others have."""


def measurement_of(name: str) -> "Measurement":
    """The declaration of a measurement; it loads torch, which the names do not need."""
    module = import_module(f"{__name__}.{MEASUREMENTS[name]}")
    declared: Measurement = module.MEASUREMENT
    return declared
