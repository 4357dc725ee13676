"""Corpora that researchers upload: what is taken, what is refused, who deletes, what needs them."""

import os

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from annotation_site.accounts.models import AuditEntry, Role
from annotation_site.corpus import corpora, services
from annotation_site.corpus.corpora import corpora_choices, corpus_add, corpus_delete
from annotation_site.corpus.models import Corpus, Extraction
from annotation_site.errors import Invalid, NotAllowed
from annotation_site.operations.tidy import tidy
from ffn_extract.corpora import open_corpus
from ffn_extract.options import ExtractOptions
from tests.annotation_site.api.scripts import bearer
from tests.annotation_site.factories import UserFactory, client_of

pytestmark = pytest.mark.django_db
URL = "/corpora/"
TWO = "\ufeff  The cat sat.  \r\n\r\nDer Bär schläft.\n".encode()


@pytest.fixture(autouse=True)
def folders(settings, tmp_path):
    for name in ("MODELS_DIR", "CORPORA_DIR", "BUNDLES_DIR", "VAR_DIR"):
        setattr(settings, name, tmp_path / name)
        (tmp_path / name).mkdir()
    return tmp_path


@pytest.fixture
def researcher():
    return UserFactory(role=Role.RESEARCHER)


@pytest.fixture
def add(tmp_path, researcher):
    def add(content=TWO, name="two", licence="", by=researcher):
        path = tmp_path / "upload"
        path.write_bytes(content)
        return corpus_add(name=name, licence=licence, path=path, by=by)

    return add


def send(client, content=TWO, **fields):
    file = SimpleUploadedFile("two.txt", content)
    return client.post(URL, {"name": "two", "file": file, **fields})


def enqueue(corpus, *, needed=2, kinds=("value", "update"), split=False):
    options = ExtractOptions(
        corpus=corpus.reference, kinds=kinds, per_layer=1, drawn_per_layer=needed,
        split_sentences=split,
    )  # fmt: skip
    return services.extraction_enqueue(model_source="gpt2", options=options)


def test_a_researcher_uploads_a_corpus_and_sees_it(researcher):
    reply = send(client_of(researcher), licence="CC0")
    assert (reply.status_code, reply["Location"]) == (302, URL)
    corpus = Corpus.objects.get()
    assert (corpus.name, corpus.licence, corpus.sentences) == ("two", "CC0", 2)
    assert (corpus.size, corpus.beginning) == (32, "The cat sat.")
    page = client_of(researcher).get(URL).content.decode()
    assert "The cat sat." in page
    assert "CC0" in page
    assert AuditEntry.objects.filter(action="corpus_uploaded").exists()


def test_a_worker_reads_the_sentences_with_the_digest_that_the_site_stored(add):
    corpus = add()
    path = corpora.corpus_location(corpus.reference)
    read = open_corpus(path)
    assert (list(read.texts), read.digest) == (["The cat sat.", "Der Bär schläft."], corpus.digest)
    assert corpora.corpus_location(corpus.reference) == path  # once written, it is there


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "The file holds no sentence. Upload one with a sentence per line."),
        (b" \n\n\t\n", "The file holds no sentence. Upload one with a sentence per line."),
        (b"one\ntwo\n\xff\n", "Line 3 is not UTF-8. Save the file as UTF-8 text and upload it"),
        ("two".encode("utf-16"), "Line 1 is not UTF-8."),
        (b"PK\x03\x04\0\0", "Line 1 holds a null character: this is no text file."),
        (
            b"short\n" + b"x" * 10_001,
            "Line 2 has 10,001 characters; the limit is 10,000. Put each sentence on a line of",
        ),
    ],
)
def test_what_is_no_corpus_is_refused_in_a_sentence(researcher, content, sentence):
    reply = send(client_of(researcher), content)
    assert reply.status_code == 422
    assert sentence in reply.content.decode()
    assert not Corpus.objects.exists()


def test_too_many_sentences_are_refused(add, monkeypatch):
    monkeypatch.setattr(corpora, "MOST_SENTENCES", 1)
    with pytest.raises(Invalid, match="The file has 2 sentences; the limit is 1"):
        add()


def test_too_many_bytes_are_stopped_while_they_come_in(researcher, monkeypatch, folders):
    monkeypatch.setattr(corpora, "MOST_BYTES", 10)
    reply = send(client_of(researcher))
    assert reply.status_code == 422
    assert "larger than the limit of 10 bytes" in reply.content.decode()
    assert list((folders / "BUNDLES_DIR" / ".incoming").iterdir()) == []


def test_a_person_has_a_bounded_number_of_corpora(add, monkeypatch):
    monkeypatch.setattr(corpora, "MOST_CORPORA", 1)
    add()
    with pytest.raises(Invalid, match="You have 1 corpora, which is the limit"):
        add(name="three")


def test_a_name_is_taken_once(add):
    add()
    with pytest.raises(Invalid, match="There is a corpus “two” already"):
        add(b"another\n")
    assert Corpus.objects.count() == 1


def test_an_upload_needs_the_token_of_its_page(researcher):
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(researcher)
    assert send(browser).status_code == 403
    assert not Corpus.objects.exists()


def test_an_annotators_file_is_refused(folders):
    assert send(client_of(UserFactory())).status_code == 403
    assert not Corpus.objects.exists()


def test_the_form_of_extractions_offers_uploaded_corpora_beside_files(add, folders):
    corpus = add()
    (folders / "CORPORA_DIR" / "news.txt").write_text("x\n")
    assert corpora_choices() == [
        (corpus.reference, "two (2 sentences)"),
        ("news.txt", "news.txt"),
    ]


def test_too_few_sentences_are_refused_with_the_number_needed(add):
    corpus = add()
    with pytest.raises(Invalid, match="“two” has 2 sentences, and 3 updates per layer need 3"):
        enqueue(corpus, needed=3)
    enqueue(corpus, needed=3, kinds=("value", "random"))
    enqueue(corpus, needed=3, split=True)  # the worker counts them
    assert enqueue(corpus).parameters["corpus"] == corpus.reference


def test_a_corpus_stays_while_an_extraction_needs_it(add, researcher):
    corpus = add()
    extraction = enqueue(corpus)
    with pytest.raises(Invalid, match="1 extraction still needs this corpus"):
        corpus_delete(corpus=corpus, by=researcher)
    services.extraction_cancel(extraction=extraction)
    corpus_delete(corpus=corpus, by=researcher)
    with pytest.raises(Invalid, match="The corpus was deleted"):
        services.extraction_retry(extraction=Extraction.objects.get(pk=extraction.pk))
    with pytest.raises(Invalid, match="The corpus was deleted"):
        enqueue(corpus)


@pytest.mark.parametrize(
    "name", ["uploaded:", "uploaded:../x", "uploaded:7", "../x", "/etc/passwd"]
)
def test_no_name_reaches_another_file(name):
    with pytest.raises(Invalid):
        corpora.corpus_location(name)


def test_only_its_researcher_and_admins_delete_a_corpus(add):
    corpus = add()
    other = UserFactory(role=Role.RESEARCHER)
    with pytest.raises(NotAllowed):
        corpus_delete(corpus=corpus, by=other)
    address = f"{URL}{corpus.public_id}/delete/"
    assert client_of(other).post(address).status_code == 403
    assert "Delete this corpus" not in client_of(other).get(URL).content.decode()
    assert client_of(UserFactory(role=Role.ADMIN)).post(address).status_code == 302
    assert not Corpus.objects.exists()


def test_copies_of_deleted_corpora_go_after_a_day(add, researcher, folders):
    corpus = add()
    path = folders / "VAR_DIR" / "corpus-copies" / f"{corpus.digest}.txt"
    corpora.corpus_location(corpus.reference)
    os.utime(path, (0, 0))
    assert tidy()["corpus copies"] == []
    corpus_delete(corpus=corpus, by=researcher)
    assert tidy()["corpus copies"] == [str(path)]
    assert not path.exists()


def test_the_api_uploads_lists_and_deletes(researcher):
    client = bearer(researcher, "read", "manage")
    file = SimpleUploadedFile("two.txt", TWO)
    made = client.post("/api/corpora", {"name": "two", "file": file}, format="multipart")
    assert made.status_code == 201, made.json()
    assert client.get("/api/corpora").json()["results"] == [made.json()]
    nameless = {"file": SimpleUploadedFile("two.txt", TWO)}
    assert client.post("/api/corpora", nameless, format="multipart").status_code == 400
    assert client.delete(f"/api/corpora/{made.json()['id']}").status_code == 204
    assert not Corpus.objects.exists()


def test_the_page_asks_the_database_the_same_for_one_corpus_and_for_many(
    add, researcher, django_assert_max_num_queries
):
    client = client_of(researcher)
    add()
    client.get(URL)
    for number in range(5):
        add(name=f"n{number}")
    with django_assert_max_num_queries(8):  # session, person, sessions' rows, corpora
        client.get(URL)


@pytest.mark.parametrize("block", [1, 7, 2**20])
def test_sentences_are_read_block_by_block_as_far_as_the_last_one(add, block, monkeypatch):
    lines = [f"Sentence {n} of a bär 猫." for n in range(200)]
    corpus = add("\n".join(lines).encode())
    monkeypatch.setattr(corpora, "BLOCK", block)
    found = corpora.corpus_sentences(corpus.reference, {0, 7, 199, 200, 10**9, -1})
    assert found == {n: lines[n] for n in (0, 7, 199)}
    assert corpora.corpus_sentences(corpus.reference, {3}) == {3: lines[3]}
    assert corpora.corpus_sentences(corpus.reference, set()) == {}
    assert corpora.corpus_sentences("wordnet", {1}) == {}
