"""Half-written files in `var/`, as a power cut leaves them: swept or passed over, never served."""

import os
import subprocess
import sys
import time
import uuid

import pytest

from annotation_site.corpus import extraction_runs, services
from annotation_site.corpus.models import Extraction
from annotation_site.errors import NotFound
from annotation_site.results.files.downloads import export_download
from annotation_site.results.files.jobs import export_request, file_path
from annotation_site.results.models import ExportJob
from ffn_extract.options import ExtractOptions
from tests.annotation_site.factories import make_study
from tests.e2e.site import ROOT, wait_for
from tests.faults.marks import ONCE
from tests.faults.running_site import ASKED

pytestmark = [pytest.mark.xdist_group("faults-workers")]


@ONCE
@pytest.mark.long
def test_a_site_starts_and_works_among_what_a_power_cut_left(stopped_site):
    folder = stopped_site.folder
    queue = folder / "queue"
    exports = folder / "exports"
    incoming = folder / "bundles" / ".incoming"
    for made in (queue / "messages", queue / "control", exports, incoming):
        made.mkdir(parents=True, exist_ok=True)
    (queue / "control" / "celery.exchange").write_text('[["cel')
    (queue / "messages" / f"1_{uuid.uuid4()}.celery.msg").write_text('{"body": "W1')
    (queue / "messages" / f"2_{uuid.uuid4()}.celery.msg").write_bytes(b"")
    strays = [
        exports / f"{uuid.uuid4()}-{uuid.uuid4()}.zip.part",
        exports / f"{uuid.uuid4()}-{uuid.uuid4()}.zip",
        incoming / "tmp12345678",
    ]
    for stray in strays:
        stray.write_bytes(b"PK\x03\x04 half of it")
    yesterday = time.time() - 25 * 3600
    os.utime(strays[-1], (yesterday, yesterday))
    (folder / "static" / "collected").unlink()  # the copying of static files was cut short

    stopped_site.start()
    stopped_site.run(ASKED)
    job = "SELECT state, attempts, error FROM results_exportjob"
    wait_for(lambda: stopped_site.rows(job) == [("ready", 1, "")], stopped_site.said)
    wait_for(lambda: not any(stray.exists() for stray in strays), stopped_site.said)
    # A sweep may have sent a message just now; it is taken as well.
    wait_for(lambda: not list((queue / "messages").glob("*.msg")), stopped_site.said)
    assert "again and again" not in stopped_site.log.read_text()
    assert "was ended by" not in stopped_site.log.read_text()


@pytest.mark.django_db
@pytest.mark.parametrize("state", ["due", "running", "failed", "expired"])
def test_a_file_of_an_export_that_is_not_ready_is_never_handed_out(settings, tmp_path, state):
    settings.EXPORTS_DIR = tmp_path
    study = make_study()
    researcher = study.memberships.get(role="researcher").user
    job = export_request(study=study, content="archive", with_names=False, by=researcher)
    ExportJob.objects.filter(pk=job.pk).update(state=state, claim=uuid.uuid4())
    job.refresh_from_db()
    file_path(job).write_bytes(b"PK\x03\x04 half of it")
    with pytest.raises(NotFound):
        export_download(job=job, by=researcher)


@pytest.mark.django_db
def test_what_a_killed_run_left_of_its_bundle_goes_with_the_next(settings, tmp_path, tiny_model):
    settings.BUNDLES_DIR = tmp_path / "bundles"
    settings.MODELS_DIR = tmp_path / "models"
    settings.MODELS_DIR.mkdir()
    (settings.MODELS_DIR / "tiny").symlink_to(tiny_model("bert"))
    options = ExtractOptions(kinds=("value",), per_layer=2, top_k=5, glosses=())
    extraction, other = (
        services.extraction_enqueue(model_source="tiny", options=options) for _ in range(2)
    )
    half, whole = (
        settings.BUNDLES_DIR / name
        for name in (f".{extraction.public_id}.abcd.partial", str(extraction.public_id))
    )
    of_another = settings.BUNDLES_DIR / f".{other.public_id}.abcd.partial"
    for folder in (half, whole, of_another):  # `whole` has its name and not its manifest
        folder.mkdir(parents=True)
        (folder / "vectors.parquet").write_bytes(b"PAR1 half of it")
    extraction_runs.extraction_work(extraction_id=extraction.pk)
    extraction.refresh_from_db()
    assert (extraction.state, extraction.error) == (Extraction.State.READY, "")
    assert not half.exists()
    assert of_another.exists()  # somebody may be writing it
    services.extraction_cancel(extraction=other)
    assert not of_another.exists()


@ONCE
def test_the_lock_of_a_killed_command_holds_nobody_up(tmp_path, tiny_model):
    out = tmp_path / "bundle"
    (tmp_path / ".bundle.lock").write_bytes(b"")
    (tmp_path / ".bundle.abcd.partial").mkdir()
    subprocess.run(
        [sys.executable, "-m", "ffn_extract", "extract", str(tiny_model("bert")), "--out", str(out),
         "--kinds", "value", "--per-layer", "2", "--top-k", "5", "--glosses", "none"],
        cwd=ROOT, check=True, capture_output=True,
    )  # fmt: skip
    assert (out / "manifest.json").exists()
