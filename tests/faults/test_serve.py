"""What `serve` stands: a queue whose folder goes, a worker that cannot run, its own end."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from annotation_site import serving
from ffn_extract.target_lock import held
from tests.e2e.site import ROOT, Site, some_port, wait_for
from tests.faults.marks import ONCE
from tests.faults.running_site import ASKED, belongs_to, children, workers

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("faults-web")]
# Read by every Python that starts: what a real one would do, only for longer.
BUSY = """
import ctypes, os, sys
from pathlib import Path
if "celery@%h" in sys.orig_argv:
    from celery.signals import worker_process_init

    @worker_process_init.connect(weak=False)
    def prepare(**_):
        import django
        django.setup()
        from annotation_site.results.snapshots import computation

        def busy(*_, **__):
            Path(os.environ["VAR_DIR"], "busy").touch()
            ctypes.PyDLL(None).sleep(3600)  # no other thread of this process runs meanwhile

        computation._plans = busy
"""
UNABLE = """
import os, sys
if "celery" in sys.orig_argv:
    os._exit(3)
"""
ASKED_AGAIN = """
from annotation_site.annotation.models import Study
from annotation_site.results.files.jobs import export_request
study = Study.objects.get()
researcher = study.memberships.get(role="researcher").user
export_request(study=study, content="jsonl", with_names=False, by=researcher)
"""
SNAPSHOT = """
from annotation_site.results.snapshots.services import snapshot_request
from tests.annotation_site.factories import assignment_of, make_study, submit
study = make_study()
submit(assignment_of(study))
snapshot_request(study=study)
"""


def every_python_runs(code: str, site: Site, folder: Path) -> None:
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(code)
    site.environment["PYTHONPATH"] = str(folder)


def run(site: Site, *command: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, *command], cwd=ROOT, env=site.environment, capture_output=True, text=True,
        check=False, timeout=300,
    )  # fmt: skip


@ONCE
def test_the_queues_folder_comes_back_by_itself(stopped_site: Site):
    site = stopped_site
    site.start(first_port=some_port())
    wait_for(lambda: workers(site) == 2, site.said)
    before = children(site)
    queue = site.folder / "queue"
    jobs = "SELECT state, attempts, error FROM results_exportjob"
    for folder, asked in ((queue, ASKED), (queue / "messages", ASKED_AGAIN)):
        shutil.rmtree(folder)
        site.run(asked)
        wait_for(lambda: set(site.rows(jobs)) == {("ready", 1, "")}, site.said)
    assert len(site.rows(jobs)) == 2
    assert children(site) == before
    assert "ended" not in site.log.read_text()
    # Meanwhile, nothing else serves from this folder.
    assert "already" in run(site, "manage.py", "serve").stderr
    assert site.stop() == 0


def test_one_site_runs_from_a_folder(stopped_site: Site):
    site = stopped_site
    site.add_people(ada="admin")
    before = sorted(site.folder.rglob("*"))
    with held(site.folder / serving.LOCK):
        for command in (["manage.py", "serve"], ["-m", "annotation_site.demo"]):
            ended = run(site, *command)
            assert ended.returncode == 1
            assert f"A site runs from {site.folder} already" in ended.stderr
            assert "Traceback" not in ended.stderr
        site.manage("backup", str(site.folder / "site.tar"))  # beside a site, as ever
    made = {path.name for path in sorted(site.folder.rglob("*")) if path not in before}
    assert made <= {"site.tar", "secret_key", "data"}


def test_the_lock_of_a_killed_site_holds_nobody_up(tmp_path, settings):
    settings.VAR_DIR = tmp_path
    lock = tmp_path / serving.LOCK
    code = (
        "import sys, time; from pathlib import Path; from ffn_extract.target_lock import held\n"
        "with held(Path(sys.argv[1])):\n    print(flush=True)\n    time.sleep(3600)"
    )
    holder = subprocess.Popen([sys.executable, "-c", code, lock], cwd=ROOT, stdout=subprocess.PIPE)
    holder.stdout.readline()
    with pytest.raises(SystemExit, match="already"), serving._alone():
        pass
    holder.kill()
    holder.wait()
    holder.stdout.close()
    assert lock.exists()
    with serving._alone():
        pass


def test_without_a_worker_that_can_run_pages_go_on(stopped_site: Site, tmp_path):
    site = stopped_site
    every_python_runs(UNABLE, site, tmp_path / "python")
    site.start(first_port=some_port())
    again = "The worker for results ended (3) again and again"
    wait_for(lambda: site.log.read_text().count(again) > 1, site.said)
    assert "Pages go on without it" in site.log.read_text()
    ask = "import urllib.request; print(urllib.request.urlopen('{}/readyz').read().decode())"
    answered = run(site, "-c", ask.format(site.address)).stdout
    assert answered.startswith("ok, but no worker is alive")
    doctor = run(site, "manage.py", "doctor", "workers")
    assert (doctor.returncode, "none is alive" in doctor.stdout) == (1, True)
    assert site.stop() == 0


@pytest.mark.skipif(sys.platform != "linux", reason="Only Linux tells a child of it.")
@pytest.mark.long
def test_nothing_outlives_a_killed_serve_though_it_is_busy(stopped_site: Site, tmp_path):
    site = stopped_site
    every_python_runs(BUSY, site, tmp_path / "python")
    site.start(first_port=some_port())
    wait_for(lambda: workers(site) == 2, site.said)
    site.run(SNAPSHOT)
    wait_for(lambda: (site.folder / "busy").exists(), site.said)
    assert len(alive(site)) > 6  # three servers, and children of each
    site.process.kill()
    site.process.wait()
    wait_for(lambda: not alive(site), lambda: str(alive(site)) + site.said())


@pytest.mark.skipif(sys.platform != "linux", reason="Only Linux tells a child of it.")
@pytest.mark.long
def test_children_of_a_killed_server_end_at_once_though_they_are_busy(stopped_site: Site, tmp_path):
    """The server alone is killed: `serve` starts another, and no child of the first is left."""
    site = stopped_site
    every_python_runs(BUSY, site, tmp_path / "python")
    site.start(first_port=some_port())
    wait_for(lambda: workers(site) == 2, site.said)
    site.run(SNAPSHOT)
    wait_for(lambda: (site.folder / "busy").exists(), site.said)
    web, _, results = children(site)
    families = [pid for parent in (web, results) for pid in children_of(parent)]
    assert len(families) == 4
    for parent in (web, results):
        os.kill(parent, signal.SIGKILL)
    wait_for(lambda: not set(families) & set(alive(site)), site.said)
    site.kill()
    wait_for(lambda: not alive(site), site.said)


def alive(site: Site) -> list[int]:
    """Processes of this site, which know its key; those that are dead and not buried are none."""
    listed = subprocess.run(
        ["ps", "-eo", "pid,stat,args"], capture_output=True, text=True, check=True
    ).stdout.splitlines()[1:]
    found = [line.split(None, 2) for line in listed]
    return [
        int(pid)
        for pid, state, arguments in found
        if not state.startswith("Z") and is_server(arguments) and belongs_to(site, int(pid))
    ]


def is_server(arguments: str) -> bool:
    """Whether a command line is not that of the process in which tests ask the site's database."""
    return "python" in arguments and "tests.e2e.shell" not in arguments


def children_of(pid: int) -> list[int]:
    listed = subprocess.run(
        ["ps", "--no-headers", "-o", "pid", "--ppid", str(pid)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return [int(one) for one in listed.stdout.split()]
