"""What the doctor's checks say in detail; test_doctor_as_typed.py runs each as a command."""

import socket
from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError
from django.test import Client
from django.utils import timezone

from annotation_site.operations import doctor, health
from annotation_site.workers.models import Worker
from ffn_extract.projection.native import library
from ffn_extract.projection.native.building import file_name

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def for_this_machine_alone(settings, tmp_path):
    """As `make demo` leaves it."""
    settings.ALLOWED_HOSTS = ["127.0.0.1", "testserver"]
    settings.VAR_DIR = tmp_path / "var"


def alive(**changes):
    return Worker.objects.create(
        name="host:1:abc", **{"seen_at": timezone.now(), "extracts": True, **changes}
    )


def said() -> str:
    out = StringIO()
    call_command("doctor", stdout=out)
    return out.getvalue()


def test_without_a_worker_it_says_how_to_start_one():
    with pytest.raises(CommandError, match=r"Wrong: workers"):
        said()
    assert "Start one with `manage.py serve`" in doctor.workers().said


def test_a_worker_that_takes_no_extractions_is_worth_a_look():
    alive(extracts=False)
    assert doctor.workers().level == "look"


def test_a_container_asks_for_its_own_worker():
    alive()
    assert doctor.this_worker().level == "wrong"
    with pytest.raises(CommandError, match="no check nonsense"):
        call_command("doctor", "nonsense")
    alive2 = f"{socket.gethostname()}:2:abc"
    Worker.objects.create(name=alive2, seen_at=timezone.now(), extracts=False)
    out = StringIO()
    call_command("doctor", "this-worker", stdout=out)
    assert out.getvalue().splitlines() == ["✓ this-worker  alive.", "Nothing is wrong."]


def test_a_worker_from_the_future_has_another_clock(monkeypatch):
    now = timezone.now()
    monkeypatch.setattr(timezone, "now", lambda: now)  # the seconds between are none
    alive(seen_at=now + timedelta(minutes=5))
    finding = doctor.clock()
    assert (finding.level, "300 s apart" in finding.said) == ("wrong", True)


def test_a_folder_that_cannot_be_written_is_named(tmp_path, settings):
    (tmp_path / "file").touch()
    settings.VAR_DIR = tmp_path / "file" / "var"
    finding = doctor.storage()
    assert finding.level == "wrong"
    assert str(settings.VAR_DIR) in finding.said


@pytest.mark.parametrize(
    "what", ["VAR_DIR", "EXPORTS_DIR", "BUNDLES_DIR", "secret_key", "db", "db-wal"]
)
def test_what_everybody_reads_is_worth_a_look(tmp_path, settings, monkeypatch, what):
    """As it was left by a version that did not set its own umask, or by a copy."""
    for name in ("VAR_DIR", "EXPORTS_DIR", "BUNDLES_DIR"):
        setattr(settings, name, tmp_path / name)
        (tmp_path / name).mkdir(mode=0o700)
    monkeypatch.setattr(doctor, "database_file", lambda: tmp_path / "db")
    for path in (tmp_path / "db", tmp_path / "db-wal", settings.VAR_DIR / "secret_key"):
        path.touch(mode=0o600)
    assert doctor.storage().level == "ok"
    path = settings.VAR_DIR / what if what == "secret_key" else tmp_path / what
    path.chmod(path.stat().st_mode | 0o044)
    finding = doctor.storage()
    mode = 600 if path.is_file() else 700
    assert (finding.level, finding.said.endswith(f": chmod {mode} {path}")) == ("look", True)


@pytest.mark.parametrize(
    ("changes", "level", "sentence"),
    [
        ({"DEBUG": True}, "wrong", "DEBUG is on"),
        ({"SITE_URL": "http://labels.example.org"}, "wrong", "passwords travel readable"),
        ({"SITE_URL": "https://labels.example.org"}, "ok", "for https://labels.example.org."),
        ({"ALLOWED_HOSTS": ["127.0.0.1"]}, "ok", "for this machine alone"),
    ],
)
def test_settings_that_strangers_could_use(settings, changes, level, sentence):
    settings.ALLOWED_HOSTS = ["labels.example.org"]
    settings.BEHIND_PROXY = True
    if changes.get("SITE_URL", "").startswith("https"):
        settings.SECURE_SSL_REDIRECT = True
        settings.SECURE_HSTS_SECONDS = 31_536_000
        settings.SESSION_COOKIE_SECURE = settings.CSRF_COOKIE_SECURE = True
    for name, value in changes.items():
        setattr(settings, name, value)
    finding = doctor.configuration()
    assert (finding.level, sentence in finding.said) == (level, True), finding


@pytest.mark.parametrize(
    ("content", "level", "sentence"),
    [
        (None, "ok", "it is not compiled; extraction is slower without."),
        (b"no library", "look", "compile-kernel"),
    ],
)
def test_a_kernel_that_is_missing_is_fine_and_a_damaged_one_is_not(
    tmp_path, monkeypatch, content, level, sentence
):
    monkeypatch.delenv("FFN_KERNEL", raising=False)
    monkeypatch.setattr(library, "folders", lambda: (tmp_path,))
    if content:
        (tmp_path / file_name()).write_bytes(content)
    finding = doctor.kernel()
    assert (finding.level, sentence in finding.said) == (level, True), finding


def test_ready_means_that_the_database_answers(monkeypatch):
    client = Client()
    assert client.get("/readyz").content == b"ok, but no worker is alive\n"
    alive()
    assert client.get("/readyz").content == b"ok\n"

    def gone():
        raise OperationalError("secret details of the server")

    monkeypatch.setattr(health, "workers_alive", gone)
    response = client.get("/readyz")
    assert (response.status_code, b"secret" in response.content) == (503, False)
    assert client.get("/healthz").status_code == 200


def test_health_is_answered_without_tls(settings):
    settings.SECURE_SSL_REDIRECT = True
    assert Client().get("/healthz").status_code == 200
    assert Client().get("/login/").status_code == 301
