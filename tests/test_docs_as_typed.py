"""Whoever types what README.md and docs/deploying.md say gets what they promise, in each layout."""

import re
from pathlib import Path

import pytest

from tests.documented import ROOT, SERVERS, Machine, answers, page, the_block
from tests.e2e.site import wait_for

DEPLOYING = "docs/deploying.md"
ONE_MACHINE = "On one machine, without containers"
SYSTEMD = "As services of systemd"
KEY = "0123456789abcdefghijklmnopqrstuvwxyz" * 2
# An empty line is unset: the servers that a test machine may lack. tests/services has them.
FILLED_IN = {"SECRET_KEY": KEY, "DATABASE_URL": "", "REDIS_URL": ""}


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def settings_of(block: str) -> str:
    """Lines of a settings file, with what the reader has to fill in."""
    lines = [line.partition("=") for line in block.splitlines()]
    return "".join(f"{name}={FILLED_IN.get(name, value)}\n" for name, _, value in lines)


def split(block: str) -> tuple[str, list[str]]:
    """Commands that end, and those that run on."""
    lines = block.splitlines()
    servers = [line for line in lines if any(name in line for name in SERVERS)]
    return "\n".join(line for line in lines if line not in servers), servers


def a_page_is_whole(port: int, host: str = "labels.example.org") -> None:
    status, text = page(port, "/login/", host)
    assert status == 200
    for path in re.findall(r'(?:src|href)="(/static/[^"]+)"', text):
        assert page(port, path, host)[0] == 200, path


@pytest.mark.parametrize(
    ("text", "heading"), [(DEPLOYING, ONE_MACHINE), ("README.md", "Real services")]
)
def test_a_site_on_one_machine_starts_as_the_text_says(machine, text, heading):
    (machine.project / ".env").write_text(settings_of(the_block(text, heading, "SECRET_KEY=")))
    commands, servers = split(the_block(text, heading, ".venv/bin/python manage.py createadmin"))
    said = machine.type(commands)
    database = machine.project / "var/db.sqlite3"
    assert said.count(f"Database: SQLite, {database}.") == 2  # migrate, createadmin
    assert "It is new." in said
    assert (machine.project / "var").stat().st_mode & 0o077 == 0
    [serve] = servers
    with machine.running(serve) as port:
        answers(port)
        a_page_is_whole(port)


@pytest.mark.long
def test_servers_that_run_apart_start_as_the_text_says(machine):
    (machine.project / ".env").write_text(
        settings_of(the_block(DEPLOYING, ONE_MACHINE, "SECRET_KEY="))
    )
    block = the_block(DEPLOYING, ONE_MACHINE, ".venv/bin/gunicorn")
    commands, (web, *workers) = split(block)
    # Two children that end at once make gunicorn print a traceback of its own, now and then.
    alone = web.replace("--workers 2", "--workers 1")
    assert alone != web
    said = machine.type("cd . && " + alone, fails=True)
    assert "The static files are not collected" in said
    machine.type(commands)
    machine.type(".venv/bin/python manage.py createadmin NAME")
    assert len(workers) == 2
    with machine.running(web) as port, machine.running(workers[0]), machine.running(workers[1]):
        answers(port)
        a_page_is_whole(port)
        doctor = the_block(DEPLOYING, "Is all well?", ".venv/bin/python manage.py doctor")
        wait_for(lambda: "2 alive, 1 of them for extractions" in machine.type(f"{doctor} || true"))
        # A busy machine may see a worker late; in the end nothing is left to say.
        wait_for(lambda: "Nothing is wrong." in machine.type(f"{doctor} || true"))
        tidy = the_block(DEPLOYING, "What is removed, and when", ".venv/bin/python manage.py tidy")
        assert "There is nothing to remove." in machine.type(tidy)
    assert not list((machine.folder / "home").glob(".gunicorn*"))


@pytest.mark.long
def test_under_systemd_every_command_acts_on_the_database_of_the_service(machine):
    machine.type(the_block(DEPLOYING, SYSTEMD, "sudo install"))
    settings = machine.place("/etc/ffn-concepts.env")
    settings.write_text(
        settings_of(the_block(DEPLOYING, ONE_MACHINE, "SECRET_KEY="))
        + machine.here(the_block(DEPLOYING, SYSTEMD, "VAR_DIR="))
        + "\n"
    )
    unit = the_block(DEPLOYING, SYSTEMD, "[Unit]")
    started = re.search(r"^ExecStart=(.*)$", unit, re.MULTILINE).group(1)
    assert not re.search(r"^Environment", unit, re.MULTILINE)  # commands that are typed lack it
    database = machine.place("/var/lib/ffn-concepts") / "db.sqlite3"
    the_one = f"SQLite, {database}"
    with machine.running(started) as port:
        answers(port)
        said = machine.type(the_block(DEPLOYING, SYSTEMD, "sudo systemctl enable"))
        assert f"Database: {the_one}." in said
        a_page_is_whole(port)
        wait_for(
            lambda: "1 of them" in machine.type(".venv/bin/python manage.py doctor workers||true")
        )
        said = machine.type(
            the_block(DEPLOYING, "Is all well?", ".venv/bin/python manage.py doctor")
        )
        assert the_one in said
        assert "Nothing is wrong." in said

    upgrade = the_block(DEPLOYING, "Upgrading", "sudo systemctl stop")
    said = machine.type(upgrade)
    backup = machine.place("/backups/before-the-upgrade.tar")
    rows = int(re.search(rf"Wrote {backup}: (\d+) rows, .* from {the_one}", said).group(1))
    assert rows > 0
    assert f"Database: {the_one}." in said
    assert "It is new" not in said
    done = (machine.folder / "bin/systemctl.log").read_text().splitlines()
    assert done == ["enable --now ffn-concepts", "stop ffn-concepts", "start ffn-concepts"]

    back = the_block(DEPLOYING, "Upgrading", "sudo -u ffn .venv/bin/python manage.py restore")
    new = machine.place("/var/lib/ffn-concepts-before")
    settings.write_text(settings.read_text().replace(str(database.parent), str(new)))
    said = machine.type(back)
    assert f"Restored {rows} rows into SQLite, {new / 'db.sqlite3'}" in said
    assert list(machine.project.glob("var")) == []  # nothing acted on a folder of its own


def test_a_backup_goes_to_another_machine_as_the_text_says(machine, tmp_path):
    block = the_block(DEPLOYING, "Backups", ".venv/bin/python manage.py backup")
    backup, restore = block.splitlines()
    first = ".venv/bin/python manage.py migrate"
    other = Machine(tmp_path / "another machine")
    for each in (machine, other):
        (each.project / ".env").write_text(f"SECRET_KEY={KEY}\n")
        each.type(first)
    assert "Nobody is in the database" in machine.type(backup, fails=True)
    assert list(machine.place("/backups").iterdir()) == []
    machine.type(".venv/bin/python manage.py createadmin NAME")
    assert "Wrote " in machine.type(backup)
    assert "There are people in this database already" in machine.type(restore, fails=True)
    [file] = machine.place("/backups").iterdir()
    file.rename(other.place("/backups") / file.name)
    assert "Restored " in other.type(restore.replace("/backups", f"'{other.place('/backups')}'"))


ARGUMENTS = {
    "backup": "x.tar", "restore": "x.tar", "createadmin": "ada", "createtoken": "ada",
    "export": "study coverage --out x.csv", "enqueue_model": "gpt2",
    "enqueue_measurement": "saturation gpt2", "import_bundle": ".",
    "import_annotations": "study x.jsonl", "restore_study": "x.zip --researcher rosa",
    "serve": "--port 22900", "estimate": "study", "annotate_by_machine": "study",
}  # fmt: skip
COMMANDS = sorted(
    path.stem
    for path in (ROOT / "annotation_site/management/commands").glob("*.py")
    if path.stem != "__init__"
)


@pytest.fixture(scope="module")
def fresh_checkout(tmp_path_factory) -> Machine:
    return Machine(tmp_path_factory.mktemp("checkout"))


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_without_the_settings_of_its_installation_makes_nothing(fresh_checkout, command):
    said = fresh_checkout.type(
        f".venv/bin/python manage.py {command} {ARGUMENTS.get(command, '')}", fails=True
    )
    assert said.startswith("No secret key. The settings are looked for in the environment and in ")
    assert str(fresh_checkout.project / ".env") in said
    assert not (fresh_checkout.project / "var").exists()


@pytest.mark.parametrize("command", sorted(set(COMMANDS) - {"migrate", "serve"}))
def test_a_command_with_no_more_than_a_key_says_that_its_database_is_not_there(
    fresh_checkout, command
):
    folder = f"elsewhere/{command}"
    said = fresh_checkout.type(
        f"mkdir -p {folder} && SECRET_KEY={KEY} VAR_DIR={folder} .venv/bin/python manage.py "
        f"{command} {ARGUMENTS.get(command, '')}",
        fails=True,
    )
    assert f"SQLite, {fresh_checkout.project / folder / 'db.sqlite3'}" in said
    assert "If this site is set up already, this command lacks its settings" in said
    assert not (fresh_checkout.project / folder / "db.sqlite3").exists()
