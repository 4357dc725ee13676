"""The compiled kernel, where there is one for this source and this machine."""

import ctypes
import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path as File

from ffn_extract.data_folder import data_folder
from ffn_extract.errors import FFNExtractError
from ffn_extract.projection.native.building import (
    OF_ANY_SOURCE,
    SOURCE,
    file_name,
    source_digest,
)
from ffn_extract.projection.native.processors import Path, is_by_amd, order

VARIABLE = "FFN_KERNEL"
OFF = "off"


@dataclass(frozen=True)
class Loaded:
    """The library, or None and why there is none, a clause."""

    library: ctypes.CDLL | None
    file: File | None
    reason: str = ""


def folders() -> tuple[File, ...]:
    """Where a compiled kernel is looked for: in the package, then in the folder of data."""
    return SOURCE.parent, data_folder() / "kernel"


def loaded() -> Loaded:
    """The kernel of this process, loaded when first asked for."""
    return _load(folders())


@cache
def _load(places: tuple[File, ...]) -> Loaded:
    tried = [_load_file(place / file_name()) for place in places if (place / file_name()).is_file()]
    for one in tried:
        if one.library is not None:
            return one
    if tried:
        return tried[0]
    for place in places:
        for earlier in place.glob(OF_ANY_SOURCE):
            return Loaded(None, earlier, f"{earlier} is of another version; compile again")
    return Loaded(None, None, "it is not compiled")


def _load_file(file: File) -> Loaded:
    if file.parent != SOURCE.parent and not _is_our_own(file):
        return Loaded(
            None,
            file,
            f"{file} or its folder belongs to somebody else, or others can write it; delete it and "
            "compile again",
        )
    try:
        library = ctypes.CDLL(str(file))
        library.ffn_kernel_source_digest.restype = ctypes.c_char_p
        digest = library.ffn_kernel_source_digest()
    except (OSError, AttributeError) as error:
        return Loaded(None, file, f"{file} cannot be loaded: {error}")
    if digest.decode() != source_digest():
        return Loaded(None, file, f"{file} was compiled from another source")
    return Loaded(library, file)


def _is_our_own(file: File) -> bool:
    """Whether this user or root alone can write a file: loading a library runs its code."""
    return all(
        one.st_uid in (0, os.geteuid()) and not one.st_mode & 0o022
        for one in (file.stat(), file.parent.stat())
    )


def forget() -> None:
    """Look again at the next question, after a library was compiled."""
    _load.cache_clear()


def possible_paths() -> tuple[Path, ...]:
    """The loaded kernel's paths that this processor can run, in the order of preference."""
    library = loaded().library
    if library is None:
        return ()
    own = order(is_by_amd())
    others = tuple(path for path in Path if path not in own)
    return tuple(path for path in (*own, *others) if library.ffn_kernel_can(int(path)))


def chosen_path() -> Path | None:
    """The path to take, or None for PyTorch; FFN_KERNEL may name another or be "off".

    Raises
    ------
    FFNExtractError
        When FFN_KERNEL names no path, or one that cannot be taken here.
    """
    wanted = os.environ.get(VARIABLE, "")
    if wanted == OFF:
        return None
    possible = possible_paths()
    if not wanted:
        return next((path for path in possible if path in order(is_by_amd())), None)
    if wanted not in Path.__members__:
        raise FFNExtractError(
            f"{VARIABLE} is {wanted!r}. Choose {', '.join([OFF, *Path.__members__])}, or unset it."
        )
    if Path[wanted] not in possible:
        reason = loaded().reason or "this processor has no such instructions"
        raise FFNExtractError(
            f"{VARIABLE} is {wanted!r}, but {reason}. Unset it, or set it to off."
        )
    return Path[wanted]
