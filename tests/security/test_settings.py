"""What the site refuses to start with, and what it does when nothing is set."""

import json
import os
import secrets
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from annotation_site.environment import MAKE_A_KEY, is_this_machine, strong

ROOT = Path(__file__).parents[2]
SHOW = """
import django, json
django.setup()
from django.conf import settings
print(json.dumps({name: getattr(settings, name) for name in %r}, default=str))
"""
KEY = "a k3y of these tests, " * 4


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Python with these variables and no others."""
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env={
            "DJANGO_SETTINGS_MODULE": "annotation_site.settings",
            "PATH": os.environ["PATH"],
            **environment,
        },
        capture_output=True,
        text=True,
        check=False,
    )


def shown(names: list[str], **environment: str) -> dict[str, object]:
    ended = run("-W", "ignore", "-c", SHOW % names, **environment)
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)


@pytest.mark.parametrize("command", [("check",), ("migrate",), ("serve", "--port", "8999")])
def test_without_a_secret_key_nothing_starts(tmp_path, command):
    ended = run("manage.py", *command, VAR_DIR=str(tmp_path), SECRET_KEY="")
    assert ended.returncode != 0
    assert ended.stderr.startswith("No secret key. The settings are looked for in")
    assert "set SECRET_KEY to a long random string" in ended.stderr
    assert list(tmp_path.iterdir()) == []


def test_without_settings_the_site_is_for_this_machine_alone_and_shows_no_debug_pages(tmp_path):
    assert shown(["DEBUG", "ALLOWED_HOSTS"], VAR_DIR=str(tmp_path), SECRET_KEY=KEY) == {
        "DEBUG": False,
        "ALLOWED_HOSTS": ["127.0.0.1", "127.0.0.1", "localhost", "[::1]"],
    }


def test_an_address_with_https_makes_cookies_secure_and_trusts_no_header(tmp_path):
    names = [
        "ALLOWED_HOSTS", "CSRF_TRUSTED_ORIGINS", "SESSION_COOKIE_SECURE", "CSRF_COOKIE_SECURE",
        "SESSION_COOKIE_HTTPONLY", "SECURE_SSL_REDIRECT", "SECURE_PROXY_SSL_HEADER",
        "USE_X_FORWARDED_HOST", "USE_X_FORWARDED_PORT", "SECURE_HSTS_SECONDS",
    ]  # fmt: skip
    address = "https://labels.example.org/ffn"
    assert shown(names, VAR_DIR=str(tmp_path), SECRET_KEY=KEY, SITE_URL=address) == {
        "ALLOWED_HOSTS": ["labels.example.org", "127.0.0.1", "localhost", "[::1]"],
        "CSRF_TRUSTED_ORIGINS": ["https://labels.example.org"],
        "SESSION_COOKIE_SECURE": True,
        "CSRF_COOKIE_SECURE": True,
        "SESSION_COOKIE_HTTPONLY": True,
        "SECURE_SSL_REDIRECT": True,
        "SECURE_PROXY_SSL_HEADER": None,
        "USE_X_FORWARDED_HOST": False,
        "USE_X_FORWARDED_PORT": False,
        "SECURE_HSTS_SECONDS": 31_536_000,
    }


def test_check_deploy_has_nothing_to_say(tmp_path):
    ended = run(
        "manage.py", "check", "--deploy", "--fail-level", "WARNING",
        VAR_DIR=str(tmp_path), SECRET_KEY=KEY + "0123456789abcdefghij", BEHIND_PROXY="true",
        SITE_URL="https://labels.example.org", OIDC_ISSUER="https://login.example.org",
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    assert "no issues" in ended.stdout


def test_older_secret_keys_come_from_the_environment_and_there_are_none_by_default(tmp_path):
    for said, keys in ((None, []), ("", []), ("$old, older", ["$old", "older"])):
        more = {} if said is None else {"SECRET_KEY_FALLBACKS": said}
        found = shown(["SECRET_KEY_FALLBACKS"], VAR_DIR=str(tmp_path), SECRET_KEY=KEY, **more)
        assert found == {"SECRET_KEY_FALLBACKS": keys}


@pytest.mark.parametrize("password", ["p@ss:w/rd#%41", "$money", "with 'quotes' and \\"])
def test_a_database_password_may_hold_any_signs(tmp_path, password):
    found = shown(
        ["DATABASES"],
        VAR_DIR=str(tmp_path), SECRET_KEY="$" + KEY,
        DATABASE_URL="postgres://ffn@database:5432/ffn", DATABASE_PASSWORD=password,
    )["DATABASES"]["default"]  # fmt: skip
    assert (found["PASSWORD"], found["USER"], found["HOST"]) == (password, "ffn", "database")


def test_every_password_goes_through_four_checks():
    from django.conf import settings

    assert [v["NAME"].rpartition(".")[2] for v in settings.AUTH_PASSWORD_VALIDATORS] == [
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    ]


@pytest.mark.parametrize(
    "weak", ["a", "hunter2", "x" * 31, "x" * 200, "k3y-" * 20, "0123456" * 9, "0123456789" * 3]
)
def test_a_secret_that_can_be_guessed_is_refused_with_a_way_to_make_one(weak):
    with pytest.raises(ImproperlyConfigured) as refused:
        strong("SECRET_KEY", weak)
    said = str(refused.value)
    assert said.startswith("SECRET_KEY can be guessed: it needs at least 32 characters")
    assert MAKE_A_KEY in said
    assert len(weak) == 1 or weak not in said


def test_with_a_weak_secret_nothing_starts(tmp_path):
    for name in ("SECRET_KEY", "METRICS_TOKEN"):
        ended = run(
            "manage.py", "check", **{"VAR_DIR": str(tmp_path), "SECRET_KEY": KEY, name: "a"}
        )
        assert ended.returncode != 0
        assert ended.stderr.startswith(f"{name} can be guessed")
        assert len(ended.stderr.splitlines()) == 1
    (tmp_path / "secret_key").write_text("short\n")
    ended = run("manage.py", "check", VAR_DIR=str(tmp_path))
    assert ended.stderr.startswith("SECRET_KEY can be guessed")
    assert "put the old key into SECRET_KEY_FALLBACKS" in ended.stderr


def test_a_key_made_as_the_sentence_says_is_taken_and_so_is_one_in_hexadecimal():
    made = run("-c", MAKE_A_KEY.removeprefix("python -c '").removesuffix("'")).stdout.strip()
    assert len(made) > 60
    for key in (made, secrets.token_hex(16)):
        assert strong("SECRET_KEY", key) == key


@pytest.mark.parametrize(
    ("host", "is_here"),
    [
        ("127.0.0.1", True), ("127.8.8.8", True), ("localhost", True), ("::1", True),
        ("labels.example.org", False), ("192.168.1.5", False), ("0.0.0.0", False),
        ("127.0.0.1.example.org", False), ("localhost.example.org", False), ("", False),
    ],
)  # fmt: skip
def test_which_addresses_are_of_this_machine_alone(host, is_here):
    assert is_this_machine(host) is is_here


def test_debug_pages_are_for_this_machine_alone(tmp_path):
    for address, starts in (("http://[::1]:8000", True), ("https://labels.example.org", False)):
        ended = run(
            "manage.py", "check",
            VAR_DIR=str(tmp_path), SECRET_KEY=KEY, DEBUG="true", SITE_URL=address,
        )  # fmt: skip
        assert (ended.returncode == 0) is starts, ended.stderr
    assert ended.stderr.startswith("DEBUG is on, and SITE_URL is https://labels.example.org: ")
    assert len(ended.stderr.splitlines()) == 1
