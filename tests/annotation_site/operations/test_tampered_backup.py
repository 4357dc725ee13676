"""Backups that somebody changed: a sentence, nothing outside, nothing half restored."""

import gzip
import hashlib
import io
import json
import os
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from annotation_site.accounts.models import User
from annotation_site.operations import backup
from tests.annotation_site.factories import UserFactory
from tests.annotation_site.older_version import FOLDER, OLDER, older_version_read

pytestmark = pytest.mark.django_db
BUNDLE = "bundles/one/vectors.parquet"
Members = list[tuple[tarfile.TarInfo, bytes]]


@pytest.fixture
def site(settings, tmp_path: Path) -> Path:
    """An empty folder of data with a backup beside it: `site.tar`, with a person and a bundle."""
    settings.VAR_DIR = tmp_path / "site" / "var"
    settings.BUNDLES_DIR = settings.VAR_DIR / "bundles"
    bundle = settings.BUNDLES_DIR / "one"
    bundle.mkdir(parents=True)
    (bundle / "vectors.parquet").write_bytes(b"the bytes of a bundle")
    UserFactory()
    backup.backup_write(tmp_path / "site.tar")
    User.objects.all().delete()
    (bundle / "vectors.parquet").unlink()
    bundle.rmdir()
    return tmp_path


def rewritten(path: Path, change: Callable[[Members], Members]) -> None:
    """The backup with other members, and with digests that fit: those are no signature."""
    with tarfile.open(path) as archive:
        members = [(one, archive.extractfile(one).read()) for one in archive]
    manifest = json.loads({m.name: data for m, data in members}["manifest.json"])
    members = change(members)
    manifest["sha256"] = {
        member.name: hashlib.sha256(data).hexdigest()
        for member, data in members
        if member.name != "manifest.json"
    }
    with tarfile.open(path, "w", format=tarfile.GNU_FORMAT) as archive:
        for member, data in members:
            if member.name == "manifest.json":
                data = json.dumps(manifest).encode()
            if member.isreg() and not member.issparse():
                member.size = len(data)
            archive.addfile(member, io.BytesIO(data))


def named(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, link
    return member


def added(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> Callable[[Members], Members]:
    return lambda members: [*members, (named(name, kind, link), b"")]


def another_row(line: bytes) -> Callable[[Members], Members]:
    def change(members: Members) -> Members:
        return [
            (member, gzip.compress(gzip.decompress(data) + line))
            if member.name == "rows/accounts.user.jsonl.gz"
            else (member, data)
            for member, data in members
        ]

    return change


def columns(names: list[str]) -> Callable[[Members], Members]:
    line = json.dumps(names).encode() + b"\n"
    return lambda members: [
        (m, gzip.compress(line) if m.name == "rows/accounts.user.jsonl.gz" else data)
        for m, data in members
    ]


def without(name: str) -> Callable[[Members], Members]:
    return lambda members: [one for one in members if one[0].name != name]


def manifest_of(text: bytes) -> Callable[[Path], None]:
    def spoil(path: Path) -> None:
        with tarfile.open(path, "w") as archive:
            member = named("manifest.json")
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text))

    return spoil


TAMPERED: dict[str, Callable[[Members], Members]] = {
    "a way out": added("bundles/../../../../pwned"),
    "a way out of the rows": added("rows/../../pwned"),
    "an absolute name": added("/tmp/pwned-by-a-backup"),
    "a name that is not plain": added("bundles//one/./x"),
    "a symbolic link": added("bundles/link", tarfile.SYMTYPE, "/etc"),
    "a hard link": added("bundles/hard", tarfile.LNKTYPE, BUNDLE),
    "a device": added("bundles/zero", tarfile.CHRTYPE),
    "a pipe": added("bundles/pipe", tarfile.FIFOTYPE),
    "a folder": added("bundles/folder", tarfile.DIRTYPE),
    "a file twice": lambda members: [*members, next(m for m in members if m[0].name == BUNDLE)],
    "a manifest twice": added("manifest.json"),
    "a file of nothing": added("rows/other.jsonl.gz"),
    "a table that is missing": without("rows/accounts.user.jsonl.gz"),
    "a row that is no row": another_row(b'{"a": 1}\n'),
    "a row of other types": another_row(b'["x", null, []]\n'),
    "columns that are not there": columns(["nothing"]),
    "columns that are none": columns([]),
}
MANIFESTS = {
    "a list": b"[]",
    "other parts": b'{"sha256": [], "format": 1}',
    "deep": b'{"a":' * 100_000,
    "no JSON": b"\xff\xfe",
}


def require_nothing_done(folder: Path, before: set[Path]) -> None:
    assert not User.objects.exists()
    assert set(folder.rglob("*")) == before


@pytest.mark.parametrize("how", TAMPERED)
def test_a_tampered_backup_is_refused_in_a_sentence(site, how):
    file = site / "site.tar"
    rewritten(file, TAMPERED[how])
    before = set(site.rglob("*"))
    with pytest.raises(CommandError, match=r"no backup of this site|no whole backup|Nothing was"):
        call_command("restore", file)
    require_nothing_done(site, before)
    assert not os.path.lexists("/tmp/pwned-by-a-backup")


@pytest.mark.parametrize("how", MANIFESTS)
def test_a_manifest_that_is_none_is_refused_in_a_sentence(site, how):
    manifest_of(MANIFESTS[how])(site / "site.tar")
    before = set(site.rglob("*"))
    with pytest.raises(CommandError, match="no whole backup"):
        call_command("restore", site / "site.tar")
    require_nothing_done(site, before)


def test_a_file_of_holes_is_refused_before_it_is_read(site):
    """200 bytes in the backup that stand for 8 TB of zeros."""
    file = site / "site.tar"
    huge = named("bundles/holes", tarfile.GNUTYPE_SPARSE)
    header = bytearray(huge.tobuf(tarfile.GNU_FORMAT))
    header[386:410] = tarfile.itn(0, 12) + tarfile.itn(0, 12)  # one piece: nothing at 0
    header[483:495] = tarfile.itn(8 * 10**12, 12, tarfile.GNU_FORMAT)
    header[148:156] = b"        "
    header[148:156] = b"%06o\0 " % sum(header)
    file.write_bytes(bytes(header) + file.read_bytes())
    with tarfile.open(file) as archive:
        assert archive.next().size == 8 * 10**12
    with pytest.raises(CommandError, match="'bundles/holes' has no place in one"):
        call_command("restore", file)


@pytest.mark.parametrize("name", OLDER)
def test_a_backup_of_an_older_version_is_refused_and_says_how_to_upgrade(site, name):
    made = older_version_read(FOLDER / f"{name}.json.gz")
    text = json.dumps({"format": 1, "migrations": sorted(made["migrations"]), "sha256": {}})
    manifest_of(text.encode())(site / "site.tar")
    before = set(site.rglob("*"))
    with pytest.raises(CommandError, match="Restore it with that version, then upgrade"):
        call_command("restore", site / "site.tar")
    require_nothing_done(site, before)


def test_another_bundle_of_the_same_name_is_not_passed_over_in_silence(site, settings):
    there = settings.BUNDLES_DIR / "one" / "vectors.parquet"
    there.parent.mkdir()
    there.write_bytes(b"another bundle's bytes")
    with pytest.raises(CommandError, match="is another file than that of the backup"):
        call_command("restore", site / "site.tar")
    assert not User.objects.exists()
    there.write_bytes(b"the bytes of a bundle")  # its own, as after a restore that was cut short
    call_command("restore", site / "site.tar")
    assert User.objects.count() == 1


def test_bundles_go_again_where_the_database_takes_no_rows(site, settings, monkeypatch):
    def fails() -> None:
        from django.db import OperationalError

        raise OperationalError("database or disk is full")

    monkeypatch.setattr(backup, "_sequences_reset", fails)
    before = set(site.rglob("*"))
    with pytest.raises(CommandError, match=r"full\. Nothing was restored"):
        call_command("restore", site / "site.tar")
    require_nothing_done(site, before)
