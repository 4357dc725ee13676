"""Every setting that docs/deploying.md lists, with values that mean something else than they seem.

The cases come from the documented table: a setting without a sample here fails the first test.
"""

import os
import re
import runpy
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

ROOT = Path(__file__).resolve().parent.parent
KEY = "0123456789abcdefghijklmnopqrstuvwxyz"
FREE = None  # any text is one, so there is no nonsense
# A value that the setting can have, and one that it cannot.
SAMPLES: dict[str, tuple[str, str | None]] = {
    "SECRET_KEY": (KEY, "short"),
    "SECRET_KEY_FALLBACKS": ("older,oldest", FREE),
    "SITE_URL": ("https://labels.example.org/ffn", "labels.example.org"),
    "BEHIND_PROXY": ("yes", "ja"),
    "DATABASE_URL": ("postgres://ffn@h:5432/d", "mysql://ffn@h/d"),
    "DATABASE_PASSWORD": ("p@ss/w:rd", FREE),
    "REDIS_URL": ("rediss://h:6379/1", "amqp://h:5672/0"),
    "QUEUE_PREFIX": ("ours:", FREE),
    "VAR_DIR": ("/a/folder", FREE),
    "MODELS_DIR": ("/a/folder", FREE),
    "CORPORA_DIR": ("/a/folder", FREE),
    "BUNDLES_DIR": ("/a/folder", FREE),
    "MAX_BUNDLE_BYTES": ("5000", "2 GB"),
    "EXPORTS_DIR": ("/a/folder", FREE),
    "PUBLIC_DIR": ("/a/folder", FREE),
    "EXPORT_DAYS": ("7", "a week"),
    "KEEP_LOG_DAYS": ("7", "-1"),
    "KEEP_ENDED_DAYS": ("7", "99999999999"),
    "KEEP_NOTICE_DAYS": ("7", "-1"),
    "TRACE_DAYS": ("7", "0"),
    "HF_HOME": ("/a/folder", FREE),
    "HF_TOKEN": ("hf_abc", FREE),
    "HF_ENDPOINT": ("https://hub.example.org", "hub"),
    "FFN_DATA_DIR": ("/a/folder", FREE),
    "FFN_KERNEL": ("off", FREE),
    "FFN_CONTACT": ("ada@example.org", FREE),
    "FFN_WIKI": ("de.wikipedia.org", "the German one"),
    "FFN_WIKI_SECONDS": ("0.5", "inf"),
    "FFN_GLOSS_DAYS": ("30", "a month"),
    "EMAIL_URL": ("smtp+tls://u:p@h:587", "mail.example.org"),
    "MAIL_FROM": ("FFN Concepts <labels@example.org>", "labels"),
    "OIDC_ISSUER": ("https://login.example.org", "login.example.org"),
    "OIDC_CLIENT_ID": ("ffn", FREE),
    "OIDC_CLIENT_SECRET": ("s3cret#1", FREE),
    "OIDC_NAME": ("our university", FREE),
    "API_REQUESTS_PER_MINUTE": ("60", "0"),
    "WRITES_PER_MINUTE": ("60", "0"),
    "DEBUG": ("on", "2"),
    "LLM_MODEL": ("gpt-4o-mini", FREE),
    "LLM_ENDPOINT": ("https://api.example.org/v1", "http://api.example.org/v1"),
    "LLM_API_KEY": ("sk-0123", "sk 0123"),
    "LLM_PRICE_INPUT": ("0.15", "15 cents"),
    "LLM_PRICE_OUTPUT": ("2", "0.00001"),
    "LLM_CURRENCY": ("EUR", "euros"),
    "LLM_BUDGET": ("50", "fifty"),
    "LLM_KEEP_DAYS": ("7", "0"),
    "LLM_PARALLEL": ("2", "65"),
    "LLM_SECONDS": ("30", "a minute"),
    "LLM_REPLY_TOKENS": ("500", "0"),
    "LOG_LEVEL": ("warning", "verbose"),
    "LOG_FORMAT": ("json", "xml"),
    "METRICS_TOKEN": (KEY, "t0ken"),
}
SECRETS = {
    "SECRET_KEY", "SECRET_KEY_FALLBACKS", "DATABASE_PASSWORD", "HF_TOKEN", "OIDC_CLIENT_SECRET",
    "METRICS_TOKEN", "LLM_API_KEY",
}  # fmt: skip
ISSUER = "OIDC_ISSUER=https://i.example.org\n"
NEEDS = {  # to be seen, or taken, at all
    "OIDC_CLIENT_ID": ISSUER, "OIDC_CLIENT_SECRET": ISSUER, "OIDC_NAME": ISSUER,
    "LLM_ENDPOINT": "LLM_MODEL=a-model\n", "LLM_BUDGET": "LLM_PRICE_INPUT=1\n",
}  # fmt: skip
READ_BY_OTHERS = [name for name in SAMPLES if name.startswith(("FFN_", "HF_"))]


@pytest.fixture
def read(monkeypatch, tmp_path):
    """The settings under some variables and the lines of a file: everything they decide."""
    for name in (*SAMPLES, "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    # Settings write to the environment what other libraries read there.
    monkeypatch.setattr(os, "environ", {**os.environ, "HOME": str(tmp_path)})
    outside = dict(os.environ)

    def read(lines: str = "", **variables: str) -> dict[str, Any]:
        file = tmp_path / "settings.env"
        file.write_text(lines)
        os.environ.clear()
        os.environ.update(outside)
        os.environ["FFN_ENV_FILE"] = str(file)
        given = {name: f"{name}=" in lines for name in ("SECRET_KEY", "VAR_DIR")}
        os.environ.update(
            {name: default for name, default in (("SECRET_KEY", KEY), ("VAR_DIR", "/v"))
             if not given[name]}
        )  # fmt: skip
        os.environ.update(variables)
        found = runpy.run_path(str(ROOT / "annotation_site/settings.py"))
        others = {name: os.environ.get(name) for name in READ_BY_OTHERS}
        return {**{k: v for k, v in found.items() if k.isupper()}, "passed on": others}

    return read


def line(name: str, value: str) -> str:
    return f"{NEEDS.get(name, '')}{name}={value}\n"


def test_every_documented_setting_has_a_sample():
    text = (ROOT / "docs/deploying.md").read_text()
    documented = set(re.findall(r"^\| `([A-Z_]+)` \|", text, re.MULTILINE))
    assert set(SAMPLES) == documented - {"FFN_ENV_FILE"}  # where the others are read from


@pytest.mark.parametrize("name", SAMPLES)
def test_a_sample_says_something_and_means_the_same_however_it_is_spaced_or_commented(read, name):
    value = SAMPLES[name][0]
    said = read(line(name, value))
    if name not in ("SECRET_KEY",):  # its sample is the key of all these tests
        assert said != read(line(name, "").replace(f"{name}=\n", "")), name
    for written in (
        f"{value}  ", f"  {value}", f"{value} # a comment", f"{value}\t# a comment", f"'{value}'",
        f'"{value}"', f"{value}\r",
    ):  # fmt: skip
        assert read(line(name, written)) == said, written
    if name not in NEEDS:
        assert read(**{name: f" {value}\r"}) == said


@pytest.mark.parametrize("name", sorted(set(SAMPLES) - {"SECRET_KEY"}))
@pytest.mark.parametrize("empty", ["", "   ", "# a comment", " # a comment"])
def test_an_empty_setting_is_unset(read, name, empty):
    if name == "VAR_DIR":
        assert read(line(name, ""), SECRET_KEY=KEY)["VAR_DIR"] == ROOT / "var"
        return
    unset = read(line(name, "").replace(f"{name}=\n", ""))
    if empty != "# a comment":  # "NAME=#…" is a value, to docker compose as well
        assert read(line(name, empty)) == unset
    if name not in NEEDS and "#" not in empty:
        assert read(**{name: empty}) == unset


@pytest.mark.parametrize("name", sorted(set(SAMPLES) - SECRETS))
def test_a_comment_behind_a_value_in_the_environment_is_refused(read, name):
    """As systemd and `docker run --env-file` pass it on."""
    for value in (f"{SAMPLES[name][0]} # a comment", "# a comment"):
        with pytest.raises(ImproperlyConfigured, match=f"^{name} has a comment behind its value"):
            read(**{name: value})


@pytest.mark.parametrize("name", sorted(name for name, (_, bad) in SAMPLES.items() if bad))
def test_what_a_setting_cannot_be_is_refused_in_one_sentence_that_names_it(read, name):
    nonsense = [SAMPLES[name][1], "\N{SNOWMAN} nonsense"]
    numbers = ("1e3", "1.5.1", "٣", "0x10", "1_000", "-5", "9" * 30)
    if SAMPLES[name][0].replace(".", "").isdigit():
        nonsense += list(numbers)
    for value in nonsense:
        with pytest.raises(ImproperlyConfigured) as refused:
            read(line(name, f"'{value}'"))
        said = str(refused.value)
        assert said.startswith(name), said
        assert "\n" not in said
        assert said.endswith(".")


@pytest.mark.parametrize("word", ["true", "TRUE", "On", "yes", "y", "1"])
def test_yes_is_yes(read, word):
    assert read(f"DEBUG={word}")["DEBUG"] is True


@pytest.mark.parametrize("word", ["false", "FALSE", "Off", "no", "n", "0"])
def test_no_is_no(read, word):
    assert read(f"BEHIND_PROXY={word}")["BEHIND_PROXY"] is False


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("SITE_URL", "Line 1 of .* is no NAME=value"),
        ("\n\nDEBUG=false\nDEBUG=true\n", "Line 4 of .* sets DEBUG a second time"),
        ("METRICS_TOKEN='open\n", "Line 1 of .* is no NAME=value"),
        ("DATABASE_PASSWORD=$money\n", r"Line 1 of .* has a \$ outside of single quotes"),
        ('DATABASE_PASSWORD="a${money}"\n', r"Line 1 of .* has a \$ outside of single quotes"),
    ],
)
def test_a_line_that_compose_reads_otherwise_is_refused_without_its_value(read, lines, said):
    with pytest.raises(ImproperlyConfigured, match=said) as refused:
        read(lines)
    assert "money" not in str(refused.value)
    assert read("DATABASE_PASSWORD='$money'\n")["DATABASES"]["default"]["PASSWORD"] == "$money"


def test_a_file_of_settings_that_cannot_be_read_is_never_passed_over(read, tmp_path):
    for name in ("missing.env", "."):
        with pytest.raises(ImproperlyConfigured, match=r"The file of settings .* cannot be read"):
            read(FFN_ENV_FILE=str(tmp_path / name))
    (tmp_path / "latin.env").write_bytes("OIDC_NAME=Universität".encode("latin-1"))
    with pytest.raises(ImproperlyConfigured, match="it is not UTF-8"):
        read(FFN_ENV_FILE=str(tmp_path / "latin.env"))


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("sqlite:///db.sqlite3", "by its whole path"),
        ("sqlite://:memory:", "cannot be read as an address"),
        ("postgres://h", "names no database"),
        ("oracle://h/d", "no address of PostgreSQL or SQLite"),
    ],
)
def test_a_database_that_would_be_another_in_each_folder_or_is_none_is_refused(read, url, said):
    with pytest.raises(ImproperlyConfigured, match=said):
        read(DATABASE_URL=url)


@pytest.mark.parametrize(
    ("url", "asked"),
    [
        ("rediss://h:6379/0", "rediss://h:6379/0?ssl_cert_reqs=required"),
        ("rediss://h?ssl_ca_certs=/a", "rediss://h?ssl_ca_certs=/a&ssl_cert_reqs=required"),
        ("rediss://h/0?ssl_cert_reqs=none", "rediss://h/0?ssl_cert_reqs=none"),
        ("redis://h/0", "redis://h/0"),
    ],
)
def test_tls_to_redis_checks_the_certificate_unless_it_is_told_not_to(read, url, asked):
    assert read(REDIS_URL=url)["REDIS_URL"] == asked


@pytest.mark.parametrize(
    "url",
    [
        "redis://h/0?ssl_cert_reqs=required", "rediss://h/0?ssl_cert_reqs=maybe", "redis:///0",
        "redis://h/first", "rediss://h/0?timeout=3", "redis-sentinel://h/0", "h:6379", "http://h/0",
    ],
)  # fmt: skip
def test_an_address_of_redis_that_means_something_else_is_refused(read, url):
    with pytest.raises(ImproperlyConfigured, match=r"^REDIS_URL "):
        read(REDIS_URL=url)


@pytest.mark.parametrize(
    "endpoint",
    [
        "http://127.0.0.1:11434/v1", "http://localhost:8080/v1", "http://[::1]:8000/v1",
        "https://h/v1",
    ],
)  # fmt: skip
def test_an_endpoint_without_tls_is_this_machine(read, endpoint):
    assert read(f"LLM_MODEL=m\nLLM_ENDPOINT={endpoint}\n")["LLM_ENDPOINT"] == endpoint


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("LLM_ENDPOINT=https://h/v1", "LLM_ENDPOINT is set, but LLM_MODEL is not"),
        ("LLM_MODEL=m\nLLM_ENDPOINT=http://10.0.0.1/v1", "would travel readable"),
        ("LLM_MODEL=m\nLLM_ENDPOINT=http://localhost.example.org/v1", "would travel readable"),
        ("LLM_MODEL=m\nLLM_ENDPOINT=https://user:pass@h/v1", "^LLM_ENDPOINT is not a whole addre"),
        ("LLM_BUDGET=5", "LLM_BUDGET is set without prices"),
        (f"LLM_MODEL={'m' * 201}", "LLM_MODEL or the host of LLM_ENDPOINT is too long"),
    ],
)
def test_a_language_model_that_cannot_be_used_is_refused_at_start(read, lines, said):
    with pytest.raises(ImproperlyConfigured, match=said) as refused:
        read(f"{lines}\n")
    assert "pass" not in str(refused.value)


def test_of_two_prices_the_missing_one_is_free(read):
    found = read("LLM_PRICE_OUTPUT=2.5\n")
    assert (found["LLM_PRICE_INPUT"], found["LLM_PRICE_OUTPUT"]) == (Decimal(0), Decimal("2.5"))
    assert read()["LLM_PRICE_INPUT"] is None


def test_folders_are_the_same_from_wherever_a_command_is_typed(read, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    found = read("VAR_DIR=var/here\nBUNDLES_DIR=bundles\n")
    assert (found["VAR_DIR"], found["BUNDLES_DIR"]) == (ROOT / "var/here", ROOT / "bundles")


def test_no_other_module_of_the_site_reads_a_setting_from_the_environment():
    """The demo prepares an environment; celery, wsgi and metrics set what libraries look for."""
    reads = re.compile(r"os\.(getenv|environ(\.get|\.pop)?)[\[(]\s*\"([A-Z_]+)\"[\])](?! =)")
    found = {
        (str(path.relative_to(ROOT)), match.group(3))
        for path in (ROOT / "annotation_site").rglob("*.py")
        for match in reads.finditer(path.read_text())
    }
    assert {(file, name) for file, name in found if name in SAMPLES} == {
        ("annotation_site/demo/start.py", "VAR_DIR"),
    }
