"""Environment of an extraction, which may differ for the same digest."""

import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any

_PACKAGES = (
    "gguf",
    "huggingface-hub",
    "nltk",
    "numpy",
    "pyarrow",
    "safetensors",
    "tokenizers",
    "torch",
    "transformers",
    "wptools",
)
_UNKNOWN = "unknown"


def environment(
    device: str, seconds: Mapping[str, float], more: Sequence[str] = ()
) -> dict[str, Any]:
    """Package versions, machine, device, time and seconds per step, ready for JSON.

    `more` are packages beside those that can change a list.
    """
    return {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "device": device,
        "machine": platform.machine(),
        "packages": packages() | {name: _version(name) for name in more},
        "python": platform.python_version(),
        "seconds": dict(seconds),
    }


def packages() -> dict[str, str]:
    """Versions of the packages that can change a list."""
    return {name: _version(name) for name in _PACKAGES}


def is_installed(package: str) -> bool:
    """Whether a package is installed, by the name under which it is installed."""
    return _version(package) != _UNKNOWN


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return _UNKNOWN
