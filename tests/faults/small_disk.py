"""A disk that is nearly full: a file system in memory, of so many bytes, which can grow."""

import subprocess
from pathlib import Path

import pytest


class SmallDisk:
    """Mounted at `folder` until `close`. Skips the test where nothing may be mounted."""

    def __init__(self, folder: Path, size: str) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={size},mode=0700", "tmpfs", str(folder)],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if mounted.returncode:
            pytest.skip(f"A small disk needs the right to mount one: {mounted.stderr.strip()}")

    def grow(self, size: str) -> None:
        """What an operator does about it."""
        options = f"remount,size={size}"
        subprocess.run(["mount", "-o", options, str(self.folder)], check=True)

    def set_read_only(self) -> None:
        """As a disk with errors is, or one that was mounted so."""
        subprocess.run(["mount", "-o", "remount,ro", str(self.folder)], check=True)

    def fill(self) -> Path:
        """Use up every byte that is left; returns the file that does."""
        filler = self.folder / "filler"
        with filler.open("wb", buffering=0) as file:
            for piece in (1 << 20, 1 << 12, 1):
                try:
                    while file.write(b"\0" * piece) == piece:
                        pass
                except OSError:
                    continue
        return filler

    def close(self) -> None:
        subprocess.run(["umount", "--lazy", str(self.folder)], check=True)
