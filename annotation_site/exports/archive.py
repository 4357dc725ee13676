"""Deterministic zip files, and a careful reader for them.

A member `checksums.sha256` names every other one, so that damage is seen and nothing is added.
"""

import hashlib
import stat
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Self

CHECKSUMS = "checksums.sha256"
MOST_MEMBERS = 10_000
MOST_BYTES = 32 * 2**30  # of all members together, unpacked
MOST_RATIO = 200  # unpacked to packed; labels repeat themselves, but not that much
RATIO_FROM = 2**20  # bytes; small files may be all alike
_BLOCK = 2**20
_EPOCH = (1980, 1, 1, 0, 0, 0)


class ArchiveError(ValueError):
    """An archive is damaged or unsafe to unpack; the sentence says why."""


class ArchiveWriter:
    """Writes members in the given order; times and rights are the same in every archive."""

    def __init__(self, file: IO[bytes]) -> None:
        self._zip = zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=6)
        self._digests: dict[str, str] = {}

    def add(self, name: str, pieces: Iterable[bytes]) -> None:
        """Add a member, piece by piece. Raises ValueError for a name that is unsafe or taken."""
        if not _is_safe(name) or name in self._digests:
            raise ValueError(f"{name!r} cannot be the name of a member here.")
        digest = hashlib.sha256()
        with self._zip.open(_info(name), "w", force_zip64=True) as member:
            for piece in pieces:
                digest.update(piece)
                member.write(piece)
        self._digests[name] = digest.hexdigest()

    def add_text(self, name: str, text: str) -> None:
        """Add a member of UTF-8 text."""
        self.add(name, [text.encode()])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        """Write the checksums and the archive's end; after an error the end alone."""
        if error is None:
            lines = (f"{digest}  {name}\n" for name, digest in sorted(self._digests.items()))
            self._zip.writestr(_info(CHECKSUMS), "".join(lines))
        self._zip.close()


class ArchiveReader:
    """Reader of a checked archive; it unpacks no more than the table of contents declares."""

    def __init__(self, file: Path | IO[bytes]) -> None:
        """Open the archive and check its table of contents. Raises ArchiveError."""
        name = file.name if isinstance(file, Path) else "The file"
        try:
            self._zip = zipfile.ZipFile(file)
        except OSError as error:
            raise ArchiveError(f"{name} cannot be read: {error.strerror or error}.") from error
        except zipfile.BadZipFile as error:
            raise ArchiveError(f"{name} is no zip file, or it is not whole.") from error
        try:
            _check_contents(self._zip.infolist())
        except ArchiveError:
            self._zip.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._zip.close()

    @property
    def names(self) -> list[str]:
        """The names of the members."""
        return self._zip.namelist()

    def pieces(self, name: str) -> Iterator[bytes]:
        """Yield a member piece by piece. Raises ArchiveError if it is missing or damaged."""
        try:
            with self._zip.open(name) as member:
                while piece := member.read(_BLOCK):
                    yield piece
        except KeyError as error:
            raise ArchiveError(f"The archive has no {name}.") from error
        except (zipfile.BadZipFile, zlib.error, OSError, EOFError) as error:
            raise ArchiveError(f"{name} is damaged.") from error

    def read(self, name: str, *, most: int) -> bytes:
        """Read a whole member of at most so many bytes. Raises ArchiveError."""
        content = b""
        for piece in self.pieces(name):
            content += piece
            if len(content) > most:
                raise ArchiveError(f"{name} is larger than it can be.")
        return content

    def check(self) -> None:
        """Compare every member with its checksum. Raises ArchiveError for the first difference."""
        listed = dict(_checksums(self.read(CHECKSUMS, most=10 * _BLOCK)))
        others = set(self.names) - {CHECKSUMS}
        for name in sorted(others ^ set(listed)):
            what = "is not in the list of checksums" if name in others else "is missing"
            raise ArchiveError(f"{name} {what}: the archive was changed.")
        for name in sorted(others):
            digest = hashlib.sha256()
            for piece in self.pieces(name):
                digest.update(piece)
            if digest.hexdigest() != listed[name]:
                raise ArchiveError(f"{name} is not what was written: its checksum differs.")


def _info(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name, _EPOCH)
    info.compress_type = zipfile.ZIP_DEFLATED
    info.create_system = 3  # Unix, whatever wrote it
    info.external_attr = (stat.S_IFREG | 0o644) << 16
    return info


def _is_safe(name: str) -> bool:
    """A relative path of plain parts, with no way out of the folder it is unpacked into."""
    parts = name.split("/")
    return (
        name.isprintable()
        and "\\" not in name
        and ":" not in name
        and all(part not in ("", ".", "..") for part in parts)
    )


def _check_contents(members: list[zipfile.ZipInfo]) -> None:
    if len(members) > MOST_MEMBERS:
        raise ArchiveError(f"The archive has {len(members):,} members; {MOST_MEMBERS:,} at most.")
    if len({info.filename for info in members}) < len(members):
        raise ArchiveError("Two members of the archive have the same name.")
    for info in members:
        kind = stat.S_IFMT(info.external_attr >> 16)
        if not _is_safe(info.filename) or kind not in (0, stat.S_IFREG):
            raise ArchiveError(f"{info.filename!r:.80} is no plain file inside the archive.")
        if info.flag_bits & 1 or info.compress_type not in (
            zipfile.ZIP_STORED,
            zipfile.ZIP_DEFLATED,
        ):
            raise ArchiveError(f"{info.filename} is packed in a way that is not read here.")
        if info.file_size > max(RATIO_FROM, MOST_RATIO * info.compress_size):
            raise ArchiveError(f"{info.filename} would grow too much when unpacked.")
    if sum(info.file_size for info in members) > MOST_BYTES:
        raise ArchiveError("The archive is larger than any that this product writes.")


def _checksums(content: bytes) -> Iterator[tuple[str, str]]:
    for line in content.decode(errors="replace").splitlines():
        digest, _, name = line.partition("  ")
        yield name, digest
