"""Bundles that come by page: streamed, counted, checked, loaded by a worker, or gone again."""

import hashlib
import io
import os
import socket
import time
import zipfile

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from annotation_site.accounts.models import AuditEntry, Role
from annotation_site.corpus import extraction_runs, importing, receiving, services
from annotation_site.corpus.models import Extraction, Vector
from annotation_site.corpus.sweeps import extractions_sweep
from annotation_site.workers import claims
from ffn_extract.bundle import BUNDLE_FILES, open_bundle
from tests.annotation_site.corpus.bundles import URL, contents, left_behind, send, zipped
from tests.annotation_site.factories import PASSWORD, UserFactory, client_of
from tests.e2e.site import wait_for
from tests.ffn_extract.small_bundles import write_full_bundle

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("bundles")]
State = Extraction.State


@pytest.fixture
def admin():
    return client_of(UserFactory(role=Role.ADMIN))


def refused(admin, bundles, files, sentence):
    response = send(admin, files)
    assert response.status_code == 422
    shown = response.content.decode()
    assert sentence in shown, shown
    assert (Extraction.objects.count(), left_behind(bundles)) == (0, [])
    assert list((bundles / ".incoming").glob("*")) == []


@pytest.mark.parametrize(
    "pack",
    [lambda files: files, zipped, lambda files: zipped(files, within="my-bundle")],
    ids=["three files", "zip", "zip of the folder"],
)
def test_an_upload_is_loaded_by_a_worker_as_the_command_loads_it(admin, made, bundles, pack):
    response = send(admin, pack(contents(made)))
    extraction = Extraction.objects.get()
    assert response.url == f"/models/{extraction.public_id}/"
    assert (extraction.state, extraction.uploaded, extraction.model_source) == (
        State.QUEUED, True, "tiny",
    )  # fmt: skip
    assert "Check the bundle" in admin.get(response.url).content.decode()
    extraction_runs.extraction_work(extraction_id=extraction.pk)
    extraction.refresh_from_db()
    assert (extraction.state, extraction.error) == (State.READY, "")
    assert extraction.bundle_digest == open_bundle(made).manifest.digest
    assert extraction.vectors.count() == 2
    assert contents(services.bundle_path(extraction)) == contents(made)
    manifest = admin.get(response.url + "manifest.json")
    assert manifest.content == (made / "manifest.json").read_bytes()
    assert "attachment" in manifest["Content-Disposition"]
    texts = list(extraction.log.values_list("text", flat=True))
    assert texts[0] == "Uploaded, and queued to be checked and loaded."
    assert texts[1].startswith("Taken by worker ")
    assert texts[2:] == [
        "Step: Check the bundle.", "Step: Load the tokens.", "Step: Load the lists.",
        "Ready: 2 lists are loaded.",
    ]  # fmt: skip
    assert AuditEntry.objects.filter(action="model_uploaded").count() == 1


@pytest.mark.parametrize("pack", [lambda files: files, zipped], ids=["files", "zip"])
def test_an_upload_may_have_the_optional_files(admin, tmp_path, bundles, pack):
    write_full_bundle(tmp_path / "full", trigger_prefixes=None)
    files = contents(tmp_path / "full")
    assert len(files) == 4
    send(admin, pack(files))
    extraction = Extraction.objects.get()
    extraction_runs.extraction_work(extraction_id=extraction.pk)
    extraction.refresh_from_db()
    assert (extraction.state, extraction.error) == (State.READY, "")
    assert extraction.value_statistics.count() == 16
    assert contents(services.bundle_path(extraction)) == files


@pytest.mark.parametrize("pack", [lambda files: files, zipped], ids=["files", "zip"])
def test_an_optional_file_that_the_manifest_does_not_list_is_refused(
    admin, made, bundles, tmp_path, pack
):
    write_full_bundle(tmp_path / "full")
    more = contents(tmp_path / "full")
    files = {**contents(made), "trigger_prefixes.parquet": more["trigger_prefixes.parquet"]}
    refused(admin, bundles, pack(files), "its manifest does not list: trigger_prefixes.parquet")


def test_a_zip_with_files_in_two_folders_is_refused(admin, made, bundles):
    files = contents(made)
    packed = {f"b/{name}": content for name, content in files.items() if name != "tokens.parquet"}
    for name in ("tokens.parquet", "a/tokens.parquet"):
        mixed = {**packed, name: files["tokens.parquet"]}
        refused(admin, bundles, zipped(mixed), "holds files that are not a bundle")
    twice = {**packed, "b/tokens.parquet": b"x", "tokens.parquet": b"x"}
    refused(admin, bundles, zipped(twice), "holds files that are not a bundle")


def test_lists_that_are_here_already_are_not_taken_twice(admin, made, bundles):
    extraction, _ = importing.bundle_import(path=made)
    assert send(admin, contents(made)).url == f"/models/{extraction.public_id}/"
    assert (Extraction.objects.count(), left_behind(bundles)) == (1, [])


def test_content_that_does_not_match_its_digest_fails_with_a_sentence_and_leaves_nothing(
    admin, made, bundles
):
    files = contents(made)
    damaged = bytearray(files["vectors.parquet"])
    damaged[40] ^= 0x20
    send(admin, {**files, "vectors.parquet": bytes(damaged)})
    extraction = Extraction.objects.get()
    extraction_runs.extraction_work(extraction_id=extraction.pk)
    extraction.refresh_from_db()
    assert extraction.state == State.FAILED
    assert extraction.error == "The content of vectors.parquet does not match its digest."
    assert (Vector.objects.count(), left_behind(bundles)) == (0, [])
    page = admin.get(f"/models/{extraction.public_id}/").content.decode()
    assert "does not match its digest" in page
    assert "Try again" not in page
    again = admin.post(f"/models/{extraction.public_id}/retry/")
    assert again.status_code == 422
    assert "Upload the bundle again." in again.content.decode()


def test_a_manifest_that_does_not_match_its_digest_is_refused_at_once(admin, made, bundles):
    files = contents(made)
    digest = open_bundle(made).manifest.digest
    files["manifest.json"] = files["manifest.json"].replace(
        digest.encode(), hashlib.sha256(b"other").hexdigest().encode()
    )
    refused(admin, bundles, files, "The digest in manifest.json does not match")


def test_files_that_are_no_bundle_are_refused_and_forgotten(admin, made, bundles):
    files = contents(made)
    choose = "Choose all files of a bundle"
    refused(admin, bundles, {}, choose)
    refused(admin, bundles, {"manifest.json": files["manifest.json"]}, choose)
    refused(admin, bundles, {**files, "more.txt": b"x"}, choose)
    many = {f"{n}.txt": b"x" for n in range(3)}
    refused(admin, bundles, {**files, **many}, "A bundle has at most 5 files")
    renamed = {("other.parquet" if n == "tokens.parquet" else n): c for n, c in files.items()}
    refused(admin, bundles, renamed, choose)
    for name in files:
        refused(admin, bundles, {**files, name: b"x"}, "Send the bundle again")
    refused(admin, bundles, {"x.zip": b""}, "The .zip is incomplete")
    refused(admin, bundles, {"x.zip": b"no zip at all"}, "The .zip is incomplete")
    refused(admin, bundles, {"x.zip": zipped(files)["bundle.zip"][:-30]}, "The .zip is incomplete")


@pytest.mark.parametrize(
    "name", ["../vectors.parquet", "/etc/passwd", "a/b/vectors.parquet", "evil.sh", "x\\y"]
)
def test_a_zip_with_other_names_is_refused_before_anything_is_unpacked(
    admin, made, bundles, tmp_path, name
):
    before = sorted(tmp_path.parent.rglob("*.parquet"))
    files = contents(made)
    refused(admin, bundles, zipped({**files, name: b"x"}), "holds files that are not a bundle")
    instead = {n: c for n, c in files.items() if n != "vectors.parquet"}
    refused(
        admin, bundles, zipped({**instead, name: files["vectors.parquet"]}),
        "holds files that are not a bundle",
    )  # fmt: skip
    assert sorted(tmp_path.parent.rglob("*.parquet")) == before


def test_a_link_in_a_zip_is_only_its_text(admin, made, bundles):
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        for name, content in contents(made).items():
            entry = zipfile.ZipInfo(name)
            is_link = name == "vectors.parquet"
            entry.external_attr = (0o120777 if is_link else 0o100644) << 16
            archive.writestr(entry, "/etc/passwd" if is_link else content)
    refused(admin, bundles, {"x.zip": target.getvalue()}, "vectors.parquet has 11 bytes")


def test_a_zip_that_unpacks_to_more_than_may_be_uploaded_is_stopped(admin, made, bundles, settings):
    settings.MAX_BUNDLE_BYTES = 100_000
    files = {**contents(made), "vectors.parquet": b"\0" * 10_000_000}
    packed = zipped(files)
    assert len(packed["bundle.zip"]) < 100_000
    refused(admin, bundles, packed, "The unpacked .zip is larger than the limit of 100,000 bytes")


def test_a_zip_with_a_long_directory_is_refused_before_it_is_read(admin, bundles, made):
    many = {f"{number}": b"" for number in range(1000)}
    refused(admin, bundles, zipped({**contents(made), **many}), "holds files that are not a bundle")


def altered(files, name, *, local=(), central=()):
    """A .zip in which bytes of a member's two heads are others: pairs of a place and bytes."""
    content = bytearray(zipped(files)["bundle.zip"])
    for signature, name_at, changes in ((b"PK\3\4", 30, local), (b"PK\1\2", 46, central)):
        at = content.index(signature)
        while content[at + name_at : at + name_at + len(name)] != name.encode():
            at = content.index(signature, at + 1)
        for place, new in changes:
            content[at + place : at + place + len(new)] = new
    return {"bundle.zip": bytes(content)}


@pytest.mark.parametrize("method", [zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2])
def test_a_zip_of_another_method_is_refused_before_it_is_opened(
    admin, made, bundles, method, monkeypatch
):
    files = zipped(contents(made), method=method)
    monkeypatch.setattr(zipfile.ZipFile, "open", None)
    refused(admin, bundles, files, "a method other than Deflate")


@pytest.mark.parametrize("bits", [0x01, 0x41])
def test_an_encrypted_zip_is_refused_with_its_reason(admin, made, bundles, bits):
    heads = {"local": [(6, bytes([bits]))], "central": [(8, bytes([bits]))]}
    files = altered(contents(made), "tokens.parquet", **heads)
    refused(admin, bundles, files, "The .zip is encrypted")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_zip_that_names_a_file_twice_is_refused(admin, made, bundles):
    target = io.BytesIO(zipped(contents(made))["bundle.zip"])
    with zipfile.ZipFile(target, "a") as archive:
        archive.writestr("tokens.parquet", b"other")
    refused(admin, bundles, {"x.zip": target.getvalue()}, "names a file twice")


LIES = {
    "members that share bytes": {"central": [(42, b"\0\0\0\0")]},
    "a member beyond the file": {"central": [(42, b"\xff\xff\xff\x7f")]},
    "a packed size beyond the file": {"central": [(20, b"\xff\xff\xff\x7f")]},
    "a member before the file": {"central": [(42, b"\0\0\0\x80")]},
    "sizes that are said in no extra field": {"central": [(20, b"\xff" * 8)]},
    "a longer name in the member's own head": {"local": [(26, b"\xff\xff")]},
    "another name in the member's own head": {"local": [(30, b"X")]},
    "a checksum that does not fit": {"central": [(16, b"\0\0\0\0")]},
    "damaged data": {"local": [(70, b"\xff" * 8)]},
    "a version that nobody knows": {"central": [(6, b"\xff\xff")]},
}


@pytest.mark.parametrize("lie", LIES)
def test_a_zip_that_lies_is_refused_with_a_sentence(admin, made, bundles, lie):
    refused(admin, bundles, altered(contents(made), "vectors.parquet", **LIES[lie]), "is damaged")


def test_rows_that_unpack_to_too_much_are_refused_by_the_footer(admin, bundles, made, monkeypatch):
    monkeypatch.setattr(importing, "_UNPACKED_BY", 0)
    refused(admin, bundles, contents(made), "at most 0 are read here")


def test_an_upload_beyond_the_limit_is_stopped_while_it_comes_in(
    admin, made, bundles, settings, monkeypatch
):
    settings.MAX_BUNDLE_BYTES = 1000
    written = []
    at_start = receiving.BundleUploadHandler.receive_data_chunk

    def watched(self, raw_data, start):
        at_start(self, raw_data, start)
        written.append(len(raw_data))

    monkeypatch.setattr(receiving.BundleUploadHandler, "receive_data_chunk", watched)
    monkeypatch.setattr(receiving.BundleUploadHandler, "chunk_size", 100)
    refused(admin, bundles, {"x.zip": b"x" * 100_000}, "larger than the limit of 1,000 bytes")
    assert sum(written) <= 1000


def test_a_cancelled_upload_leaves_no_files(admin, made, bundles):
    send(admin, contents(made))
    extraction = Extraction.objects.get()
    admin.post(f"/models/{extraction.public_id}/cancel/")
    extraction.refresh_from_db()
    assert (extraction.state, left_behind(bundles)) == (State.CANCELLED, [])
    extraction_runs.extraction_work(extraction_id=extraction.pk)
    extraction.refresh_from_db()
    assert extraction.state == State.CANCELLED


def test_an_upload_whose_worker_died_is_loaded_by_another(admin, made):
    send(admin, contents(made))
    extraction = Extraction.objects.get()
    services.extraction_claim(extraction_id=extraction.pk)
    Extraction.objects.update(heartbeat_at=extraction.created_at - 9 * claims.DEAD_AFTER)
    extractions_sweep()
    extraction_runs.extraction_work(extraction_id=extraction.pk)
    extraction.refresh_from_db()
    assert (extraction.state, extraction.vectors.count()) == (State.READY, 2)
    assert "sends no heartbeat" in "".join(extraction.log.values_list("text", flat=True))


def test_an_upload_needs_the_forms_token(made, bundles):
    admin = UserFactory(role=Role.ADMIN)
    client = Client(enforce_csrf_checks=True)
    client.force_login(admin)
    assert send(client, contents(made)).status_code == 403
    assert (Extraction.objects.count(), left_behind(bundles)) == (0, [])
    client.get(URL)
    token = client.cookies["csrftoken"].value
    files = [SimpleUploadedFile(name, content) for name, content in contents(made).items()]
    assert client.post(URL, {"csrfmiddlewaretoken": token, "files": files}).status_code == 302


def test_who_may_not_send_files_is_refused_before_any_is_read(made, bundles):
    for client in (Client(), client_of(UserFactory()), client_of(UserFactory(role="researcher"))):
        assert send(client, contents(made)).status_code in (302, 403)
        assert not bundles.exists()


@pytest.mark.django_db(transaction=True)
def test_an_upload_that_stops_half_way_leaves_nothing(live_server, made, bundles):
    admin = UserFactory(role=Role.ADMIN)
    client = Client()
    assert client.login(username=admin.username, password=PASSWORD)
    client.get(URL)
    cookies = f"sessionid={client.cookies['sessionid'].value}; csrftoken={'a' * 32}"
    head = (
        f'--b\r\nContent-Disposition: form-data; name="csrfmiddlewaretoken"\r\n\r\n{"a" * 32}\r\n'
        '--b\r\nContent-Disposition: form-data; name="files"; filename="x.zip"\r\n\r\n'
    ).encode()
    request = (
        f"POST {URL} HTTP/1.1\r\nHost: testserver\r\nCookie: {cookies}\r\n"
        "Content-Type: multipart/form-data; boundary=b\r\nContent-Length: 9000000\r\n\r\n"
    ).encode()
    with socket.create_connection((live_server.thread.host, live_server.thread.port)) as sender:
        sender.sendall(request + head + b"x" * 3_000_000)
        wait_for(lambda: left_behind(bundles))  # it has begun to arrive
        sender.shutdown(socket.SHUT_WR)
        while sender.recv(65_536):  # until the server has answered, or hung up
            pass
    wait_for(lambda: not left_behind(bundles))
    assert Extraction.objects.count() == 0


def test_what_a_killed_process_left_is_forgotten_after_a_day(bundles):
    folder = receiving.incoming_folder()
    (folder / "new").write_bytes(b"x")
    (folder / "old").write_bytes(b"x")
    (folder / "old.bundle").mkdir()
    long_ago = time.time() - receiving.KEEP_SECONDS - 60
    for name in ("old", "old.bundle"):
        os.utime(folder / name, (long_ago, long_ago))
    receiving.old_files_remove()
    assert [path.name for path in folder.iterdir()] == ["new"]
    assert {"manifest.json", "vectors.parquet", "tokens.parquet"} == BUNDLE_FILES
