"""The disk is full: each says so in a sentence, keeps nothing half-done, and works with room again.

Where nothing may be mounted, a limit on the size of files stands in for the disk (commands only).
"""

import resource
import subprocess
import sys

import pytest

from annotation_site.accounts.models import Role
from annotation_site.annotation.models import Membership
from annotation_site.corpus import extraction_runs, services
from annotation_site.corpus.models import Extraction
from annotation_site.results.files import jobs
from annotation_site.results.models import ExportJob
from ffn_extract.options import ExtractOptions
from tests.annotation_site.corpus.bundles import contents, left_behind, make_bundle, send
from tests.annotation_site.factories import (
    UserFactory,
    assignment_of,
    client_of,
    make_extraction,
    make_study,
    submit,
)
from tests.e2e.annotators import Annotator, people_of
from tests.e2e.site import ROOT, Site, wait_for
from tests.faults.bookkeeping import at_work, require_nothing_lost_or_double
from tests.faults.marks import ONCE
from tests.faults.small_disk import SmallDisk

pytestmark = [pytest.mark.xdist_group("faults-web")]
FULL = "No space left on device"
PEOPLE = 2


@pytest.fixture
def disk(tmp_path):
    disk = SmallDisk(tmp_path / "disk", "16k")
    yield disk
    disk.close()


@pytest.mark.django_db
def test_an_extraction_says_that_the_disk_is_full_and_goes_on_with_room(
    disk,
    settings,
    tmp_path,
    tiny_model,
):
    settings.BUNDLES_DIR = disk.folder
    settings.MODELS_DIR = tmp_path / "models"
    settings.MODELS_DIR.mkdir()
    (settings.MODELS_DIR / "tiny").symlink_to(tiny_model("bert"))
    options = ExtractOptions(kinds=("value",), per_layer="all", top_k=5, glosses=())
    disk.fill()
    extraction = services.extraction_enqueue(model_source="tiny", options=options)
    worked_on(extraction)
    assert extraction.state == Extraction.State.FAILED
    assert FULL in extraction.error
    assert str(extraction.error).endswith(f"{FULL}.")
    assert not [path for path in disk.folder.rglob("*") if path.suffix in (".partial", ".parquet")]

    disk.grow("16m")
    services.extraction_retry(extraction=extraction)
    worked_on(extraction)
    assert (extraction.state, extraction.error) == (Extraction.State.READY, "")


def worked_on(extraction: Extraction) -> None:
    for _ in range(10):
        extraction_runs.extraction_work(extraction_id=extraction.pk)
        extraction.refresh_from_db()
        if not extraction.is_unfinished:
            break


@pytest.mark.django_db
@pytest.mark.parametrize("content", jobs.CONTENTS)
def test_an_export_says_that_the_disk_is_full_and_is_written_with_room(disk, settings, content):
    settings.EXPORTS_DIR = disk.folder
    filler = disk.fill()
    study = make_study(extraction=make_extraction(layers=1, per_layer=1), lists_per_layer=1)
    submit(assignment_of(study))
    researcher = study.memberships.get(role=Membership.Role.RESEARCHER).user

    def asked() -> ExportJob:
        return jobs.export_request(study=study, content=content, with_names=False, by=researcher)

    job = asked()
    with pytest.raises(OSError, match=FULL):
        jobs.export_run(job_id=job.pk)
    job.refresh_from_db()
    assert job.state == ExportJob.State.FAILED
    assert f"The server cannot write its files: {FULL}. Free disk space" in job.error
    assert list(disk.folder.iterdir()) == [filler]

    disk.grow("16m")
    job = asked()
    jobs.export_run(job_id=job.pk)
    job.refresh_from_db()
    assert job.state == ExportJob.State.READY
    assert jobs.file_path(job).stat().st_size == job.size


@pytest.mark.django_db
def test_an_upload_is_refused_while_the_disk_is_full_and_taken_with_room(disk, settings, tmp_path):
    settings.BUNDLES_DIR = disk.folder / "bundles"
    admin = client_of(UserFactory(role=Role.ADMIN))
    files = contents(make_bundle(tmp_path / "made"))
    filler = disk.fill()
    filler.write_bytes(filler.read_bytes()[: -2 * 4096])  # room for the folders, not for the files
    response = send(admin, files)
    assert response.status_code == 422
    assert (
        f"The server cannot store the upload: {FULL}. Free disk space there, then"
        in response.content.decode()
    )
    assert left_behind(settings.BUNDLES_DIR) == []
    assert not Extraction.objects.exists()

    disk.grow("16m")
    assert send(admin, files).status_code == 302
    extraction = Extraction.objects.get()
    extraction_runs.extraction_work(extraction_id=extraction.pk)
    extraction.refresh_from_db()
    assert extraction.state == Extraction.State.READY


@ONCE
def test_people_are_told_while_the_sites_own_disk_is_full_and_nothing_is_lost(tmp_path):
    """Database, queue and files on one disk, as the embedded default has them."""
    disk = SmallDisk(tmp_path / "disk", "64m")
    site = Site(disk.folder / "var", models=False)
    try:
        site.prepare()
        people = people_of(site, PEOPLE, lists_per_layer=5)
        site.log = tmp_path / "serve.log"
        site.start_web()
        annotators = [Annotator(("127.0.0.1", site.port), session) for session, *_ in people]
        with at_work(annotators, people):
            wait_for(lambda: sum(a.acknowledged for a in annotators) > 5 * PEOPLE)
            filler = disk.fill()
            wait_for(lambda: all(a.told_to_wait for a in annotators), site.said)
            filler.unlink()
            before = sum(a.acknowledged for a in annotators)
            wait_for(lambda: sum(a.acknowledged for a in annotators) > before + 5 * PEOPLE)
        assert require_nothing_lost_or_double(site, annotators)
    finally:
        if site.process is not None:
            site.kill()
        disk.close()


@ONCE
def test_the_command_says_that_a_file_cannot_be_written_and_leaves_nothing(
    tmp_path,
    tiny_model,
):
    out = tmp_path / "out" / "bundle"
    command = [
        sys.executable, "-m", "ffn_extract", "extract", str(tiny_model("bert")), "--out", str(out),
        "--kinds", "value", "--per-layer", "3", "--top-k", "5", "--glosses", "none",
    ]  # fmt: skip

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))

    ended = subprocess.run(
        command, cwd=ROOT, preexec_fn=limit, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 1
    assert f"Cannot write the bundle to {out}: File too large." in ended.stderr
    assert "Traceback" not in ended.stderr
    assert list(out.parent.iterdir()) == []
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    assert (out / "manifest.json").exists()
