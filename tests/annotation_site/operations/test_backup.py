"""A backup of a site at work, restored into another one."""

import atexit
import functools
import json
import shutil
import tarfile
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.e2e.annotators import Annotator, people_of
from tests.e2e.site import Site, database_of_its_own, wait_for
from tests.faults.bookkeeping import at_work, require_nothing_lost_or_double

# Every kind of row that people make, with times and texts that must come back as they were.
WORLD = """
import uuid
from django.utils import timezone
from annotation_site.annotation.work import submissions
from annotation_site.annotation.models import *
from annotation_site.results.snapshots.services import snapshot_refresh_now
from tests.annotation_site.factories import *
study = make_study(title="Bäckup — ☃", consent="We keep **it**.")
for row in Assignment.objects.filter(position__lte=3).select_related("membership__user"):
    submissions.draft_save(user=row.membership.user, public_id=row.public_id, base_version=0,
        content={"annotation": answer(pattern(1, [1, 2]))}, active_seconds=3)
    submissions.assignment_submit(user=row.membership.user, public_id=row.public_id,
        base_version=1, key=uuid.uuid4(), annotation=answer(pattern(1, [1, 2, 3, 4, 5])),
        active_seconds=7)
make_invitation()
make_measurement()
"""
# All rows of all models, as text: what must be equal before and after.
ROWS = """
import gzip, json
from pathlib import Path
from annotation_site.operations import backup
found = {}
for model in backup._models():
    with backup._rows_file(model, Path('.')) as (file, count):
        found[model._meta.label] = gzip.decompress(file.read()).decode().splitlines()
print(json.dumps(found))
"""


def rows(site: Site) -> dict[str, list[str]]:
    printed = site.run(ROWS).splitlines()[-1]
    return json.loads(printed)


def bring_people_and_work(site: Site) -> None:
    if "DATABASE_URL" in site.environment:
        site.run(WORLD)
    else:
        shutil.copytree(site_at_work(), site.folder, dirs_exist_ok=True)


@functools.cache
def site_at_work() -> Path:
    """The folder of such a site on SQLite: made once, to be copied."""
    folder = Path(tempfile.mkdtemp(prefix="ffn-concepts-at-work-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    site = Site(folder / "var", models=False)
    site.prepare()
    site.run(WORLD)
    return site.folder


@pytest.fixture
def empty_sites(tmp_path: Path) -> Iterator[tuple[Site, Site]]:
    """Two with nobody in them; on SQLite or, with services, PostgreSQL."""
    with ExitStack() as stack:
        sites = []
        for name in ("old", "new"):
            site = Site(tmp_path / name, models=False)
            stack.enter_context(database_of_its_own(site.environment))
            site.prepare()
            sites.append(site)
        yield sites[0], sites[1]


@pytest.fixture
def two_sites(empty_sites: tuple[Site, Site]) -> tuple[Site, Site]:
    """One with people and work in it, and an empty one."""
    old, new = empty_sites
    bring_people_and_work(old)
    bundle = old.folder / "bundles" / "one"
    bundle.mkdir(parents=True)
    (bundle / "vectors.parquet").write_bytes(b"the bytes of a bundle")
    return old, new


def test_a_restored_site_has_every_row_and_file(two_sites, tmp_path):
    old, new = two_sites
    file = tmp_path / "site.tar"
    before = rows(old)
    assert len(before["annotation.Revision"]) == 7  # the names of the fields, and six of them
    assert len(before["measurements.MeasurementContent"]) == 3  # of two files
    old.manage("backup", str(file))
    new.manage("restore", str(file))
    assert rows(new) == before
    assert (new.folder / "bundles/one/vectors.parquet").read_bytes() == b"the bytes of a bundle"
    # What is made next does not collide with what was restored.
    later = (
        "UserFactory(username='later')\n"
        "Guidelines.objects.create(study=Study.objects.get(), version=9)"
    )
    new.run(
        "from tests.annotation_site.factories import *\n"
        f"from annotation_site.annotation.models import *\n{later}",
    )


@pytest.mark.long
def test_sqlite_moves_to_another_database_with_equal_exports(two_sites, tmp_path):
    """The other database is PostgreSQL where the services are there, else SQLite again."""
    _, other = two_sites
    old = Site(tmp_path / "sqlite", models=False)
    bring_people_and_work(old)
    file = tmp_path / "site.tar"
    old.manage("backup", str(file))
    other.manage("restore", str(file))
    slug = old.query("Study.objects.get().slug")
    tables = []
    for site in (old, other):
        site.manage("export", slug, "coverage", "--out", str(site.folder / "out.csv"))
        tables.append((site.folder / "out.csv").read_bytes())
    assert tables[0] == tables[1]
    assert tables[0].count(b"\n") > 3


def test_people_go_on_working_and_the_backup_is_of_one_moment(two_sites, tmp_path):
    old, new = two_sites
    begun, stop = threading.Event(), threading.Event()
    faults: list[str] = []

    def work() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            try:
                # Two rows that belong together: a backup has both or neither.
                old.run(
                    "from django.db import transaction\n"
                    "from annotation_site.annotation.models import *\n"
                    "s = Study.objects.first()\n"
                    "with transaction.atomic():\n"
                    f"    Guidelines.objects.create(study=s, version={100 + number}, text='x')\n"
                    f"    ConsentText.objects.create(study=s, version={100 + number}, text='x')\n",
                )
            except AssertionError as error:
                faults.append(str(error))
            begun.set()

    worker = threading.Thread(target=work)
    worker.start()
    try:
        assert begun.wait(120)
        files = [tmp_path / f"{n}.tar" for n in range(3)]
        for file in files:
            old.manage("backup", str(file))
    finally:
        stop.set()
        worker.join()
    assert faults == []
    new.manage("restore", str(files[-1]))
    restored = rows(new)
    pairs = [
        {json.loads(line)[2] for line in restored[f"annotation.{name}"][1:]}
        for name in ("Guidelines", "ConsentText")
    ]
    assert pairs[0] == pairs[1]
    assert 101 in pairs[0]


def test_each_submission_acknowledged_before_a_backup_began_is_in_it(empty_sites, tmp_path):
    """People submit all the time."""
    old, new = empty_sites
    people = people_of(old, 2, lists_per_layer=5)
    old.start_web()
    annotators = [Annotator(("127.0.0.1", old.port), session) for session, *_ in people]

    def acknowledged() -> set[str]:
        lists = [own for annotator in annotators for own in list(annotator.lists.values())]
        return {key for own in lists for key, _ in list(own.submissions)}

    file = tmp_path / "site.tar"
    try:
        with at_work(annotators, people):
            wait_for(lambda: len(acknowledged()) > 4, old.said)
            before = acknowledged()
            old.manage("backup", str(file))
            wait_for(lambda: acknowledged() - before, old.said)
        assert require_nothing_lost_or_double(old, annotators)
    finally:
        old.kill()
    new.manage("restore", str(file))
    kept = new.query("list(Revision.objects.values_list('key', flat=True))")
    assert before <= set(kept) <= acknowledged()
    assert len(kept) == len(set(kept))
    # What is counted is each list's last answer of that moment, in the files too.
    submitted = new.query("Assignment.objects.filter(state='submitted').count()")
    out = new.folder / "labels.jsonl"
    new.manage("export", new.query("Study.objects.get().slug"), "labels", "--out", str(out))
    assert out.read_bytes().count(b"\n") == submitted > 0


def damaged(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 255
    file.write_bytes(data)


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:20_000])


def of_another_version(file: Path) -> None:
    with tarfile.open(file) as archive:
        members = [(m, archive.extractfile(m).read()) for m in archive]
    with tarfile.open(file, "w") as archive:
        for member, data in members:
            changed = data.replace(b'"0001_initial"', b'"0001_another"', 1)
            member.size = len(changed)
            file_part = file.with_suffix(".part")
            file_part.write_bytes(changed)
            with file_part.open("rb") as opened:
                archive.addfile(member, opened)


SPOILED = {
    damaged: "is damaged|is no whole backup",
    cut: "is no whole backup",
    of_another_version: "was made by another version of the site",
}


def test_what_is_no_whole_backup_of_this_version_changes_nothing(two_sites, tmp_path):
    old, new = two_sites
    whole, file = tmp_path / "whole.tar", tmp_path / "site.tar"
    old.manage("backup", str(whole))
    before = rows(new)
    for spoil, sentence in SPOILED.items():
        shutil.copy(whole, file)
        spoil(file)
        with pytest.raises(AssertionError, match=sentence):
            new.manage("restore", str(file))
    assert rows(new) == before
    assert not (new.folder / "bundles" / "one").exists()


def test_a_database_with_people_is_not_overwritten_nor_a_file(two_sites, tmp_path):
    old, _ = two_sites
    file = tmp_path / "site.tar"
    old.manage("backup", str(file))
    with pytest.raises(AssertionError, match="There are people in this database already"):
        old.manage("restore", str(file))
    with pytest.raises(AssertionError, match="a backup is never overwritten"):
        old.manage("backup", str(file))
