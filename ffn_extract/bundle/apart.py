"""Check a bundle in a separate process with little memory and no secrets.

A large library reads Parquet files. If a stranger's file makes it take gigabytes or crash, this
process ends and the site goes on. Its environment is an allow-list: no key and no password.
"""

import json
import os
import resource
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import ffn_extract
from ffn_extract.bundle.manifest import Manifest
from ffn_extract.bundle.reading import Bundle, manifest_of, open_bundle, read_heads
from ffn_extract.errors import BundleError

MOST_MEMORY_MB = 384
MOST_CPU_SECONDS = 3_600
PASSED_ON = (
    "HOME", "LANG", "LC_ALL", "LC_CTYPE", "LD_LIBRARY_PATH", "PATH", "PYTHONHOME", "PYTHONUSERBASE",
    "TMPDIR", "TZ", "VIRTUAL_ENV",
)  # fmt: skip
"""What the process sees of the environment."""
_OWN = {
    "ARROW_DEFAULT_MEMORY_POOL": "system",  # others reserve a gigabyte at their start
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
}
_AGAIN = "Make the bundle again with `python -m ffn_extract extract`."


@dataclass(frozen=True)
class Outcome:
    """The outcome of a check: its sentence if it refused, and its memory if known."""

    refusal: str
    peak_mb: int | None = None

    def require(self) -> None:
        """Raises BundleError if the check refused."""
        if self.refusal:
            raise BundleError(self.refusal)


def open_bundle_apart(path: str | os.PathLike[str], max_bytes: int | None = None) -> Bundle:
    """As `open_bundle`, checked in another process. Raises BundleError."""
    folder = Path(path)
    check("rows", folder, max_bytes).require()
    return Bundle(folder, manifest_of(folder))


def read_heads_apart(folder: Path, max_bytes: int | None = None) -> Manifest:
    """As `read_heads`, checked in another process. Raises BundleError."""
    check("heads", folder, max_bytes).require()
    return manifest_of(folder)


def environment() -> dict[str, str]:
    """The environment variables of the checking process, without secrets."""
    passed = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    found = [str(Path(ffn_extract.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    return {**passed, **_OWN, "PYTHONPATH": os.pathsep.join(filter(None, found))}


def check(what: str, folder: Path, max_bytes: int | None = None) -> Outcome:
    """Check "heads" or "rows" of a bundle in another process."""
    most = "" if max_bytes is None else str(max_bytes)
    done = subprocess.run(
        [sys.executable, "-P", "-m", __name__, what, os.path.abspath(folder), str(folder), most],
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


def main(what: str, folder: str, called: str, most: str) -> None:
    """Check the bundle in `folder`, called `called` in sentences; print the outcome as JSON."""
    _limit(resource.RLIMIT_DATA, MOST_MEMORY_MB << 20)
    _limit(resource.RLIMIT_CPU, MOST_CPU_SECONDS)
    _limit(resource.RLIMIT_CORE, 0)
    max_bytes = int(most) if most else None
    refusal = ""
    try:
        (read_heads if what == "heads" else open_bundle)(Path(folder), max_bytes)
    except BundleError as error:
        too_large = isinstance(error.__cause__, MemoryError)
        refusal = _too_large(called) if too_large else str(error).replace(folder, called)
    print(json.dumps(asdict(Outcome(refusal, _peak_mb()))))


def _peak_mb() -> int | None:
    """The most memory that this process had, where Linux says so; getrusage counts its parent's."""
    with suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) // 1024
    return None


if __name__ == "__main__":
    main(*sys.argv[1:])
