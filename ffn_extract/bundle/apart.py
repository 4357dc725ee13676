"""Check a bundle in a separate process with little memory and no secrets.

A large library reads Parquet files. If a stranger's file makes it take gigabytes or crash, this
process ends and the site goes on. Its environment is an allow-list: no key and no password. Rows
come out of it as JSON, and only out of files that are the very ones that were checked.
"""

import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, astuple, dataclass
from pathlib import Path
from typing import Any

from ffn_extract.bundle.manifest import Manifest
from ffn_extract.bundle.reading import (
    BATCH,
    Bundle,
    manifest_of,
    open_bundle,
    read_heads,
    require_digests,
)
from ffn_extract.bundle.rows import TokenRow, VectorRow, token_row
from ffn_extract.child import command, end_with, to_start
from ffn_extract.errors import BundleError

MOST_MEMORY_MB = 384
MOST_CPU_SECONDS = 3_600
_OWN = {
    "ARROW_DEFAULT_MEMORY_POOL": "system",  # others reserve a gigabyte at their start
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
}
_LONGEST = 128 << 20  # bytes of a line: of rows of which each text is as long as it may be
_AGAIN = "Make the bundle again with `python -m ffn_extract extract`."


@dataclass(frozen=True)
class Outcome:
    """The outcome of a check: its sentence if it refused, and its memory if known."""

    refusal: str
    peak_mb: int | None = None
    digest: str = ""

    def manifest(self, folder: Path) -> Manifest:
        """The manifest that was checked. Raises BundleError where the check refused."""
        if self.refusal:
            raise BundleError(self.refusal)
        found = manifest_of(folder)
        if found.digest != self.digest:
            raise BundleError(f"{folder} changed while it was read. {_AGAIN}")
        return found


class BundleApart(Bundle):
    """A checked bundle whose rows another process reads; the files must still be the same."""

    def iter_tokens(self, batch_size: int = BATCH) -> Iterator[list[TokenRow]]:
        for rows in self._read("tokens", batch_size):
            yield [token_row(values) for values in rows]

    def iter_vectors(self, batch_size: int = BATCH) -> Iterator[list[VectorRow]]:
        for rows in self._read("vectors", batch_size):
            yield [VectorRow(*values) for values in rows]

    def _read(self, what: str, batch_size: int) -> Iterator[list[Any]]:
        arguments = (str(self.path), self.manifest.digest, str(batch_size))
        with subprocess.Popen(
            command(__name__, what, os.path.abspath(self.path), *arguments),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            env=environment(),
        ) as reading:
            assert reading.stdout  # noqa: S101  (for mypy)
            try:
                while isinstance(said := json.loads(reading.stdout.readline(_LONGEST)), list):
                    yield said
                outcome = Outcome(**said)
            except (ValueError, TypeError):
                reading.kill()
                outcome = Outcome(_too_large(str(self.path)))
            finally:
                reading.stdout.close()  # where nobody wants the rest
        outcome.manifest(self.path)


def open_bundle_apart(path: str | os.PathLike[str], max_bytes: int | None = None) -> Bundle:
    """As `open_bundle`, checked in another process. Raises BundleError."""
    folder = Path(path)
    return BundleApart(folder, check("rows", folder, max_bytes).manifest(folder))


def read_heads_apart(folder: Path, max_bytes: int | None = None) -> Manifest:
    """As `read_heads`, checked in another process. Raises BundleError."""
    return check("heads", folder, max_bytes).manifest(folder)


def environment() -> dict[str, str]:
    """The environment variables of the checking process, without secrets."""
    return {**to_start(), **_OWN}


def check(what: str, folder: Path, max_bytes: int | None = None) -> Outcome:
    """Check "heads" or "rows" of a bundle in another process."""
    most = "" if max_bytes is None else str(max_bytes)
    done = subprocess.run(
        command(__name__, what, os.path.abspath(folder), str(folder), most),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        env=environment(),
        check=False,
    )
    try:
        return Outcome(**json.loads(done.stdout))
    except (ValueError, TypeError):  # it crashed, or was ended
        return Outcome(_sentence_about(folder, done))


def _sentence_about(folder: Path, done: subprocess.CompletedProcess[bytes]) -> str:
    if -done.returncode == signal.SIGXCPU:
        return f"{folder} takes more than {MOST_CPU_SECONDS:,} seconds to check. {_AGAIN}"
    if done.returncode < 0 or b"MemoryError" in done.stderr or b"bad_alloc" in done.stderr:
        return _too_large(str(folder))
    last = done.stderr.decode(errors="replace").strip().rpartition("\n")[2]
    return f"{folder} cannot be checked: {last or f'status {done.returncode}'}."


def _too_large(folder: str) -> str:
    return (
        f"{folder} needs more than {MOST_MEMORY_MB} MB of memory to be read, or crashes what reads "
        f"it. {_AGAIN}"
    )


def _limit(what: int, most: int) -> None:
    with suppress(ValueError, OSError):  # a system may not know it, or allow less already
        resource.setrlimit(what, (most, most))


def main(parent: str, what: str, folder: str, called: str, *how: str) -> None:
    """Check the bundle in `folder`, called `called` in sentences; print the outcome as JSON.

    `how` is the most bytes for a check, and for rows the digest that was checked and how many rows
    are a line.
    """
    end_with(parent)
    _limit(resource.RLIMIT_DATA, MOST_MEMORY_MB << 20)
    _limit(resource.RLIMIT_CPU, MOST_CPU_SECONDS)
    _limit(resource.RLIMIT_CORE, 0)
    refusal = digest = ""
    try:
        if what in ("tokens", "vectors"):
            digest, size = how
            _print_rows(what, Path(folder), digest, int(size))
        else:
            max_bytes = int(how[0]) if how[0] else None
            if what == "heads":
                digest = read_heads(Path(folder), max_bytes).digest
            else:
                digest = open_bundle(Path(folder), max_bytes).manifest.digest
    except BundleError as error:
        too_large = isinstance(error.__cause__, MemoryError)
        refusal = _too_large(called) if too_large else str(error).replace(folder, called)
    except BrokenPipeError:  # nobody wants the rest
        os._exit(0)
    print(json.dumps(asdict(Outcome(refusal, _peak_mb(), digest))))


def _print_rows(what: str, folder: Path, digest: str, size: int) -> None:
    """One line of JSON for so many rows, if the files are those that were checked."""
    manifest = manifest_of(folder)
    if manifest.digest != digest:
        raise BundleError(f"{folder} changed while it was read. {_AGAIN}")
    require_digests(folder, manifest)
    bundle = Bundle(folder, manifest)
    chunks = bundle.iter_tokens(size) if what == "tokens" else bundle.iter_vectors(size)
    for rows in chunks:
        print(json.dumps([list(astuple(row)) for row in rows], ensure_ascii=False))


def _peak_mb() -> int | None:
    """The most memory that this process had, where Linux says so; getrusage counts its parent's."""
    with suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) // 1024
    return None


if __name__ == "__main__":
    main(*sys.argv[1:])
