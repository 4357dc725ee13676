"""Login by an outside service (OpenID Connect): off by default, and never a way to sign up."""

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jwt
import pytest
from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount
from django.test import Client

from annotation_site.accounts.models import AuditEntry, User
from annotation_site.exact_words import exact
from tests.annotation_site.factories import PASSWORD, UserFactory, log_in

pytestmark = pytest.mark.django_db
LOGIN = "/oidc/oidc/login/"


class Issuer:
    """A service of our own that says who somebody is: `subject`, with `email`."""

    def __init__(self) -> None:
        self.subject, self.email, self.nonce = "subject-1", "ada@example.org", None
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.reply(issuer.answer(self.path))

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                self.reply(issuer.tokens())

            def reply(self, body: dict[str, Any]) -> None:
                data = json.dumps(body).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def answer(self, path: str) -> dict[str, Any]:
        if path == "/.well-known/openid-configuration":
            return {
                "issuer": self.url,
                "authorization_endpoint": f"{self.url}/authorize",
                "token_endpoint": f"{self.url}/token",
                "userinfo_endpoint": f"{self.url}/userinfo",
                "jwks_uri": f"{self.url}/keys",
            }
        assert path == "/userinfo"
        return {"sub": self.subject, "email": self.email, "email_verified": True}

    def tokens(self) -> dict[str, Any]:
        claims = {
            "iss": self.url, "aud": "the-site", "sub": self.subject, "nonce": self.nonce,
            "iat": int(time.time()), "exp": int(time.time()) + 60,
        }  # fmt: skip
        signed = jwt.encode(claims, "k" * 32, algorithm="HS256")
        return {"access_token": "t", "token_type": "Bearer", "id_token": signed}


@pytest.fixture
def issuer(settings) -> Iterator[Issuer]:
    issuer = Issuer()
    settings.OIDC_ISSUER, settings.OIDC_NAME = issuer.url, "the university"
    settings.SOCIALACCOUNT_PROVIDERS = {
        "openid_connect": {
            "OAUTH_PKCE_ENABLED": True,
            "APPS": [
                {
                    "provider_id": "oidc", "name": "the university", "client_id": "the-site",
                    "secret": "s3cret", "settings": {"server_url": issuer.url},
                }
            ],
        }
    }  # fmt: skip
    yield issuer
    issuer.server.shutdown()
    issuer.server.server_close()


def there_and_back(client: Client, issuer: Issuer, address: str = LOGIN):
    """Go to the service and come back with what it says."""
    sent_to = client.post(address)["Location"]
    asked = parse_qs(urlsplit(sent_to).query)
    issuer.nonce = asked.get("nonce", [None])[0]
    return client.get(f"{LOGIN}callback/", {"state": asked["state"][0], "code": "c"})


def is_in(client: Client) -> bool:
    return client.get("/account/").status_code == 200


def connect(user: User, issuer: Issuer) -> Client:
    client = log_in(user)
    client.post("/confirm/", {"password": PASSWORD})
    there_and_back(client, issuer, f"{LOGIN}?process=connect")
    return client


def test_without_settings_there_is_no_button_and_no_address():
    assert "Log in with" not in Client().get("/login/").content.decode()
    assert Client().post(LOGIN).status_code == 404


def test_the_button_is_shown_and_leads_to_the_issuer_and_nowhere_else(issuer):
    page = Client().get("/login/").content.decode()
    assert f"Log in with {exact('the university')}" in page
    assert f'action="{LOGIN}"' in page
    sent_to = urlsplit(Client().post(LOGIN + "?next=https://evil.example/")["Location"])
    assert f"{sent_to.scheme}://{sent_to.netloc}{sent_to.path}" == f"{issuer.url}/authorize"
    asked = parse_qs(sent_to.query)
    assert asked["redirect_uri"] == [f"http://testserver{LOGIN}callback/"]
    assert asked["client_id"] == ["the-site"]
    assert asked["code_challenge_method"] == ["S256"]
    assert "s3cret" not in sent_to.query
    # A link elsewhere cannot start a login; it takes this site's own form.
    assert Client().get(LOGIN).status_code == 200
    assert Client(enforce_csrf_checks=True).post(LOGIN).status_code == 403


def test_a_stranger_gets_no_account_by_it_whatever_address_they_prove(issuer):
    ada = UserFactory(email="ada@example.org")
    client = Client()
    page = there_and_back(client, issuer).content.decode()
    assert "invitation" in page
    assert not is_in(client)
    assert User.objects.count() == 1
    assert not SocialAccount.objects.filter(user=ada).exists()


def test_somebody_who_has_connected_it_logs_in_with_it(issuer):
    ada = UserFactory()
    connect(ada, issuer)
    client = Client()
    there_and_back(client, issuer)
    assert client.get("/account/").context["user"] == ada
    actions = list(AuditEntry.objects.order_by("pk").values_list("action", flat=True))
    assert actions == ["login", "login_service_connected", "login"]


def test_connecting_asks_for_the_password_first(issuer):
    client = log_in(UserFactory())
    assert there_and_back(client, issuer, f"{LOGIN}?process=connect")["Location"] == "/confirm/"
    assert not SocialAccount.objects.exists()


def test_it_can_be_disconnected(issuer):
    ada = UserFactory()
    client = connect(ada, issuer)
    account = SocialAccount.objects.get(user=ada)
    assert "Disconnect" in client.get("/account/login-service/").content.decode()
    client.post("/account/login-service/", {"account": account.pk})
    stranger = Client()
    there_and_back(stranger, issuer)
    assert not is_in(stranger)


def test_it_is_no_way_around_the_second_factor(issuer):
    ada = UserFactory()
    connect(ada, issuer)
    Authenticator.objects.create(user=ada, type="totp", data={"secret": "A" * 32})
    client = Client()
    assert there_and_back(client, issuer)["Location"] == "/login/second-factor/"
    assert not is_in(client)


def test_somebody_deactivated_does_not_get_in_by_it(issuer):
    ada = UserFactory()
    connect(ada, issuer)
    User.objects.filter(pk=ada.pk).update(is_active=False)
    client = Client()
    there_and_back(client, issuer)
    assert not is_in(client)


def test_an_answer_that_nobody_asked_for_is_refused(issuer):
    client = Client()
    response = client.get(f"{LOGIN}callback/", {"state": "made-up", "code": "c"})
    assert response.status_code == 401
    assert not is_in(client)
