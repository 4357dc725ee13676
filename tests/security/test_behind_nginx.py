"""The site as it is deployed: nginx with TLS in front, below a path of its host."""

import datetime
import ipaddress
import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest
import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from annotation_site.serving import free_port
from tests import requires
from tests.e2e.site import PASSWORD, Site, database_of_its_own, some_port, wait_for

pytestmark = pytest.mark.xdist_group("e2e")
WORLD = """
from tests.annotation_site.factories import *
from annotation_site.accounts.models import User
people = [User.objects.get(username="ada"), UserFactory()]
make_study(title="Concepts", people=people, researcher=User.objects.get(username="rosa"))
"""
CONFIG = """
worker_processes 1;
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
{user}
events {{}}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  server {{
    listen 127.0.0.1:{port} ssl;
    ssl_certificate {folder}/certificate.pem;
    ssl_certificate_key {folder}/key.pem;
    location / {{ return 200 "another site"; }}
    {location}
  }}
}}
"""


def location_of_the_documentation(site: Site) -> str:
    """The lines that docs/deploying.md says nginx needs, for this site's port."""
    text = (Path(__file__).parents[2] / "docs/deploying.md").read_text()
    (found,) = re.findall(r"^    location /ffn/ \{.+?^    \}", text, re.MULTILINE | re.DOTALL)
    return found.replace("127.0.0.1:8000", f"127.0.0.1:{site.port}")


def make_certificate(folder: Path) -> None:
    """For 127.0.0.1, signed by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    here = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(here, critical=False)
        .sign(key, hashes.SHA256())
    )
    (folder / "certificate.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )


@pytest.fixture
def proxied(tmp_path: Path) -> Iterator[Site]:
    """A site below /ffn/ of an nginx that ends TLS; `address` is what people type."""
    nginx = requires.nginx()
    port = free_port("127.0.0.1", some_port())
    site = Site(tmp_path / "var", models=False)
    site.environment |= {"SITE_URL": f"https://127.0.0.1:{port}/ffn", "BEHIND_PROXY": "true"}
    folder = tmp_path / "nginx"
    folder.mkdir()
    make_certificate(folder)
    with database_of_its_own(site.environment):
        site.prepare()
        for name, role in (("ada", "annotator"), ("rosa", "researcher"), ("root", "admin")):
            site.add_person(name, role)
        site.manage("shell", "--verbosity", "0", "-c", WORLD)
        site.start_web()
        user = "user root;" if os.geteuid() == 0 else ""
        (folder / "nginx.conf").write_text(
            CONFIG.format(
                folder=folder, port=port, user=user, location=location_of_the_documentation(site)
            )
        )
        server = subprocess.Popen(
            [nginx, "-p", folder, "-c", folder / "nginx.conf", "-e", folder / "error.log"]
        )
        try:
            site.address = f"https://127.0.0.1:{port}/ffn"
            anybody = browser(site)
            wait_for(lambda: reached(anybody, site), (folder / "error.log").read_text)
            yield site
        finally:
            server.terminate()
            server.wait(timeout=30)
            site.stop()


def browser(site: Site) -> requests.Session:
    """Trusts the certificate of the site's nginx, and nothing of this machine's settings."""
    session = requests.Session()
    session.trust_env = False
    session.verify = str(site.folder.parent / "nginx" / "certificate.pem")
    return session


def reached(session: requests.Session, site: Site) -> bool:
    try:
        return session.get(f"{site.address}/healthz", timeout=5).ok
    except requests.ConnectionError:
        return False


class Addresses(HTMLParser):
    """Every address that a page names."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name in ("href", "src", "action", "hx-get", "hx-post") or name.endswith("-url"):
                self.found.append(value or "")


def log_in(session: requests.Session, site: Site, name: str) -> requests.Response:
    page = session.get(f"{site.address}/login/")
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page.text)[1]
    sent = {"login": name, "password": PASSWORD, "csrfmiddlewaretoken": token}
    return session.post(page.url, sent, headers={"Referer": page.url}, allow_redirects=False)


def test_labelling_through_a_tls_proxy_below_a_path(proxied):
    site, ada = proxied, browser(proxied)
    host = site.address.removesuffix("/ffn")

    first = ada.get(site.address + "/", allow_redirects=False)
    assert (first.status_code, first.headers["Location"]) == (302, "/ffn/login/?next=/ffn/")
    assert "max-age=31536000" in first.headers["Strict-Transport-Security"]
    welcome = log_in(ada, site, "ada")
    assert (welcome.status_code, welcome.headers["Location"]) == (302, "/ffn/")
    cookies = {cookie.name: cookie for cookie in ada.cookies}
    assert {(c.path, c.secure) for c in cookies.values()} == {("/ffn/", True)}
    assert "sessionid" in cookies

    home = ada.get(site.address + "/")
    page = ada.get(f"{site.address}/studies/concepts/next/")
    assert re.fullmatch(rf"{site.address}/lists/[\w-]{{36}}/", page.url)
    named = Addresses(home.text).found + Addresses(page.text).found
    assert len(named) > 15
    assert [one for one in named if not re.match(r"/ffn/|#|data:", one)] == []
    styles = next(one for one in named if one.endswith(".css"))
    static = ada.get(host + styles)
    assert (static.status_code, static.headers["Content-Type"][:8]) == (200, "text/css")
    assert "immutable" in static.headers["Cache-Control"]

    urls = json.loads(re.search(r'type="application/json">(.+?)</script>', page.text)[1])["urls"]
    answer = {"patterns": [], "no_pattern": True, "comment": "none"}
    draft = {"base_version": 0, "content": {"answer": answer}, "active_seconds": 3}
    headers = {"Referer": page.url, "X-CSRFToken": cookies["csrftoken"].value}
    assert ada.put(host + urls["draft"], json=draft).status_code == 403  # no token
    for lie in ({"Origin": "https://evil.example"}, {"Referer": "https://evil.example/"}):
        refused = ada.put(host + urls["draft"], json=draft, headers={**headers, **lie})
        assert refused.status_code == 403
    saved = ada.put(host + urls["draft"], json=draft, headers=headers)
    assert (saved.status_code, saved.json()["version"]) == (200, 1)
    body = {
        "base_version": 1, "key": "0" * 8 + "-0000-4000-8000-" + "0" * 12,
        "answer": answer, "active_seconds": 5,
    }  # fmt: skip
    submitted = ada.post(host + urls["submit"], json=body, headers=headers)
    assert submitted.status_code == 200
    assert submitted.json()["next"]["urls"]["page"].startswith("/ffn/lists/")
    assert site.query("Assignment.objects.filter(state='submitted').count()") == 1

    beside = ada.get(host + "/")
    assert beside.text == "another site"
    assert "Cookie" not in beside.request.headers


def test_links_and_the_api_name_the_address_that_people_type(proxied):
    site, admin = proxied, browser(proxied)
    log_in(admin, site, "root")
    person = site.query("str(User.objects.get(username='ada').public_id)")
    page = admin.get(f"{site.address}/people/{person}/")
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page.text)[1]
    # A host that a client forwards is nobody's to choose.
    forged = {"Referer": page.url, "X-Forwarded-Host": "evil.example", "Forwarded": "host=evil"}
    made = admin.post(f"{page.url}reset-link/", {"csrfmiddlewaretoken": token}, headers=forged)
    assert re.search(rf"{site.address}/password/reset/[\w-]+/", made.text)
    assert "evil" not in made.text

    token = site.manage("createtoken", "root", "--scopes", "read").strip()
    script = browser(site)
    script.headers["Authorization"] = f"Bearer {token}"
    assert script.get(f"{site.address}/api/me").json()["role"] == "admin"
    people = script.get(f"{site.address}/api/people?limit=1").json()
    assert people["next"].startswith(f"{site.address}/api/people?")
    assert script.get(people["next"]).status_code == 200
    assert (
        script.get(f"{site.address}/api/people", headers={"Host": "evil.example"}).status_code
        == 400
    )


def test_forwarded_headers_are_trusted_only_where_the_setting_says_so(tmp_path):
    site = Site(tmp_path / "var", models=False)
    site.environment["SITE_URL"] = "https://127.0.0.1"
    forged = {"X-Forwarded-Proto": "https", "X-Forwarded-For": "192.0.2.1"}
    with database_of_its_own(site.environment):
        site.prepare()
        for behind, status in (("false", 301), ("true", 200)):
            site.environment["BEHIND_PROXY"] = behind
            site.start_web(web_workers=1)
            try:
                answer = requests.get(
                    f"{site.address}/login/", headers=forged, allow_redirects=False, timeout=30
                )
            finally:
                site.stop()
            assert (behind, answer.status_code) == (behind, status)


def test_nginx_is_asked_for_by_name(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda _: None)
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="nginx-light"):
        requires.nginx()
