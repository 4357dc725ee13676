"""Every benchmark with a target, in one table: `python -m benchmarks [NAME …]`, or `make bench`.

Each benchmark is measured in a process of its own by its `figures()`, short but of an honest size.
Above the table stand the machine and its load. With other work beside it, ratios still mean
something; seconds, rates and milliseconds do not.
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from importlib import import_module
from pathlib import Path

from benchmarks.figures import Figure

FOLDER = Path(__file__).parent
HELPERS = {"__init__", "__main__", "figures", "machine", "synthetic"}
BUSY = 0.5  # of each core, at the start


def names() -> list[str]:
    """Every benchmark, by the name of its file."""
    return sorted({file.stem for file in FOLDER.glob("*.py")} - HELPERS)


def has_figures(name: str) -> bool:
    """Whether the benchmark can be measured for the table; told without importing it."""
    return "\ndef figures() -> Iterator[Figure]:" in (FOLDER / f"{name}.py").read_text()


def measured(name: str) -> list[Figure] | str:
    """The figures of a benchmark, or the last line of its error."""
    command = [sys.executable, "-m", "benchmarks", "--only", name]
    ended = subprocess.run(command, cwd=FOLDER.parent, capture_output=True, text=True, check=False)
    if ended.returncode:
        return next(reversed(ended.stderr.strip().splitlines()), f"ended with {ended.returncode}")
    return [Figure(**one) for one in json.loads(ended.stdout.splitlines()[-1])]


def rows(name: str, found: list[Figure] | str) -> Iterator[list[str]]:
    """Rows of the table: benchmark, what, figure, target, whether it is met."""
    if isinstance(found, str):
        yield [name, f"failed: {found}", "", "", "failed"]
        return
    for one in found:
        target = ""
        if one.target is not None:
            target = f"{'at least' if one.at_least else 'at most'} {one.target:g}"
        met = ("met" if one.is_met else "missed") if one.target is not None else ""
        yield [name, one.what, f"{one.value:.3g} {one.unit}", target, met]


def table(lines: Sequence[Sequence[str]]) -> str:
    """As Markdown."""
    head = ["benchmark", "what", "figure", "target", ""]
    return "\n".join(
        f"| {' | '.join(cell.replace('|', '/') for cell in line)} |"
        for line in (head, ["---"] * len(head), *lines)
    )


def _load() -> float:
    """Processes that run or wait for a core, over the last minute, by core."""
    return os.getloadavg()[0] / (os.cpu_count() or 1)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="All with a target by default.")
    parser.add_argument("--strict", action="store_true", help="Exit with 1 if a target is missed.")
    parser.add_argument("--only", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.only:
        figures = import_module(f"benchmarks.{options.only}").figures()
        print(json.dumps([asdict(one) for one in figures]))
        return
    wanted = options.names or [name for name in names() if has_figures(name)]
    if unknown := [name for name in wanted if name not in names() or not has_figures(name)]:
        parser.error(f"No target to measure in: {', '.join(unknown)}.")
    before, lines = _load(), []
    for name in wanted:
        print(f"Measuring {name}", file=sys.stderr, flush=True)
        lines += rows(name, measured(name))
    described = "from benchmarks.machine import describe; print(describe())"
    subprocess.run([sys.executable, "-c", described], cwd=FOLDER.parent, check=True)
    busy = "; others use it, so ratios only" if before > BUSY else ""
    print(f"Load by core {before:.2f} before, {_load():.2f} after{busy}\n")
    print(table(lines))
    if not options.names:
        print(f"\nBy name only: {', '.join(name for name in names() if not has_figures(name))}")
    outcomes = {line[-1] for line in lines}
    sys.exit("failed" in outcomes or (options.strict and "missed" in outcomes))


if __name__ == "__main__":
    main()
