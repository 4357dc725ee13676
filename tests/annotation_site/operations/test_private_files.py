"""What the site writes is its owner's alone, though the shell's umask lets others read."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.site import PASSWORD, ROOT, Site, database_of_its_own, wait_for
from tests.faults.cluster import COMPUTING, Cluster

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("faults-workers")]
STUDY = """
from tests.annotation_site.factories import assignment_of, make_study, submit
study = make_study()
submit(assignment_of(study))
print(study.slug)
"""
ASKED = """
from annotation_site.annotation.models import Study
from annotation_site.results.files.jobs import export_request
study = Study.objects.get()
researcher = study.memberships.get(role="researcher").user
export_request(study=study, content="archive", with_names=True, by=researcher)
"""


@pytest.fixture
def usual_umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


def readable_by_others(folder: Path) -> list[str]:
    """Files and folders with any right for the group or others, as `0644 name`."""
    modes = [(stat.S_IMODE(path.lstat().st_mode), path) for path in sorted(folder.rglob("*"))]
    return [f"{mode:04o} {path.relative_to(folder)}" for mode, path in modes if mode & 0o077]


@pytest.mark.long
def test_every_file_of_every_command_and_server_is_private(usual_umask, tmp_path):
    folder = tmp_path / "var"
    site = Site(folder, models=False)
    made_here = ["0755 models"]
    site.environment["METRICS_TOKEN"] = "a-test-reads-numbers-by-this-token-"
    site.log = tmp_path / "web.log"
    with database_of_its_own(site.environment):
        site.manage("migrate", "--verbosity", "0")
        site.manage("collectstatic", "--noinput", "--verbosity", "0")
        site.manage("createadmin", "ada", text=PASSWORD + "\n")
        site.manage("import_bundle", str(ROOT / "fixtures" / "upgrade" / "0.1-bundle"))
        slug = site.run(STUDY).split()[-1]
        for what, *more in (
            ("labels", "--with-names"),
            ("archive",),
            ("coverage",),
            ("adjudicated",),
        ):
            site.manage("export", slug, what, *more, "--out", str(folder / f"{what}.out"))
        site.manage("backup", str(folder / "site.tar"))
        assert readable_by_others(folder) == made_here

        cluster = Cluster(site)  # web server and worker by themselves, without `serve`
        site.start_web()
        try:
            cluster.start(1, COMPUTING)
            site.run(ASKED)
            job = "SELECT state FROM results_exportjob"
            wait_for(lambda: site.rows(job) == [("ready",)], cluster.said)
            # Now, while the database's files beside it are there.
            logs = ["0644 worker-0.log"]
            assert readable_by_others(folder) == [*made_here, *logs]
        finally:
            site.kill()
            cluster.stop()
    names = {path.name for path in folder.rglob("*")}
    assert {"site.tar", "labels.out", "metrics", "static", "exports"} <= names
    if "DATABASE_URL" not in site.environment:
        assert {"db.sqlite3", "queue", "messages"} <= names
