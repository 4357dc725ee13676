"""YAML of plain values, for the header of a card and for CITATION.cff.

Texts are quoted as JSON quotes them, which YAML reads too, so nothing that a person typed can be
more than a text.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any


def yaml_of(values: Mapping[str, Any], indent: str = "") -> str:
    """A mapping of texts, numbers, mappings and lists as YAML."""
    return "".join(f"{indent}{name}:{_value(value, indent)}" for name, value in values.items())


def _value(value: Any, indent: str) -> str:
    if isinstance(value, Mapping):
        return "\n" + yaml_of(value, indent + "  ")
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "\n" + "".join(_item(one, indent) for one in value)
    return f" {_scalar(value)}\n"


def _item(value: Any, indent: str) -> str:
    if isinstance(value, Mapping):
        return f"{indent}- " + yaml_of(value, indent + "  ").removeprefix(indent + "  ")
    return f"{indent}- {_scalar(value)}\n"


def _scalar(value: Any) -> str:
    if not isinstance(value, str):
        return json.dumps(value)
    quoted = json.dumps(value, ensure_ascii=False)
    return "".join(one if one.isprintable() else _escaped(one) for one in quoted)


def _escaped(character: str) -> str:
    code = ord(character)
    return f"\\U{code:08x}" if code > 0xFFFF else f"\\u{code:04x}"
