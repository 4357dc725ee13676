"""Arguments of commands from the declarations of options."""

from argparse import ArgumentTypeError
from collections.abc import Callable
from typing import Any

from ffn_extract.option_types import Choice, Flag, Integer, Names, Number
from ffn_extract.options import Option


def argument_of(option: Option) -> dict[str, Any]:
    """Arguments of `add_argument` for an option, from its declaration."""
    words = (option.page_help or option.help, option.type.typed)
    help = " ".join(filter(None, words)).replace("%", "%%")
    settings: dict[str, Any] = {"help": help, "default": option.default}
    match option.type:
        case Flag():
            return settings | {"action": "store_true"}
        case Choice(meanings):
            return settings | {"choices": tuple(meanings)}
        case Names() as names:
            settings["default"] = names.write(option.default)
        case Integer(word=word):
            settings["type"] = _number_or(word) if word else int
        case Number():
            settings["type"] = float
    return settings | {"metavar": option.type.metavar}


def _number_or(word: str) -> Callable[[str], int | str]:
    def read(value: str) -> int | str:
        if value.lower() == word:
            return word
        if not value.isdecimal():
            raise ArgumentTypeError(f"give a whole number, or {word}, not {value!r}")
        return int(value)

    return read
