"""A study's files by script: figures, and exports that a worker writes."""

import base64
import hashlib

import pytest

from annotation_site.accounts.models import AuditEntry
from annotation_site.annotation.models import Membership
from annotation_site.results.figures.files import figure_path
from annotation_site.results.files import jobs
from annotation_site.results.models import ExportJob
from annotation_site.results.snapshots import services
from tests.annotation_site.api.test_requests import bearer, code, post
from tests.annotation_site.factories import make_extraction, make_study

pytestmark = pytest.mark.django_db


class TestFigures:
    @pytest.fixture
    def snapshot(self, study):
        return services.snapshot_refresh_now(study=study)

    def test_every_file_of_every_figure_can_be_fetched(self, study, snapshot, client, url):
        page = client.get(f"{url}/figures").json()
        assert {f["name"] for f in page["results"]} == set(snapshot.figures)
        for figure in page["results"]:
            about = snapshot.figures[figure["name"]]
            for key in ("title", "alt", "table"):
                assert figure[key] == about[key]
        first = page["results"][0]
        printed = next(f["url"] for f in first["files"] if f["extension"] == "pdf")
        assert code(client.get(printed)) == (422, "invalid")  # a worker is asked to draw it
        services.figures_draw(snapshot_id=snapshot.pk, for_print=True)
        starts = {"svg": b"<?xml", "pdf": b"%PDF", "png": b"\x89PNG"}
        for figure in page["results"]:
            assert [f["extension"] for f in figure["files"]] == ["svg", "pdf", "png", "csv"]
            for file in figure["files"]:
                reply = client.get(file["url"])
                assert reply.status_code == 200, file
                content = reply.getvalue()
                if file["extension"] == "csv":
                    table = client.get(f"{url}/exports/{figure['table']}.csv")
                    assert content == table.getvalue()
                    continue
                path = figure_path(snapshot, figure["name"], file["extension"])
                assert content == path.read_bytes()
                assert content.startswith(starts[file["extension"]])

    @pytest.mark.parametrize(
        ("file", "status"),
        [
            ("coverage-across-layers-0.svg", 200),
            ("coverage-across-layers-0.svg?snapshot=no", 400),
            ("coverage-across-layers-0.gif", 404),
            ("nothing.svg", 404),
            ("nothing.csv", 404),
            ("nothing.pdf", 404),
        ],
    )
    def test_what_is_no_figure_is_not_found(self, snapshot, client, url, file, status):
        assert client.get(f"{url}/figures/{file}").status_code == status


class TestExports:
    @pytest.fixture(autouse=True)
    def _folder(self, settings, tmp_path):
        settings.EXPORTS_DIR = tmp_path / "exports"

    def test_a_file_is_asked_for_watched_fetched_and_checked(self, study, client, url):
        asked = post(client, f"{url}/exports", {"content": "jsonl"})
        one = f"{url}/exports/{asked.json()['id']}"
        assert (asked.status_code, asked.json()["state"]) == (202, "due")
        assert code(client.get(f"{one}/file")) == (404, "not_found")
        jobs.export_run(job_id=ExportJob.objects.get().pk)
        state = client.get(one).json()
        assert (state["state"], state["done"], state["total"]) == ("ready", 7, 7)
        reply = client.get(f"{one}/file")
        data = reply.getvalue()
        digest = hashlib.sha256(data)
        assert (len(data), digest.hexdigest()) == (state["size"], state["sha256"])
        assert reply["Repr-Digest"] == f"sha-256=:{base64.b64encode(digest.digest()).decode()}:"
        assert f'filename="{study.slug}-labels.jsonl"' in reply["Content-Disposition"]
        assert reply["Content-Type"] == "application/x-ndjson"
        assert [e.details.get("downloaded") for e in AuditEntry.objects.filter(
            action="exported"
        ).order_by("pk")] == [None, True]  # fmt: skip

    def test_files_are_listed_with_who_asked_and_whether_they_name_people(self, client, url):
        for names in (False, True):
            post(client, f"{url}/exports", {"content": "archive", "with_names": names})
        found = client.get(f"{url}/exports").json()["results"]
        me = client.get("/api/me").json()["id"]
        assert [(f["with_names"], f["requested_by"]) for f in found] == [(True, me), (False, me)]

    def test_the_same_request_under_one_key_is_one_file(self, client, url):
        for _ in range(2):
            reply = client.post(
                f"{url}/exports", {"content": "jsonl"}, format="json",
                headers={"Idempotency-Key": "k"},
            )  # fmt: skip
            assert reply.status_code == 202
        assert ExportJob.objects.count() == 1

    def test_another_studys_file_is_not_found(self, client, url):
        asked = post(client, f"{url}/exports", {"content": "jsonl"}).json()["id"]
        other = make_study(extraction=make_extraction(layers=1, per_layer=1))
        runs = bearer(other.memberships.get(role=Membership.Role.RESEARCHER).user)
        for there in (f"{url}/exports/{asked}", f"/api/studies/{other.slug}/exports/{asked}"):
            assert runs.get(there).status_code == 404
            assert runs.get(f"{there}/file").status_code == 404
