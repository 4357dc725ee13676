"""The kernel under the compiler's sanitizers: addresses, undefined behaviour, races of threads."""

import subprocess
from pathlib import Path

import pytest

from ffn_extract.projection.native.building import SOURCE, compiler
from tests.ffn_extract.projection.kernels import require_compiler

DRIVER = Path(__file__).with_name("sanitized.cpp")


@pytest.mark.parametrize("sanitizer", ["address,undefined", "thread"])
def test_nothing_out_of_bounds_undefined_or_raced_for(sanitizer, tmp_path):
    require_compiler()
    flags = ["-std=c++17", "-O1", "-g", "-pthread", "-ffp-contract=off"]
    flags += [f"-fsanitize={sanitizer}", "-fno-sanitize-recover=all", f"-I{SOURCE.parent}"]
    driver = tmp_path / "driver"
    subprocess.run([*(compiler() or ()), *flags, "-o", str(driver), str(DRIVER)], check=True)
    ended = subprocess.run([str(driver)], capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout + ended.stderr[-4000:]
    assert int(ended.stdout.split()[0]) >= 9  # of one path at least
