"""A request for a trace, and its bounds; importable without torch."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, get_args

from ffn_extract.errors import OptionError
from ffn_extract.measurements.options import DTYPES

ENTRIES = 10
"""Predictions, dominant sub-updates, pushes and tokens of a vector: so many of each."""
NEW_TOKENS, MOST_NEW_TOKENS = 20, 50
"""Of a continuation: by default, and at most."""
MOST_TOKENS = 512
"""Of a prompt, by default."""
LONGEST_PROMPT = 100_000
"""Characters of a prompt."""
MOST_INTERVENTIONS = 100
LARGEST_VALUE = 1e6
_LARGEST = 2**31 - 1

Action = Literal["set", "scale", "zero"]


@dataclass(frozen=True)
class RequestedIntervention:
    """A change of the coefficient of one value vector, by layer and index, both from 0.

    Attributes
    ----------
    action, value
        "set" makes the coefficient `value`, "scale" multiplies it by `value`, "zero" makes it 0.
    from_position
        The first position, counted from 0, at which it applies; new tokens are positions too.

    Raises
    ------
    OptionError
        With a sentence about a value that cannot be used.
    """

    layer: int
    index: int
    action: Action
    value: float = 0.0
    from_position: int = 0

    def __post_init__(self) -> None:
        for name in ("layer", "index", "from_position"):
            _require_whole(f"The {name.replace('_', ' ')} of an intervention", getattr(self, name))
        if self.action not in get_args(Action):
            raise OptionError(f"An intervention is set, scale or zero, not {self.action!r}.")
        number = isinstance(self.value, int | float) and not isinstance(self.value, bool)
        if not number or not abs(self.value) <= LARGEST_VALUE or not math.isfinite(self.value):
            raise OptionError(
                f"The value of an intervention must be a number within ±{LARGEST_VALUE:,.0f}, not "
                f"{self.value!r}."
            )

    @classmethod
    def from_json(cls, values: object) -> "RequestedIntervention":
        """An intervention from an object of JSON. Raises OptionError."""
        return cls(**_known(cls, values, "intervention", ("layer", "index", "action")))

    def to_json(self) -> dict[str, Any]:
        """The object of JSON."""
        return asdict(self)


@dataclass(frozen=True)
class TraceRequest:
    """A prompt to trace, where to read it, and what to change.

    Attributes
    ----------
    prompt
        The text. Tokens that the tokenizer adds before it are read; those after it are left out.
    position
        The position that is read, counted from 0; None: the last one.
    token_id
        The token whose ranks and pushes are followed; None: the model's top token there.
    token
        The same token by its display form, or as a text that is one token.
    new_tokens
        Tokens of the continuation, 0 to 50; it ends before them where the model ends the text.
    interventions
        Changes, with which the prompt is traced a second time.
    max_tokens
        Tokens of the longest prompt, those before the text counted.
    dtype
        Of the weights while the model runs.

    Raises
    ------
    OptionError
        With a sentence about a value that cannot be used.
    """

    prompt: str
    position: int | None = None
    token_id: int | None = None
    token: str | None = None
    new_tokens: int = NEW_TOKENS
    interventions: tuple[RequestedIntervention, ...] = ()
    max_tokens: int = MOST_TOKENS
    dtype: str = DTYPES[0]

    def __post_init__(self) -> None:
        if not isinstance(self.prompt, str) or not self.prompt:
            raise OptionError("The prompt is empty. Give a text of at least one token.")
        if len(self.prompt) > LONGEST_PROMPT:
            raise OptionError(
                f"The prompt has {len(self.prompt):,} characters; at most {LONGEST_PROMPT:,} are "
                "read. Give a shorter one."
            )
        if any("\ud800" <= one <= "\udfff" for one in self.prompt):
            raise OptionError(
                "The prompt holds half a character (a lone surrogate). Type it again."
            )
        for name in ("position", "token_id"):
            value = getattr(self, name)
            if value is not None:
                _require_whole(f"The {name.replace('_', ' ')}", value)
        if self.token_id is not None and self.token is not None:
            raise OptionError("Give the token that is followed by its id or by its text, not both.")
        _require_whole("The number of new tokens", self.new_tokens, 0, MOST_NEW_TOKENS)
        _require_whole("The most tokens of a prompt", self.max_tokens, 1)
        if len(self.interventions) > MOST_INTERVENTIONS:
            raise OptionError(
                f"There are {len(self.interventions):,} interventions; at most "
                f"{MOST_INTERVENTIONS} are made at once."
            )
        if self.dtype not in DTYPES:
            raise OptionError.about("dtype", f"is {', '.join(DTYPES)}, not {self.dtype!r}.")

    @classmethod
    def from_json(cls, values: object) -> "TraceRequest":
        """A request from an object of JSON; None means the default. Raises OptionError."""
        given = _known(cls, values, "trace", ("prompt",))
        given = {name: value for name, value in given.items() if value is not None}
        changes = given.pop("interventions", ())
        if not isinstance(changes, list | tuple):
            raise OptionError("The interventions are a list.")
        made = tuple(map(RequestedIntervention.from_json, changes))
        return cls(**{"prompt": "", **given}, interventions=made)

    def to_json(self) -> dict[str, Any]:
        """The object of JSON that `from_json` turns back."""
        return {
            **{one.name: getattr(self, one.name) for one in fields(self)},
            "interventions": [one.to_json() for one in self.interventions],
        }


def _known(cls: Any, values: object, what: str, needed: tuple[str, ...]) -> dict[str, Any]:
    """The entries of an object of JSON. Raises OptionError for unknown and for missing ones."""
    if not isinstance(values, Mapping):
        raise OptionError(f"The {what} is an object of JSON.")
    unknown = sorted(map(str, {*values} - {one.name for one in fields(cls)}))
    if unknown:
        raise OptionError(f"Unknown entry of the {what}: {', '.join(unknown)}.")
    missing = [name for name in needed if name not in values]
    if missing:
        raise OptionError(f"The {what} lacks {', '.join(missing)}.")
    return dict(values)


def _require_whole(what: str, value: object, low: int = 0, high: int = _LARGEST) -> None:
    if type(value) is not int or not low <= value <= high:
        raise OptionError(f"{what} must be a whole number from {low:,} to {high:,}, not {value!r}.")
