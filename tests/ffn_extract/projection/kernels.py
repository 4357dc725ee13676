"""The kernel's paths that tests can take on this processor."""

import os
import platform

import pytest

from ffn_extract.projection.native.building import PROCESSORS, compiler
from ffn_extract.projection.native.library import loaded, possible_paths
from ffn_extract.projection.native.processors import Path


def require_path(path: Path) -> None:
    """Skip a test of instructions that this processor lacks; in CI the kernel must be there."""
    if loaded().library is None:
        reason = f"There is no kernel: {loaded().reason}. Run ffn-extract compile-kernel."
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    if path not in possible_paths():
        pytest.skip(f"This processor cannot run {path.name}.")


def require_compiler() -> None:
    """Skip a test that compiles where that cannot be; in CI there must be a compiler."""
    if platform.machine() not in PROCESSORS:
        pytest.skip(f"The kernel is not for {platform.machine()}.")
    if compiler() is None:
        if os.environ.get("CI") == "true":
            pytest.fail("CI has a C++ compiler.")
        pytest.skip("There is no C++ compiler.")
