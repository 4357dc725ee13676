"""Every check of `manage.py doctor`, broken and whole, each in a process of its own.

What is broken is broken for real: a server that is not there, a wrong password, a folder that may
not be written. The two tables are held against the registry of checks.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager as Context
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import pytest
import redis

from annotation_site.operations.doctor import CHECKS, ON_REQUEST
from tests import requires
from tests.annotation_site.machine_annotators.fake_endpoint import (
    Behaviour,
    FakeEndpoint,
    always,
)
from tests.e2e.site import wait_for
from tests.faults.small_disk import SmallDisk
from tests.installation import ROOT, Installation, without_roots_privilege
from tests.ports import free_port

SECRET = "s3cret/of@redis"
QUOTED = "s3cret%2Fof%40redis"
SIGNS = {"ok": "✓", "look": "!", "wrong": "✗"}


@pytest.fixture(scope="module")
def set_up(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    return Installation(tmp_path_factory.mktemp("installation")).set_up()


@pytest.fixture
def site(set_up: Installation, tmp_path: Path) -> Installation:
    return set_up.copy(tmp_path / "site")


@dataclass(frozen=True)
class Case:
    """A condition, and what the check must say of it."""

    what: str
    change: Callable[[Installation], Context[object] | None]
    level: str
    said: str
    before: Callable[[], None] | None = None


def sets(**changes: str) -> Callable[[Installation], None]:
    """Settings, with {folder}, {nowhere} (nobody answers there), {blocked} (below a file)."""

    def change(site: Installation) -> None:
        blocked = site.folder / "a-file"
        blocked.touch()
        for name, value in changes.items():
            site.settings[name] = value.format(
                folder=site.folder, nowhere=free_port("127.0.0.1", 21_300), blocked=blocked / "x"
            )

    return change


def sql(statement: str) -> Callable[[Installation], None]:
    return lambda site: site.sql(statement)


def worker(**how: object) -> Callable[[Installation], None]:
    return lambda site: site.worker_seen(**how)  # type: ignore[arg-type]


@contextmanager
def a_redis(site: Installation, *options: str, address: str) -> Iterator[None]:
    """A Redis with a password, on a port of its own."""
    program = shutil.which("redis-server")
    if program is None:
        requires.missing("No redis-server: install the system's package redis-server.")
    port = free_port("127.0.0.1", 21_400)
    # The port without TLS is only asked whether the server is there.
    plain = port if "--tls-port" not in options else free_port("127.0.0.1", port + 1)
    options = tuple(option.format(port=port, folder=site.folder) for option in options)
    command = [
        program, "--port", str(plain), "--bind", "127.0.0.1", "--save", "", "--dir",
        str(site.folder), "--requirepass", SECRET, *options,
    ]  # fmt: skip
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        try:
            with redis.Redis(port=plain, password=SECRET) as client:
                wait_for(lambda: _answers(client))
            site.settings["REDIS_URL"] = address.format(port=port, folder=site.folder)
            yield
        finally:
            process.terminate()


def _answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.ConnectionError:
        return False


@contextmanager
def an_endpoint(site: Installation) -> Iterator[None]:
    with FakeEndpoint(always(Behaviour.PROSE)) as endpoint:
        site.settings |= {"LLM_MODEL": "m", "LLM_ENDPOINT": endpoint.address}
        site.settings["LLM_API_KEY"] = "pass-w0rd"
        yield


def redis_at(address: str) -> Callable[[Installation], Context[object]]:
    return lambda site: a_redis(site, address=address)


def redis_with_tls(address: str) -> Callable[[Installation], Context[object]]:
    """Its certificate is signed by itself: nobody trusts it who was not told to."""

    def change(site: Installation) -> Context[object]:
        program = shutil.which("openssl")
        if program is None:
            requires.missing("No openssl: install the system's package openssl.")
        subprocess.run(
            [
                program, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                "-nodes", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
                "-keyout", site.folder / "key.pem", "-out", site.folder / "certificate.pem",
            ],
            check=True, capture_output=True,
        )  # fmt: skip
        return a_redis(
            site, "--tls-port", "{port}", "--tls-auth-clients", "no",
            "--tls-cert-file", "{folder}/certificate.pem",
            "--tls-key-file", "{folder}/key.pem", address=address,
        )  # fmt: skip

    return change


def read_only(name: str) -> Callable[[Installation], None]:
    def change(site: Installation) -> None:
        folder = site.folder / name
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o500)

    return change


@contextmanager
def small_disk(site: Installation) -> Iterator[None]:
    disk = SmallDisk(site.folder / "disk", "50m")
    site.settings["BUNDLES_DIR"] = str(disk.folder)
    try:
        yield
    finally:
        disk.close()


def static(change: Callable[[Path], object]) -> Callable[[Installation], None]:
    return lambda site: (change(site.var / "static"), None)[1]


def never_collected_beside(
    others: Callable[[Installation], None],
) -> Callable[[Installation], None]:
    def change(site: Installation) -> None:
        shutil.rmtree(site.var / "static")
        others(site)

    return change


def without_a_script(folder: Path) -> None:
    names = json.loads((folder / "staticfiles.json").read_text())["paths"]
    (folder / sorted(names.values())[0]).unlink()


def a_wordnet(site: Installation) -> None:
    folder = site.folder / "data/nltk_data/corpora/wordnet"
    folder.mkdir(parents=True)
    (folder / "cntlist.rev").touch()  # a whole one has counts of its senses
    site.settings["FFN_DATA_DIR"] = str(site.folder / "data")


def a_typing_error(site: Installation) -> None:
    file = site.folder / "settings.env"
    file.write_text("BEHIND_PROXI=true\nSITE_URL=https://labels.example.org\n")
    site.settings["FFN_ENV_FILE"] = str(file)


BROKEN: dict[str, list[Case]] = {
    "database": [
        Case("no file", lambda s: (s.var / "db.sqlite3").unlink(), "wrong", "it has no tables"),
        Case("empty file", lambda s: (s.var / "db.sqlite3").write_bytes(b"") and None, "wrong",
             "it has no tables"),
        Case("another file", lambda s: (s.var / "db.sqlite3").write_bytes(b"x" * 999) and None,
             "wrong", "file is not a database"),
        Case("nobody in it", sql("DELETE FROM accounts_user"), "look", "nobody is in it yet"),
        Case("older tables", sql(
            "DELETE FROM django_migrations WHERE id IN (SELECT max(id) FROM django_migrations "
            "WHERE app = 'annotation')"), "wrong", "1 changes of its tables wait"),
        Case("newer tables", sql(
            "INSERT INTO django_migrations (app, name, applied) VALUES "
            "('annotation', '9999_later', '2030-01-01')"), "wrong", "annotation.9999_later"),
        Case("no server", sets(DATABASE_URL="postgres://u:pass-w0rd@127.0.0.1:{nowhere}/d"),
             "wrong", "does not answer"),
    ],
    "queue": [
        Case("no server", sets(REDIS_URL="redis://127.0.0.1:{nowhere}/0"), "look",
             "Redis at 127.0.0.1:"),
        Case("wrong password", redis_at("redis://:other@127.0.0.1:{port}/0"), "look",
             "does not answer"),
        Case("a stranger's certificate", redis_with_tls(
            f"rediss://:{QUOTED}@localhost:{{port}}/0"), "look", "certificate"),
        Case("no folder", lambda s: (s.var / "queue").touch(), "look", "Check VAR_DIR"),
        Case("a folder of somebody else", read_only("var/queue/messages"), "look",
             "Permission denied", without_roots_privilege),
    ],
    "workers": [
        Case("none", lambda s: None, "wrong", "none is alive"),
        Case("none for long", worker(seconds_ago=600), "wrong", "none is alive"),
        Case("none that extracts", worker(extracts=False), "look", "none takes extractions"),
        Case("not known", sql("DROP TABLE accounts_user"), "wrong", "the database has to work"),
    ],
    "this-worker": [
        Case("another machine's", worker(host="elsewhere"), "wrong", "no worker of this"),
    ],
    "kernel": [Case("no such path", sets(FFN_KERNEL="mmx"), "wrong", "FFN_KERNEL is 'mmx'")],
    "wordnet": [Case("nowhere", sets(FFN_DATA_DIR="{folder}/data"), "look", "not installed")],
    "storage": [
        Case("no folder", sets(VAR_DIR="{blocked}"), "wrong", "cannot be written"),
        Case("bundles elsewhere", sets(BUNDLES_DIR="{blocked}"), "wrong", "cannot be written"),
        Case("exports elsewhere", sets(EXPORTS_DIR="{blocked}"), "wrong", "cannot be written"),
        Case("read-only", read_only("var"), "wrong", "Permission denied", without_roots_privilege),
        Case("everybody's", lambda s: s.var.chmod(0o755), "look", "chmod 700"),
        Case("no room", small_disk, "look", "Make room"),
    ],
    "caches": [
        Case("no home of the hub", sets(HF_HOME="{blocked}"), "look", "Set HF_HOME"),
        Case("no data folder", sets(FFN_DATA_DIR="{blocked}"), "look", "Set FFN_DATA_DIR"),
    ],
    "static-files": [
        Case("never collected", static(shutil.rmtree), "wrong", "collectstatic"),
        Case("never collected, workers elsewhere", never_collected_beside(worker(host="elsewhere")),
             "wrong", "no web server starts"),
        Case("cannot be read", static(lambda folder: (folder / "staticfiles.json").write_text("{")),
             "wrong", "cannot be read"),
        Case("one is missing", static(without_a_script), "wrong", "is missing under"),
        Case("from before an upgrade", static(
            lambda folder: os.utime(folder / "staticfiles.json", (1, 1))), "look", "is newer than"),
    ],
    "certificates": [
        Case("Redis", sets(REDIS_URL="rediss://h/0?ssl_cert_reqs=none"), "look", "ssl_cert_reqs"),
        Case("PostgreSQL", sets(DATABASE_URL="postgres://u@h/d?sslmode=require"), "look",
             "sslmode=verify-full"),
    ],
    "clock": [Case("ahead", worker(seconds_ago=-300), "wrong", "s apart")],
    "settings": [
        Case("debugging", sets(DEBUG="true"), "wrong", "DEBUG is on"),
        Case("no TLS", sets(SITE_URL="http://labels.example.org"), "wrong", "travel readable"),
        Case("no proxy", sets(SITE_URL="https://labels.example.org"), "look", "BEHIND_PROXY=true"),
        Case("a typing error", a_typing_error, "look", "BEHIND_PROXY?"),
        Case("a short key", sets(SITE_URL="https://labels.example.org", BEHIND_PROXY="true",
             SECRET_KEY="0123456789abcdefghijklmnopqrstuvwxyz"), "look", "security.W009"),
    ],
    "language-model": [
        Case("no model's name", sets(LLM_MODEL="../secret"), "wrong", "set LLM_ENDPOINT"),
    ],
    "language-model-reply": [
        Case("nobody there", sets(LLM_MODEL="m", LLM_ENDPOINT="http://127.0.0.1:{nowhere}/v1",
             LLM_API_KEY="pass-w0rd"), "wrong", "Check LLM_ENDPOINT"),
    ],
}  # fmt: skip

WHOLE: dict[str, list[Case]] = {
    "database": [Case("as set up", lambda s: None, "ok", "SQLite, ")],
    "queue": [
        Case("files", lambda s: None, "ok", "a folder of files, "),
        Case("Redis", redis_at(f"redis://:{QUOTED}@127.0.0.1:{{port}}/0"), "ok",
             "Redis at 127.0.0.1:"),
        Case("Redis with TLS", redis_with_tls(
            f"rediss://:{QUOTED}@localhost:{{port}}/0?ssl_ca_certs={{folder}}/certificate.pem"),
            "ok", "reached"),
    ],
    "workers": [Case("one", worker(), "ok", "1 alive, 1 of them")],
    "this-worker": [Case("one", worker(), "ok", "alive")],
    "kernel": [Case("off", sets(FFN_KERNEL="off"), "ok", "slower")],
    "wordnet": [Case("in the data folder", a_wordnet, "ok", "at hand")],
    "storage": [Case("as set up", lambda s: None, "ok", "are free under")],
    "caches": [
        Case("of the user", lambda s: None, "ok", "home/.cache/huggingface"),
        Case("without a home", lambda s: shutil.rmtree(s.home) or s.home.touch(), "ok",
             "var/cache/huggingface"),
        Case("a home that is not to be written", read_only("home"), "ok",
             "var/cache/huggingface", without_roots_privilege),
    ],
    "static-files": [
        Case("as set up", lambda s: None, "ok", "collected in"),
        Case("workers alone", never_collected_beside(worker()), "ok", "no web server starts here"),
    ],
    "certificates": [Case("asked for", sets(
        REDIS_URL="rediss://h/0", DATABASE_URL="postgres://u@h/d?sslmode=verify-full"), "ok",
        "checked")],
    "clock": [Case("a worker of now", worker(), "ok", "agree")],
    "settings": [
        Case("for this machine", lambda s: None, "ok", "for this machine alone"),
        Case("behind a proxy", sets(
            SITE_URL="https://labels.example.org", BEHIND_PROXY="yes",
            SECRET_KEY="0123456789abcdefghijklmnopqrstuvwxyz" * 2), "ok",
            "for https://labels.example.org"),
    ],
    "language-model": [
        Case("at an endpoint", sets(LLM_MODEL="m", LLM_ENDPOINT="https://api.example.org/v1",
             LLM_API_KEY="pass-w0rd"), "ok", "m at api.example.org."),
    ],
    "language-model-reply": [Case("an endpoint", an_endpoint, "ok", "replied in")],
}  # fmt: skip


def test_every_check_is_tried_broken_and_whole():
    assert set(BROKEN) == set(WHOLE) == set(CHECKS | ON_REQUEST)
    assert all(BROKEN.values())
    assert all(WHOLE.values())
    assert {case.level for cases in WHOLE.values() for case in cases} == {"ok"}
    assert "ok" not in {case.level for cases in BROKEN.values() for case in cases}


@pytest.mark.parametrize(
    ("check", "case"),
    [
        pytest.param(check, case, id=f"{check}: {case.what}")
        for table in (BROKEN, WHOLE)
        for check, cases in table.items()
        for case in cases
    ],
)
def test_a_check_tells_what_is_broken_from_what_is_whole(site, check, case):
    with case.change(site) or nullcontext():
        if check == "wordnet":
            ended = doctor_where_debian_has_no_wordnet(site)
        else:
            ended = site.manage("doctor", check, before=case.before)
    line = ended.stdout.splitlines()[0]
    assert line.split()[:2] == [SIGNS[case.level], check], ended.stdout + ended.stderr
    assert case.said in line
    assert ended.returncode == (case.level == "wrong")
    assert "Traceback" not in ended.stderr
    for part in ("s3cret", "of@redis", "of%40redis", "pass-w0rd"):
        assert part not in ended.stdout + ended.stderr


def doctor_where_debian_has_no_wordnet(site: Installation) -> subprocess.CompletedProcess[str]:
    """The same command on a machine that lacks Debian's package, whatever this one has."""
    code = (
        "import sys; from pathlib import Path; import ffn_extract.wordnet as wordnet;"
        "wordnet.DEBIAN_FOLDER = Path('/nowhere'); wordnet.nltk.data.path.clear();"
        "sys.argv = ['manage.py', 'doctor', 'wordnet']; import manage; manage.main()"
    )
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT, env=site.environment, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_all_checks_together_are_whole_where_nothing_is_broken(site):
    a_wordnet(site)
    site.worker_seen()
    ended = site.manage("doctor")
    lines = ended.stdout.splitlines()
    assert [line.split()[:2] for line in lines[:-1]] == [["✓", check] for check in CHECKS]
    assert lines[-1] == "Nothing is wrong."


@pytest.mark.parametrize(
    "address",
    [
        "{scheme}://user:p@ss/word@host:5/0", "{scheme}://user:pa/ss@host:5/0",
        "{scheme}://user:pa#ss@host:5/0", "{scheme}://user:pa?ss@host:5/0",
        "{scheme}://user:pa[ss@host:5/0", "{scheme}://:pass@host:port/0", "{scheme}://user:pass",
        "pass://user:word@host/0",
    ],
)  # fmt: skip
@pytest.mark.parametrize(("setting", "scheme"), [
    ("DATABASE_URL", "postgres"), ("REDIS_URL", "redis"), ("EMAIL_URL", "smtp+tls"),
])  # fmt: skip
def test_an_address_that_a_password_broke_is_refused_without_any_part_of_it(
    setting, scheme, address
):
    from django.core.exceptions import ImproperlyConfigured

    from annotation_site.environment import Environment

    read = Environment({setting: address.format(scheme=scheme)})
    ask = {
        "DATABASE_URL": lambda: read.database(setting, Path("/db")),
        "REDIS_URL": lambda: read.broker(setting),
        "EMAIL_URL": lambda: read.mail_server(setting),
    }
    with pytest.raises(ImproperlyConfigured) as refused:
        ask[setting]()
    said = str(refused.value)
    assert said.startswith(setting)
    example = ("user:password@host", "user@host")
    for part in (*example, "postgres://", "smtp+tls://"):
        said = said.replace(part, "")
    for part in ("ss/w", "word", "pa/", "pa#", "pa[", "pass:", "'pass", "user"):
        assert part not in said.replace("a name or password", "")
