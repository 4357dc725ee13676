"""What tests of faults ask of a running site: its processes, its workers, a file."""

import subprocess

from tests.e2e.site import Site

# Code for the site's shell: a researcher asks for an export.
ASKED = """
from annotation_site.results.files.jobs import export_request
from tests.annotation_site.factories import make_study
study = make_study()
researcher = study.memberships.get(role="researcher").user
export_request(study=study, content="jsonl", with_names=False, by=researcher)
"""


def children(site: Site) -> list[int]:
    """The processes that `serve` started, in their order."""
    assert site.process is not None
    listed = subprocess.run(
        ["ps", "--no-headers", "--sort", "start_time,pid", "-o", "pid",
         "--ppid", str(site.process.pid)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return [int(pid) for pid in listed.stdout.split()]


def workers(site: Site) -> int:
    return site.rows("SELECT count(*) FROM workers_worker")[0][0]


def belongs_to(site: Site, pid: int) -> bool:
    """Whether a process runs for this site, and not for another test's or person's."""
    key = site.environment["SECRET_KEY"]
    listed = subprocess.run(
        ["ps", "eww", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return key in listed.stdout
