"""A measured figure beside its target, as `python -m benchmarks` prints them in one table."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """One figure of a benchmark.

    Attributes
    ----------
    what
        What was measured, in a few words: "768 × 50,257, top".
    value, unit
        The figure; the unit of a ratio names what it is divided by: "× torch's matmul and topk".
    target
        None where it is shown for comparison only.
    at_least
        Whether the target is a lower limit; else it is an upper one.
    """

    what: str
    value: float
    unit: str
    target: float | None = None
    at_least: bool = False

    @property
    def is_met(self) -> bool:
        """Whether the target is reached; True where there is none."""
        if self.target is None:
            return True
        return self.value >= self.target if self.at_least else self.value <= self.target
