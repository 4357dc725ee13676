"""Memory that is free on this machine."""

from pathlib import Path


def free_bytes() -> int | None:
    """Bytes that processes can have without swapping; None where the system does not say."""
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError, IndexError):
        pass
    return None
