"""What the site refuses to start with, and what it does when nothing is set."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SHOW = """
import django, json
django.setup()
from django.conf import settings
print(json.dumps({name: getattr(settings, name) for name in %r}, default=str))
"""
KEY = "k3y-" * 20


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
