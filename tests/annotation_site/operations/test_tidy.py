"""What is over goes after its days, and nothing else does."""

import os
import socket
import uuid
from datetime import timedelta

import pytest
from allauth.mfa.models import Authenticator
from allauth.usersessions.models import UserSession
from django.contrib.sessions.models import Session
from django.core.cache import cache
from django.core.management import call_command
from django.db import connection
from django.test import override_settings
from django.utils import timezone

from annotation_site.accounts.models import AuditEntry, Invitation, RequestKey, User
from annotation_site.accounts.second_factors import encrypted
from annotation_site.accounts.tokens import token_create
from annotation_site.annotation.crowd.joining import participation_start
from annotation_site.annotation.models import CrowdParticipant, Revision, Study
from annotation_site.corpus.log import log_add
from annotation_site.corpus.models import Extraction, LogLine
from annotation_site.data_sets.models import DataSet
from annotation_site.data_sets.services import file_path
from annotation_site.machine_annotators.models import MachineExchange
from annotation_site.notices.models import Notice
from annotation_site.operations import tidy
from annotation_site.results.files.jobs import export_request, export_run
from annotation_site.results.models import ExportJob
from tests.annotation_site.annotation.crowd.people import make_link
from tests.annotation_site.factories import (
    assignment_of,
    log_in,
    make_data_set,
    make_extraction,
    make_invitation,
    make_machine_run,
    make_study,
    submit,
)

pytestmark = pytest.mark.django_db
LONG_AGO = timedelta(days=1000)


@pytest.fixture
def folders(tmp_path, settings):
    settings.BUNDLES_DIR = tmp_path / "bundles"
    settings.EXPORTS_DIR = tmp_path / "exports"
    settings.VAR_DIR = tmp_path
    settings.BUNDLES_DIR.mkdir()
    return tmp_path


def old(path):
    os.utime(path, (0, 0))
    return path


@pytest.fixture
def things(folders, settings):
    """Of everything that ends: one that is over, and one that is not."""
    past = timezone.now() - LONG_AGO
    study = make_study()
    submit(assignment_of(study))
    asked = {"study": study, "content": "jsonl", "with_names": False, "by": study.created_by}
    jobs = [export_request(**asked) for _ in range(3)]
    for job in jobs[:2]:
        export_run(job_id=job.pk)
    ExportJob.objects.filter(pk=jobs[0].pk).update(expires_at=past)
    # The person who asked was told of both files.
    Notice.objects.filter(pk=Notice.objects.earliest("pk").pk).update(created_at=past)
    ExportJob.objects.filter(pk=jobs[2].pk).update(state="failed", requested_at=past)

    written = make_data_set(study, state="ready", claim=uuid.uuid4(), expires_at=past)
    file_path(written).parent.mkdir()
    file_path(written).write_bytes(b"a data set")
    cancelled = make_data_set(study)
    DataSet.objects.filter(pk=cancelled.pk).update(requested_at=past)
    make_data_set(study, state="due")

    bundles = folders / "bundles"
    extraction = make_extraction()
    for name in (str(extraction.public_id), str(uuid.uuid4()), "put here by hand"):
        old_folder = bundles / name
        old_folder.mkdir()
        old(old_folder)
    (bundles / str(uuid.uuid4())).mkdir()  # an upload of this moment, whose row comes next
    begun = Extraction.objects.create(model_source="m", state=Extraction.State.FAILED)
    for name in (
        f".{uuid.uuid4()}.0123.parts",
        f".{uuid.uuid4()}.0123.keys.parts",
        f".{extraction.public_id}.0123.keys.parts",  # of a first try, with other packages
        f".{begun.public_id}.0123.keys.parts",
    ):
        parts = bundles / name
        parts.mkdir()
        old(parts)
    at_work = bundles / ".measurements" / str(uuid.uuid4())  # of a measurement that is gone
    at_work.mkdir(parents=True)
    old(at_work)
    incoming = bundles / ".incoming"
    incoming.mkdir()
    (incoming / "stopped").touch()
    old(incoming / "stopped")
    (incoming / "coming").touch()

    copies = folders / "corpus-copies"
    copies.mkdir()
    for name in ("deleted.txt", "read just now.txt"):
        (copies / name).touch()
    old(copies / "deleted.txt")

    for name in ("gone-container", "quiet-container", socket.gethostname()):
        machine = folders / "metrics" / name
        machine.mkdir(parents=True)
        (machine / "counter_1.db").touch()
        if name != "quiet-container":  # where the probe of a load balancer was counted just now
            old(machine / "counter_1.db")
        old(machine)

    running = Extraction.objects.create(model_source="m", state=Extraction.State.RUNNING)
    for which in (extraction, running):
        log_add(which.pk, "old")
        LogLine.objects.filter(extraction=which).update(at=past)
    log_add(extraction.pk, "new")

    user = study.created_by
    for key in ("old", "new"):
        RequestKey.objects.create(user=user, key=key, digest="")
    RequestKey.objects.filter(key="old").update(created_at=past)
    run = make_machine_run(study)
    for vector, age in zip(
        study.items.values_list("vector", flat=True), (past, timezone.now()), strict=False
    ):
        asked = MachineExchange.objects.create(
            run=run, vector_id=vector, number=1, messages=[], input_tokens=1, output_tokens=1
        )
        MachineExchange.objects.filter(pk=asked.pk).update(sent_at=age)
    for name in ("old", "new"):
        token_create(user=user, name=name, scopes=["read"], days=1)
    user.auth_token_set.filter(name="old").update(expiry=past)
    for changes in ({"expires_at": past}, {"revoked_at": past}, {"uses": 1, "created_at": past}):
        invitation, _ = make_invitation()
        Invitation.objects.filter(pk=invitation.pk).update(**changes)
    make_invitation()
    link = make_link(study, preset="other", parameter="id")
    for outside_id in ("old", "new"):
        participation_start(link=link, outside_id=outside_id, other_ids={}, key=uuid.uuid4())
    CrowdParticipant.objects.filter(outside_id="old").update(joined_at=past)
    for _ in "ab":
        log_in(user)
    first = Session.objects.order_by("pk")[0]
    Session.objects.filter(pk=first.pk).update(expire_date=past)
    UserSession.objects.filter(session_key=first.pk).update(created_at=past)
    for key in ("is-over", "still-counts"):
        cache.set(key, 1, 100)
    with connection.cursor() as cursor:
        over = [connection.ops.adapt_datetimefield_value(past), "%is-over"]
        cursor.execute("UPDATE cache SET expires = %s WHERE cache_key LIKE %s", over)
    with override_settings(SECRET_KEY="older"):
        data = {"secret": encrypted("of the second factor")}
    Authenticator.objects.create(user=user, type=Authenticator.Type.TOTP, data=data)
    settings.SECRET_KEY_FALLBACKS = ["older"]
    yield extraction
    cache.clear()


def state():
    """Everything that tidying may touch."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT cache_key FROM cache")
        counters = {row[0].rpartition(":")[2] for row in cursor.fetchall()}
    return {
        "exports": sorted(ExportJob.objects.values_list("state", flat=True)),
        "data sets": sorted(DataSet.objects.values_list("state", flat=True)),
        "lines": sorted(LogLine.objects.values_list("text", "extraction__state")),
        "keys": sorted(RequestKey.objects.values_list("key", flat=True)),
        "tokens": sorted(User.objects.values_list("auth_token_set__name", flat=True), key=str),
        "invitations": Invitation.objects.count(),
        "notices": Notice.objects.count(),
        "exchanges": MachineExchange.objects.count(),
        "sessions": (Session.objects.count(), UserSession.objects.count()),
        "counters": sorted(counters & {"is-over", "still-counts"}),
        "participants": sorted(CrowdParticipant.objects.values_list("outside_id", flat=True)),
    }


def files(folder):
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*"))


def test_a_dry_run_says_what_would_go_and_removes_nothing(things, folders, capsys):
    before = state(), files(folders)
    call_command("tidy", "--dry-run")
    said = capsys.readouterr().out
    assert (state(), files(folders)) == before
    assert {line.split(": ")[0] for line in said.splitlines()[:-1]} == set(tidy.RULES)
    assert said.endswith("Nothing was removed yet: leave --dry-run out for that.\n")


def test_what_is_over_goes_and_the_rest_stays(things, folders):
    kept = [r.pk for r in Revision.objects.all()], Study.objects.count(), AuditEntry.objects.count()
    before = set(files(folders))
    tidy.tidy()
    assert state() == {
        "exports": ["expired", "ready"],
        "data sets": ["due", "expired"],
        "lines": [("new", "ready"), ("old", "running")],
        "keys": ["new"],
        "tokens": [*[None] * (User.objects.count() - 1), "new"],
        "invitations": 1,
        "notices": 1,
        "exchanges": 1,
        "sessions": (1, 1),
        "counters": ["still-counts"],
        "participants": ["", "new"],
    }
    gone = sorted(before - set(files(folders)))
    assert [name.split("/")[0] for name in gone] == [
        *["bundles"] * 6, "corpus-copies", *["exports"] * 2, *["metrics"] * 2,
    ]  # fmt: skip
    assert gone[-1] == "metrics/gone-container/counter_1.db"
    assert "bundles/.incoming/stopped" in gone
    left = sorted(p.name for p in (folders / "bundles").iterdir())
    (begun,) = [name for name in left if name.endswith(".keys.parts")]  # a failed one goes on there
    assert begun[1:37] in map(str, Extraction.objects.values_list("public_id", flat=True))
    assert {".incoming", ".measurements", "put here by hand", str(things.public_id)} < set(left)
    assert len(left) == 6  # and the folder that was made a moment ago
    assert kept == (
        [r.pk for r in Revision.objects.all()], Study.objects.count(), AuditEntry.objects.count()
    )  # fmt: skip
    assert not any(tidy.tidy(dry_run=True).values())


def test_a_database_that_knows_none_of_the_bundles_removes_none(things, folders):
    """As where a worker was started without DATABASE_URL beside the site's own files."""
    for extraction in Extraction.objects.all():
        Extraction.objects.filter(pk=extraction.pk).update(public_id=uuid.uuid4())
    before = files(folders / "bundles")
    assert tidy.tidy()["bundle folders"] == []
    gone = [name for name in before if name not in files(folders / "bundles")]
    assert [name.partition("/")[0] for name in gone] == [".incoming", ".measurements"]


def test_a_rule_that_fails_keeps_no_other_from_its_work(things, folders, monkeypatch):
    def fail(dry_run):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setitem(tidy.RULES, "export files", fail)
    with pytest.raises(PermissionError):
        tidy.tidy()
    assert state()["keys"] == ["new"]
    assert state()["counters"] == ["still-counts"]


def test_of_many_workers_one_tidies_in_a_day(monkeypatch):
    cache.delete("tidy")
    tidied = []
    monkeypatch.setattr(tidy, "tidy", lambda: tidied.append(1))
    for _ in range(3):
        monkeypatch.setattr(tidy, "_looked_at", 0.0)
        tidy.tidy_daily()
    assert tidied == [1]
    cache.delete("tidy")
    tidy.tidy_daily()  # this worker has looked a moment ago
    assert tidied == [1]


def test_the_ages_are_settings(settings):
    invitation, _ = make_invitation()
    over = timezone.now() - timedelta(days=10)
    Invitation.objects.filter(pk=invitation.pk).update(revoked_at=over)
    settings.KEEP_ENDED_DAYS = 11
    assert tidy.tidy(dry_run=True)["invitations"] == []
    settings.KEEP_ENDED_DAYS = 9
    assert tidy.tidy(dry_run=True)["invitations"] == ["1 ended invitations"]


def test_every_worker_knows_of_it():
    from annotation_site.celery import SWEEPS

    assert "annotation_site.operations.tidy.tidy_daily" in SWEEPS
