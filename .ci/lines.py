"""Says how many lines of a package its tests reached: `make test COVERAGE=1`, as in .ci/run.

Ends with 1, and the lines that were not reached, where that is too few of one of the packages.
"""

import subprocess
import sys

PACKAGES = ("ffn_extract", "annotation_site/analysis", "annotation_site/exports",
            "annotation_site/annotation")  # fmt: skip
LEAST = 92
COVERAGE = (sys.executable, "-m", "coverage")


def report(package: str, *options: str) -> str:
    """What coverage says of a package."""
    command = [*COVERAGE, "report", f"--include={package}/*", *options]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.strip()


def main() -> int:
    """Print a line for each package."""
    subprocess.run([*COVERAGE, "combine", "--quiet"], check=True)
    few = []
    for package in PACKAGES:
        share = float(report(package, "--format=total", "--precision=1"))
        print(f"{package}: its tests reach {share} % of the lines")
        if share < LEAST:
            few.append(package)
    for package in few:
        print(report(package, "--skip-covered", "--show-missing"))
    if few:
        print(f"At least {LEAST} % are demanded of each.")
    return int(bool(few))


if __name__ == "__main__":
    sys.exit(main())
