"""Compiles kernel.cpp where there is a C++ compiler. Run as a program, it does so in this folder.

It needs the standard library alone, so that a package can be built before anything is installed.
"""

import hashlib
import os
import platform
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

SOURCE = Path(__file__).with_name("kernel.cpp")
COMPILERS = ("c++", "g++", "clang++")
PROCESSORS = ("x86_64", "AMD64")
# Instructions are chosen function by function, so nothing here depends on this processor. Products
# and sums of the fixed order must stay two operations: no contraction.
FLAGS = (
    "-O3", "-std=c++17", "-fPIC", "-shared", "-pthread", "-ffp-contract=off", "-fvisibility=hidden",
)  # fmt: skip
OF_ANY_SOURCE = f"kernel-*-{sysconfig.get_platform()}.so"
_SECONDS = 300


class CannotCompile(Exception):
    """Why there is no library, in a sentence that says what to do."""


def source_digest() -> str:
    """SHA-256 of the source with its headers, which the library is told when it is compiled."""
    files = [SOURCE, *sorted(SOURCE.parent.glob("*.h"))]
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


def file_name() -> str:
    """Name of the library, another one for every source, its flags and kind of machine."""
    made_from = hashlib.sha256(f"{source_digest()} {FLAGS}".encode()).hexdigest()
    return f"kernel-{made_from[:16]}-{sysconfig.get_platform()}.so"


def compiler() -> list[str] | None:
    """The C++ compiler with its arguments: what CXX says, else the first there is."""
    said = shlex.split(os.environ.get("CXX", ""))
    programs = [shutil.which(name) for name in said[:1] or COMPILERS]
    return next(([program, *said[1:]] for program in programs if program), None)


def compile_kernel(folder: Path, flags: tuple[str, ...] = ()) -> Path:
    """Compile the kernel into a folder and return the library's path.

    The file is moved into place when it is finished, so a process never loads a part of it.

    Raises
    ------
    CannotCompile
        When the processor is none of those that the kernel is for, there is no compiler, it fails,
        or the folder cannot be written.
    """
    if platform.machine() not in PROCESSORS:
        raise CannotCompile(
            f"The kernel is for x86-64 processors, and this machine is {platform.machine()}. "
            "PyTorch projects here."
        )
    program = compiler()
    if program is None:
        named = os.environ.get("CXX")
        raise CannotCompile(
            f"CXX names {named}, which is no program. Correct or unset it."
            if named
            else "No C++ compiler was found. Install one, such as g++ or clang, or go on without: "
            "everything works, more slowly."
        )
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o755)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".compiling-") as made:
            unfinished = Path(made) / file_name()
            _run(program, (*FLAGS, *flags), unfinished)
            unfinished.chmod(0o644)  # whatever the umask, as nobody else may write what is loaded
            return unfinished.replace(folder / file_name())
    except OSError as error:
        raise CannotCompile(f"{folder} cannot be written: {error.strerror or error}.") from error


def _run(compiler: list[str], flags: tuple[str, ...], target: Path) -> None:
    program = compiler[0]
    digest = f'-DFFN_SOURCE_DIGEST="{source_digest()}"'
    command = [*compiler, *flags, digest, "-o", str(target), str(SOURCE)]
    try:
        ended = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS)
    except OSError as error:
        raise CannotCompile(
            f"{program} cannot be started: {error.strerror or error}. Name another compiler in CXX."
        ) from error
    except subprocess.TimeoutExpired as error:
        raise CannotCompile(f"{program} took more than {_SECONDS} s. Try again.") from error
    if ended.returncode:
        said = [line for line in ended.stderr.splitlines() if "error" in line] or [
            f"it ended with {ended.returncode}"
        ]
        raise CannotCompile(
            f"{program} cannot compile the kernel: {said[0].strip()}. Name another compiler in "
            "CXX, or go on without: everything works, more slowly."
        )


def main() -> None:
    """Compile into this folder, or say in a line why not, which is no failure."""
    try:
        library = compile_kernel(SOURCE.parent)
        print(f"Compiled {library.name}")
        for earlier in set(SOURCE.parent.glob(OF_ANY_SOURCE)) - {library}:
            earlier.unlink()
    except CannotCompile as error:
        print(f"Not compiled: {error}", file=sys.stderr)


if __name__ == "__main__":
    main()
