"""What happens to an extraction when its worker is killed, and to pages when no worker runs."""

import json
import os
import signal
import subprocess
import sys

import pytest

from tests.e2e.site import MODEL, ROOT, Site, answers, demo_model, wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("e2e")]
ARGUMENTS = ("--kinds", "value,random", "--per-layer", "40", "--glosses", "none")


def states(site: Site) -> list[dict]:
    return site.query(
        "list(Extraction.objects.order_by('pk').values('state', 'step', 'bundle_digest', 'error'))"
    )


def test_a_killed_worker_changes_nothing_in_the_bundle(stopped_site, tmp_path):
    site = stopped_site
    site.start()
    site.manage("enqueue_model", MODEL, *ARGUMENTS)
    wait_for(lambda: states(site)[0]["state"] == "running", site.said)
    kill_everything(site)
    assert states(site)[0]["state"] == "running"  # nobody was left to say otherwise
    site.start()
    wait_for(lambda: states(site)[0]["state"] in ("ready", "failed"), site.said)
    out = tmp_path / "direct"
    subprocess.run(
        [sys.executable, "-m", "ffn_extract", "extract", str(demo_model()), "--name", MODEL,
         "--out", str(out), *ARGUMENTS],
        cwd=ROOT, check=True, capture_output=True,
    )  # fmt: skip
    digest = json.loads((out / "manifest.json").read_text())["digest"]
    assert states(site) == [
        {"state": "ready", "step": "load_vectors", "bundle_digest": digest, "error": ""}
    ]
    assert site.query("Extraction.objects.get().attempts") == 2
    assert site.query("Vector.objects.count()") == 2 * 6 * 40


@pytest.mark.skipif(sys.platform != "linux", reason="Only Linux tells a child of it.")
def test_servers_stop_when_the_command_that_started_them_is_killed(stopped_site):
    site = stopped_site
    site.start()
    wait_for(lambda: site.query("Worker.objects.count()") == 2, site.said)
    site.process.kill()
    site.process.wait()
    wait_for(lambda: not answers(int(site.address.rsplit(":", 1)[1])), site.said)
    wait_for(lambda: site.query("Worker.objects.count()") == 0, site.said)


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
    for pid in [site.process.pid, *own]:
        os.kill(pid, signal.SIGKILL)
    site.process.wait()


def belongs_to(site: Site, pid: int) -> bool:
    """Whether a process runs for this site, and not for another test's or person's."""
    key = site.environment["SECRET_KEY"]
    listed = subprocess.run(
        ["ps", "eww", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return key in listed.stdout


def test_both_servers_stop_on_ctrl_c_and_start_again(stopped_site):
    site = stopped_site
    site.start()
    wait_for(lambda: site.query("Worker.objects.count()") == 2, site.said)
    assert site.stop(signal.SIGINT) == 0
    assert site.query("Worker.objects.count()") == 0
    site.start()
    assert site.stop(signal.SIGHUP) == 0
