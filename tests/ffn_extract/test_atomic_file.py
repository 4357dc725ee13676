"""A file that appears under its name when it is whole, or not at all."""

import os
import signal
import stat
from concurrent.futures import ThreadPoolExecutor

import pytest

from ffn_extract.atomic_file import atomic_file
from tests.ffn_extract.fresh_process import run_code

KILLED = """
import os, pathlib, signal, sys
from ffn_extract.atomic_file import atomic_file
with atomic_file(pathlib.Path(sys.argv[1])) as file:
    file.write(b"half")
    file.flush()
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "table.csv"
    path.write_bytes(b"old")
    return path


def test_a_file_is_replaced_when_it_is_whole(path):
    with atomic_file(path) as file:
        file.write(b"new, ")
        file.flush()
        assert path.read_bytes() == b"old"
        file.write(b"and whole")
        file.seek(0)
        assert file.read() == b"new, and whole"
    assert path.read_bytes() == b"new, and whole"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("reason", [OSError, KeyboardInterrupt])
def test_after_a_failure_the_old_file_is_there_and_nothing_else(path, reason):
    with pytest.raises(reason), atomic_file(path) as file:  # noqa: PT012
        file.write(b"half")
        raise reason
    assert path.read_bytes() == b"old"
    assert list(path.parent.iterdir()) == [path]


def test_a_killed_process_leaves_the_old_file_whole(path):
    killed = run_code(KILLED, path, environment=os.environ)
    assert killed.returncode == -signal.SIGKILL
    assert path.read_bytes() == b"old"
    (left,) = set(path.parent.iterdir()) - {path}
    assert (left.suffix, left.read_bytes()) == (".part", b"half")


def test_the_content_is_on_disk_before_the_file_has_its_name(path, monkeypatch):
    steps = []
    fsync = os.fsync

    def recorded(handle):
        steps.append(path.read_bytes())
        fsync(handle)

    monkeypatch.setattr(os, "fsync", recorded)
    with atomic_file(path) as file:
        file.write(b"new")
    with atomic_file(path, durable=False) as file:
        file.write(b"newer")
    assert steps == [b"old"]
    assert path.read_bytes() == b"newer"


@pytest.mark.parametrize(("asked", "mode"), [({}, 0o640), ({"mode": 0o600}, 0o600)])
def test_the_mode_is_that_asked_for_from_the_beginning(path, asked, mode):
    before = os.umask(0o027)
    try:
        with atomic_file(path, **asked) as file:
            assert stat.S_IMODE(os.fstat(file.fileno()).st_mode) == mode
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == mode


def test_writers_at_the_same_time_leave_one_whole_file(path):
    def write(number):
        with atomic_file(path, durable=False) as file:
            for _ in range(100):
                file.write(b"%d" % number * 100)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(write, range(8)))
    assert path.read_bytes() in {b"%d" % number * 10_000 for number in range(8)}
    assert list(path.parent.iterdir()) == [path]
