"""What readers get: files, without a query, a session or a cookie."""

import pytest
from django.test import Client

from annotation_site.public import files
from tests.annotation_site.addresses import page_make
from tests.annotation_site.factories import UserFactory, client_of

pytestmark = pytest.mark.django_db
SLUG = "birds-in-layers"
ADDRESS = f"/public/{SLUG}/"


@pytest.fixture(autouse=True)
def page(folder):
    page_make(SLUG)
    for extension in files.TYPES:
        (files.page_folder(SLUG) / f"x.{extension}").write_bytes(b"x")
    return files.page_folder(SLUG)


@pytest.mark.parametrize("role", [None, "annotator", "admin"])
@pytest.mark.parametrize("address", ["/public/", ADDRESS, f"{ADDRESS}lists-1.html", "/public/no/"])
def test_a_reader_costs_no_query_and_gets_no_cookie(role, address, django_assert_num_queries):
    client = client_of(UserFactory(role=role)) if role else Client()
    had = dict(client.cookies)
    with django_assert_num_queries(0):
        response = client.get(address)
    assert response.status_code == (404 if "no" in address else 200)
    assert dict(response.cookies) == {}
    assert dict(client.cookies) == had
    assert "Cookie" not in response.get("Vary", "")
    assert response["Cache-Control"] == "public, no-cache"


@pytest.mark.parametrize(("extension", "media_type"), files.TYPES.items())
def test_each_file_has_its_type_and_the_sites_headers(client, extension, media_type):
    response = client.get(f"{ADDRESS}x.{extension}")
    assert (response["Content-Type"], response.content) == (media_type, b"x")
    assert response["X-Content-Type-Options"] == "nosniff"
    assert "default-src 'self'" in response["Content-Security-Policy"]
    assert response["X-Robots-Tag"] == "noindex"
    is_saved = response.get("Content-Disposition", "").startswith("attachment")
    assert is_saved == (extension in files.SAVED)


def test_what_a_browser_has_is_not_sent_again(client):
    first = client.get(ADDRESS)
    again = client.get(ADDRESS, headers={"If-None-Match": first["ETag"]})
    assert (again.status_code, again.content, again["ETag"]) == (304, b"", first["ETag"])
    assert again["Cache-Control"] == "public, no-cache"
    head = client.head(ADDRESS)
    assert (head.status_code, head.content) == (200, b"")
    assert head["Content-Length"] == str(len(first.content))
    assert client.post(ADDRESS).status_code == 405


def test_large_files_come_in_pieces(client, page, monkeypatch):
    monkeypatch.setattr("annotation_site.public.served.MOST_AT_ONCE", 10)
    (page / "lists.json").write_bytes(b"[" + b" " * 100 + b"]")
    response = client.get(f"{ADDRESS}lists.json")
    assert response.streaming
    assert len(b"".join(response.streaming_content)) == 102
    response.close()


@pytest.mark.parametrize(
    "name",
    [
        "../secret.txt", "..%2fsecret.txt", "%2e%2e/secret.txt", "..", ".", "x.html%00.txt",
        "x.html%0a", "secret", ".hidden.txt", "X.HTML", "x.py", "x.svgz", "deep/x.html",
        "..%5csecret.txt", "%2fetc%2fpasswd",
    ],
)  # fmt: skip
def test_nothing_outside_the_folder_is_read(client, page, name):
    for folder in (page, page.parent, page.parent.parent):
        for secret in ("secret.txt", "secret", ".hidden.txt"):
            (folder / secret).write_text("a secret")
    (page / "deep").mkdir()
    (page / "deep" / "x.html").write_text("a secret")
    (page / "x.py").write_text("a secret")
    found = client.get(f"{ADDRESS}{name}")
    body = b"".join(found) if found.streaming else found.content
    assert b"a secret" not in body
    assert found.status_code == 404


@pytest.mark.parametrize("slug", ["..", "drafts", "%2e%2e", "..%2fdrafts", "writing"])
def test_drafts_are_no_pages(client, folder, slug):
    draft = files.draft_folder("unseen")
    draft.mkdir(parents=True)
    files.about_write(draft, {"title": "A secret title"})
    (draft / "index.html").write_text("a secret")
    for address in (f"/public/{slug}/", f"/public/{slug}/unseen/", "/public/unseen/", "/public/"):
        assert b"secret" not in client.get(address).content


def test_visitors_see_the_sites_language_whatever_theirs(client):
    for language in ("de", "en"):
        response = client.get("/public/", headers={"Accept-Language": language})
        assert response["Content-Language"] == "en"
        assert '<html lang="en">' in response.content.decode()
        assert "Published studies" in response.content.decode()


def test_made_up_annotations_have_their_mark(client, page):
    files.about_write(page, {"title": "Made", "made_up": True, "lists": 1, "annotators": 2})
    assert client.get(ADDRESS)["X-Made-Up-Annotations"] == "true"
    assert "made-up annotations" in client.get("/public/").content.decode()


def test_nothing_published_says_who_can_publish(client, page):
    files.files_remove(SLUG)
    said = client.get("/public/").content.decode()
    assert "No study is published here" in said
    assert "switched off" in client.get(ADDRESS).content.decode()


def test_the_start_page_leads_to_published_studies(client):
    assert "Published studies" in client.get("/").content.decode()
    files.files_remove(SLUG)
    assert "Published studies" not in client.get("/").content.decode()


def test_a_damaged_folder_is_no_page(client, page):
    (page / files.ABOUT).write_text("{")
    assert client.get(ADDRESS).status_code == 404
    assert SLUG not in client.get("/public/").content.decode()
