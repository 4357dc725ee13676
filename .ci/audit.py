"""Known holes in the packages that requirements/*.txt pin: `make audit`.

Ends with 0 where every package was looked up and none has one, 1 where one has, and 3 where the
database of holes did not answer for all of them. The last line says which; "not checked" is no
pass. With --allow-unreachable 3 becomes 0, for machines that reach no network, and the line stays.
"""

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

REQUIREMENTS = Path(__file__).parent.parent / "requirements"
PIN = re.compile(r"^([A-Za-z0-9._-]+)(\[[\w,]+\])?==([^\s#]+)", re.MULTILINE)
FOUND, NOT_CHECKED = 1, 3
MOST_SECONDS = 120


def pins() -> dict[str, str]:
    """Every pinned package, by its normalised name; the same version in every file."""
    found: dict[str, str] = {}
    for path in sorted(REQUIREMENTS.glob("*.txt")):
        for name, _, version in PIN.findall(path.read_text()):
            name = re.sub(r"[-_.]+", "-", name).lower()
            if found.setdefault(name, version) != version:
                raise SystemExit(f"{name} is pinned to {found[name]} and to {version}.")
    return found


def looked_up(packages: dict[str, str]) -> tuple[list[dict[str, object]], str]:
    """What pip-audit says of each package, and why it said nothing where that is so."""
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.writelines(f"{name}=={version}\n" for name, version in packages.items())
        file.flush()
        command = [
            sys.executable, "-m", "pip_audit", "--requirement", file.name, "--disable-pip",
            "--no-deps", "--format", "json", "--progress-spinner", "off", "--timeout", "10",
        ]  # fmt: skip
        try:
            ended = subprocess.run(
                command, capture_output=True, text=True, check=False, timeout=MOST_SECONDS
            )
        except subprocess.TimeoutExpired:
            return [], f"no answer in {MOST_SECONDS} s"
    try:
        return json.loads(ended.stdout)["dependencies"], ""
    except (ValueError, KeyError):
        return [], (ended.stderr.strip().splitlines() or ["no answer"])[-1]


def summary(
    packages: dict[str, str], answers: list[dict[str, object]], reason: str
) -> tuple[list[str], int]:
    """The lines to print, and the exit status."""
    known = {str(a["name"]).lower(): a for a in answers if "vulns" in a}
    lines = [
        f"{name} {answer['version']}: {hole['id']}, mended in "  # type: ignore[index]
        f"{', '.join(hole['fix_versions']) or 'no version yet'}"  # type: ignore[index]
        for name, answer in sorted(known.items())
        for hole in answer["vulns"]  # type: ignore[attr-defined]
    ]
    unknown = sorted(set(packages) - set(known))
    if not reason:
        reason = next((str(a["skip_reason"]) for a in answers if "skip_reason" in a), "no answer")
    missing = (
        f"not checked: {len(unknown)} of {len(packages)} packages, the database of holes did not "
        f"answer for them ({reason})"
    )
    if lines:
        return [*([missing] if unknown else []), *lines, f"known holes: {len(lines)}"], FOUND
    if unknown:
        return [missing], NOT_CHECKED
    return [f"checked: no known holes in {len(packages)} packages"], 0


def main(arguments: list[str]) -> int:
    """Print what was found."""
    packages = pins()
    lines, status = summary(packages, *looked_up(packages))
    print("\n".join(lines))
    return 0 if status == NOT_CHECKED and "--allow-unreachable" in arguments else status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
