"""Every address, asked for what it must not give: from elsewhere, with more than it asked for."""

import hashlib
import re
import socket
from urllib.parse import urlsplit

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection, transaction
from django.test import Client
from django.urls import get_resolver, reverse

from annotation_site.accounts.models import Role, User
from annotation_site.annotation.models import Membership
from annotation_site.corpus.models import Extraction
from tests.annotation_site.addresses import GET, address, names
from tests.annotation_site.api.scripts import bearer
from tests.annotation_site.api.writes import WRITES, body_of, methods, send
from tests.annotation_site.factories import (
    PASSWORD,
    UserFactory,
    client_of,
    log_in,
    make_invitation,
    make_study,
    newcomer,
)

pytestmark = pytest.mark.django_db
EVIL = "https://evil.example"
# Guesses at a password's hash, through every relation that leads to a person.
LOOKUPS = "&".join(
    f"{path}password__startswith={{}}"
    for path in ("", "user__", "created_by__", "study__created_by__", "membership__user__")
)
# What nobody may set by sending it along.
PRIVILEGES = {
    "role": "admin", "is_active": True, "is_admin": True, "password": "x", "user": 1, "owner": 1,
    "created_by": 1, "study_id": 1, "membership": 1, "purpose": "reference", "version": 9,
    "public_id": "00000000-0000-4000-8000-000000000000", "pk": 1,
}  # fmt: skip


@pytest.fixture
def sites(world):
    """Every address by its name, and everybody who could ask for it."""
    study, assignment, clients = world
    addresses = {name: address(name, study, assignment) for name in names(get_resolver())}
    return addresses, clients


def read(response) -> bytes:
    return b"".join(response.streaming_content) if response.streaming else response.content


# The token is asked for before anybody looks who asks; so the admin, who may do most, is the quick
# look, and everybody else the thorough one.
@pytest.mark.parametrize(
    "person", [*(pytest.param(n, marks=pytest.mark.long) for n in range(1, 5)), 5]
)
def test_every_address_that_writes_asks_for_the_forms_token(sites, settings, person):
    settings.WRITES_PER_MINUTE = 1_000_000
    addresses, clients = sites
    client = Client(enforce_csrf_checks=True)
    client.force_login(User.objects.get(pk=clients[person].session["_auth_user_id"]))
    before = everything()
    for name, url in addresses.items():
        for method in ("POST", "PUT", "PATCH", "DELETE"):
            response = client.generic(method, url, "{}", "application/json")
            # Nobody is asked for it where there is nothing, and no such method.
            elsewhere: dict[str, tuple[int, ...]] = {"api:nowhere": (404,)}
            elsewhere |= dict.fromkeys(("corpus:import", "corpus:corpora"), (403, 405))
            # JSON, where files alone are read
            elsewhere |= dict.fromkeys(("api:upload", "api:corpora"), (403, 415))
            assert response.status_code in elsewhere.get(name, (403,)), (name, method)
        form = client.generic("POST", url, "a=b", "application/x-www-form-urlencoded")
        assert form.status_code in (*elsewhere.get(name, (403,)), 415), name
    assert everything() == before


def everything() -> dict[str, str]:
    """A digest of each table's rows, but for how many requests there were."""
    with connection.cursor() as cursor:
        digests = {}
        for table in {*connection.introspection.table_names(cursor)} - {"accounts_requestcount"}:
            cursor.execute(f"SELECT * FROM {connection.ops.quote_name(table)}")
            rows = sorted(repr([plain(value) for value in row]) for row in cursor.fetchall())
            digests[table] = hashlib.sha256("\n".join(rows).encode()).hexdigest()
        return digests


def plain(value: object) -> object:
    """PostgreSQL's bytes come as a view, whose text is an address in memory."""
    return bytes(value) if isinstance(value, memoryview) else value


@pytest.mark.parametrize(
    "path", ["/api/extractions/upload", "/models/import/", "/api/corpora", "/corpora/"]
)
def test_files_that_another_sites_form_sends_are_refused(path):
    client = Client(enforce_csrf_checks=True)
    client.force_login(UserFactory(role=Role.ADMIN))
    assert client.get("/account/").cookies["csrftoken"].value  # which the other site cannot read
    name = "file" if "corpora" in path else "files"
    sent = {name: SimpleUploadedFile("bundle.zip", b"x"), "name": "x"}
    assert client.post(path, sent).status_code == 403


def test_a_form_that_comes_from_another_site_is_refused_even_with_a_token():
    client = Client(enforce_csrf_checks=True)
    token = client.get("/login/").cookies["csrftoken"].value
    sent = {"login": "x", "password": "y", "csrfmiddlewaretoken": token}
    assert client.post("/login/", sent).status_code == 200
    for origin in (EVIL, "null", "https://testserver", "http://testserver.evil.example"):
        refused = client.post("/login/", sent, headers={"origin": origin})
        assert refused.status_code == 403, origin


def test_no_answer_lets_another_site_read_it(sites):
    addresses, clients = sites
    preflight = {"origin": EVIL, "access-control-request-method": "POST"}
    for client in (clients[0], clients[2], clients[5]):
        for name, url in addresses.items():
            for response in (
                client.get(url, headers={"origin": EVIL}),
                client.options(url, headers=preflight),
            ):
                read(response)
                found = [h for h in response.headers if h.lower().startswith("access-control")]
                assert found == [], name


def test_every_answer_has_a_policy_and_is_not_framed_sniffed_or_told_to_others(settings, sites):
    settings.SECURE_HSTS_SECONDS = 31_536_000
    settings.SESSION_COOKIE_SECURE = settings.CSRF_COOKIE_SECURE = True
    addresses, clients = sites
    people = [User.objects.get(pk=clients[n].session["_auth_user_id"]) for n in (2, 4, 5)]
    for client in (Client(), *map(client_of, people)):
        for name, url in addresses.items():
            response = client.get(url, secure=True)
            read(response)
            policy = response["Content-Security-Policy"]
            assert {part.strip() for part in policy.split(";")} == {
                "default-src 'self'", "img-src 'self' data:", "object-src 'none'",
                "base-uri 'none'", "form-action 'self'", "frame-ancestors 'none'",
            }, name  # fmt: skip
            assert "Content-Security-Policy-Report-Only" not in response
            headers = ("X-Frame-Options", "X-Content-Type-Options", "Referrer-Policy")
            assert [response[h] for h in headers] == ["DENY", "nosniff", "same-origin"], name
            assert response["Strict-Transport-Security"] == "max-age=31536000", name
            assert response["Cross-Origin-Opener-Policy"] == "same-origin", name
            for cookie in response.cookies.values():
                assert cookie["secure"] is True, (name, cookie.key)
                assert cookie["samesite"] == "Lax"
                assert cookie["httponly"] or cookie.key == "csrftoken"


def test_fields_that_a_call_does_not_take_are_refused(world):
    study, assignment, _ = world
    person = UserFactory(role=Role.ADMIN)
    clients = [bearer(person), bearer(assignment.membership.user)]
    clients.append(bearer(study.memberships.get(role=Membership.Role.RESEARCHER).user))
    calls = methods()
    for (name, method), (body, _) in WRITES.items():
        takes = calls[name][method].takes
        if takes is None or calls[name][method].streams:  # files, of which names alone count
            continue
        declared = set(takes().fields)
        for field in set(PRIVILEGES) - declared:
            sent = {**(body_of(body, assignment, person) or {}), field: PRIVILEGES[field]}
            answers = []
            for client in clients:
                with transaction.atomic():
                    response = send(client, name, method, study, assignment, sent)
                    transaction.set_rollback(True)
                answers.append(response.status_code)
                if response.status_code == 400:
                    assert field in response.json()["error"]["details"], (name, field)
            assert 400 in answers, (name, method, field)
            assert set(answers) <= {400, 403, 404}, (name, method, field)


def test_fields_that_a_form_does_not_ask_for_change_nothing():
    _, link = make_invitation()
    Client().post(
        link, newcomer("nina", **{k: str(v) for k, v in PRIVILEGES.items() if k != "password"})
    )
    nina = User.objects.get(username="nina")
    assert (nina.role, nina.is_admin, nina.pk == 1) == (Role.ANNOTATOR, False, False)

    before = {"role": nina.role, "is_active": True, "public_id": nina.public_id}
    sent = {**PRIVILEGES, "username": "nina", "email": "", "current_password": PASSWORD}
    log_in(nina).post("/account/", sent)
    assert User.objects.filter(pk=nina.pk).values(*before).get() == before

    study = make_study()
    researcher = client_of(study.created_by)
    researcher.post(
        "/invitations/new/",
        {"role": "admin", "study": study.pk, "study_role": "researcher", "uses": 1, "days": 1},
    )
    made = study.invitations.get()
    assert (made.role, made.study_role, made.created_by) == (
        Role.ANNOTATOR, Membership.Role.ANNOTATOR, study.created_by,
    )  # fmt: skip
    foreign = make_study()
    researcher.post("/invitations/new/", {"study": foreign.pk, "uses": 1, "days": 1})
    assert not foreign.invitations.exists()


def test_no_query_reaches_a_column_that_is_not_offered(sites):
    """A right and a wrong guess at the hash of a password get the very same answer."""
    addresses, clients = sites
    assert all(p.startswith("md5$") for p in User.objects.values_list("password", flat=True))
    for client in (clients[2], clients[4], clients[5]):
        for name, url in addresses.items():
            answers = {said(client, url, guess) for guess in ("md5", "zzz")}
            assert len(answers) == 1, name
            ((status, _),) = answers
            if name.startswith("api:") and GET[name][5] == 200 and client is clients[5]:
                assert status == 400, name


def said(client, url: str, guess: str) -> tuple[int, str]:
    response = client.get(f"{url}?{LOOKUPS.format(*[guess] * LOOKUPS.count('{}'))}")
    text = read(response).decode(errors="replace").replace(guess, "GUESS")
    if url == reverse("site"):  # what it measures of the machine at each request
        measured = r"<time .*?</time>|<progress [^>]*>|have=\w+|\b[\d.,]+ (ms|MB|GB)\b"
        text = re.sub(measured, "", text)
    text = re.sub(r"\bnow\b|\b(a|\d+)\s(second|minute)s?( ago)?", "just now", text)
    return response.status_code, re.sub(r'(csrfmiddlewaretoken" value=")\w+', r"\1", text)


@pytest.mark.parametrize(
    "name",
    ["..", "../../settings", "..%2f..%2fetc%2fpasswd", "%2e%2e%2f%2e%2e%2fdb.sqlite3", "a%00b",
     "..%5c..%5cwindows", "%2fetc%2fpasswd"],
)  # fmt: skip
def test_no_download_leaves_its_folder(world, name):
    study, _, clients = world
    for path in (
        f"/studies/{study.slug}/results/{name}.csv",
        f"/studies/{study.slug}/results/coverage.{name}",
        f"/studies/{study.slug}/figures/{name}.svg",
        f"/studies/{study.slug}/adjudication/adjudicated.{name}",
        f"/studies/{study.slug}/exports/{name}/",
        f"/hours.{name}",
        f"/static/{name}",
        f"/api/studies/{study.slug}/exports/{name}.csv",
        f"/models/{name}/manifest.json",
    ):
        response = clients[4].get(path)
        assert response.status_code in (301, 403, 404), (path, response.status_code)
        if response.status_code == 301:  # a slash is added
            assert clients[4].get(response["Location"]).status_code == 404


@pytest.fixture
def no_network(monkeypatch):
    """Who is asked for, of everything outside this machine's own services."""
    asked = []

    def refuse(*arguments, **_):
        asked.append(arguments)
        raise OSError("no network in this test")

    for name in ("getaddrinfo", "create_connection"):
        monkeypatch.setattr(socket, name, refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    return asked


def test_a_strangers_files_are_kept_nowhere_and_the_rest_of_the_form_is_read(
    tmp_path, settings, monkeypatch
):
    settings.FILE_UPLOAD_TEMP_DIR = str(tmp_path)
    made = []
    monkeypatch.setattr(
        "django.core.files.uploadhandler.TemporaryUploadedFile", lambda *args: made.append(args)
    )
    user = UserFactory()
    large = SimpleUploadedFile("large.bin", b"x" * 3_000_000)
    sent = {"a": large, "login": user.username, "password": PASSWORD}
    assert Client().post("/login/", sent).status_code == 302  # they are let in
    assert made == []


def test_no_page_makes_a_request_to_anywhere(sites, no_network, settings):
    addresses, clients = sites
    for client in clients:
        for name, url in addresses.items():
            if name != "site":
                read(client.get(url))
    assert no_network == []
    # The overview asks the site's own broker how it is.
    clients[-1].get(addresses["site"])
    broker = urlsplit(settings.REDIS_URL)
    assert {asked[:2] for asked in no_network} <= {(broker.hostname, broker.port)}


@pytest.mark.parametrize(
    "model",
    ["http://169.254.169.254/latest/meta-data", "https://evil.example/model", "//evil.example/x",
     "file:///etc/passwd", "localhost:6379/0", "git+ssh://evil.example/x", "evil.example:80"],
)  # fmt: skip
def test_an_address_is_no_models_name_and_nobody_is_asked(no_network, model):
    admin, before = UserFactory(role=Role.ADMIN), Extraction.objects.count()
    for extra in ({}, {"estimate": "1"}):
        response = client_of(admin).post("/models/enqueue/", {"model": model, **extra})
        assert response.status_code == 422
    sent = {"model": model}
    response = bearer(admin).post("/api/extractions", sent, format="json")
    assert response.status_code in (400, 422)
    assert (Extraction.objects.count(), no_network) == (before, [])


def test_what_lets_somebody_in_cannot_be_guessed():
    """256 bits for links and tokens: 43 letters of 64."""
    from annotation_site.accounts.services import reset_link_make
    from annotation_site.accounts.tokens import token_create

    admin, person = UserFactory(role=Role.ADMIN), UserFactory()
    links = {make_invitation()[1].split("/")[2] for _ in range(50)}
    assert len(links) == 50
    assert min(map(len, links)) >= 43
    secrets = {
        token_create(user=person, name="x", scopes=["read"])[1].removeprefix("ffn_")
        for _ in range(20)
    }
    assert len(secrets) == 20
    assert min(map(len, secrets)) >= 43
    one, other = (reset_link_make(person=p, by=admin) for p in (person, UserFactory()))
    assert one.rpartition("-")[2] != other.rpartition("-")[2]
    assert len(one.rpartition("-")[2]) >= 32


def test_a_page_of_one_study_shows_nothing_of_another(world):
    """Besides the tables of who may open what: an own study's address with another's things."""
    study, _, clients = world
    other = make_study(title="Nobody else's business")
    stranger = other.memberships.filter(role=Membership.Role.ANNOTATOR).first()
    item = other.items.first()
    researcher = clients[4]
    for method, url in (
        ("POST", reverse("annotation:person", args=[study.slug, stranger.user.public_id])),
        ("POST", reverse("annotation:release", args=[study.slug, stranger.user.public_id])),
        ("POST", reverse("annotation:let_in", args=[study.slug, stranger.user.public_id])),
        ("DELETE", f"/api/studies/{study.slug}/people/{stranger.user.public_id}"),
        ("POST", f"/api/studies/{study.slug}/people/{stranger.user.public_id}/release"),
        ("POST", f"/api/studies/{study.slug}/people/{stranger.user.public_id}/let-in"),
        ("POST", f"/api/studies/{study.slug}/items/{item.pk}/adjudicate"),
    ):
        response = researcher.generic(method, url)
        assert response.status_code == 404, url
        assert "business" not in response.content.decode()
    for name in ("items", "assignments", "annotations", "people", "progress", "flags"):
        said = researcher.get(f"/api/studies/{study.slug}/{name}").content.decode()
        assert str(stranger.user.public_id) not in said
        assert "business" not in said


def test_a_page_that_a_secret_link_opens_tells_nobody_its_address():
    """Nothing on it is loaded from or leads to elsewhere, where the link would be the referrer."""
    from annotation_site.accounts.services import reset_link_make

    person = UserFactory()
    links = [
        make_invitation()[1],
        reset_link_make(person=person, by=UserFactory(role=Role.ADMIN)),
    ]
    for link in links:
        response = Client().get(link, follow=True)
        page = response.content.decode()
        assert response.status_code == 200
        assert "password" in page
        assert response["Referrer-Policy"] == "same-origin"
        assert response["Cache-Control"] == "private, no-store"
        led = re.findall(r"""(?:href|src|action|srcset|poster|data|hx-\w+)=["']([^"']*)""", page)
        assert led
        assert [address for address in led if re.match(r"\s*(\w+:|//)", address)] == []
    # Once it is open, a reset link's own address is that of a form without the secret.
    assert links[1].rpartition("-")[2].strip("/") not in page
