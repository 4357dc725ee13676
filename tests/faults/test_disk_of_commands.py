"""A disk that is full or read-only, where commands are typed: a sentence, and nothing half done."""

import logging
import subprocess
import sys
from pathlib import Path
from queue import Empty

import pytest
from celery import Celery

from annotation_site.workers import queue_files
from tests.e2e.site import ROOT, Site
from tests.faults.marks import ONCE
from tests.faults.small_disk import SmallDisk

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("faults-web"), ONCE]
STUDY = """
from tests.annotation_site.factories import assignment_of, make_study, submit
study = make_study(title="A study")
for number in range(1, 4):
    submit(assignment_of(study, number))
"""


@pytest.fixture
def disk(tmp_path: Path):
    disk = SmallDisk(tmp_path / "disk", "1m")
    yield disk
    disk.close()


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """A site at work, on a disk with room."""
    site = Site(tmp_path / "var", models=False)
    site.prepare()
    site.run(STUDY)
    bundle = site.folder / "bundles" / "one"
    bundle.mkdir(parents=True)
    (bundle / "vectors.parquet").write_bytes(b"\0" * 100_000)
    return site


def refused(site: Site, *arguments: str) -> str:
    """What a command says that fails: in words, not by a traceback."""
    ended = subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=ROOT, env=site.environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ended.returncode == 1, ended.stdout
    assert "Traceback" not in ended.stderr
    return ended.stderr


def rows(site: Site) -> int:
    return site.rows("SELECT count(*) FROM accounts_user")[0][0]


def test_commands_that_write_files_say_that_the_disk_is_full_and_leave_nothing(site, disk):
    filler = disk.fill()
    backup, export = disk.folder / "site.tar", disk.folder / "labels.jsonl"
    wanted = (
        ("backup", str(backup)),
        ("export", "a-study", "labels", "--out", str(export)),
    )
    for command in wanted:
        assert "No space left on device" in refused(site, *command)
        assert list(disk.folder.iterdir()) == [filler]
    filler.unlink()
    disk.grow("8m")
    for command in wanted:
        site.manage(*command)
    assert backup.stat().st_size > 100_000
    assert export.read_bytes().count(b"\n") == 3


def test_a_restore_into_a_full_disk_restores_nothing_until_there_is_room(site, disk, tmp_path):
    site.manage("backup", str(tmp_path / "site.tar"))
    new = Site(tmp_path / "new", models=False)
    new.prepare()
    new.environment["BUNDLES_DIR"] = str(disk.folder)
    filler = disk.fill()
    assert "No space left on device" in refused(new, "restore", str(tmp_path / "site.tar"))
    assert rows(new) == 0
    assert list(disk.folder.iterdir()) == [filler]
    filler.unlink()
    new.manage("restore", str(tmp_path / "site.tar"))
    assert rows(new) == rows(site)
    assert (disk.folder / "one" / "vectors.parquet").stat().st_size == 100_000


def test_a_database_on_a_full_disk_is_migrated_once_there_is_room(disk, tmp_path):
    site = Site(disk.folder / "var", models=False)
    filler = disk.fill()
    assert "disk is full" in refused(site, "migrate")
    filler.unlink()
    disk.grow("16m")
    site.manage("migrate", "--verbosity", "0")
    assert rows(site) == 0


def test_commands_say_that_the_folder_of_data_is_read_only(disk, tmp_path):
    disk.grow("64m")
    site = Site(disk.folder / "var", models=False)
    site.prepare()
    site.add_people(ada="admin")
    disk.set_read_only()
    out = str(tmp_path / "out")
    for command in (
        ("serve", "--port", "8400"),
        ("migrate",),
        ("createadmin", "ben"),
        ("tidy",),
        ("backup", out),
        ("export", "a-study", "labels", "--out", out),
    ):
        said = refused(site, *command)
        assert str(site.folder) in said, (command, said)
    assert not Path(out).exists()
    doctor = subprocess.run(
        [sys.executable, "manage.py", "doctor"],
        cwd=ROOT, env=site.environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (doctor.returncode, doctor.stderr.count("Traceback")) == (1, 0)
    assert "cannot be written: Read-only file system" in doctor.stdout


def test_a_queue_on_a_read_only_disk_ends_neither_requests_nor_workers(disk, caplog):
    from kombu.exceptions import OperationalError

    folder = disk.folder / "queue" / "messages"
    app = Celery(
        "a test",
        broker="filesystem://localhost//",
        broker_transport=f"{queue_files.__name__}:Transport",
    )
    app.conf.update(broker_transport_options={"folder": str(folder)}, task_publish_retry=False)
    app.send_task("one")
    disk.set_read_only()
    with pytest.raises(OperationalError, match="Read-only file system"):  # what `send` expects
        app.send_task("two")
    queue_files._refusal = ""
    with app.connection_for_read() as connection, caplog.at_level(logging.WARNING):
        for _ in range(3):
            with pytest.raises(Empty):
                connection.default_channel._get("celery")
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    disk.grow("2m")
    subprocess.run(["mount", "-o", "remount,rw", str(disk.folder)], check=True)
    with app.connection_for_read() as connection:
        assert connection.default_channel._get("celery")["headers"]["task"] == "one"
