"""The site as it is deployed: nginx with TLS in front, below a path of its host."""

import contextlib
import datetime
import ipaddress
import json
import os
import re
import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from annotation_site import web_worker
from annotation_site.corpus import corpora
from tests import requires
from tests.e2e.site import PASSWORD, Site, database_of_its_own, some_port, wait_for
from tests.ports import free_port

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
  {zone}
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
    (found,) = re.findall(r"^    location /ffn/ \{.+?^    \}$", text, re.MULTILINE | re.DOTALL)
    return found.replace("127.0.0.1:8000", f"127.0.0.1:{site.port}")


def zone_of_the_documentation() -> str:
    """The line that counts connections, outside of the server."""
    text = (Path(__file__).parents[2] / "docs/deploying.md").read_text()
    return re.search(r"limit_conn_zone .+;", text)[0]


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


@pytest.fixture(scope="module")
def proxied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A site below /ffn/ of an nginx that ends TLS; `address` is what people type."""
    nginx, tmp_path = requires.nginx(), tmp_path_factory.mktemp("proxied")
    port = free_port("127.0.0.1", some_port())
    site = Site(tmp_path / "var", models=False)
    site.environment |= {"SITE_URL": f"https://127.0.0.1:{port}/ffn", "BEHIND_PROXY": "true"}
    folder = tmp_path / "nginx"
    folder.mkdir()
    make_certificate(folder)
    with database_of_its_own(site.environment):
        site.prepare()
        site.add_people(ada="annotator", rosa="researcher", root="admin")
        site.run(WORLD)
        site.start_web()
        user = "user root;" if os.geteuid() == 0 else ""
        (folder / "nginx.conf").write_text(
            CONFIG.format(
                folder=folder,
                port=port,
                user=user,
                zone=zone_of_the_documentation(),
                location=location_of_the_documentation(site),
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
            server.wait(timeout=60)
            site.stop()


def browser(site: Site) -> requests.Session:
    """Trusts the certificate of the site's nginx, and nothing of this machine's settings."""
    session = requests.Session()
    session.trust_env = False
    session.verify = str(site.folder.parent / "nginx" / "certificate.pem")
    return session


def reached(session: requests.Session, site: Site) -> bool:
    try:
        return session.get(f"{site.address}/healthz", timeout=60).ok
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

    first = ada.get(site.address + "/account/", allow_redirects=False)
    assert (first.status_code, first.headers["Location"]) == (302, "/ffn/login/?next=/ffn/account/")
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
    # But for two links that people follow to look a word up.
    assert [one for one in named if not re.match(r"/ffn/|#|data:", one)] == [
        "https://duckduckgo.com/?q=", "https://en.wikipedia.org/w/index.php?search=",
    ]  # fmt: skip
    styles = next(one for one in named if one.endswith(".css"))
    static = ada.get(host + styles)
    assert (static.status_code, static.headers["Content-Type"][:8]) == (200, "text/css")
    assert "immutable" in static.headers["Cache-Control"]

    urls = json.loads(re.search(r'type="application/json">(.+?)</script>', page.text)[1])["urls"]
    answer = {"patterns": [], "no_pattern": True, "comment": "none"}
    draft = {"base_version": 0, "content": {"annotation": answer}, "active_seconds": 3}
    headers = {"Referer": page.url, "X-CSRFToken": cookies["csrftoken"].value}
    assert ada.put(host + urls["draft"], json=draft).status_code == 403  # no token
    for lie in ({"Origin": "https://evil.example"}, {"Referer": "https://evil.example/"}):
        refused = ada.put(host + urls["draft"], json=draft, headers={**headers, **lie})
        assert refused.status_code == 403
    saved = ada.put(host + urls["draft"], json=draft, headers=headers)
    assert (saved.status_code, saved.json()["version"]) == (200, 1)
    body = {
        "base_version": 1, "key": "0" * 8 + "-0000-4000-8000-" + "0" * 12,
        "annotation": answer, "active_seconds": 5,
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


def sent_until_refused(site: Site, request: str, most: int) -> tuple[bytes, int]:
    """What a stranger who goes on sending is answered; how many bytes lay in nginx's folders."""
    context = ssl.create_default_context(
        cafile=str(site.folder.parent / "nginx" / "certificate.pem")
    )
    port = urlsplit(site.address).port
    kept = 0
    with (
        socket.create_connection(("127.0.0.1", port), timeout=60) as plain,
        context.wrap_socket(plain, server_hostname="127.0.0.1") as line,
    ):
        answer = b""
        with contextlib.suppress(OSError):
            line.sendall(request.encode())
            for _ in range(most // 65_536):
                line.sendall(b"0" * 65_536)
                kept = max(kept, bytes_in_temporary_folders(site))
                if answer := answer_so_far(line):
                    break
        return answer or answer_so_far(line), max(kept, bytes_in_temporary_folders(site))


def answer_so_far(line: ssl.SSLSocket) -> bytes:
    """What has come of the answer; select() would take TLS's own messages for one."""
    line.settimeout(0)
    try:
        return line.recv(65_536)
    except OSError:
        return b""
    finally:
        line.settimeout(60)


def bytes_in_temporary_folders(site: Site) -> int:
    folder = site.folder.parent / "nginx"
    names = ("body", "proxy", "fastcgi", "uwsgi", "scgi")
    files = [file for name in names for file in (folder / name).rglob("*")]
    with contextlib.suppress(FileNotFoundError):  # gone meanwhile
        return sum(file.stat().st_blocks * 512 for file in files if file.is_file())
    return 0


def test_strangers_cannot_fill_the_proxys_disk(proxied):
    site = proxied
    host = "Host: 127.0.0.1\r\n"
    for method, path in (
        ("PUT", "/ffn/login/"),
        ("POST", "/ffn/api/me"),
        ("POST", "/ffn/models/import/"),
        ("POST", "/ffn/api/extractions/upload"),
        ("POST", "/ffn/corpora/"),
        ("POST", "/ffn/api/corpora"),
    ):
        for length in (900_000, 2_000_000_000):
            request = f"{method} {path} HTTP/1.1\r\n{host}Content-Length: {length}\r\n\r\n"
            answer, kept = sent_until_refused(site, request, min(length, 20_000_000))
            assert kept == 0, (path, length)
            if length > 2**20 and path in ("/ffn/login/", "/ffn/api/me"):
                assert b" 413 " in answer
    # Half bodies, all open at the same time.
    lines = []
    port = urlsplit(site.address).port
    context = ssl.create_default_context(
        cafile=str(site.folder.parent / "nginx" / "certificate.pem")
    )
    try:
        for _ in range(30):
            plain = socket.create_connection(("127.0.0.1", port), timeout=60)
            line = context.wrap_socket(plain, server_hostname="127.0.0.1")
            lines.append(line)
            line.sendall(
                f"POST /ffn/login/ HTTP/1.1\r\n{host}Content-Length: 1000000\r\n\r\n".encode()
            )
            line.sendall(b"0" * 900_000)
        assert browser(site).get(f"{site.address}/login/", timeout=60).status_code == 200
        assert bytes_in_temporary_folders(site) == 0
    finally:
        for line in lines:
            line.close()


def test_an_admin_uploads_through_the_proxy_more_than_anybody_else_may_send(proxied):
    site, admin = proxied, browser(proxied)
    token = site.manage("createtoken", "root", "--scopes", "admin").strip()
    admin.headers["Authorization"] = f"Bearer {token}"
    files = {"files": ("bundle.zip", b"0" * 5_000_000)}
    refused = admin.post(f"{site.address}/api/extractions/upload", files=files)
    assert refused.status_code == 422  # read to its end, and no bundle
    assert admin.post(f"{site.address}/login/", files=files).status_code == 413


def test_the_documented_limits_of_the_proxy_fit_those_of_the_site():
    text = (Path(__file__).parents[2] / "docs/deploying.md").read_text()
    for prefix in ("/", "/ffn/"):
        (block,) = re.findall(rf"^    location {prefix} \{{.+?^    \}}$", text, re.M | re.S)
        large = re.findall(r"location = (\S+) \{\s+proxy_pass \S+:8000(\S+);", block)
        assert {(prefix + path[1:], path) for path in web_worker.LARGE_BODIES} == set(large)
        assert block.count("client_max_body_size 2100m;") == 2
        assert block.count("client_max_body_size 34m;") == len(large) - 2  # corpora, with a margin
        assert corpora.MOST_BYTES < 33 * 2**20
        assert block.count("proxy_request_buffering off;") == len(large)
        assert web_worker.MOST_BODY == 2**20
        assert "client_max_body_size 1m;" in block
        assert "client_body_buffer_size 1m;" in block
        assert "proxy_max_temp_file_size 16m;" in block
    said = " ".join(text.split())
    assert f"within {web_worker.HEAD_SECONDS} seconds" in said
    assert f"{web_worker.SLOWEST:,} bytes a second" in said
    assert f"{web_worker.PATIENCE_SECONDS} seconds' grace" in said
    assert f"at most {web_worker.MOST_CONNECTIONS} connections" in said


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
                    f"{site.address}/login/", headers=forged, allow_redirects=False, timeout=60
                )
            finally:
                site.stop()
            assert (behind, answer.status_code) == (behind, status)


def test_nginx_is_asked_for_by_name(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda _: None)
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="nginx-light"):
        requires.nginx()
