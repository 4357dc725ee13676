"""Databases of older versions, brought up to date: nothing that people did is lost or changed."""

import csv
import json
import zipfile
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from annotation_site.accounts.models import User
from annotation_site.annotation.final_answers import final_answer_open
from tests.annotation_site.factories import UserFactory, make_study
from tests.e2e.site import ROOT, Site, database_of_its_own

OLDER = sorted((ROOT / "fixtures" / "upgrade").glob("*.json"))
SLUG = "an-older-study"
# Whether the new version's pages show an older version's study, and whether it can go on with it.
GO_ON = """
import json
from django.test import Client
from annotation_site.accounts.models import User
from annotation_site.annotation.models import Study
from annotation_site.annotation.rules import study_duplicate, study_extend
researcher = User.objects.get(role="researcher")
client = Client(SERVER_NAME="127.0.0.1")
client.force_login(researcher)
pages = ("run/", "run/lists/", "results/", "exports/", "rules/", "people/", "adjudication/",
         "texts/", "references/")
shown = {page: client.get(f"/studies/an-older-study/{page}").status_code for page in pages}
added = study_extend(study=Study.objects.get(), lists_per_layer=3)
copy = study_duplicate(study=Study.objects.get(), title="A copy", by=researcher)
print(json.dumps({"shown": shown, "added": added, "copied": copy.items.count()}))
"""


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A site without a database yet; on SQLite or, with services, PostgreSQL."""
    site = Site(tmp_path / "var", models=False)
    with database_of_its_own(site.environment):
        yield site


def run(site: Site, code: str) -> str:
    return site.manage("shell", "--verbosity", "0", "-c", code)


def said(site: Site) -> dict[str, Any]:
    """What this version says of the study, in the words of `fixtures.upgrade.make`."""
    code = "import json; from fixtures.upgrade.make import answers; print(json.dumps(answers()))"
    return json.loads(run(site, code).splitlines()[-1])


def test_there_is_an_older_version_to_come_from():
    assert [path.stem for path in OLDER] == ["first"]


@pytest.mark.parametrize("path", OLDER, ids=lambda path: path.stem)
def test_an_older_database_keeps_its_answers(site: Site, path: Path, tmp_path: Path):
    load = "from tests.annotation_site.older_version import *; older_version_load(Path({!r}))"
    run(site, load.format(str(path)))
    site.manage("migrate", "--verbosity", "0")
    site.manage("collectstatic", "--verbosity", "0", "--no-input")
    expected = json.loads(path.read_text())["answers"]

    found = said(site)
    assert found["labels"] == expected["labels"]
    assert found["hours"] == expected["hours"]
    # Later versions say more of a list and of a study's coverage, and never something else.
    for before, after in zip(expected["coverage"], found["coverage"], strict=True):
        assert {name: after.get(name) for name in before} == before
    assert found["pages"].keys() == expected["pages"].keys()
    for list_id, before in expected["pages"].items():
        assert within(before, found["pages"][list_id]) == before

    for what in ("coverage", "labels", "archive"):
        site.manage("export", SLUG, what, "--out", str(tmp_path / what))
    records = [json.loads(line) for line in (tmp_path / "labels").read_text().splitlines()]
    exported = [pattern["ranks"] for record in records for pattern in record["patterns"]]
    assert sorted(exported) == sorted(ranks for *_, ranks in expected["labels"])
    with (tmp_path / "coverage").open() as file:
        assert len(list(csv.DictReader(file))) == len(expected["coverage"])
    with zipfile.ZipFile(tmp_path / "archive") as archive:
        (name,) = (name for name in archive.namelist() if name.endswith("parameters.json"))
        assert len(json.loads(archive.read(name))["extractions"]) == 1

    went_on = json.loads(run(site, GO_ON).splitlines()[-1])
    assert set(went_on.pop("shown").values()) == {200}
    assert went_on == {"added": 6, "copied": 18}


def within(before: Any, after: Any) -> Any:
    """The part of `after` that `before` has too."""
    if isinstance(before, dict) and isinstance(after, dict):
        return {name: within(value, after.get(name)) for name, value in before.items()}
    return after


@pytest.mark.django_db(transaction=True)
def test_days_of_a_list_that_two_people_worked_at_can_go_back():
    final = final_answer_open(
        item=make_study(reference_lists=1).items.filter(use="study").first(),
        by=User.objects.get(role="researcher"),
    )
    first = final.membership
    second = first.study.memberships.create(user=UserFactory(), role="researcher")
    days = [
        (first, 1, 100, False), (second, 1, 40, False), (second, 2, 90, True),
        (first, 3, 120, False),
    ]  # fmt: skip
    for membership, day, seconds, submitted in days:
        final.worked_days.create(
            membership=membership, day=date(2026, 1, day), active_seconds=seconds,
            submitted=submitted,
        )  # fmt: skip
    try:
        MigrationExecutor(connection).migrate([("annotation", "0003_removed_annotators")])
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT active_seconds, submitted FROM annotation_workedday"
                f" WHERE assignment_id = {final.pk} ORDER BY day"
            )
            assert [(n, bool(done)) for n, done in cursor] == [
                (140, False), (190, True), (210, False),
            ]  # fmt: skip
    finally:
        executor = MigrationExecutor(connection)
        executor.migrate(executor.loader.graph.leaf_nodes())
