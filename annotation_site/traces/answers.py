"""The answer of a trace, checked: a model's process wrote it, which opens strangers' files. Pure.

`require_answer` copies what is known, each number finite and each text cut, so that pages and the
API can rely on it.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from django.utils.translation import gettext_noop

from annotation_site.errors import SiteError
from annotation_site.sentences import Sentence

MOST_LETTERS = 200  # of a token
MOST_TOKENS = 1_000
TOP = 10
DAMAGED = gettext_noop("The trace is not whole (%(part)s). Try again.")
SIDES = ("highest", "lowest")
Make = Callable[[Any], Any]


class Sizes(Protocol):
    """The numbers of a model that an answer must keep to."""

    n_layers: int
    d_ff: int


def require_answer(answer: Mapping[str, Any], model: Sizes) -> dict[str, Any]:
    """A checked copy of an answer. Raises SiteError, which names the part that is wrong."""
    whole = _traced(answer, model) | {
        "model": _text(answer.get("model")),
        "prompt": str(answer.get("prompt", ""))[:4_000],
        "tokens": [_text(one) for one in _list(answer, "tokens", MOST_TOKENS)],
        "token_ids": [_whole(one) for one in _list(answer, "token_ids", MOST_TOKENS)],
        "position": _part("position", _whole, answer.get("position")),
        "seconds": {
            name: _number(value) for name, value in dict(answer.get("seconds") or {}).items()
            if name in ("load", "trace")
        },
        "changed": None,
    }  # fmt: skip
    if answer.get("fingerprint"):
        whole["fingerprint"] = _text(answer["fingerprint"])
    changed = answer.get("changed")
    if changed is not None:
        first = changed.get("first_difference")
        whole["changed"] = _traced(changed, model) | {
            "interventions": [
                _part("interventions", _intervention, one)
                for one in _list(changed, "interventions", 100)
            ],
            "first_difference": None if first is None else _whole(first),
        }
    return whole


def _traced(answer: Mapping[str, Any], model: Sizes) -> dict[str, Any]:
    layers = [_part("layers", _layer, one) for one in _list(answer, "layers", model.n_layers)]
    if [one["layer"] for one in layers] != list(range(model.n_layers)):
        raise SiteError(Sentence(DAMAGED, part="layers"))
    found = {
        "token": _part("token", _followed, answer.get("token")),
        "parts": {
            str(name)[:20]: _part("parts", _number, value)
            for name, value in list(dict(answer.get("parts") or {}).items())[:10]
        },
        "layers": layers,
        "pushed_most": [
            _part("pushed_most", _sub_update_of_a_layer, one)
            for one in _list(answer, "pushed_most", 100)
        ],
        "continuation": [
            _part("continuation", _token, one) for one in _list(answer, "continuation", 1_000)
        ],
    }
    for one in (*(s for layer in layers for s in layer["dominant"]), *found["pushed_most"]):
        if not 0 <= one["index"] < model.d_ff:
            raise SiteError(Sentence(DAMAGED, part="index"))
    if any(not 0 <= one["layer"] < model.n_layers for one in found["pushed_most"]):
        raise SiteError(Sentence(DAMAGED, part="pushed_most"))
    return found


def _layer(value: Any) -> dict[str, Any]:
    return {
        "layer": _whole(value["layer"]),
        "before": [_likely(one) for one in _list(value, "before", TOP)],
        "after": [_likely(one) for one in _list(value, "after", TOP)],
        "rank_before": _rank(value["rank_before"]),
        "rank_after": _rank(value["rank_after"]),
        "ffn_push": _number(value["ffn_push"]),
        "attention_push": _number(value["attention_push"]),
        "dominant": [_sub_update(one) for one in _list(value, "dominant", TOP)],
    }


def _sub_update(value: Any) -> dict[str, Any]:
    side = value["side"]
    if side not in SIDES:
        raise ValueError(side)
    return {
        "index": _whole(value["index"]),
        "coefficient": _number(value["coefficient"]),
        "share": _number(value["share"]),
        "push": _number(value["push"]),
        "side": side,
        "tokens": [_text(one) for one in _list(value, "tokens", TOP)],
    }


def _sub_update_of_a_layer(value: Any) -> dict[str, Any]:
    return {"layer": _whole(value["layer"])} | _sub_update(value)


def _intervention(value: Any) -> dict[str, Any]:
    return {
        "layer": _whole(value["layer"]),
        "index": _whole(value["index"]),
        "action": _text(value["action"]),
        "value": _number(value.get("value") or 0),
        "from_position": _whole(value.get("from_position") or 0),
    }


def _followed(value: Any) -> dict[str, Any]:
    return _likely(value) | {"logit": _number(value["logit"])}


def _likely(value: Any) -> dict[str, Any]:
    return _token(value) | {"probability": _number(value["probability"])}


def _token(value: Any) -> dict[str, Any]:
    return {"token_id": _whole(value["token_id"]), "token": _text(value["token"])}


def _rank(value: Any) -> int:
    rank = _whole(value)
    if rank < 1:
        raise ValueError(rank)
    return rank


def _whole(value: Any) -> int:
    number = int(value)
    if not 0 <= number < 1 << 31:
        raise ValueError(number)
    return number


def _number(value: Any) -> float:
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(number)
    return number


def _text(value: Any) -> str:
    """A text that PostgreSQL stores: NUL is a token of some models."""
    return str(value)[:MOST_LETTERS].replace("\0", "\ufffd")


def _list(value: Mapping[str, Any], name: str, most: int) -> Sequence[Any]:
    found = value.get(name)
    if not isinstance(found, list) or len(found) > most:
        raise SiteError(Sentence(DAMAGED, part=name))
    return found


def _part(name: str, make: Make, value: Any) -> Any:
    try:
        return make(value)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise SiteError(Sentence(DAMAGED, part=name)) from error
