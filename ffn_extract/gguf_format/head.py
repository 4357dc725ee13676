"""Header of a GGUF file: settings, and the places of tensors. No torch.

Nothing that a file says is believed before it is held against the file's size, and nothing is read
because a number asks for it: memory stays within the limits below, whatever a file claims. What
this lets through, the libraries that read the same bytes again can be given.
"""

import mmap
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from math import prod
from pathlib import Path

from ffn_extract.checkpoints.other_formats import require_content
from ffn_extract.errors import CheckpointError

MAX_HEAD_BYTES = 100_000_000
"""What may stand before the tensors; a vocabulary of 260,000 tokens with its merges takes 15 MB."""
MAX_SETTINGS = 10_000
MAX_TENSORS = 100_000
MAX_ENTRIES = 1 << 22
"""Entries of all the lists of a file; the same vocabulary has 1.3 million."""
_MAX_AXES = 4
_MAX_KEY_BYTES = 65_535

TYPES = {
    0: ("F32", 1, 4), 1: ("F16", 1, 2), 2: ("Q4_0", 32, 18), 3: ("Q4_1", 32, 20),
    6: ("Q5_0", 32, 22), 7: ("Q5_1", 32, 24), 8: ("Q8_0", 32, 34), 9: ("Q8_1", 32, 40),
    10: ("Q2_K", 256, 84), 11: ("Q3_K", 256, 110), 12: ("Q4_K", 256, 144), 13: ("Q5_K", 256, 176),
    14: ("Q6_K", 256, 210), 15: ("Q8_K", 256, 292), 16: ("IQ2_XXS", 256, 66),
    17: ("IQ2_XS", 256, 74), 18: ("IQ3_XXS", 256, 98), 19: ("IQ1_S", 256, 50),
    20: ("IQ4_NL", 32, 18), 21: ("IQ3_S", 256, 110), 22: ("IQ2_S", 256, 82),
    23: ("IQ4_XS", 256, 136), 24: ("I8", 1, 1), 25: ("I16", 1, 2), 26: ("I32", 1, 4),
    27: ("I64", 1, 8), 28: ("F64", 1, 8), 29: ("IQ1_M", 256, 56), 30: ("BF16", 1, 2),
    34: ("TQ1_0", 256, 54), 35: ("TQ2_0", 256, 66), 39: ("MXFP4", 32, 17), 40: ("NVFP4", 64, 36),
    41: ("Q1_0", 128, 18),
}  # fmt: skip
"""Name, numbers in a block and bytes of a block, by the number that a file gives a type."""
READABLE = frozenset(
    ("F32", "F16", "BF16", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q2_K", "Q3_K", "Q4_K", "Q5_K",
     "Q6_K", "MXFP4", "IQ2_XXS", "IQ2_XS", "IQ2_S", "IQ3_XXS", "IQ3_S", "IQ1_S", "IQ4_NL", "IQ4_XS")
)  # fmt: skip
"""The types that are read: tests hold two implementations of each against one another."""

_SCALARS = {
    0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q",
    12: "<d",
}  # fmt: skip
_TEXT, _LIST = 8, 9
_VERSIONS = (2, 3)

Scalar = int | float | bool | str


@dataclass(frozen=True)
class Listed:
    """A list among the settings, whose entries are read on request."""

    kind: int
    count: int
    start: int


@dataclass(frozen=True)
class StoredTensor:
    """Place of a tensor. `shape` counts rows first; each row has `row_bytes`."""

    path: Path
    shape: tuple[int, ...]
    type: str
    start: int
    row_bytes: int

    @property
    def n_bytes(self) -> int:
        """Bytes of the tensor in the file."""
        return prod(self.shape[:-1]) * self.row_bytes


@dataclass(frozen=True)
class Head:
    """The header: settings and tensors by name."""

    path: Path
    settings: dict[str, Scalar | Listed]
    tensors: dict[str, StoredTensor]

    def entries(self, key: str) -> list[Scalar]:
        """The entries of a list; empty if there is none of that name."""
        found = self.settings.get(key)
        if not isinstance(found, Listed):
            return []
        with self.path.open("rb") as file, _mapped(file.fileno()) as content:
            reader = _Reader(content, found.start)
            return [reader.scalar(found.kind) for _ in range(found.count)]


class _Fault(Exception):
    """Why a file is refused, as the end of a sentence."""


def read_head(path: Path) -> Head:
    """Read the header of a file.

    Raises CheckpointError where it is cut off, claims what the file does not hold, names something
    twice, or is of a kind that is not known.
    """
    require_content(path)
    try:
        if path.stat().st_size < 24:
            raise _Fault("it is too short")
        with path.open("rb") as file, _mapped(file.fileno()) as content:
            return _head(path, content)
    except (OSError, _Fault, UnicodeDecodeError) as error:
        raise CheckpointError(
            f"{path.name} is no whole GGUF file that can be read: {error}. Copy the model again."
        ) from error


def _mapped(handle: int) -> mmap.mmap:
    return mmap.mmap(handle, 0, access=mmap.ACCESS_READ)


class _Reader:
    """Reads what follows a place in a file, never beyond the file or the longest head."""

    def __init__(self, content: mmap.mmap, place: int = 0) -> None:
        self._content = content
        self.place = place
        self._end = min(len(content), MAX_HEAD_BYTES)
        self._entries = 0

    def _forward(self, size: int) -> int:
        start = self.place
        if size > self._end - start:
            longer = len(self._content) > self._end
            raise _Fault(
                f"its head is longer than {MAX_HEAD_BYTES:,} bytes" if longer else "it is cut off"
            )
        self.place = start + size
        return start

    def number(self, form: str) -> int:
        """The next number, in `struct`'s form."""
        start = self._forward(struct.calcsize(form))
        value: int = struct.unpack_from(form, self._content, start)[0]
        return value

    def text(self, longest: int = MAX_HEAD_BYTES) -> str:
        """The next text, of at most `longest` bytes."""
        length = self.number("<Q")
        if length > longest:
            raise _Fault(f"a name or text in it has {length:,} bytes")
        start = self._forward(length)
        return self._content[start : start + length].decode("utf-8")

    def scalar(self, kind: int) -> Scalar:
        """The next number, truth value or text, by GGUF's number of its type."""
        if kind == _TEXT:
            return self.text()
        if kind not in _SCALARS:
            raise _Fault(f"a setting is of the type {kind}, which GGUF does not have")
        return self.number(_SCALARS[kind])

    def value(self) -> Scalar | Listed:
        """A setting's value; a list is walked past."""
        kind = self.number("<I")
        if kind != _LIST:
            return self.scalar(kind)
        kind, count = self.number("<I"), self.number("<Q")
        if kind == _LIST:
            raise _Fault("a setting is a list of lists")
        self._entries += count
        if self._entries > MAX_ENTRIES:
            raise _Fault(f"its lists have more than {MAX_ENTRIES:,} entries")
        found = Listed(kind, count, self.place)
        if kind in _SCALARS:
            self._forward(count * struct.calcsize(_SCALARS[kind]))
        elif kind == _TEXT:
            for _ in range(count):
                self._forward(self.number("<Q"))
        else:
            raise _Fault(f"a setting is of the type {kind}, which GGUF does not have")
        return found


def _head(path: Path, content: mmap.mmap) -> Head:
    if content[:4] != b"GGUF":
        raise _Fault("it does not begin as one")
    reader = _Reader(content, 4)
    version = reader.number("<I")
    if version not in _VERSIONS:
        big_endian = version and not version & 0xFFFF
        raise _Fault(
            "it is for machines of another byte order"
            if big_endian
            else f"it is of version {version}, and versions 2 and 3 are read"
        )
    n_tensors, n_settings = reader.number("<Q"), reader.number("<Q")
    if n_settings > MAX_SETTINGS or n_tensors > MAX_TENSORS:
        raise _Fault(f"it claims {n_settings:,} settings and {n_tensors:,} tensors")
    settings: dict[str, Scalar | Listed] = {}
    for _ in range(n_settings):
        key = reader.text(_MAX_KEY_BYTES)
        if key in settings:
            raise _Fault(f"it gives {key[:80]!r} twice")
        settings[key] = reader.value()
    described = list(_described(reader, n_tensors))
    alignment = settings.get("general.alignment", 32)
    if type(alignment) is not int or not 0 < alignment <= MAX_HEAD_BYTES:
        raise _Fault("its alignment is no number of bytes")
    begin = -(-reader.place // alignment) * alignment
    tensors = {
        name: _placed(path, name, shape, number, begin + offset)
        for name, shape, number, offset in described
    }
    if len(tensors) < n_tensors:
        raise _Fault("two of its tensors have the same name")
    _require_room(tensors, len(content))
    return Head(path, settings, tensors)


def _described(reader: _Reader, count: int) -> Iterator[tuple[str, tuple[int, ...], int, int]]:
    """Name, shape (rows first), type's number and offset of each tensor."""
    for _ in range(count):
        name = reader.text(_MAX_KEY_BYTES)
        n_axes = reader.number("<I")
        if not 1 <= n_axes <= _MAX_AXES:
            raise _Fault(f"{name[:80]!r} has {n_axes:,} axes")
        shape = tuple(reader.number("<Q") for _ in range(n_axes))[::-1]
        yield name, shape, reader.number("<I"), reader.number("<Q")


def _placed(path: Path, name: str, shape: tuple[int, ...], number: int, start: int) -> StoredTensor:
    if number not in TYPES:
        raise _Fault(f"{name[:80]!r} is stored as type {number}, which is not known")
    if not all(shape):
        raise _Fault(f"{name[:80]!r} has no numbers in it")
    title, block, block_bytes = TYPES[number]
    if shape[-1] % block:
        raise _Fault(f"a row of {name[:80]!r} is no whole number of {title} blocks")
    return StoredTensor(path, shape, title, start, shape[-1] // block * block_bytes)


def _require_room(tensors: dict[str, StoredTensor], size: int) -> None:
    """Refuse tensors that reach beyond the file, or into each other."""
    before = 0
    for name, tensor in sorted(tensors.items(), key=lambda one: one[1].start):
        if tensor.start < before:
            raise _Fault(f"{name[:80]!r} lies over another tensor")
        before = tensor.start + tensor.n_bytes
        if before > size:
            raise _Fault(f"{name[:80]!r} reaches beyond its end")


def total_bytes(paths: Iterable[Path]) -> int:
    """The size of all the files."""
    return sum(path.stat().st_size for path in paths)
