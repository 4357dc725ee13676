"""Workers are killed in every step of what they do, and servers with all their children."""

import contextlib
import hashlib
import json
import os
import signal
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from ffn_extract.options import ExtractOptions
from tests.e2e.site import MODEL, ROOT, Site, answers, demo_model, some_port, wait_for
from tests.faults.cluster import COMPUTING, EXTRACTING, Cluster
from tests.faults.running_site import belongs_to, workers

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("faults-workers")]
ARGUMENTS = ("--kinds", "value,random", "--per-layer", "40", "--glosses", "none")


# Where a worker is killed while it extracts, in the order of the steps: see tests/faults/dying.py.
IN_AN_EXTRACTION = {
    "reading": "ffn_extract.pipeline:open_vocabulary:1",
    "projecting": "ffn_extract.projection.projector:_scaled:1",
    "glosses": "ffn_extract.run:TokenRow:100",
    "writing": "ffn_extract.bundle.writing:_record:2",  # both files are there, no manifest yet
    "loading tokens": "annotation_site.corpus.loading:_token:1200",
    "loading vectors": "annotation_site.corpus.loading:_vector:20",
}
IN_AN_IMPORT = "annotation_site.corpus.loading:_vector:30"
IN_A_SNAPSHOT = "annotation_site.results.snapshots.computation:_plans:1"
IN_AN_EXPORT = "annotation_site.exports.archive:_info:5"  # four files of the archive are there
OPTIONS = {"kinds": ("value", "random"), "per_layer": 5, "glosses": ()}
LISTS = 2 * 6 * 5
OTHERS, LISTS_OF_OTHERS = "model", 3 * 2 * 2  # of the study that is there already
PATIENCE = 400  # seconds: ten processes start here, nine of them at once
UPLOADED_SEED = 100
BEGUN = """
import shutil, tempfile
from pathlib import Path
from annotation_site.corpus.importing import upload_staged, upload_take
from annotation_site.corpus.receiving import incoming_folder
from annotation_site.corpus.services import extraction_enqueue
from annotation_site.corpus.tasks import extraction_work
from annotation_site.results.files.jobs import export_request
from annotation_site.results.snapshots.services import snapshot_request
from annotation_site.results.tasks import export_write, snapshot_compute_due
from ffn_extract.options import ExtractOptions
from tests.annotation_site.factories import make_extraction, make_study, submit
study = make_study(annotators=2, lists_per_layer=2, extraction=make_extraction(per_layer=2))
for assignment in list(study.memberships.filter(role="annotator").first().assignments.all()):
    submit(assignment)
researcher = study.memberships.get(role="researcher").user
tasks = []
for seed in range({extractions}):
    options = ExtractOptions(seed=seed, **{options})
    tasks.append((extraction_work, extraction_enqueue(model_source="{model}", options=options)))
files = Path(tempfile.mkdtemp(dir=incoming_folder()))
for path in Path("{bundle}").iterdir():
    shutil.copy(path, files)
with upload_staged(files={{path.name: path for path in files.iterdir()}}) as upload:
    uploaded, _ = upload_take(upload=upload)
shutil.rmtree(files)
tasks += [
    (extraction_work, uploaded),
    (snapshot_compute_due, snapshot_request(study=study)),
    (export_write, export_request(study=study, content="archive", with_names=False, by=researcher)),
]
for number, (task, row) in enumerate(tasks):
    task.apply_async((row.pk,), queue=f"doomed-{{number}}")
"""


def exports_in(folder: Path) -> list[Path]:
    """Files of exports, whole or half-written; the figures of results are kept beside them."""
    return [path for path in (folder / "exports").iterdir() if path.name != "figures"]


@pytest.mark.long
def test_a_worker_killed_in_any_step_is_followed_by_another(cluster, tmp_path):
    places = [*IN_AN_EXTRACTION.values(), IN_AN_IMPORT, IN_A_SNAPSHOT, IN_AN_EXPORT]
    for place in places:  # a name that nobody calls would be waited for
        module, name, _ = place.split(":")
        assert hasattr(import_module(module), name), place
    for number, place in enumerate(places):  # each has a queue of its own, so it is not for others
        command = [sys.executable, "-m", "tests.faults.dying", place, "-Q", f"doomed-{number}",
                   "-n", f"doomed-{number}@%h"]  # fmt: skip
        cluster.launch(command)
    extractions = len(IN_AN_EXTRACTION)
    uploaded = tmp_path / "uploaded"
    digests = [bundle_of(UPLOADED_SEED, uploaded)]
    code = BEGUN.format(model=MODEL, options=OPTIONS, extractions=extractions, bundle=uploaded)
    cluster.site.run(code)
    wait_for(lambda: all(w.poll() is not None for w in cluster.workers), cluster.said, PATIENCE)
    assert {worker.returncode for worker in cluster.workers} == {-signal.SIGKILL}

    # Nothing that was begun can be seen as if it were whole.
    assert cluster.rows("SELECT model_source FROM corpus_extraction WHERE state = 'ready'") == [
        (OTHERS,)
    ]
    folder = cluster.site.folder
    assert [path.suffix for path in exports_in(folder)] == [".part"]
    assert list((folder / "bundles").glob(".*.partial"))

    # Now, since the dead are taken for alive for a while yet.
    digests += [bundle_of(seed, tmp_path / f"seed-{seed}") for seed in range(extractions)]
    cluster.start(1, EXTRACTING, COMPUTING)
    wait_for(lambda: nothing_waits(cluster), cluster.said, PATIENCE)
    run = "SELECT bundle_digest, attempts, state, error FROM corpus_extraction"
    assert sorted(cluster.rows(f"{run} WHERE model_source <> '{OTHERS}'")) == sorted(
        (digest, 2, "ready", "") for digest in digests
    )
    rows = "SELECT count(*) FROM corpus_vector GROUP BY extraction_id"
    assert sorted(cluster.rows(rows)) == sorted([(LISTS_OF_OTHERS,), *[(LISTS,)] * len(digests)])
    # By the one that died; then for its tables, and once more for its figures.
    of_snapshots = "SELECT state, attempts, error FROM results_snapshot"
    wait_for(lambda: cluster.rows(of_snapshots) == [("ready", 3, "")], cluster.said, PATIENCE)
    ((state, attempts, sha256),) = cluster.rows(
        "SELECT state, attempts, sha256 FROM results_exportjob"
    )
    assert (state, attempts) == ("ready", 2)
    wait_for(lambda: len(exports_in(folder)) == 1)  # the half file is swept
    (archive,) = exports_in(folder)
    assert hashlib.sha256(archive.read_bytes()).hexdigest() == sha256
    assert not list((folder / "bundles").glob(".*.partial"))


def bundle_of(seed: int, out: Path) -> str:
    """The digest of what a process makes that nobody kills."""
    from ffn_extract.pipeline import extract

    options = ExtractOptions(**OPTIONS, seed=seed, name=MODEL)
    return extract(str(demo_model()), out, options).digest


def nothing_waits(cluster: Cluster) -> bool:
    tables = ("corpus_extraction", "results_snapshot", "results_exportjob")
    states = [row[0] for table in tables for row in cluster.rows(f"SELECT state FROM {table}")]
    return set(states) <= {"ready", "failed"}


def state(site: Site) -> str:
    """Of the one extraction; "" before there is one."""
    return "".join(state for (state,) in site.rows("SELECT state FROM corpus_extraction"))


@pytest.mark.long
def test_a_killed_worker_changes_nothing_in_the_bundle(stopped_site, tmp_path):
    site = stopped_site
    site.start()
    site.manage("enqueue_model", MODEL, *ARGUMENTS)
    extracts = "SELECT 1 FROM corpus_extraction WHERE state = 'running' AND step <> ''"
    wait_for(lambda: site.rows(extracts), site.said, pause=0.01)
    kill_everything(site)
    assert state(site) == "running"  # nobody was left to say otherwise
    out = tmp_path / "direct"
    subprocess.run(
        [sys.executable, "-m", "ffn_extract", "extract", str(demo_model()), "--name", MODEL,
         "--out", str(out), *ARGUMENTS],
        cwd=ROOT, check=True, capture_output=True,
    )  # fmt: skip
    digest = json.loads((out / "manifest.json").read_text())["digest"]
    site.start()
    wait_for(lambda: state(site) in ("ready", "failed"), site.said)
    assert site.rows(
        "SELECT state, step, bundle_digest, error, attempts FROM corpus_extraction"
    ) == [("ready", "load_vectors", digest, "", 2)]
    assert site.rows("SELECT count(*) FROM corpus_vector") == [(2 * 6 * 40,)]


@pytest.mark.skipif(sys.platform != "linux", reason="Only Linux tells a child of it.")
def test_servers_stop_when_the_command_that_started_them_is_killed(stopped_site):
    site = stopped_site
    site.start(first_port=some_port())  # where no other site comes when this one is gone
    wait_for(lambda: workers(site) == 2, site.said)
    site.process.kill()
    site.process.wait()
    wait_for(lambda: not answers(int(site.address.rsplit(":", 1)[1])), site.said)
    wait_for(lambda: workers(site) == 0, site.said)


def kill_everything(site: Site) -> None:
    """SIGKILL for the servers and all their children, as a power cut does."""
    listed = subprocess.run(["ps", "-eo", "pid,args"], capture_output=True, text=True, check=True)
    marks = ("celery --quiet --app annotation_site", "gunicorn annotation_site.wsgi")
    own = [
        int(line.split()[0])
        for line in listed.stdout.splitlines()
        if any(mark in line for mark in marks) and belongs_to(site, int(line.split()[0]))
    ]
    assert own
    # Who starts again what was killed is stopped before, and killed last: with its end the others
    # are asked to stop in peace. A child may have seen its parent's end and be gone.
    site.process.send_signal(signal.SIGSTOP)
    for pid in own:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    site.process.kill()
    site.process.wait()


def test_both_servers_stop_on_ctrl_c_and_start_again(stopped_site):
    site = stopped_site
    site.start()
    wait_for(lambda: workers(site) == 2, site.said)
    assert site.stop(signal.SIGINT) == 0
    assert workers(site) == 0
    site.start()
    assert site.stop(signal.SIGHUP) == 0
