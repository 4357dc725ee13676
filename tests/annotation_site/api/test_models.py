"""Models by script: bundles made elsewhere, estimates, logs, manifests, workers, every option."""

import socket

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client
from django.utils import timezone
from rest_framework.test import APIClient

from annotation_site.accounts.models import RequestKey, Role
from annotation_site.accounts.tokens import token_create
from annotation_site.api import parsers
from annotation_site.api.serializers.corpus import NewExtraction
from annotation_site.corpus import extraction_runs, forecasts, importing, receiving
from annotation_site.corpus.forms import EnqueueForm
from annotation_site.corpus.log import log_add
from annotation_site.corpus.models import Extraction
from annotation_site.workers.models import Worker
from ffn_extract.checkpoints.outline import Outline
from ffn_extract.options import OPTIONS, ExtractOptions
from tests.annotation_site.api.scripts import bearer, code
from tests.annotation_site.corpus.bundles import contents, left_behind, zipped
from tests.annotation_site.corpus.forms import GPT2
from tests.annotation_site.factories import UserFactory, client_of, make_extraction
from tests.e2e.site import wait_for

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("bundles")]
State = Extraction.State
URL = "/api/extractions/upload"
FIELD = b'--b\r\nContent-Disposition: form-data; name="a"\r\n\r\nx\r\n'


@pytest.fixture
def admin():
    return bearer(UserFactory(role=Role.ADMIN))


def send(client, files, **headers):
    sent = [SimpleUploadedFile(name, content) for name, content in files.items()]
    return client.post(URL, {"files": sent}, format="multipart", headers=headers)


@pytest.mark.parametrize("pack", [lambda files: files, zipped], ids=["three files", "zip"])
def test_an_upload_is_loaded_by_a_worker_and_tells_its_log_and_manifest(admin, made, bundles, pack):
    reply = send(admin, pack(contents(made)))
    assert reply.status_code == 201, reply.json()
    assert (reply.json()["state"], reply.json()["model_source"]) == ("queued", "tiny")
    assert contents(bundles / reply.json()["id"]) == contents(made)
    url = f"/api/extractions/{reply.json()['id']}"
    assert code(admin.get(f"{url}/manifest")) == (404, "not_found")  # it is not loaded yet
    extraction_runs.extraction_work(extraction_id=Extraction.objects.get().pk)
    assert admin.get(url).json()["state"] == "ready"
    manifest = admin.get(f"{url}/manifest")
    assert manifest.content == (made / "manifest.json").read_bytes()
    assert manifest["Content-Type"] == "application/json"
    log = admin.get(f"{url}/log?limit=1&offset=5").json()
    assert log["count"] == 6
    assert log["results"][0]["text"] == "Uploaded, and queued to be checked and loaded."
    assert log["results"][0]["person"] == admin.get("/api/me").json()["id"]
    newest = admin.get(f"{url}/log?limit=1").json()["results"][0]
    assert (newest["text"], newest["person"]) == ("Ready: 2 lists are loaded.", None)


def test_lists_that_are_here_already_are_answered_with_200(admin, made, bundles):
    extraction, _ = importing.bundle_import(path=made)
    reply = send(admin, contents(made))
    assert (reply.status_code, reply.json()["id"]) == (200, str(extraction.public_id))
    assert (Extraction.objects.count(), left_behind(bundles)) == (1, [])


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        ({"x.zip": b"x"}, "The .zip is incomplete"),
        ({"a": b"", "b": b"", "c": b""}, "Choose all files"),
        (dict.fromkeys("abcdef", b""), "at most 5 files"),
        ({}, "Choose all files"),
    ],
)
def test_what_is_no_bundle_is_refused_with_the_pages_sentence(admin, bundles, files, sentence):
    reply = send(admin, files) if files else admin.post(URL, {"x": "y"}, format="multipart")
    assert code(reply) == (422, "invalid")
    assert sentence in reply.json()["error"]["message"]
    assert (Extraction.objects.count(), left_behind(bundles)) == (0, [])


@pytest.mark.parametrize(
    ("body", "media", "status"),
    [
        (b"{}", "application/json", 415),
        (b"x", "application/zip", 415),
        (b"x", "multipart/form-data", 400),  # without a boundary
        (b"", "multipart/form-data; boundary=b", 422),  # without a file
        (FIELD * 1001 + b"--b--\r\n", "multipart/form-data; boundary=b", 400),  # too many
    ],
)
def test_a_body_that_is_no_form_is_refused(admin, bundles, body, media, status):
    assert code(admin.generic("POST", URL, body, content_type=media))[0] == status
    assert left_behind(bundles) == []


def test_an_upload_beyond_the_limit_is_stopped_while_it_comes_in(
    admin, bundles, settings, monkeypatch
):
    settings.MAX_BUNDLE_BYTES = 1000
    monkeypatch.setattr(receiving.BundleUploadHandler, "chunk_size", 100)
    reply = send(admin, {"x.zip": b"x" * 100_000})
    assert code(reply) == (422, "invalid")
    assert "larger than the limit of 1,000 bytes" in reply.json()["error"]["message"]
    assert left_behind(bundles) == []


def test_who_may_not_send_files_is_refused_before_any_is_read(made, bundles):
    researcher, admin = UserFactory(role=Role.RESEARCHER), UserFactory(role=Role.ADMIN)
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(admin)
    for client, status in (
        (APIClient(), 401),
        (bearer(UserFactory()), 403),
        (client_of(researcher), 403),
        (bearer(admin, "read", "manage"), 403),
        (browser, 403),  # a session needs the token of its pages in a header
    ):
        sent = [SimpleUploadedFile(name, content) for name, content in contents(made).items()]
        assert client.post(URL, {"files": sent}).status_code == status
        assert not bundles.exists()


def test_a_page_sends_files_with_its_csrf_token_in_the_header(made):
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(UserFactory(role=Role.ADMIN))
    browser.cookies["csrftoken"] = "a" * 32
    sent = [SimpleUploadedFile(name, content) for name, content in contents(made).items()]
    reply = browser.post(URL, {"files": sent}, headers={"X-CSRFToken": "a" * 32})
    assert reply.status_code == 201, reply.json()


class TestIdempotencyKey:
    def test_an_upload_happens_once_and_its_repetition_is_not_even_read(
        self, admin, made, bundles, monkeypatch
    ):
        first = send(admin, contents(made), **{"Idempotency-Key": "k"})
        read = []
        monkeypatch.setattr(parsers, "MultiPartParser", lambda *_: read.append("the body"))
        again = send(admin, contents(made), **{"Idempotency-Key": "k"})
        assert (again.status_code, again.json()) == (201, first.json())
        assert again["Idempotent-Replayed"] == "true"
        assert (Extraction.objects.count(), read) == (1, [])

    def test_another_bundle_under_the_same_key_is_refused(self, admin, made, bundles):
        send(admin, contents(made), **{"Idempotency-Key": "k"})
        other = send(admin, zipped(contents(made)), **{"Idempotency-Key": "k"})
        assert code(other) == (422, "key_reused")
        assert Extraction.objects.count() == 1

    def test_a_refused_upload_can_be_put_right_under_its_key(self, admin, made, bundles):
        assert send(admin, {"x.zip": b"x"}, **{"Idempotency-Key": "k"}).status_code == 422
        assert not RequestKey.objects.exists()
        assert send(admin, contents(made), **{"Idempotency-Key": "k"}).status_code == 201

    def test_no_transaction_is_open_while_the_body_comes_in(
        self, admin, made, bundles, monkeypatch
    ):
        outside = len(connection.savepoint_ids)
        depths = []
        at_start = receiving.BundleUploadHandler.receive_data_chunk

        def watched(self, raw_data, start):
            depths.append(len(connection.savepoint_ids))
            at_start(self, raw_data, start)

        monkeypatch.setattr(receiving.BundleUploadHandler, "receive_data_chunk", watched)
        assert send(admin, contents(made), **{"Idempotency-Key": "k"}).status_code == 201
        assert set(depths) == {outside}


@pytest.mark.django_db(transaction=True)
def test_an_upload_that_stops_half_way_leaves_nothing(live_server, bundles):
    _, secret = token_create(user=UserFactory(role=Role.ADMIN), name="t", scopes=["admin"])
    request = (
        f"POST {URL} HTTP/1.1\r\nHost: testserver\r\nAuthorization: Bearer {secret}\r\n"
        "Content-Type: multipart/form-data; boundary=b\r\nContent-Length: 9000000\r\n\r\n"
        '--b\r\nContent-Disposition: form-data; name="files"; filename="x.zip"\r\n\r\n'
    ).encode()
    with socket.create_connection((live_server.thread.host, live_server.thread.port)) as sender:
        sender.sendall(request + b"x" * 3_000_000)
        wait_for(lambda: left_behind(bundles))  # it has begun to arrive
        sender.shutdown(socket.SHUT_WR)
        while sender.recv(65_536):  # until the server has answered, or hung up
            pass
    wait_for(lambda: not left_behind(bundles))
    assert Extraction.objects.count() == 0


def test_an_estimate_is_told_and_nothing_is_queued(admin, monkeypatch):
    outline = Outline(GPT2, {}, 548_000_000, 551_000_000)
    monkeypatch.setattr(forecasts, "outline_on_hub", lambda *_: outline)
    few = admin.post("/api/estimates", {"model": "gpt2"}, format="json").json()
    all_of_them = {"model": "gpt2", "per_layer": "all"}
    every = admin.post("/api/estimates", all_of_them, format="json").json()
    options = ExtractOptions(per_layer="all")
    told = forecasts.extraction_forecast(model_source="gpt2", options=options)
    for name in ("lists", "tokens", "seconds", "memory_bytes", "disk_bytes"):
        assert every["estimate"][name] == getattr(told.estimate, name)
        assert every["estimate"][name] >= few["estimate"][name] > 0
    assert (every["measured"], every["disk_is_short"]) == (False, told.disk_is_short)
    assert not Extraction.objects.exists()
    monkeypatch.setattr(forecasts, "outline_on_hub", lambda *_: None)
    unknown = admin.post("/api/estimates", {"model": "gpt2"}, format="json").json()
    assert unknown["estimate"] is None


def test_workers_and_what_waits_for_them_are_told(admin):
    extraction = make_extraction()
    now = timezone.now()
    worker = Worker.objects.create(name="machine:7:1", extracts=True, started_at=now, seen_at=now)
    Extraction.objects.filter(pk=extraction.pk).update(
        state=State.RUNNING, worker=worker.name, step="vectors", started_at=now
    )
    Extraction.objects.create(model_source="gpt2")
    told = admin.get("/api/workers").json()
    at_work = told.pop("workers")
    assert told == {"extracting": 1, "extractions_waiting": 1, "layers_waiting": 0}
    assert [(w["host"], w["process"], w["is_alive"]) for w in at_work] == [("machine", "7", True)]
    assert at_work[0]["extraction"] == str(extraction.public_id)
    assert at_work[0]["what"]


def test_the_log_names_who_cancelled_and_who_tried_again(admin):
    queued = admin.post("/api/extractions", {"model": "gpt2"}, format="json").json()
    url = f"/api/extractions/{queued['id']}"
    assert admin.post(f"{url}/cancel").json()["state"] == "cancelled"
    assert admin.post(f"{url}/retry").json()["state"] == "queued"
    me = admin.get("/api/me").json()["id"]
    lines = admin.get(f"{url}/log").json()["results"]
    assert [(line["text"], line["person"]) for line in lines] == [
        ("Queued again.", me), ("Cancelled.", me), ("Queued.", me),
    ]  # fmt: skip


def test_a_long_log_comes_in_pages_newest_first(admin):
    extraction = make_extraction()
    for number in range(3):
        log_add(extraction.pk, f"line {number}")
    url = f"/api/extractions/{extraction.public_id}/log?limit=2"
    page = admin.get(url).json()
    assert [line["text"] for line in page["results"]] == ["line 2", "line 1"]
    assert [line["text"] for line in admin.get(page["next"]).json()["results"]] == ["line 0"]


def test_the_parameters_of_an_extraction_can_be_sent_again(admin):
    first = admin.post("/api/extractions", {"model": "gpt2", "seed": 3}, format="json").json()
    again = {"model": first["model_source"], **first["parameters"]}
    second = admin.post("/api/extractions", again, format="json")
    assert (second.status_code, second.json()["parameters"]) == (201, first["parameters"])


def test_the_api_offers_every_option_of_the_form_within_the_same_bounds():
    sent, form = NewExtraction().fields, EnqueueForm.base_fields
    assert set(sent) == {"model", "title", *OPTIONS}
    # The form's ways to say `per_layer: all`, and a model that is there already.
    assert set(form) - {"extent", "chosen"} == set(sent)
    bounded = {name: field for name, field in form.items() if name != "vectors"}  # text, not a list
    for name, field in bounded.items():
        for bound in ("min_value", "max_value", "max_length"):
            if getattr(field, bound, None) is not None:
                assert getattr(sent[name], bound) == getattr(field, bound), (name, bound)
    for name in ("projection", "random_grain", "orientation", "norm_kind"):
        assert {"", *sent[name].choices} == {"", *(key for key, _ in form[name].choices)}
    assert set(sent["kinds"].child.choices) == {key for key, _ in form["kinds"].choices}
