"""Chosen value vectors, each as LAYER:INDEX; importable without torch."""

import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from ffn_extract.errors import Naming, OptionError, OptionSentence

MAX_VECTORS = 10_000
"""So many fit into a manifest; more of a model is what `per_layer` all is for."""
MAX_FILE_BYTES = 1 << 20
_PAIR = re.compile(r"(\d{1,9}):(\d{1,9})", re.ASCII)

Place = tuple[int, int]
"""A layer and an index in it, both counted from 0."""


def places_of(text: str, where: str | None = None) -> tuple[Place, ...]:
    """Parse chosen vectors: `14:518, 14:72`, or one per line, `#` before a comment.

    `where` is the file, whose lines the sentences number.

    Raises
    ------
    OptionError
        For anything that is not two whole numbers with a colon between them.
    """
    places: list[Place] = []
    for number, line in enumerate(text.splitlines(), start=1):
        for word in line.partition("#")[0].replace(",", " ").split():
            place = place_of(word)
            if place is None:
                raise _unreadable(word, "" if where is None else f" in line {number} of {where}")
            places.append(place)
    return tuple(places)


def place_of(word: object) -> Place | None:
    """The layer and index of `14:518` or of a pair of numbers; None for anything else."""
    if isinstance(word, str):
        found = _PAIR.fullmatch(word.strip())
        return None if found is None else (int(found[1]), int(found[2]))
    if isinstance(word, list | tuple) and len(word) == 2:
        layer, index = word
        if all(type(n) is int and 0 <= n < 10**9 for n in word):
            return layer, index
    return None


def read_places(path: Path) -> tuple[Place, ...]:
    """Read chosen vectors from a file. Raises OptionError."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
        if len(content) > MAX_FILE_BYTES:
            raise _about(f"{path.name} is larger than a list of {MAX_VECTORS:,} vectors can be.")
        places = places_of(content.decode("utf-8-sig"), path.name)
    except OSError as error:
        raise _about(f"{path.name} cannot be read: {error.strerror}. Give another file.") from error
    except UnicodeError as error:
        raise _about(f"{path.name} is not UTF-8 text. Save it as UTF-8.") from error
    if not places:
        raise _about(f"{path.name} names no vector. Write one LAYER:INDEX on each line.")
    return places


def places_given(text: str | None, file: Path | None) -> tuple[Place, ...] | None:
    """The chosen vectors of a command's two options; None without either. Raises OptionError."""
    if text is not None and not text.strip():
        raise _refusal(
            lambda say: f"{say('vectors')} names no vector. Give LAYER:INDEX, such as 14:518."
        )
    if text is None and file is None:
        return None
    return places_of(text or "") + (() if file is None else read_places(file))


def require_places(places: Iterable[Place], sizes: Sequence[int]) -> None:
    """Refuse a vector that a model does not have; `sizes` are the layers' numbers of values.

    A size of 0 is that of a layer without an FFN in the file. Raises OptionError.
    """
    for layer, index in places:
        have = f"the model has {len(sizes)} layers, 0 to {len(sizes) - 1}"
        if layer < len(sizes):
            n = sizes[layer]
            have = f"layer {layer} has {n:,} value vectors, 0 to {n - 1}"
            if n == 0:
                have = f"layer {layer} has no FFN that is read"
            if index < n:
                continue
        raise _lacking(layer, index, have)


def require_enough(per_layer: int, sizes: Sequence[int]) -> None:
    """Refuse a sample larger than a layer; `sizes` are the layers' numbers of value vectors.

    A size of 0 is that of a layer that is not read. Raises OptionError.
    """
    layer, n = min(((layer, n) for layer, n in enumerate(sizes) if n), key=lambda one: one[1])
    if per_layer > n:
        problem = OptionSentence(
            "per_layer",
            lambda say: (
                f"{say('per_layer')} is {per_layer:,}, and layer {layer} has {n:,} value vectors. "
                "Give a smaller number, or all."
            ),
        )
        raise OptionError(problems=[problem])


def words_of(places: Iterable[Place]) -> list[str]:
    """Chosen vectors as text: `14:518`."""
    return [f"{layer}:{index}" for layer, index in places]


def _unreadable(word: str, where: str) -> OptionError:
    return _refusal(
        lambda say: (
            f"{say('vectors')} has {word!r}{where}; each vector is LAYER:INDEX, such as 14:518, "
            "both counted from 0."
        )
    )


def _lacking(layer: int, index: int, have: str) -> OptionError:
    return _refusal(
        lambda say: f"{say('vectors')} has {layer}:{index}, and {have}. Choose vectors that it has."
    )


def _about(sentence: str) -> OptionError:
    return _refusal(lambda say: sentence)


def _refusal(write: Callable[[Naming], str]) -> OptionError:
    return OptionError(problems=[OptionSentence("vectors", write)])
