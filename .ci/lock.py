"""Writes requirements/locked/*.txt, the pins with digests of all their files: `make lock`.

What is locked can be installed with `pip --require-hashes` on every system and Python that
pyproject.toml and uv name. torch and what only its CUDA builds need are left out: which build fits
a machine is for pip and its index to say.
"""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
REQUIREMENTS = ROOT / "requirements"
# Each file that is installed by itself, and what it is made from.
LOCKED = {
    "site.txt": "../requirements.txt",
    "web.txt": "web.txt",
    "extract.txt": "extract.txt",
    "demo.txt": "demo.txt",
    "dev.txt": "dev.txt",
    "docs.txt": "docs.txt",
}
WITHOUT_DEPENDENCIES = {"demo.txt"}
# What uv says of nearly every package, since it was told of no other systems and Pythons.
EVERYWHERE = (
    " ; python_full_version < '3.15' and (sys_platform == 'darwin' or sys_platform == 'linux')"
)
LEFT_OUT = re.compile(r"torch|triton|(nvidia|cuda)-.+")
PIN = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[\w,]+\])?==([^\s#;\\]+)", re.MULTILINE)


def normal(name: str) -> str:
    """A package's name as indexes write it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def pinned() -> dict[str, str]:
    """What requirements/*.txt say, by normalised name."""
    texts = [path.read_text() for path in sorted(REQUIREMENTS.glob("*.txt"))]
    return {normal(name): version for text in texts for name, version in PIN.findall(text)}


def packages(locked: str) -> dict[str, str]:
    """The lines of each package of a locked file."""
    blocks = re.split(r"^(?=[A-Za-z0-9])", locked, flags=re.MULTILINE)
    return {normal(PIN.match(block)[1]): block for block in blocks if PIN.match(block)}  # type: ignore[index]


def lock(source: Path, dependencies: bool) -> str:
    """What uv resolves this file to, with digests."""
    command = [
        sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--universal",
        "--python-version", "3.11", "--generate-hashes", "--no-annotate", "--no-header",
        "--no-emit-index-url", *([] if dependencies else ["--no-deps"]), str(source),
    ]  # fmt: skip
    ended = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    return ended.stdout.replace(EVERYWHERE, "")


def main() -> int:
    """Write every file, or say which pins are missing and write none."""
    pins = pinned()
    written = {}
    missing = set()
    for name, source in LOCKED.items():
        found = packages(lock(REQUIREMENTS / source, name not in WITHOUT_DEPENDENCIES))
        kept = {one: block for one, block in found.items() if not LEFT_OUT.fullmatch(one)}
        for one, block in kept.items():
            version = PIN.match(block)[2]  # type: ignore[index]
            if pins.get(one) != version:
                missing.add(f"{one}=={version}")
        written[name] = (
            f"# Written by `make lock` from requirements/{Path(source).name}.\n"
            + "".join(kept.values())
        )
    if missing:
        print("Add to requirements/constraints.txt, and run this again:", *sorted(missing))
        return 1
    (REQUIREMENTS / "locked").mkdir(exist_ok=True)
    for name, text in written.items():
        (REQUIREMENTS / "locked" / name).write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
