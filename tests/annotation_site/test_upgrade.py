"""Databases of older versions, brought up to date: nothing that people did is lost or changed."""

import atexit
import csv
import functools
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from annotation_site.accounts.models import User
from annotation_site.analysis import MEASURES_VERSION
from annotation_site.annotation.review.adjudicated_annotations import adjudicated_annotation_open
from annotation_site.old_names import annotation_renamed
from annotation_site.results.tables.registry import TABLES
from tests.annotation_site.factories import UserFactory, make_study
from tests.annotation_site.older_version import FOLDER, OLDER, older_version_read
from tests.e2e.site import ROOT, Site, copy_postgres, database_of_its_own, kept_database

SLUG = "an-older-study"
DRAFT = 10  # of an assignment's values in `fixtures.upgrade.make`
# How many lists three per layer add to the study, and how many a copy of it holds.
EXTENDED = {"first": (6, 18), "0.1": (10, 37)}
LOAD = """
from pathlib import Path
from django.core.management import call_command
from tests.annotation_site.older_version import older_version_load
older_version_load(Path({path!r}))
call_command("migrate", verbosity=0)
call_command("collectstatic", verbosity=0, interactive=False)
print(0)
"""


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A site without a database yet; on SQLite or, with services, PostgreSQL."""
    site = Site(tmp_path / "var", models=False)
    with database_of_its_own(site.environment):
        yield site


def unopened(row: list[Any]) -> bool:
    """Whether nobody has looked at this assignment of `fixtures.upgrade.make`: it has no draft, no
    version and no time, and is a list, a repeat or a reference.
    """
    purpose, state, version, drafts, seconds = row[3], row[5], row[8], row[9], row[11]
    shared = purpose in ("annotation", "repeat", "reference")
    return shared and state in ("waiting", "expired") and not (version or drafts or seconds)


def run(site: Site, code: str) -> Any:
    """The JSON that some code prints last, in the site."""
    return json.loads(site.run(code).splitlines()[-1])


def said(site: Site) -> dict[str, Any]:
    """What this version says of the studies, in the words of `fixtures.upgrade.make`."""
    code = "import json; from fixtures.upgrade.make import answers; print(json.dumps(answers()))"
    return run(site, code)


OPEN_AS_REPEATS = """
import json
from annotation_site.annotation.models import Assignment
from annotation_site.annotation.lists.page import repeat_is_open
own = Assignment.objects.filter(repeat_is_open(), purpose="annotation")
print(json.dumps([str(one) for one in own.values_list("public_id", flat=True)]))
"""


def bring_up_to_date(site: Site, name: str) -> dict[str, Any]:
    """A site with the older database, migrated; returns what the older version said."""
    path = FOLDER / f"{name}.json.gz"
    folder, database = brought_up_to_date(path)
    shutil.copytree(folder, site.folder, dirs_exist_ok=True)
    if url := site.environment.get("DATABASE_URL"):
        copy_postgres(database, url)
    return in_todays_names(older_version_read(path)["answers"])


def in_todays_names(said: dict[str, Any]) -> dict[str, Any]:
    """Drafts, on pages and as they are stored, call the annotation in them by today's name."""
    for row in said.get("assignments", {}).values():
        row[DRAFT] = annotation_renamed(row[DRAFT])
    for page in said["pages"].values():
        if "draft" in page:
            page["draft"]["content"] = annotation_renamed(page["draft"]["content"])
    return said


@functools.cache
def brought_up_to_date(path: Path) -> tuple[Path, str]:
    """The folder of such a site, and its PostgreSQL database with services: made once, to be
    copied."""
    folder = Path(tempfile.mkdtemp(prefix="ffn-concepts-older-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    site = Site(folder / "var", models=False)
    database = kept_database(site) if os.environ.get("FFN_TEST_SERVICES") == "1" else ""
    run(site, LOAD.format(path=str(path)))
    return site.folder, database


def test_no_older_version_is_forgotten():
    assert {path.name.removesuffix(".json.gz") for path in FOLDER.glob("*.json.gz")} == {*OLDER}


@pytest.mark.parametrize("name", OLDER)
def test_an_older_database_keeps_its_answers(site: Site, name: str, tmp_path: Path):
    expected = bring_up_to_date(site, name)
    found = said(site)
    for what in ("labels", "studies", "exports"):
        if what in expected:
            assert found[what] == expected[what]
    if "assignments" in expected:
        # What nobody has opened belongs to nobody, and was shared anew; all else is as it was.
        begun = {key: row for key, row in expected["assignments"].items() if not unopened(row)}
        assert begun.items() <= found["assignments"].items()
        new = [row for key, row in found["assignments"].items() if key not in begun]
        assert all(unopened(row) for row in new)
    # Since 0.1, hours tell what was cut; of what was worked before, nothing was.
    for person, hours in expected["hours"].items():
        header, *days = hours.splitlines()
        told = [f"{header},cut_seconds,cut_reason", *(f'{day},0,""' for day in days)]
        assert found["hours"][person].splitlines() == told
    # Later versions say more of a list and of a study's coverage, and never something else, but
    # for a number's last digit.
    for before, after in zip(expected["coverage"], found["coverage"], strict=True):
        for column, value in before.items():
            same = pytest.approx(value, abs=1e-9) if isinstance(value, float) else value
            assert after.get(column) == same, (column, after)
    assert found["pages"].keys() == expected["pages"].keys()
    # Since 0.1, a first annotation is hidden while its list is open to its person as a repeat.
    hidden = run(site, OPEN_AS_REPEATS)
    for list_id, before in expected["pages"].items():
        page = found["pages"][list_id]
        if list_id in hidden:
            assert (page.keys(), page["status"]) == ({"status", "location"}, 403)
        else:
            for one in (before, page):
                # Unopened lists are shared anew: how many there are, and which stand before this.
                one.get("list", {}).pop("total", None)
                one.get("list", {}).pop("position", None)
                one.get("urls", {}).pop("previous", None)
            assert within(before, page) == before


SHARED = """
import json
from collections import Counter
from annotation_site.annotation.allocation.shares import shares_of
from annotation_site.annotation.models import Assignment, Study
found = {}
for study in Study.objects.order_by("slug"):
    members = list(study.memberships.filter(role="annotator").select_related("user"))
    shares = shares_of(study, members)
    own = Assignment.objects.filter(item__study=study, item__use="study", purpose="annotation")
    live = own.filter(state__in=Assignment.LIVE, surplus=False).values_list("item", flat=True)
    left = [shares.people[one.pk].remaining for one in members
            if not (one.withdrawn_at or one.removed_at)]
    pairs = own.exclude(state="withdrawn").values_list("membership", "item")
    repeats = Assignment.objects.filter(item__study=study, purpose="repeat", state="waiting")
    found[study.slug] = {
        "due": study.shares_due, "is_open": study.state == "open",
        "left": left, "uneven": shares.is_uneven, "k": study.annotators_per_list,
        "most": max(Counter(live).values(), default=0),
        "free": study.items.filter(use="study").count() * study.annotators_per_list - len(live),
        "twice": max(Counter(pairs).values(), default=1) > 1,
        "lonely": [one.pk for one in repeats if not own.filter(
            membership=one.membership, item=one.item, state__in=Assignment.LIVE).exists()],
    }
print(json.dumps(found))
"""


@pytest.mark.parametrize("name", OLDER)
def test_unopened_lists_of_an_older_database_are_shared_anew(site: Site, name: str):
    bring_up_to_date(site, name)
    found = run(site, SHARED)
    for study in found.values():
        assert not study["due"]
        assert study["most"] <= study["k"]
        assert not study["twice"]
        assert study["lonely"] == []
    shared = [study for study in found.values() if study["is_open"]]
    assert shared
    for study in shared:
        assert max(study["left"]) - min(study["left"]) <= 1 or study["uneven"]


@pytest.mark.parametrize("name", OLDER)
def test_everything_stored_has_todays_names(site: Site, name: str):
    made = older_version_read(FOLDER / f"{name}.json.gz")["rows"]
    bring_up_to_date(site, name)
    for model, column in (("Assignment", "draft"), ("Revision", "snapshot")):
        (table,) = (one for label, one in made.items() if label.endswith(f".{model.lower()}"))
        at = table["columns"].index(column)
        before = sorted(row[0] for row in table["rows"] if "answer" in (row[at] or {}))
        holding = (
            f"sorted({model}.objects.filter({column}__has_key=%r).values_list('pk', flat=True))"
        )
        assert site.query(holding % "annotation") == before != []
        assert site.query(holding % "answer") == []


@pytest.mark.parametrize("name", OLDER)
def test_an_older_database_gives_every_file(site: Site, name: str, tmp_path: Path):
    expected = bring_up_to_date(site, name)
    code = "from tests.annotation_site.goes_on import export_all; export_all({!r}); print(0)"
    run(site, code.format(str(tmp_path)))
    files = {path.name: path for path in tmp_path.iterdir() if path.is_file()}
    slugs = {name.removesuffix("-labels.jsonl") for name in files if name.endswith(".jsonl")}
    records = [
        json.loads(line)
        for slug in slugs
        for line in files[f"{slug}-labels.jsonl"].read_text().splitlines()
    ]
    exported = [sorted(one["ranks"]) for record in records for one in record["patterns"]]
    assert sorted(exported) == sorted(ranks for *_, ranks in expected["labels"])
    if "studies" in expected:
        kept = [one for one in expected["assignments"].values() if one[5] == "submitted"]
        assert len(records) == len(kept)
        assert slugs == {one[0] for one in kept}
    for slug in slugs:
        assert {file for file in files if file.startswith(f"{slug}-")} == {
            *(f"{slug}-{table}.csv" for table in (*TABLES, "adjudicated")),
            *(f"{slug}-{one}" for one in ("labels.jsonl", "labels.parquet", "archive.zip")),
        }
        status, out = verified(files[f"{slug}-archive.zip"])
        assert status == 0, out
    with files[f"{SLUG}-coverage.csv"].open() as file:
        assert len(list(csv.DictReader(file))) == len(expected["coverage"])


@pytest.mark.parametrize("name", OLDER)
def test_an_older_study_goes_on(site: Site, name: str):
    bring_up_to_date(site, name)
    code = "import json; from tests.annotation_site.goes_on import go_on; print(json.dumps({}))"
    went_on = run(site, code.format(f"go_on({SLUG!r})"))
    assert set(went_on.pop("shown").values()) == {200}
    done = went_on.pop("done")
    before, after = done.pop("change")
    assert after == before + 1
    assert done == {"submit": "submitted", "skip": "skipped", "adjudicate": "submitted"}
    assert (went_on["added"], went_on["copied"]) == EXTENDED[name]


@pytest.mark.parametrize("name", [one for one in OLDER if (FOLDER / f"{one}-archive.zip").exists()])
def test_an_older_archive_is_verified_or_refused_by_name(name: str):
    """It follows by the measures that it was made with, or a sentence names them and today's."""
    theirs = older_version_read(FOLDER / f"{name}.json.gz")["measures_version"]
    status, out = verified(FOLDER / f"{name}-archive.zip")
    if status == 0:
        return
    assert status == 2, out  # never "the tables do not follow": they do, by their own measures
    versions = [int(number) for number in re.findall(r"\b\d+\b", out)]
    assert "measures" in out
    assert {theirs, MEASURES_VERSION} <= {*versions}, out


@pytest.mark.parametrize("name", [one for one in OLDER if (FOLDER / f"{one}-bundle").exists()])
def test_an_older_bundle_is_the_one_that_its_database_holds(site: Site, name: str, tmp_path: Path):
    bundle = FOLDER / f"{name}-bundle"
    digest = json.loads((bundle / "manifest.json").read_text())["digest"]
    shown = subprocess.run(
        [sys.executable, "-m", "ffn_extract", "inspect", str(bundle), "--limit", "0"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert shown.returncode == 0, shown.stderr
    bring_up_to_date(site, name)
    again = site.manage("import_bundle", str(bundle))
    assert again.startswith("Already loaded")
    assert digest in again

    new = Site(tmp_path / "new", models=False)
    with database_of_its_own(new.environment):
        new.manage("migrate", "--verbosity", "0")
        loaded = new.manage("import_bundle", str(bundle))
        assert loaded.startswith("Loaded")
        assert digest in loaded
        lists = (
            f"[*Vector.objects.filter(extraction__bundle_digest__endswith={digest!r})"
            ".order_by('kind', 'layer', 'index')"
            ".values_list('kind', 'layer', 'index', 'token_ids', 'scores')]"
        )
        assert new.query(lists) == site.query(lists) != []


def verified(path: Path) -> tuple[int, str]:
    """What `verify` says of an archive: its exit status and all that it printed."""
    ended = subprocess.run(
        [sys.executable, "-m", "annotation_site.verify", str(path)],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return ended.returncode, ended.stdout + ended.stderr


def within(before: Any, after: Any) -> Any:
    """The part of `after` that `before` has too."""
    if isinstance(before, dict) and isinstance(after, dict):
        return {name: within(value, after.get(name)) for name, value in before.items()}
    return after


@pytest.mark.django_db(transaction=True)
def test_days_of_a_list_that_two_people_worked_at_can_go_back():
    final = adjudicated_annotation_open(
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
