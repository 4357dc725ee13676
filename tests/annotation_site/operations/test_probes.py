"""What probes and generated programs get: HEAD without a body, a description with the address."""

import io
import subprocess
import sys

import pytest
from django.conf import settings
from django.core.handlers.wsgi import WSGIHandler
from django.core.signals import request_started
from django.db import close_old_connections
from django.test.client import FakePayload

from tests.installation import ROOT

pytestmark = pytest.mark.django_db
PAGES = ["/healthz", "/readyz", "/login/", "/", "/api/", "/api/schema/", "/nowhere", "/metrics"]


@pytest.fixture(autouse=True)
def the_tests_own_connection():
    """A request would close the one that the test's transaction is in; as Django's client does."""
    request_started.disconnect(close_old_connections)
    yield
    request_started.connect(close_old_connections)


def answered(method: str, path: str) -> tuple[str, dict[str, str], bytes]:
    """What the application hands to its server; Django's test client drops bodies by itself."""
    started: list[tuple[str, dict[str, str]]] = []
    environ = {
        "REQUEST_METHOD": method, "PATH_INFO": path, "SERVER_NAME": "testserver",
        "SERVER_PORT": "80", "SERVER_PROTOCOL": "HTTP/1.1", "REMOTE_ADDR": "192.0.2.1",
        "wsgi.url_scheme": "http", "wsgi.input": FakePayload(b""), "wsgi.errors": io.StringIO(),
    }  # fmt: skip
    body = WSGIHandler()(environ, lambda status, headers: started.append((status, dict(headers))))
    # Not closed: that would end the test's own transaction.
    return *started[0], b"".join(body)


@pytest.mark.parametrize("path", PAGES)
def test_head_has_the_headers_of_get_and_no_body(path):
    status, headers, body = answered("GET", path)
    assert body or status.startswith("3")
    head_status, head_headers, head_body = answered("HEAD", path)
    assert (head_status, head_body) == (status, b"")
    assert set(head_headers) == set(headers)
    if path in ("/healthz", "/readyz", "/nowhere"):  # others hold a token of their own
        assert head_headers["Content-Length"] == headers["Content-Length"]


@pytest.mark.parametrize(
    ("address", "servers"),
    [
        ("https://labels.example.org/ffn", [{"url": "https://labels.example.org/ffn"}]),
        ("https://labels.example.org:8443/a/b/", [{"url": "https://labels.example.org:8443/a/b"}]),
        ("https://labels.example.org", None),
    ],
)
def test_the_description_below_a_path_says_where_the_calls_are(tmp_path, address, servers):
    code = (
        "import django; django.setup(); from annotation_site.api.schema import openapi;"
        "print(openapi().get('servers'))"
    )
    ended = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], cwd=ROOT, capture_output=True, text=True,
        check=False, env={
            "DJANGO_SETTINGS_MODULE": "annotation_site.settings", "SECRET_KEY": "a-k3y-of-test" * 4,
            "VAR_DIR": str(tmp_path), "SITE_URL": address, "FFN_ENV_FILE": "/dev/null",
        },
    )  # fmt: skip
    assert ended.stdout.strip() == str(servers), ended.stderr


def test_the_checked_in_description_is_of_no_address():
    assert settings.SPECTACULAR_SETTINGS["SERVERS"] == []
