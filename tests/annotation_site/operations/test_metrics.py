"""The page of metrics: for whoever has the token, and whatever process answers."""

import re
import urllib.request
from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from annotation_site.accounts.models import Role
from annotation_site.corpus.models import Extraction, ExtractionLayer, LanguageModel
from annotation_site.measurements.models import Measurement
from annotation_site.operations.metrics import FromDatabase
from annotation_site.results.models import ExportJob, Snapshot
from annotation_site.results.snapshots import services
from annotation_site.workers.models import Worker
from tests.annotation_site.factories import (
    UserFactory,
    assignment_of,
    client_of,
    make_study,
    submit,
)
from tests.e2e.site import Site, database_of_its_own

TOKEN = "a-token-for-prometheus-and-nobody-else"


@pytest.mark.django_db
@pytest.mark.parametrize("header", [None, "", "Bearer ", "Bearer wrong", TOKEN, "Basic " + TOKEN])
def test_without_its_token_there_is_no_such_page(settings, header):
    for wanted in ("", TOKEN):
        settings.METRICS_TOKEN = wanted
        headers = {"authorization": header} if header is not None else {}
        for client in (Client(), client_of(UserFactory(role=Role.ADMIN))):
            assert client.get("/metrics", headers=headers).status_code == 404


@pytest.mark.django_db
def test_work_workers_and_tables_are_read_from_the_database(monkeypatch):
    study = make_study()
    submit(assignment_of(study))
    services.snapshot_refresh_now(study=study)
    measured = LanguageModel.objects.first()
    now = timezone.now()
    monkeypatch.setattr(timezone, "now", lambda: now)  # ages are exact
    Snapshot.objects.update(finished_at=now - timedelta(minutes=5))
    Snapshot.objects.create(study=study, data_version=99, filters={}, filter_key="x")
    for _ in range(2):
        Extraction.objects.create(model_source="m")
    cut = Extraction.objects.create(model_source="m", state=Extraction.State.LAYERS)
    for layer in range(3):
        ExtractionLayer.objects.create(extraction=cut, layer=layer, total=1)
    for state in (Measurement.State.QUEUED, Measurement.State.READY):
        Measurement.objects.create(name="norm", model=measured, state=state)
    ExportJob.objects.create(study=study, content="jsonl")
    Worker.objects.create(name="a", seen_at=now - timedelta(seconds=3))
    Worker.objects.create(name="b", seen_at=now - timedelta(hours=3))
    with CaptureQueriesContext(connection) as queries:
        families = {family.name: family for family in FromDatabase().collect()}
    # submissions, ten queues, workers alive and newest, snapshots
    assert len(queries) == 14
    values = {
        (name, *sample.labels.values()): sample.value
        for name, family in families.items()
        for sample in family.samples
    }
    assert values == {
        ("ffn_submissions",): 1,
        ("ffn_waiting", "extractions"): 2,
        ("ffn_waiting", "measurements"): 1,
        ("ffn_waiting", "traces"): 0,
        ("ffn_waiting", "proxies"): 0,
        ("ffn_waiting", "machine_runs"): 0,
        ("ffn_waiting", "layers"): 3,
        ("ffn_waiting", "snapshots"): 1,
        ("ffn_waiting", "exports"): 1,
        ("ffn_waiting", "data_sets"): 0,
        ("ffn_waiting", "publications"): 0,
        ("ffn_workers_alive",): 1,
        ("ffn_worker_heartbeat_age_seconds",): 3,
        ("ffn_snapshot_age_seconds", study.slug): 300,
    }


def test_the_processes_of_a_web_server_are_counted_together(tmp_path):
    site = Site(tmp_path / "var", models=False)
    site.environment["METRICS_TOKEN"] = TOKEN
    with database_of_its_own(site.environment):
        site.prepare()
        site.start_web(web_workers=2)
        try:
            for _ in range(20):
                with urllib.request.urlopen(f"{site.address}/login/") as page:
                    page.read()
            asked = urllib.request.Request(
                f"{site.address}/metrics", headers={"Authorization": f"Bearer {TOKEN}"}
            )
            with urllib.request.urlopen(asked) as page:
                assert page.headers["Content-Type"].startswith("text/plain")
                said = page.read().decode()
        finally:
            site.stop()
    (count,) = re.findall(
        r'^ffn_requests_total\{method="GET",status="200",view="login"\} (\d+)', said, re.MULTILINE
    )
    assert int(count) == 20
    (observed,) = re.findall(
        r'^ffn_request_seconds_count\{view="login"\} (\d+)', said, re.MULTILINE
    )
    assert int(observed) == 20
    assert re.search(r"^ffn_workers_alive 0", said, re.MULTILINE)
